"""Pictures of class maps and learning curves, with NumPy and OpenCV only.

Every picture is a (H, W, 3) uint8 array in RGB; only `write_png` knows that OpenCV writes BGR.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from src.utils.errors import UserError

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALL, _LARGE = 0.5, 0.65  # text sizes, in OpenCV's font scale
_PAPER, _INK, _GRID, _FRAME = (255, 255, 255), (40, 40, 40), (228, 228, 228), (150, 150, 150)
_MARGIN = 16  # pixels around panels and legend
_CURVES_SIZE = (900, 1400)
_CURVES = (  # key, name in the legend, colour, width in pixels; drawn in this order, the total on top
    ("loss_aux5_4", "aux5_4", (150, 90, 180), 1),
    ("loss_aux4", "aux4", (225, 150, 30), 1),
    ("loss_aux3", "aux3", (110, 160, 50), 1),
    ("loss_aux2", "aux2", (44, 160, 150), 1),
    ("loss_main", "main", (205, 60, 60), 2),
    ("loss", "total", (25, 75, 170), 2),
)
_FAINT = (190, 208, 238)  # the total of single steps, behind its average


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


def _text_width(text: str, scale: float = _SMALL) -> int:
    return cv2.getTextSize(text, _FONT, scale, 1)[0][0]


def _text(canvas: np.ndarray, text: str, x: float, y: float, *, align: float = 0, scale: float = _SMALL) -> None:
    """Write `text` with its baseline at y; x is its left edge (`align` 0), its centre (0.5) or its right edge (1)."""
    left = round(x - align * _text_width(text, scale))
    cv2.putText(canvas, text, (left, round(y)), _FONT, scale, _INK, 1, cv2.LINE_AA)


def _titled(title: str, panel: np.ndarray) -> np.ndarray:
    """Put a title above a panel and a margin around both."""
    space = max(0, 160 - panel.shape[1])  # a narrow panel leaves room for its title
    edges = (2 * _MARGIN + 8, 0, _MARGIN, _MARGIN + space)  # top, bottom, left, right
    framed = cv2.copyMakeBorder(panel, *edges, cv2.BORDER_CONSTANT, value=_PAPER)
    _text(framed, title, _MARGIN, 2 * _MARGIN - 4, scale=_LARGE)
    return framed


def _legend(entries: list[tuple[str, Sequence[int]]], width: int) -> np.ndarray:
    """Draw a swatch and a name for every entry, in as many columns as fit into `width` pixels."""
    swatch, line = 22, 30
    room = width - 2 * _MARGIN
    cell = min(room, max(_text_width(name) for name, _ in entries) + swatch + 32)
    columns = room // cell
    canvas = np.full((math.ceil(len(entries) / columns) * line + 2 * _MARGIN, width, 3), 255, np.uint8)
    for index, (name, color) in enumerate(entries):
        left, top = _MARGIN + index % columns * cell, _MARGIN + index // columns * line
        corner = (left + swatch, top + swatch - 4)
        cv2.rectangle(canvas, (left, top), corner, [int(value) for value in color], cv2.FILLED)
        cv2.rectangle(canvas, (left, top), corner, _FRAME, 1)
        while _text_width(name) > cell - swatch - 8:
            name = name[:-4] + "..."
        _text(canvas, name, left + swatch + 8, top + 15)
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


class _Axes:
    """A plot on a part of a canvas; `area` is its left, top, right and bottom in pixels, without title and labels."""

    def __init__(self, canvas: np.ndarray, area: tuple, steps: Sequence[float], values: Sequence[float]) -> None:
        self.canvas, self.area = canvas, area
        self.low = np.array([min(steps), min(values)], float)
        self.high = np.array([max(steps), max(values)], float)
        self.high += (self.low == self.high) * (1, 0.01)  # a plot of a single point needs some width, too

    def frame(self, title: str) -> None:
        """Draw title, grid, ticks and border; the curves come on top."""
        left, top, right, bottom = self.area
        for step, text in _ticks(self.low[0], self.high[0], most=(right - left) // 90, least=1):
            x = left + round(self._pixels(step, 0)[0])
            cv2.line(self.canvas, (x, top), (x, bottom), _GRID, 1)
            _text(self.canvas, text, x, bottom + 23, align=0.5)
        for value, text in _ticks(self.low[1], self.high[1], most=(bottom - top) // 35):
            y = top + round(self._pixels(0, value)[1])
            cv2.line(self.canvas, (left, y), (right, y), _GRID, 1)
            _text(self.canvas, text, left - 8, y + 5, align=1)
        cv2.rectangle(self.canvas, (left, top), (right, bottom), _FRAME, 1)
        _text(self.canvas, title, left, top - 12, scale=_LARGE)
        _text(self.canvas, "step", (left + right) / 2, bottom + 45, align=0.5)

    def curve(self, steps: np.ndarray, values: np.ndarray, color: tuple, *, width: int = 2, dots: bool = False) -> None:
        """Join the points by a line; a single point, and every point if `dots` is set, becomes a dot."""
        left, top, right, bottom = self.area
        plot = self.canvas[top:bottom, left:right]  # a view: OpenCV cuts off what leaves it
        points = self._pixels(steps, values)
        cv2.polylines(plot, [np.round(points * 16).astype(np.int32)], False, color, width, cv2.LINE_AA, shift=4)
        for x, y in np.round(points).astype(int).tolist() if dots or len(points) == 1 else []:
            cv2.circle(self.canvas, (left + x, top + y), 4, color, cv2.FILLED, cv2.LINE_AA)

    def _pixels(self, step: np.ndarray | float, value: np.ndarray | float) -> np.ndarray:
        """Return the places (..., 2) of points, in pixels from the left top corner of the plot."""
        left, top, right, bottom = self.area
        across, up = np.moveaxis((np.stack([step, value], axis=-1) - self.low) / (self.high - self.low), -1, 0)
        return np.stack([across * (right - left), (1 - np.clip(up, -1, 2)) * (bottom - top)], axis=-1)


def _ticks(low: float, high: float, *, most: int, least: float = 0) -> list[tuple[float, str]]:
    """Return at most about `most` round numbers (1, 2 or 5 times a power of ten apart, `least` or more) with texts."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    gap = max(least, power * next(factor for factor in (1, 2, 5, 10) if power * factor * most >= high - low))
    values = [i * gap for i in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]
    digits = max(0, -math.floor(math.log10(gap) + 1e-9))
    return [(value, f"{value:.{digits}f}" if digits < 5 and high < 1e7 else f"{value:g}") for value in values]


def _series(records: Sequence[dict], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps, ascending, and finite values of `key`; of a step logged twice (a resumed run) the later one."""
    found = {}
    for record in records:
        step, value = record.get("step"), record.get(key)
        if step is not None and value is not None and math.isfinite(value):
            found[step] = value
    steps = sorted(found)
    return np.array(steps, float), np.array([found[step] for step in steps], float)


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Average each value with its neighbours, `window` (odd) in all and fewer at the ends."""
    weights = np.ones(min(window, len(values)))
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def draw_curves(records: Sequence[dict], evaluations: Sequence[dict]) -> np.ndarray:
    """Draw the losses, the learning rate and, where it was evaluated, the mIoU over the training step.

    Args:
        records: lines of metrics.jsonl; what is missing or not finite is left out.
        evaluations: "step" and "miou" of every evaluation; without any the third panel is left out.
    """
    canvas = np.full((*_CURVES_SIZE, 3), 255, np.uint8)
    losses = {key: _series(records, key) for key, *_ in _CURVES}
    rates, scores = _series(records, "lr"), _series(evaluations, "miou")
    steps = np.concatenate([series[0] for series in (*losses.values(), rates, scores)])
    last = steps.max(initial=0)
    first = steps.min(initial=last)
    span = (first if last / 2 < first < last else 0, last)  # from 0, unless this is the late part of a run
    _draw_losses(canvas, losses, span)
    axes = _Axes(canvas, (90, 605, 680 if len(scores[0]) else 1355, 840), span, (0, rates[1].max(initial=0) * 1.05))
    axes.frame("Learning rate")
    axes.curve(*rates, (95, 85, 130))
    if len(scores[0]):
        best, air = scores[1].argmax(), max(0.005, np.ptp(scores[1]) * 0.1)
        axes = _Axes(canvas, (785, 605, 1355, 840), span, (scores[1].min() - air, scores[1].max() + air))
        axes.frame(f"mIoU: best {scores[1][best]:.4f} at step {scores[0][best]:.0f}")
        axes.curve(*scores, (40, 130, 60), dots=True)
    return canvas


def _draw_losses(canvas: np.ndarray, losses: dict, span: tuple[float, float]) -> None:
    """Draw the upper panel: every curve smoothed, the total also as it was."""
    values = np.concatenate([series[1] for series in losses.values()])
    if values.size:  # a few wild steps of a diverging run must not press everything else onto the axis
        values = values[values <= 100 * np.median(values)]
    top = values.max(initial=0)
    window = len(losses["loss"][1]) // 100 | 1
    axes = _Axes(canvas, (90, 50, 1355, 510), span, (0, top * 1.05))
    note = "" if values.size else " (nothing recorded yet)"
    axes.frame(f"Loss, averaged over {window} records (faint: total of every record)" if window > 1 else f"Loss{note}")
    axes.curve(*losses["loss"], _FAINT, width=1)
    x = 1355
    for key, name, color, width in _CURVES:
        steps, values = losses[key]
        if not len(steps):
            continue
        axes.curve(steps, _smoothed(np.minimum(values, top * 2), window), color, width=width)
        _text(canvas, name, x, 38, align=1)
        x -= _text_width(name) + 8
        cv2.line(canvas, (x - 28, 33), (x, 33), color, 3)
        x -= 48
