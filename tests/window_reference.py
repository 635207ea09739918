"""Sliding windows by hand: pixel by pixel, in float64, by mmsegmentation's rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Scores = Callable[[np.ndarray], np.ndarray]  # from windows (N, 3, h, w) to logits (N, C, h, w)


def spans(length: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Return the (start, end) of the windows along one side."""
    found, end = [], 0
    while end < length:
        end = window if not found else min(len(found) * stride + window, length)
        found.append((end - window, end))
    return found


def sliding_logits(
    image: np.ndarray, scores: Scores, size: tuple[int, int], stride: tuple[int, int], black: Sequence[float]
) -> np.ndarray:
    """Return the logits (C, H, W) of a picture (3, H, W), each the mean over the windows that hold the pixel."""
    height, width = image.shape[1:]
    padded = np.array(black, np.float64).reshape(3, 1, 1) * np.ones((1, max(height, size[0]), max(width, size[1])))
    padded[:, :height, :width] = image
    rows, columns = (spans(*side) for side in zip(padded.shape[1:], size, stride))
    maps = {
        (top, left): scores(padded[None, :, top:bottom, left:right])[0]
        for top, bottom in rows
        for left, right in columns
    }
    result = np.empty((len(next(iter(maps.values()))), height, width))
    for y, x in np.ndindex(height, width):
        found = [
            logits[:, y - top, x - left]
            for (top, left), logits in maps.items()
            if top <= y < top + size[0] and left <= x < left + size[1]
        ]
        result[:, y, x] = np.mean(found, axis=0)
    return result
