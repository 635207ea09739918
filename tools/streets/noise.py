"""Random fields for textures. They are the same in every run; a picture only draws a position in them."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

SIZE = 512  # texels per side; the fields repeat seamlessly


@cache
def field(low: int, high: int) -> np.ndarray:
    """Return a (512, 512) float32 field of mean 0 and standard deviation 1 with 2**low ... 2**high bumps per side.

    Every octave has 0.7 times the amplitude of the previous one. Treat the result as read-only.
    """
    rng = np.random.default_rng([low, high])
    total = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(low, high + 1):
        total += 0.7 ** (octave - low) * _bumps(rng, 2**octave)
    total -= total.mean()
    return total / total.std()


def _bumps(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return a random field with `cells` bumps per side that repeats seamlessly."""
    coarse = np.pad(rng.normal(0, 1, (cells, cells)).astype(np.float32), 2, mode="wrap")
    step = SIZE // cells
    fine = cv2.resize(coarse, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    return fine[2 * step : 2 * step + SIZE, 2 * step : 2 * step + SIZE]


def lookup(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample a repeating field at float32 positions in texels; the result has their shape."""
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def window(rng: np.random.Generator, shape: tuple[int, int], *, low: int, high: int, texels: int) -> np.ndarray:
    """Return a random square of a field with `texels` per side, resized to `shape` (height, width), float32."""
    texture = field(low, high)
    top, left = rng.integers(0, SIZE - texels, 2) if texels < SIZE else (0, 0)
    part = texture[top : top + texels, left : left + texels]
    return cv2.resize(part, (max(1, shape[1]), max(1, shape[0])), interpolation=cv2.INTER_LINEAR)
