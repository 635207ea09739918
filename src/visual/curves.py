"""Learning curves as a picture, with NumPy and OpenCV only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from src.base.json_lines import read_json_lines
from src.visual.drawing import FAINT_INK, FRAME, GRID, LARGE, WARNING_INK, blank, text_width, write_text
from src.visual.visualize import write_png

_SIZE = (950, 1580)
_LEFT, _RIGHT, _UPPER, _LOWER = (100, 760), (880, 1540), (85, 500), (635, 880)  # from and to of the plots, in pixels
_TOTAL, _FAINT, _RATE, _MIOU = (25, 75, 170), (190, 208, 238), (95, 85, 130), (40, 130, 60)
_HEADS = {  # colour (safe for the colour-blind) and width in pixels; other heads cycle through them
    "main": ((195, 50, 20), 3),
    "aux2": ((86, 180, 233), 2),
    "aux3": ((0, 158, 115), 2),
    "aux4": ((230, 159, 0), 2),
    "aux5_4": ((204, 121, 167), 2),
}


def write_curves(save_dir: Path) -> None:
    """Draw the metrics and evaluations of a run to ``{save_dir}/curves.png``.

    Raises:
        OSError: the records cannot be read.
        UserError: the picture cannot be written.
    """
    records, evaluations = (read_json_lines(save_dir / f"{name}.jsonl") for name in ("metrics", "evaluations"))
    write_png(save_dir / "curves.png", draw_curves(records, evaluations))


def draw_curves(records: Sequence[dict], evaluations: Sequence[dict]) -> np.ndarray:
    """Draw the losses, the learning rate and, if the run was evaluated, the mIoU over the training step.

    Args:
        records: records of metrics.jsonl. Values that are missing or not finite are left out; steps whose total is not
            finite are marked.
        evaluations: "step" and "miou" of every evaluation; without any the learning rate takes the place of the mIoU.
    """
    total, rates, scores = _series(records, "loss"), _series(records, "lr"), _series(evaluations, "miou")
    heads = {name: _averaged(_series(records, f"loss_{name}")) for name in _head_names(records)}
    drawn = (total, *heads.values(), rates, scores)
    steps = np.concatenate([part for series in drawn for part in (series.steps, series.lost)])
    last = steps.max(initial=0)
    first = steps.min(initial=last)
    span = (first if last / 2 < first < last else 0, last)  # from 0, unless the records begin late in the run
    canvas = blank(*_SIZE)
    _draw_total(_Axes(canvas, (_LEFT, _UPPER), span, (0, _ceiling(total))), total)
    highest = max(map(_ceiling, heads.values()), default=_ceiling(total))
    _draw_heads(_Axes(canvas, (_RIGHT, _UPPER), span, (0, highest)), heads)
    width = _LEFT if len(scores.steps) else (_LEFT[0], _RIGHT[1])
    _draw_rates(_Axes(canvas, (width, _LOWER), span, (0, rates.values.max(initial=0) * 1.05)), rates)
    if len(scores.steps):
        air = max(0.005, np.ptp(scores.values) * 0.1)
        axes = _Axes(canvas, (_RIGHT, _LOWER), span, (max(0, scores.values.min() - air), scores.values.max() + air))
        _draw_scores(axes, scores)
    return canvas


def _head_names(records: Sequence[dict]) -> list[str]:
    """Return the network's heads, in the order in which their losses were logged."""
    keys = dict.fromkeys(key for record in records for key in record if key.startswith("loss_"))
    return [key[len("loss_") :] for key in keys if key != "loss_scale"]


class _Series(NamedTuple):
    """The record of one key: steps with finite values, ascending; these values; steps with other values."""

    steps: np.ndarray
    values: np.ndarray
    lost: np.ndarray


def _series(records: Sequence[dict], key: str) -> _Series:
    """Return the series of `key`; of a step logged twice (a resumed run) the later record counts."""
    found = {}
    for record in records:
        if record.get("step") is not None and key in record:
            value = record[key]
            found[record["step"]] = math.nan if value is None else value
    steps = np.array(sorted(found), float)
    values = np.array([found[step] for step in sorted(found)], float)
    finite = np.isfinite(values)
    return _Series(steps[finite], values[finite], steps[~finite])


def _ceiling(losses: _Series) -> float:
    """Return the upper end of the loss axis, so that a few outliers do not flatten the rest of the curve.

    The first loss, of the untrained network, is not an outlier unless it exceeds the median by far.
    """
    if not len(losses.values):
        return 0
    first, median = losses.values[0], np.median(losses.values)
    return 1.05 * losses.values[losses.values <= 3 * max(median, min(first, 30 * median))].max(initial=0)


def _window(series: _Series) -> int:
    """Return how many records (odd) to average, 1 in a short run."""
    return len(series.steps) // 50 | 1


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Average each value with its neighbours, `window` (odd) in all and fewer at the ends."""
    weights = np.ones(min(window, len(values)))
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def _averaged(losses: _Series) -> _Series:
    """Return the moving average of losses, in which outliers are damped so that it stays within the plot."""
    if not len(losses.values):
        return losses
    return losses._replace(values=_smoothed(np.minimum(losses.values, 2 * _ceiling(losses)), _window(losses)))


def _draw_total(axes: _Axes, total: _Series) -> None:
    """Draw the total of every record, its average on top, and marks where it is not finite."""
    window, above = _window(total), int((total.values > axes.high[1]).sum())
    warnings = [f"{above} above the axis"] if above else []
    warnings += [f"{len(total.lost)} not finite (marked at the top)"] if len(total.lost) else []
    axes.frame("Total loss", warning="records: " + ", ".join(warnings) if warnings else "", empty=not len(total.steps))
    if window > 1:
        axes.note(f"average of {window} records; faint: every record")
        axes.curve(total.steps, total.values, _FAINT, width=1)
    average = _averaged(total)
    axes.curve(average.steps, average.values, _TOTAL)
    axes.mark(total.lost)


def _draw_heads(axes: _Axes, heads: Mapping[str, _Series]) -> None:
    """Draw the loss of each head, averaged, the main one on top, and a legend above the plot."""
    window = max(map(_window, heads.values()), default=1)
    title = "Loss of each head" + (f", average of {window} records" if window > 1 else "")
    axes.frame(title, empty=not any(len(head.steps) for head in heads.values()))
    styles = {name: _HEADS.get(name, usual) for name, usual in zip(heads, itertools.cycle(_HEADS.values()))}
    for name, head in reversed(list(heads.items())):
        color, width = styles[name]
        axes.curve(head.steps, head.values, color, width=width)
    axes.legend([(name, styles[name][0]) for name, head in heads.items() if len(head.steps)])


def _draw_rates(axes: _Axes, rates: _Series) -> None:
    axes.frame("Learning rate", empty=not len(rates.steps))
    if len(rates.steps):
        axes.note(f"last: {_short(rates.values[-1])} at step {rates.steps[-1]:.0f}")
        axes.curve(rates.steps, rates.values, _RATE)


def _draw_scores(axes: _Axes, scores: _Series) -> None:
    """Draw the mIoU with a dot for every evaluation and a ring around the best one."""
    best = scores.values.argmax()
    axes.frame("mIoU")
    axes.note(f"best: {scores.values[best]:.4f} at step {scores.steps[best]:.0f} (ringed)")
    axes.curve(scores.steps, scores.values, _MIOU)
    axes.dots(scores.steps, scores.values, _MIOU)
    axes.ring(scores.steps[best], scores.values[best], _MIOU)


class _Axes:
    """A plot on a part of a canvas.

    Args:
        canvas: the picture, drawn on.
        place: horizontal and vertical extent of the plot, in pixels; title and labels are outside it.
        steps: first and last step.
        values: lowest and highest value.
    """

    def __init__(self, canvas: np.ndarray, place: tuple, steps: Sequence[float], values: Sequence[float]) -> None:
        self.canvas = canvas
        (self.left, self.right), (self.top, self.bottom) = place
        self.low = np.array([steps[0], values[0]], float)
        self.high = np.array([steps[1], values[1]], float)
        self.high += (self.low == self.high) * (1, 0.01)  # a plot of a single point needs some width, too
        self.air = 12  # pixels right of the last step, so that its dot and its label lie inside

    def frame(self, title: str, *, warning: str = "", empty: bool = False) -> None:
        """Draw title, warning, grid, ticks and border; the curves come on top. An empty plot says that it is empty."""
        middle = (self.left + self.right) / 2
        if empty:
            write_text(self.canvas, "nothing to show yet", middle, (self.top + self.bottom) / 2, align=0.5)
        else:
            self._grid()
        cv2.rectangle(self.canvas, (self.left, self.top), (self.right, self.bottom), FRAME, 1)
        write_text(self.canvas, title, self.left, self.top - 40, scale=LARGE)
        write_text(self.canvas, warning, self.right, self.top - 40, align=1, color=WARNING_INK)
        write_text(self.canvas, "step", middle, self.bottom + 47, align=0.5)

    def _grid(self) -> None:
        for step, text in _ticks(self.low[0], self.high[0], most=(self.right - self.left) // 100, least=1):
            x = self.left + round(self._pixels(step, 0)[0])
            cv2.line(self.canvas, (x, self.top), (x, self.bottom), GRID, 1)
            write_text(self.canvas, text, x, self.bottom + 23, align=0.5)
        for value, text in _ticks(self.low[1], self.high[1], most=(self.bottom - self.top) // 40):
            y = self.top + round(self._pixels(0, value)[1])
            cv2.line(self.canvas, (self.left, y), (self.right, y), GRID, 1)
            write_text(self.canvas, text, self.left - 8, y + 5, align=1)

    def note(self, text: str) -> None:
        """Write a line between title and plot."""
        write_text(self.canvas, text, self.left, self.top - 14, color=FAINT_INK)

    def legend(self, entries: Sequence[tuple[str, tuple]]) -> None:
        """Write names with lines of their colours between title and plot."""
        x, y = self.left, self.top - 14
        for name, color in entries:
            cv2.line(self.canvas, (x, y - 5), (x + 28, y - 5), color, 4)
            write_text(self.canvas, name, x + 36, y)
            x += text_width(name) + 64

    def curve(self, steps: np.ndarray, values: np.ndarray, color: tuple, *, width: int = 2) -> None:
        """Join the points by a line; a single point becomes a dot."""
        room = 2  # a line along the bottom keeps its width
        plot = self.canvas[self.top : self.bottom + room, self.left : self.right]  # a view: clips the curve
        points = np.round(self._pixels(steps, values) * 16).astype(np.int32)
        cv2.polylines(plot, [points], False, color, width, cv2.LINE_AA, shift=4)
        if len(steps) == 1:
            self.dots(steps, values, color)

    def dots(self, steps: np.ndarray, values: np.ndarray, color: tuple) -> None:
        """Draw a dot at every point, a small one where there are many."""
        radius = 4 if len(steps) <= 40 else 3
        for step, value in zip(steps, values):
            cv2.circle(self.canvas, self._place(step, value), radius, color, cv2.FILLED, cv2.LINE_AA)

    def ring(self, step: float, value: float, color: tuple) -> None:
        """Draw a ring around a point."""
        cv2.circle(self.canvas, self._place(step, value), 8, color, 2, cv2.LINE_AA)

    def mark(self, steps: np.ndarray) -> None:
        """Draw a short line at the top of the plot for every step."""
        for step in steps:
            x, _ = self._place(step, 0)
            cv2.line(self.canvas, (x, self.top + 1), (x, self.top + 10), WARNING_INK, 1)

    def _place(self, step: float, value: float) -> tuple[int, int]:
        x, y = np.round(self._pixels(step, value)).astype(int).tolist()
        return self.left + x, self.top + y

    def _pixels(self, step: np.ndarray | float, value: np.ndarray | float) -> np.ndarray:
        """Return the positions (..., 2) of points, in pixels from the top left corner of the plot."""
        across, up = np.moveaxis((np.stack([step, value], axis=-1) - self.low) / (self.high - self.low), -1, 0)
        width, height = self.right - self.left - self.air, self.bottom - self.top
        return np.stack([across * width, (1 - np.clip(up, -1, 2)) * height], axis=-1)


def _ticks(low: float, high: float, *, most: int, least: float = 0) -> list[tuple[float, str]]:
    """Return at most about `most` round numbers (1, 2 or 5 times a power of ten apart, `least` or more) with texts."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    gap = max(least, power * next(factor for factor in (1, 2, 5, 10) if power * factor * most >= high - low))
    values = [i * gap for i in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]
    digits = max(0, -math.floor(math.log10(gap) + 1e-9))
    if digits < 5 and high < 1e7:
        return [(value, f"{value:.{digits}f}") for value in values]
    return [(value, _short(value)) for value in values]


def _short(value: float) -> str:
    """Write a number with four digits: 0.0123, 1.2e-5, 3e8."""
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
