"""Compute tools/device_check/golden.npz with PyTorch: python tests/golden/make_device_check.py.

Logits of the main head in evaluation, losses of the heads and gradients of their sum in training, each at the places
that tools/device_check/seeded.py names, one parameter after the other in the order of their names, and the largest
magnitude of each gradient.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch_network import BiSeNetV2, cross_entropies

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.device_check import seeded  # noqa: E402


def main() -> None:
    """Write the file."""
    model = BiSeNetV2("bilinear", 1e-3)
    for name, value in model.state_dict().items():
        if value.dim():
            value.copy_(torch.from_numpy(seeded.parameter(name, tuple(value.shape))))
    image, label = torch.from_numpy(seeded.image()), torch.from_numpy(seeded.label()).long()
    with torch.no_grad():
        logits = model.eval()(image)[0].numpy().ravel()
    values = {"logits": logits[seeded.places(logits.size, 2000)]}
    losses = cross_entropies(model.train()(image), label)
    losses.sum().backward()
    values["losses"] = losses.detach().numpy()
    gradients = [parameter.grad.numpy().ravel() for _, parameter in sorted(model.named_parameters())]
    values["gradients"] = np.concatenate([gradient[seeded.places(gradient.size)] for gradient in gradients])
    values["absmax"] = np.array([np.abs(gradient).max() for gradient in gradients])
    np.savez_compressed(ROOT / "tools/device_check/golden.npz", **values)


if __name__ == "__main__":
    main()
