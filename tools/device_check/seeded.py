"""Weights, pictures and labels that the check and the PyTorch values it ships with draw from the same seeds.

Needs nothing but NumPy: golden.npz is made where there is no MindSpore, by tests/golden/make_device_check.py.
"""

from __future__ import annotations

import zlib

import numpy as np

NUM_CLASSES, SHAPE = 19, (2, 3, 64, 128)
SAMPLES = 24  # entries kept of each gradient
IMAGE_SEED = 1
_OURS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_name(name: str) -> str:
    """Return PyTorch's name of one of our parameters."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_OURS.get(last, last)}"


def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 values of the parameter with this PyTorch name; activations stay of order one with them."""
    rng, kind = np.random.default_rng(zlib.crc32(name.encode())), name.rpartition(".")[2]
    classifies = ".conv_out.1." in name
    if len(shape) == 4:
        values = rng.standard_normal(shape) * np.sqrt((0.25 if classifies else 0.5) / np.prod(shape[1:]))
    elif kind in ("weight", "running_var"):
        values = rng.uniform(0.75, 1.25, shape)
    else:  # a shift keeps most activations clear of the kink of the ReLU, where rounding would be amplified
        values = (1.5 if kind == "bias" and not classifies else 0.0) + 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


def image(shape: tuple[int, int, int, int] = SHAPE, seed: int = IMAGE_SEED) -> np.ndarray:
    """Return (N, 3, H, W) float32 of order one; the pictures of a batch differ in their means."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 0.5 * rng.standard_normal((*shape[:2], 1, 1))).astype(np.float32)


def label(shape: tuple[int, int, int, int] = SHAPE, seed: int = 2) -> np.ndarray:
    """Return (N, H, W) int32: blocks of 8x8 of one class each, some ignored (255); H and W are multiples of 8."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(NUM_CLASSES, size=(shape[0], shape[2] // 8, shape[3] // 8))
    blocks[rng.random(blocks.shape) < 0.1] = 255
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.int32)


def places(size: int, count: int = SAMPLES) -> np.ndarray:
    """Return the flat places at which an array of `size` entries is compared, at most `count`."""
    return np.linspace(0, size - 1, min(size, count)).astype(np.int64)
