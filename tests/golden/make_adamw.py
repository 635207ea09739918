"""Compute ten steps of AdamW with PyTorch, from given weights along given gradients.

    pip install -r requirements/torch.txt
    python tests/golden/make_adamw.py [--output FILE]

`start/<name>` and `gradients/<name>` (steps, ...) are what goes in; `<case>/<name>` (steps, ...) are the weights after
each step. In float64, so that the file holds no rounding but that of its float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

SHAPES = {"body.weight": (4, 3, 3, 3), "body.bias": (4,), "head.weight": (5, 4), "head.bias": (5,)}
RATES = np.array([2e-3, 4e-3, 6e-3, 5.4e-3, 4.8e-3, 4.2e-3, 3.6e-3, 3e-3, 2.4e-3, 1.8e-3])
CASES = {
    "plain": {"betas": (0.9, 0.999), "eps": 1e-8, "decay": 0.01, "exempt_1d": False, "factor": 1.0},
    "other": {"betas": (0.8, 0.99), "eps": 1e-2, "decay": 5.0, "exempt_1d": True, "factor": 10.0},
    "without_first": {"betas": (0.0, 0.9), "eps": 1e-6, "decay": 0.0, "exempt_1d": False, "factor": 0.5},
}


def train(start: dict, gradients: dict, *, betas: tuple, eps: float, decay: float, exempt_1d: bool, factor: float):
    """Return the weights after each step, by name."""
    weights = {name: torch.nn.Parameter(torch.from_numpy(value.astype(np.float64))) for name, value in start.items()}
    groups = [{"params": [p], "weight_decay": 0.0 if exempt_1d and p.dim() == 1 else decay} for p in weights.values()]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps)
    after = {name: [] for name in weights}
    for step, rate in enumerate(RATES):
        for group, name in zip(optimizer.param_groups, weights):
            group["lr"] = rate * (factor if name.startswith("head.") else 1.0)
            weights[name].grad = torch.from_numpy(gradients[name][step].astype(np.float64))
        optimizer.step()
        for name, value in weights.items():
            after[name].append(value.detach().numpy().copy())
    return {name: np.stack(values).astype(np.float32) for name, values in after.items()}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Compute the golden values of AdamW with PyTorch.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("adamw.npz"))
    output = parser.parse_args().output
    rng = np.random.default_rng(23)
    start = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    sizes = np.geomspace(1e-4, 10, len(RATES))[::-1]  # from step to step gradients become smaller
    gradients = {
        name: np.stack([size * rng.standard_normal(shape) for size in sizes]).astype(np.float32)
        for name, shape in SHAPES.items()
    }
    results = {"rates": RATES, **{f"start/{n}": v for n, v in start.items()}}
    results |= {f"gradients/{name}": value for name, value in gradients.items()}
    for case, settings in CASES.items():
        results |= {f"{case}/{name}": value for name, value in train(start, gradients, **settings).items()}
    np.savez_compressed(output, **results)
    print(f"{output.name}: {output.stat().st_size} bytes, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
