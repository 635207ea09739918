"""Flat textures of masonry: brick, concrete, plaster, blocks. Buildings and walls share colours and some textures."""

from __future__ import annotations

import numpy as np

from tools.streets import noise
from tools.streets.light import Color, dim

KINDS = ("plaster", "brick", "concrete", "stone")


def masonry_texture(
    rng: np.random.Generator, kind: str, color: Color, *, size: tuple[float, float], ppm: float
) -> np.ndarray:
    """Return a texture (h, w, 3) uint8 of a wall.

    Args:
        rng: draws the position in the noise field.
        kind: one of `KINDS`.
        color: its colour, RGB 0..255.
        size: height and width in metres.
        ppm: pixels per metre.
    """
    rows, columns = max(2, round(size[0] * ppm)), max(2, round(size[1] * ppm))
    stains = noise.window(rng, (rows, columns), low=2, high=6, texels=256)
    tone = 1 + (0.09 if kind == "concrete" else 0.05) * stains
    y, x = np.arange(rows) / ppm, np.arange(columns) / ppm
    if kind == "brick":
        tone *= _courses(x, y, (0.28, 0.11), ppm)
    elif kind == "stone":
        tone *= _courses(x, y, (0.8, 0.4), ppm, contrast=2.5)
    elif kind == "concrete":
        tone *= np.where((x % 2.4) * ppm < max(1, 0.04 * ppm), 0.72, 1)[None, :]
    return np.clip(np.asarray(color, np.float32) * np.asarray(tone, np.float32)[..., None], 0, 255).astype(np.uint8)


def _courses(
    x: np.ndarray, y: np.ndarray, unit: tuple[float, float], ppm: float, *, contrast: float = 1.0
) -> np.ndarray:
    """Return the tone (h, w) of stones of `unit` (width, height) metres, alternate courses shifted by half a stone."""
    width, height = unit
    while height * ppm < 4:  # courses too fine for the pixels
        width, height = 2 * width, 2 * height
    row = np.floor(y / height).astype(int)
    column = x[None, :] / width + 0.5 * (row % 2)[:, None]
    joint = max(0.012 * contrast, 0.8 / ppm)
    lines = ((y % height) < joint)[:, None] | (column % 1 * width < joint)
    stone = noise.field(6, 8)[(row * 37 % 512)[:, None], np.floor(column).astype(int) * 61 % 512]
    return (1 + 0.07 * contrast * stone) * np.where(lines, 1 - 0.2 * contrast, 1)


def fill(texture: np.ndarray, ppm: float, area: tuple[float, float, float, float], color: Color) -> None:
    """Paint a rectangle given as left, top, right, bottom in metres from the upper left corner; at least one pixel."""
    left, top, right, bottom = (round(value * ppm) for value in area)
    texture[max(0, top) : max(top + 1, bottom), max(0, left) : max(left + 1, right)] = dim(color, 1.0)
