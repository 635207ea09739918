"""What tests of pictures look at: RGB (H, W, 3) uint8."""

from __future__ import annotations

import cv2
import numpy as np


def codes(picture):
    """Return one number a pixel: equal where the colours are."""
    return picture.astype(int) @ (65536, 256, 1)


def is_in(part, picture):
    """Return whether `picture` shows `part` somewhere, pixel for pixel."""
    wanted, found = codes(part), codes(picture)
    colors, counts = np.unique(found, return_counts=True)
    frequency = dict(zip(colors.tolist(), counts.tolist()))
    # Look only where the pixel of the part is that is rarest in the picture.
    y, x = min(np.ndindex(wanted.shape), key=lambda place: frequency.get(int(wanted[place]), 0))
    height, width = wanted.shape
    corners = np.argwhere(found[y : len(found) - height + y + 1, x : found.shape[1] - width + x + 1] == wanted[y, x])
    return any((found[top : top + height, left : left + width] == wanted).all() for top, left in corners)


def colors_of(picture):
    """Return the set of colours in a picture."""
    return {(code >> 16, code >> 8 & 255, code & 255) for code in np.unique(codes(picture)).tolist()}


def border(picture, width=3):
    """Return the pixels along the four edges, (N, 3)."""
    inner = np.ones(picture.shape[:2], bool)
    inner[width:-width, width:-width] = False
    return picture[inner]


def written(text, scale=0.5, *, thickness=1, color=(40, 40, 40)):
    """Write a text on white with OpenCV alone, cut to its ink."""
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    canvas = np.full((height + base + 20, width + 20, 3), 255, np.uint8)
    corner = (10, height + 10)
    cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
    rows, columns = np.nonzero((canvas < 255).any(axis=-1))
    return canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
