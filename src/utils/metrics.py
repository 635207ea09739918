"""Segmentation scores, counted over the whole set as in the official Cityscapes evaluation; NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from src.base.errors import DataError

_VALUES = 256  # a label or a prediction is a uint8


@dataclass(frozen=True)
class Evaluation:
    """Scores of one evaluation; `iou` is NaN for classes absent from prediction and ground truth."""

    images: int
    miou: float
    iou: np.ndarray
    pixel_accuracy: float
    images_per_second: float
    counts: np.ndarray | None = None  # confusion counts (C, C): rows are labels, columns predictions


class ConfusionMatrix:
    """Count how often each class was predicted as each other class.

    `counts` (num_classes, num_classes) int64 has a row for every label and a column for every prediction. Pixels whose
    label is `ignore_label` are not counted, whatever was predicted there.
    """

    def __init__(self, num_classes: int, ignore_label: int) -> None:
        if not 1 <= num_classes < _VALUES:
            raise ValueError(f"num_classes must lie in 1..{_VALUES - 1}, got {num_classes}")
        if not num_classes <= ignore_label < _VALUES:
            raise ValueError(f"ignore_label must lie in {num_classes}..{_VALUES - 1}, got {ignore_label}")
        self.num_classes, self.ignore_label = num_classes, ignore_label
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, label: np.ndarray, pred: np.ndarray) -> None:
        """Count the pixels of one image or of a batch; after an error the counts are unchanged.

        Args:
            label: train ids or `ignore_label`, integers of any shape. uint8 is fastest.
            pred: predicted train ids, integers of the same shape.

        Raises:
            DataError: a label is neither a class nor `ignore_label`.
            ValueError: a prediction is not a class, or the shapes differ.
        """
        if label.shape != pred.shape:
            raise ValueError(f"label has shape {label.shape} but prediction {pred.shape}")
        index = self._as_uint8(label, self._refuse_labels).astype(np.uint16)
        index <<= 8
        index |= self._as_uint8(pred, self._refuse_predictions)
        # Count all 256 x 256 pairs: checking that table is cheaper than masking pixels first.
        table = np.bincount(index.ravel(), minlength=_VALUES * _VALUES).reshape(_VALUES, _VALUES)
        counts = table[: self.num_classes, : self.num_classes]
        if counts.sum() + table[self.ignore_label, : self.num_classes].sum() != label.size:
            self._refuse_labels(np.flatnonzero(table.any(axis=1)))
            self._refuse_predictions(np.flatnonzero(table.any(axis=0)))
        self.counts += counts

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of `other`, for example of another process."""
        mine, theirs = (self.num_classes, self.ignore_label), (other.num_classes, other.ignore_label)
        if mine != theirs:
            raise ValueError(f"cannot merge: (num_classes, ignore_label) is {mine} here and {theirs} there")
        self.counts += other.counts

    @staticmethod
    def _as_uint8(values: np.ndarray, refuse: Callable[[np.ndarray], None]) -> np.ndarray:
        """Return `values` as uint8; call `refuse` with those that do not fit."""
        if values.dtype == np.uint8:
            return values
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"labels and predictions must be integers, got {values.dtype}")
        outside = (values < 0) | (values >= _VALUES)
        if outside.any():
            refuse(np.unique(values[outside]))
        return values.astype(np.uint8)

    def _refuse_labels(self, values: np.ndarray) -> None:
        unknown = values[((values < 0) | (values >= self.num_classes)) & (values != self.ignore_label)]
        if unknown.size:
            raise DataError(
                f"the label holds {_listed(unknown)}, which is neither a class (0..{self.num_classes - 1}) nor "
                f"the ignored label {self.ignore_label}; check num_classes, data.name and data.ignore_label"
            )

    def _refuse_predictions(self, values: np.ndarray) -> None:
        unknown = values[(values < 0) | (values >= self.num_classes)]
        if unknown.size:
            raise ValueError(f"the prediction holds {_listed(unknown)}, classes are 0..{self.num_classes - 1}")


def _listed(values: np.ndarray, limit: int = 5) -> str:
    """Write the first few of `values` as text."""
    text = ", ".join(str(value) for value in values[:limit].tolist())
    return f"{text}, ..." if values.size > limit else text


def iou(counts: np.ndarray) -> np.ndarray:
    """Return intersection over union of every class, float64 (C,), from confusion counts (C, C).

    As in the official Cityscapes evaluation, a class that occurs in neither ground truth nor prediction has no score:
    NaN. Predictions count only on labelled pixels; a prediction on an ignored pixel costs nothing. A class that occurs
    only in the prediction, or only in the ground truth, scores 0.
    """
    hits = np.diagonal(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    return np.divide(hits, union, out=np.full(len(counts), np.nan), where=union > 0)


def mean_iou(class_iou: np.ndarray) -> float:
    """Return the mean over the classes that have a score; NaN if none has, that is, if every pixel was ignored."""
    scored = class_iou[~np.isnan(class_iou)]
    return float(scored.mean()) if scored.size else float("nan")


def pixel_accuracy(counts: np.ndarray) -> float:
    """Return the share of labelled pixels that were predicted correctly; NaN if every pixel was ignored."""
    total = int(counts.sum())
    return int(np.trace(counts)) / total if total else float("nan")


def class_table(iou: np.ndarray, names: Sequence[str]) -> str:
    """Return a table with one line per class and one for the mean; `iou` (C,) is the result of `iou()`."""
    if len(iou) != len(names):
        raise ValueError(f"{len(iou)} scores but {len(names)} class names")
    rows = [*zip(names, iou.tolist()), ("mean", mean_iou(iou))]
    width = max(len(name) for name, _ in [("class", 0), *rows])
    lines = [f"{name:<{width}}  {'absent' if np.isnan(score) else f'{score:.4f}':>6}" for name, score in rows]
    rule = "-" * (width + 8)
    return "\n".join([f"{'class':<{width}}  {'IoU':>6}", rule, *lines[:-1], rule, lines[-1]])


def evaluation_lines(total: int, iou: np.ndarray) -> list[str]:
    """Return the lines of the evaluation result as the published code logs them, one for each log record.

    Args:
        total: number of images.
        iou: scores of the classes (C,), NaN for absent classes.
    """
    return [
        f"Total number of images: {total}",
        "=========== Evaluation Result ===========",
        f"iou array: \n {iou}",
        f"miou: {mean_iou(iou)!r}",
    ]
