"""Pictures of class maps, with NumPy and OpenCV only.

Every picture is a (H, W, 3) uint8 array in RGB; only `write_png` knows that OpenCV writes BGR.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from src.utils.drawing import FRAME, LARGE, PAPER, text_width, write_text
from src.utils.errors import UserError

_MARGIN = 16  # pixels around panels and legend


def generic_palette(num_classes: int) -> np.ndarray:
    """Return (num_classes, 3) uint8 RGB colours that are easy to tell apart, the same ones every time.

    Every next colour is the one of a fixed grid that is farthest from black (the ignored label), white and all before.
    """
    levels = np.array([0, 36, 73, 109, 146, 182, 219, 255])
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen, distance = [np.array([0, 0, 0]), np.array([255, 255, 255])], np.full(len(grid), np.inf)
    for _ in range(num_classes):
        for color in chosen[-2:]:
            red = (grid[:, 0] + color[0]) / 512  # the eye weighs red more and blue less in bright red colours
            weights = np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=1)
            distance = np.minimum(distance, (weights * (grid - color) ** 2).sum(axis=1))
        chosen.append(grid[distance.argmax()])
    return np.array(chosen[2:], np.uint8).reshape(-1, 3)


def colorize(class_map: np.ndarray, palette: Sequence, ignore_label: int | None) -> np.ndarray:
    """Paint a class map (H, W): class i in `palette[i]`, `ignore_label` in black; None = there is no ignored label."""
    colors = np.asarray(palette, np.uint8).reshape(-1, 3)
    known = [*range(len(colors)), *([] if ignore_label is None else [ignore_label])]
    unknown = np.setdiff1d(class_map, known)
    if unknown.size:
        raise ValueError(f"the class map holds {unknown[:5].tolist()}, but the palette has {len(colors)} colours")
    table = np.zeros((max(known, default=0) + 1, 3), np.uint8)
    table[: len(colors)] = colors
    return table[class_map]


def overlay(
    image: np.ndarray, class_map: np.ndarray, palette: Sequence, alpha: float = 0.5, *, ignore_label: int | None = None
) -> np.ndarray:
    """Lay the colours of a class map over the photograph.

    Args:
        image: photograph (H, W, 3), uint8 RGB.
        class_map: classes (H, W); where it is `ignore_label`, the photograph stays as it is.
        palette: one RGB colour a class.
        alpha: share of the colours in the result, 0..1.
        ignore_label: value of `class_map` without a colour, if it has one.
    """
    if image.shape != (*class_map.shape, 3):
        raise ValueError(f"image {image.shape} and class map {class_map.shape} differ in size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in 0..1, got {alpha}")
    mixed = cv2.addWeighted(image, 1 - alpha, colorize(class_map, palette, ignore_label), alpha, 0)
    return mixed if ignore_label is None else np.where((class_map == ignore_label)[..., None], image, mixed)


def comparison(
    image: np.ndarray,
    label: np.ndarray | None,
    pred: np.ndarray,
    palette: Sequence,
    names: Sequence[str],
    ignore_label: int,
) -> np.ndarray:
    """Set the prediction, laid over the photograph, beside the ground truth, with a legend of the classes present.

    Args:
        image: photograph (H, W, 3), uint8 RGB.
        label: ground truth (H, W), or None: then the plain photograph takes its place.
        pred: predicted classes (H, W).
        palette: one RGB colour a class.
        names: one name a class.
        ignore_label: value of `label` that is no class.
    """
    shapes = [array.shape[:2] for array in (image, label, pred) if array is not None]
    if len(set(shapes)) > 1:
        raise ValueError(f"photograph, ground truth and prediction differ in size: {shapes}")
    largest = max(pred.shape)
    factor = np.clip(largest, 512, 1024) / largest
    size = tuple(max(1, round(side * factor)) for side in reversed(pred.shape))  # (width, height), as OpenCV has it
    photograph = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    small_pred = cv2.resize(pred.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    panels = [("Prediction", overlay(photograph, small_pred, palette, alpha=0.6))]
    present = set(np.unique(pred).tolist())
    if label is None:
        panels.insert(0, ("Photograph", photograph))
    else:
        small_label = cv2.resize(label.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        panels.append(("Ground truth", colorize(small_label, palette, ignore_label)))
        present |= set(np.unique(label).tolist())
    entries = [(_printable(names[i], i), palette[i]) for i in sorted(present - {ignore_label})]
    entries += [("ignored", (0, 0, 0))] if ignore_label in present else []
    row = np.hstack([_titled(title, panel) for title, panel in panels])
    return np.vstack([row, _legend(entries, row.shape[1])])


def _printable(name: str, index: int) -> str:
    """Return `name`, or a substitute where OpenCV's fonts lack its letters."""
    return name if name.isascii() else f"class {index}"


def _titled(title: str, panel: np.ndarray) -> np.ndarray:
    """Put a title above a panel and a margin around both."""
    space = max(0, 160 - panel.shape[1])  # a narrow panel leaves room for its title
    edges = (2 * _MARGIN + 8, 0, _MARGIN, _MARGIN + space)  # top, bottom, left, right
    framed = cv2.copyMakeBorder(panel, *edges, cv2.BORDER_CONSTANT, value=PAPER)
    write_text(framed, title, _MARGIN, 2 * _MARGIN - 4, scale=LARGE)
    return framed


def _legend(entries: list[tuple[str, Sequence[int]]], width: int) -> np.ndarray:
    """Draw a swatch and a name for every entry, in as many columns as fit into `width` pixels."""
    swatch, line = 22, 30
    room = width - 2 * _MARGIN
    cell = min(room, max(text_width(name) for name, _ in entries) + swatch + 32)
    columns = room // cell
    canvas = np.full((math.ceil(len(entries) / columns) * line + 2 * _MARGIN, width, 3), 255, np.uint8)
    for index, (name, color) in enumerate(entries):
        left, top = _MARGIN + index % columns * cell, _MARGIN + index // columns * line
        corner = (left + swatch, top + swatch - 4)
        cv2.rectangle(canvas, (left, top), corner, [int(value) for value in color], cv2.FILLED)
        cv2.rectangle(canvas, (left, top), corner, FRAME, 1)
        while text_width(name) > cell - swatch - 8:
            name = name[:-4] + "..."
        write_text(canvas, name, left + swatch + 8, top + 15)
    return canvas


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB (H, W, 3) or grey (H, W) uint8 picture; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or picture.shape[2:] == (3,)):
        raise ValueError(f"a picture is (H, W) or (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    path = Path(path)
    # Encoded in memory because cv2.imwrite fails silently, and on some systems at non-ASCII names.
    done, encoded = cv2.imencode(".png", picture if picture.ndim == 2 else picture[..., ::-1])
    if not done:
        raise UserError(f"cannot encode the picture {path}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(encoded.tobytes())
        temporary.replace(path)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write the picture {path}: {err.strerror or err}") from err
