"""Learning curves as a picture, with NumPy and OpenCV only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from src.utils.drawing import FRAME, GRID, LARGE, text_width, write_text

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
            cv2.line(self.canvas, (x, top), (x, bottom), GRID, 1)
            write_text(self.canvas, text, x, bottom + 23, align=0.5)
        for value, text in _ticks(self.low[1], self.high[1], most=(bottom - top) // 35):
            y = top + round(self._pixels(0, value)[1])
            cv2.line(self.canvas, (left, y), (right, y), GRID, 1)
            write_text(self.canvas, text, left - 8, y + 5, align=1)
        cv2.rectangle(self.canvas, (left, top), (right, bottom), FRAME, 1)
        write_text(self.canvas, title, left, top - 12, scale=LARGE)
        write_text(self.canvas, "step", (left + right) / 2, bottom + 45, align=0.5)

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
        write_text(canvas, name, x, 38, align=1)
        x -= text_width(name) + 8
        cv2.line(canvas, (x - 28, 33), (x, 33), color, 3)
        x -= 48
