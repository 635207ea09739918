"""Sheets of training samples: each photograph, its label laid over it, and lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from src.visual.class_names import drawn_name
from src.visual.drawing import FAINT_INK, INK, LARGE, SMALL, blank, shorten, write_text
from src.visual.visualize import Palette, hatch, legend, overlay

ALPHA = 0.6  # share of the class colours over the photograph
_PANEL, _MARGIN, _LINE = 480, 16, 22  # pixels: longest side of a picture, margin around it, line height of text


class Tile(NamedTuple):
    """A sample on a sheet: photograph (H, W, 3), label (H, W), title and lines of text."""

    image: np.ndarray
    label: np.ndarray
    title: str
    lines: Sequence[str]


def label_over(image: np.ndarray, label: np.ndarray, palette: Palette, ignore_label: int) -> np.ndarray:
    """Lay a label (H, W) over its photograph (H, W, 3); ignored pixels are hatched."""
    return hatch(overlay(image, label, palette, ALPHA, ignore_label=ignore_label), label == ignore_label)


def sample_sheet(tiles: Sequence[Tile], palette: Palette, names: Sequence[str], ignore_label: int) -> np.ndarray:
    """Arrange samples on one sheet, two in a row, with a legend of the classes present.

    Args:
        tiles: the samples, at least one.
        palette: one RGB colour per class.
        names: one name per class.
        ignore_label: label value that is not a class.

    Returns:
        The sheet (H, W, 3), uint8 RGB.
    """
    drawn = [_tile(tile, palette, ignore_label) for tile in tiles]
    columns = min(2, len(drawn))
    height, width = (max(tile.shape[axis] for tile in drawn) for axis in (0, 1))
    sheet = blank(math.ceil(len(drawn) / columns) * height + _MARGIN, columns * width + _MARGIN)
    for number, tile in enumerate(drawn):
        top, left = _MARGIN + number // columns * height, _MARGIN + number % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    present = sorted(set().union(*(np.unique(tile.label).tolist() for tile in tiles)))
    entries = [(drawn_name(names[i], i), palette[i]) for i in present if i != ignore_label]
    entries += [("ignored", None)] if ignore_label in present else []
    return np.vstack([sheet, legend(entries, sheet.shape[1])])


def _tile(tile: Tile, palette: Palette, ignore_label: int) -> np.ndarray:
    """Draw the two pictures side by side, the text below them, a margin at the right and below."""
    height, width = tile.image.shape[:2]
    factor = _PANEL / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))  # (width, height), OpenCV's order
    image = cv2.resize(tile.image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    label = cv2.resize(tile.label, size, interpolation=cv2.INTER_NEAREST)
    pair = np.hstack([image, blank(size[1], 4), label_over(image, label, palette, ignore_label)])
    room = max(pair.shape[1], _PANEL)
    canvas = blank(size[1] + _LINE * (len(tile.lines) + 2) + _MARGIN, room + _MARGIN)
    canvas[: size[1], : pair.shape[1]] = pair
    for number, line in enumerate((tile.title, *tile.lines)):
        scale, color = (SMALL, FAINT_INK) if number else (LARGE, INK)
        text = shorten(line.encode("ascii", "replace").decode(), room, scale)
        write_text(canvas, text, 0, size[1] + 24 + _LINE * number, scale=scale, color=color)
    return canvas
