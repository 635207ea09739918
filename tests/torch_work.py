"""PyTorch's part of test_convert.py, for the interpreter that has it.

``python torch_work.py make FOLDER`` writes weights as they are published and logits; ``strict FILE FAMILY CLASSES``
loads weights into the network whose they are, every tensor.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "golden"))

import numpy as np
import torch
import torch_network
from mmseg_network import MMSegBiSeNetV2
from seeded import seeded_image, seeded_parameter
from torch import nn

SIZES = ((128, 256), (512, 1024))
OWN_CLASSES = ("road", "path", "rest")


def network(family: str, num_classes: int) -> nn.Module:
    """Return a family's network in evaluation mode."""
    if family == "mmseg":
        return MMSegBiSeNetV2(num_classes).eval()
    torch_network.NUM_CLASSES = num_classes
    return torch_network.BiSeNetV2("nearest", 1e-5).eval()


@torch.no_grad()
def fill(model: nn.Module, seed: int) -> nn.Module:
    """Draw every weight and statistic."""
    for name, value in model.state_dict().items():
        if value.dim():
            value.copy_(torch.from_numpy(seeded_parameter(name, tuple(value.shape), seed)))
    return model


@torch.no_grad()
def make(folder: Path) -> None:
    """Write FAMILY.pth and FAMILY.npz (logits by size), and weights in other wrappings."""
    for seed, family in enumerate(("bisenet", "mmseg")):
        model = fill(network(family, 19), seed)
        logits = {}
        for size in SIZES:
            result = model(torch.from_numpy(seeded_image((1, 3, *size), seed)))
            logits["x".join(map(str, size))] = (result[0] if family == "bisenet" else result).numpy()
        np.savez(folder / f"{family}.npz", **logits)
        state = model.state_dict()
        if family == "mmseg":
            state["auxiliary_head.0.conv_seg.weight"] = torch.zeros(19, 16, 1, 1)
            torch.save({"meta": {"epoch": 1}, "state_dict": state}, folder / "mmseg.pth")
        else:
            torch.save(state, folder / "bisenet.pth")
    state = {f"module.{name}": value for name, value in fill(network("bisenet", 3), 5).state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "bisenet_wrapped.pth")
    bare = {
        name: value.half() for name, value in fill(network("bisenet", 3), 5).state_dict().items() if "aux" not in name
    }
    torch.save(bare, folder / "bisenet_no_aux.pth")
    state = fill(network("mmseg", 3), 6).state_dict()
    torch.save({"meta": {"dataset_meta": {"classes": OWN_CLASSES}}, "state_dict": state}, folder / "mmseg_own.pth")
    torch.save({"state_dict": state, "hook": Fraction(1, 3)}, folder / "unsafe.pth")
    torch.save({"a": torch.zeros(3)}, folder / "other.pth")
    torch.save([1, 2], folder / "nothing.pth")
    broken = {**network("bisenet", 3).state_dict(), "extra.weight": torch.zeros(1)}
    del broken["bga.left1.0.weight"], broken["head.conv.conv.weight"]
    torch.save(broken, folder / "broken.pth")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        path, family, num_classes = sys.argv[2:]
        found = torch.load(path, weights_only=True)
        kept = {name for name in network(family, int(num_classes)).state_dict() if "num_batches" not in name}
        assert found.keys() == kept, found.keys() ^ kept
        network(family, int(num_classes)).load_state_dict(found, strict=True)
