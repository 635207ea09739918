"""Parameters, images and labels drawn from seeds, identical wherever they are drawn.

The PyTorch reference (make_golden.py) and the tests of the MindSpore network both take their inputs from here, so
the golden files hold results only. Needs nothing but NumPy.

The distributions keep rounding from being amplified: activations stay of order one in both modes, most of them clear
of the kink of the ReLU, and the images of a batch differ in their means, because one normalisation of the network
sees nothing but one average per image.
"""

from __future__ import annotations

import zlib

import numpy as np

IGNORE_LABEL = 255
_BLOCK = 8  # side of the constant blocks of a label map, in pixels


def _generator(purpose: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def seeded_parameter(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Draw one float32 parameter; `name` is its PyTorch name, such as ``detail.S1.0.bn.running_var``."""
    rng, kind = _generator(name, seed), name.rpartition(".")[2]
    classifies = name.endswith(("conv_out.1.weight", "conv_out.1.bias"))
    if kind == "weight" and len(shape) == 4:
        values = rng.standard_normal(shape) * np.sqrt((0.25 if classifies else 0.5) / np.prod(shape[1:]))
    elif kind == "weight":  # scale of a batch normalisation
        values = rng.uniform(0.75, 1.25, shape)
    elif kind == "running_var":
        values = rng.uniform(0.5, 1.5, shape)
    elif kind == "bias" and not classifies:  # shift of a batch normalisation
        values = 1.5 + 0.1 * rng.standard_normal(shape)
    elif kind in ("bias", "running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    else:
        raise ValueError(f"not the PyTorch name of a parameter: {name!r}")
    return values.astype(np.float32)


def seeded_image(shape: tuple[int, int, int, int], seed: int) -> np.ndarray:
    """Draw a float32 array (N, C, H, W) of standard normal values; each channel of each image has its own offset."""
    rng = _generator("image", seed)
    return (rng.standard_normal(shape) + 0.5 * rng.standard_normal((*shape[:2], 1, 1))).astype(np.float32)


def seeded_label(shape: tuple[int, int, int], num_classes: int, seed: int) -> np.ndarray:
    """Draw an int32 label map (N, H, W): square blocks of one class each, about a tenth of them ignored."""
    rng = _generator("label", seed)
    number, height, width = shape
    blocks = rng.integers(num_classes, size=(number, -(-height // _BLOCK), -(-width // _BLOCK)))
    blocks[rng.random(blocks.shape) < 0.1] = IGNORE_LABEL
    return blocks.repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)[:, :height, :width].astype(np.int32)
