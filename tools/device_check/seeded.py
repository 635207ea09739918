"""Weights, pictures and labels from fixed seeds, for the check and for the PyTorch values that it is compared with.

Needs NumPy only: tests/golden/make_device_check.py writes golden.npz without MindSpore.
"""

from __future__ import annotations

import zlib

import numpy as np

NUM_CLASSES, SHAPE = 19, (2, 3, 64, 128)
SAMPLES = 24  # entries kept of each gradient
IMAGE_SEED = 1
_OURS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_name(name: str) -> str:
    """Return PyTorch's name of a parameter of this network."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_OURS.get(last, last)}"


def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 values for the parameter with this PyTorch name, chosen so that activations are of order one."""
    rng, kind = np.random.default_rng(zlib.crc32(name.encode())), name.rpartition(".")[2]
    classifies = ".conv_out.1." in name
    if len(shape) == 4:
        values = rng.standard_normal(shape) * np.sqrt((0.25 if classifies else 0.5) / np.prod(shape[1:]))
    elif kind in ("weight", "running_var"):
        values = rng.uniform(0.75, 1.25, shape)
    else:  # a shift keeps most activations away from 0, where a ReLU would amplify rounding
        values = (1.5 if kind == "bias" and not classifies else 0.0) + 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


def image(shape: tuple[int, int, int, int] = SHAPE, seed: int = IMAGE_SEED) -> np.ndarray:
    """Return a batch (N, 3, H, W) float32 with values of order one; its pictures have different means."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 0.5 * rng.standard_normal((*shape[:2], 1, 1))).astype(np.float32)


def label(shape: tuple[int, int, int, int] = SHAPE, seed: int = 2) -> np.ndarray:
    """Return labels (N, H, W) int32 in 8x8 blocks of one class, some ignored (255); H and W are multiples of 8."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(NUM_CLASSES, size=(shape[0], shape[2] // 8, shape[3] // 8))
    blocks[rng.random(blocks.shape) < 0.1] = 255
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.int32)


def places(size: int, count: int = SAMPLES) -> np.ndarray:
    """Return the flat indices, at most `count`, at which an array of `size` entries is compared."""
    return np.linspace(0, size - 1, min(size, count)).astype(np.int64)
