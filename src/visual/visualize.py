"""Pictures of class maps, with NumPy and OpenCV only.

Every picture is a (H, W, 3) uint8 array in RGB; only `write_png` knows that OpenCV writes BGR.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Union

import cv2
import numpy as np

from src.base.errors import UserError
from src.base.files import write_whole
from src.visual.class_names import drawn_name
from src.visual.drawing import FRAME, HUGE, PAPER, blank, shorten, text_width, write_text

Palette = Union[Sequence, np.ndarray]  # one RGB colour a class
ALPHA = 0.75  # share of the class colours over the photograph
WRONG = (255, 176, 0)  # distinct on dark grey for the colour-blind, too
_TEXT = 0.75  # size of names, in OpenCV's font scale
_PANEL_MIN, _PANEL_MAX = 640, 1024  # longest side of a panel, pixels
_LARGEST_TEXT = 8  # times the usual size, below a very wide picture
_MARGIN, _TITLE, _SWATCH = 16, 52, 30  # pixels: margin around panels, title above them, colour box of the legend


def colorize(class_map: np.ndarray, palette: Palette, ignore_label: int | None) -> np.ndarray:
    """Colour a class map (H, W): class i in `palette[i]`, `ignore_label` in black; None = there is no ignored label."""
    colors = np.asarray(palette, np.uint8).reshape(-1, 3)
    known = [*range(len(colors)), *([] if ignore_label is None else [ignore_label])]
    unknown = np.setdiff1d(class_map, known)
    if unknown.size:
        raise ValueError(f"the class map holds {unknown[:5].tolist()}, but the palette has {len(colors)} colours")
    table = np.zeros((max(known, default=0) + 1, 3), np.uint8)
    table[: len(colors)] = colors
    return table[class_map]


def overlay(
    image: np.ndarray,
    class_map: np.ndarray,
    palette: Palette,
    alpha: float = 0.5,
    *,
    ignore_label: int | None = None,
) -> np.ndarray:
    """Lay the colours of a class map over the photograph.

    Args:
        image: photograph (H, W, 3), uint8 RGB.
        class_map: classes (H, W); pixels with `ignore_label` keep the photograph.
        palette: one RGB colour per class.
        alpha: share of the colours in the result, 0..1.
        ignore_label: value of `class_map` without a colour, if there is one.
    """
    if image.shape != (*class_map.shape, 3):
        raise ValueError(f"image {image.shape} and class map {class_map.shape} differ in size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in 0..1, got {alpha}")
    mixed = cv2.addWeighted(image, 1 - alpha, colorize(class_map, palette, ignore_label), alpha, 0)
    return mixed if ignore_label is None else np.where((class_map == ignore_label)[..., None], image, mixed)


def hatch(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return `picture` (H, W, 3) with grey diagonals on black, unlike any class, where `mask` (H, W) is true."""
    rows, columns = np.indices(mask.shape)
    stripes = np.where((rows + columns) % 10 < 2, 130, 0).astype(np.uint8)
    return np.where(mask[..., None], stripes[..., None], picture)


def error_map(image: np.ndarray, label: np.ndarray, pred: np.ndarray, ignore_label: int) -> np.ndarray:
    """Draw the wrong pixels of a prediction brightly on the photograph in dark grey; ignored pixels are hatched.

    Args:
        image: photograph (H, W, 3), uint8 RGB.
        label: ground truth (H, W).
        pred: predicted classes (H, W).
        ignore_label: value of `label` that is not scored.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    quiet = cv2.convertScaleAbs(grey, alpha=0.45, beta=15)[..., None]
    shown = np.where((label != pred)[..., None], np.array(WRONG, np.uint8), quiet)
    return hatch(shown, label == ignore_label)


def accuracy_text(label: np.ndarray, pred: np.ndarray, ignore_label: int) -> str:
    """Return the share of correct labelled pixels as text; "100.0 %" means all of them."""
    counted = label != ignore_label
    total, right = int(counted.sum()), int((counted & (label == pred)).sum())
    if total == 0:
        return "no labelled pixels"
    return f"pixel accuracy {100.0 if right == total else min(99.9, 100 * right / total):.1f} %"


def comparison(
    image: np.ndarray,
    label: np.ndarray | None,
    pred: np.ndarray,
    palette: Palette,
    names: Sequence[str],
    ignore_label: int,
) -> np.ndarray:
    """Arrange photograph, ground truth, prediction and its errors on one sheet, with a legend of the classes present.

    Without ground truth the sheet has photograph and prediction only. It is at most 2100 pixels wide; small pictures
    are enlarged by a whole number.

    Args:
        image: photograph (H, W, 3), uint8 RGB.
        label: ground truth (H, W), if there is any.
        pred: predicted classes (H, W).
        palette: one RGB colour per class.
        names: one name per class.
        ignore_label: value of `label` that is not a class.

    Raises:
        ValueError: the arrays differ in size.
    """
    shapes = [array.shape[:2] for array in (image, label, pred) if array is not None]
    if len(set(shapes)) > 1:
        raise ValueError(f"photograph, ground truth and prediction differ in size: {shapes}")
    rows = _rows(image, label, pred, palette=palette, ignore_label=ignore_label)
    sheet = np.vstack([np.hstack(row) for row in rows])
    sheet = cv2.copyMakeBorder(sheet, 0, 0, _MARGIN, 0, cv2.BORDER_CONSTANT, value=PAPER)
    present = set(np.unique(pred).tolist()) | set([] if label is None else np.unique(label).tolist())
    entries = [(drawn_name(names[i], i), palette[i]) for i in sorted(present - {ignore_label})]
    entries += [("ignored", None)] if ignore_label in present else []
    return np.vstack([sheet, legend(entries, sheet.shape[1])])


def _rows(
    image: np.ndarray, label: np.ndarray | None, pred: np.ndarray, *, palette: Palette, ignore_label: int
) -> list[list[np.ndarray]]:
    """Draw the panels of a comparison, row by row."""
    photograph, small_pred = _fit(image), _fit(pred)
    first = _titled("Photograph", photograph)
    prediction = _titled("Prediction", overlay(photograph, small_pred, palette, ALPHA))
    if label is None:
        return [[first, prediction]]
    small_label = _fit(label)
    truth = overlay(photograph, small_label, palette, ALPHA, ignore_label=ignore_label)
    truth = _titled("Ground truth", hatch(truth, small_label == ignore_label))
    errors = error_map(photograph, small_label, small_pred, ignore_label)
    errors = _titled(f"Errors: {accuracy_text(label, pred, ignore_label)}", errors, ("wrong", WRONG))
    return [[first, truth], [prediction, errors]]


def _fit(array: np.ndarray) -> np.ndarray:
    """Scale a photograph (H, W, 3) or a class map (H, W) to the size of a panel."""
    height, width = array.shape[:2]
    largest = max(height, width)
    factor = min(_PANEL_MAX // largest, -(-_PANEL_MIN // largest)) or _PANEL_MAX / largest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))  # (width, height), OpenCV's order
    if array.ndim == 2:
        return cv2.resize(array.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def _titled(title: str, panel: np.ndarray, key: tuple[str, tuple] | None = None) -> np.ndarray:
    """Put a title above a panel, with a swatch and its meaning (`key`) at the right, and a margin to the right."""
    space = max(0, _PANEL_MIN - panel.shape[1])  # a narrow panel leaves room for its title
    framed = cv2.copyMakeBorder(panel, _TITLE, 0, 0, _MARGIN + space, cv2.BORDER_CONSTANT, value=PAPER)
    write_text(framed, title, 0, _TITLE - 14, scale=HUGE)
    if key is not None:
        left = framed.shape[1] - _MARGIN - text_width(key[0], _TEXT) - _SWATCH - 10
        _swatch(framed, left, _TITLE - 33, key[1])
        write_text(framed, key[0], left + _SWATCH + 10, _TITLE - 15, scale=_TEXT)
    return framed


def _swatch(canvas: np.ndarray, left: int, top: int, color: Sequence[int] | None) -> None:
    """Draw a small box of a colour, or a hatched one, in a frame."""
    box = canvas[top : top + _SWATCH - 6, left : left + _SWATCH]
    box[:] = hatch(box, np.ones(box.shape[:2], bool)) if color is None else color
    cv2.rectangle(canvas, (left - 1, top - 1), (left + _SWATCH, top + _SWATCH - 6), FRAME, 1)


def legend(entries: list[tuple[str, Sequence[int] | None]], width: int) -> np.ndarray:
    """Draw a swatch (hatched: None) and a name for every entry, row by row, in columns of the same width."""
    line, room = 38, width - 2 * _MARGIN
    widest = max(text_width(name, _TEXT) for name, _ in entries) + _SWATCH + 40
    cell = min(widest, max(room // 2, _PANEL_MIN // 2))  # a single very long name must not widen all columns
    rows = math.ceil(len(entries) / (room // cell))
    columns = math.ceil(len(entries) / rows)
    canvas = blank(rows * line + 2 * _MARGIN, width)
    for index, (name, color) in enumerate(entries):
        left, top = _MARGIN + index % columns * cell, _MARGIN + 6 + index // columns * line
        _swatch(canvas, left, top, color)
        write_text(canvas, shorten(name, cell - _SWATCH - 30, _TEXT), left + _SWATCH + 10, top + 18, scale=_TEXT)
    return canvas


def with_legend(picture: np.ndarray, present: Iterable[int], palette: Palette, names: Sequence[str]) -> np.ndarray:
    """Add a legend of the classes `present`, scaled to the picture, below a picture, whose pixels are unchanged.

    Args:
        picture: (H, W, 3) uint8 RGB; H may be 0.
        present: class numbers.
        palette: one RGB colour per class.
        names: one name per class.

    Returns:
        The picture (H + h, max(W, 640), 3), at the top left.
    """
    width = max(picture.shape[1], _PANEL_MIN)
    factor = max(1, min(width // _PANEL_MAX, max(_LARGEST_TEXT, picture.shape[0] // 128)))
    entries = [(drawn_name(names[i], i), palette[i]) for i in present]
    below = legend(entries, -(-width // factor))
    below = below.repeat(factor, axis=0).repeat(factor, axis=1)[:, :width]
    upper = blank(picture.shape[0], width)
    upper[:, : picture.shape[1]] = picture
    return np.vstack([upper, below])


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB (H, W, 3) or grey (H, W) uint8 picture atomically.

    Raises:
        UserError: the file cannot be written.
    """
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or picture.shape[2:] == (3,)):
        raise ValueError(f"a picture is (H, W) or (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    # Encoded in memory: cv2.imwrite fails silently, on some systems for every non-ASCII name.
    done, encoded = cv2.imencode(".png", picture if picture.ndim == 2 else picture[..., ::-1])
    if not done:
        raise UserError(f"cannot encode the picture {path}")
    write_whole(path, encoded.tobytes(), "the picture ")
