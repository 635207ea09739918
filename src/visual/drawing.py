"""Text and colours that all pictures share, on RGB canvases (H, W, 3) uint8, drawn with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALL, LARGE, HUGE = 0.5, 0.65, 0.85  # text sizes, in OpenCV's font scale
PAPER, INK, GRID, FRAME = (255, 255, 255), (40, 40, 40), (228, 228, 228), (150, 150, 150)
FAINT_INK, WARNING_INK = (110, 110, 110), (170, 30, 20)


def blank(height: int, width: int) -> np.ndarray:
    """Return an empty canvas (height, width, 3)."""
    return np.full((height, width, 3), PAPER, np.uint8)


def _thickness(scale: float) -> int:
    return 2 if scale >= HUGE else 1


def text_width(text: str, scale: float = SMALL) -> int:
    """Return how many pixels `text` takes from left to right."""
    return cv2.getTextSize(text, FONT, scale, _thickness(scale))[0][0]


def write_text(
    canvas: np.ndarray, text: str, x: float, y: float, *, align: float = 0, scale: float = SMALL, color: tuple = INK
) -> None:
    """Write `text` with its baseline at y; x is its left edge (`align` 0), centre (0.5) or right edge (1)."""
    left = round(x - align * text_width(text, scale))
    cv2.putText(canvas, text, (left, round(y)), FONT, scale, color, _thickness(scale), cv2.LINE_AA)


def shorten(text: str, width: int, scale: float = SMALL) -> str:
    """Return `text`, cut to fit into `width` pixels and followed by three dots if it is too long."""
    if text_width(text, scale) <= width:
        return text
    while text and text_width(f"{text}...", scale) > width:
        text = text[:-1]
    return f"{text.rstrip()}..."
