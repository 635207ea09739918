"""Text, colours and margins that all pictures share: RGB (H, W, 3) uint8 canvases, drawn on with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALL, LARGE = 0.5, 0.65  # text sizes, in OpenCV's font scale
PAPER, INK, GRID, FRAME = (255, 255, 255), (40, 40, 40), (228, 228, 228), (150, 150, 150)


def text_width(text: str, scale: float = SMALL) -> int:
    """Return how many pixels `text` takes from left to right."""
    return cv2.getTextSize(text, FONT, scale, 1)[0][0]


def write_text(canvas: np.ndarray, text: str, x: float, y: float, *, align: float = 0, scale: float = SMALL) -> None:
    """Write `text` with its baseline at y; x is its left edge (`align` 0), its centre (0.5) or its right edge (1)."""
    left = round(x - align * text_width(text, scale))
    cv2.putText(canvas, text, (left, round(y)), FONT, scale, INK, 1, cv2.LINE_AA)
