"""Scores as JSON, and the most frequent confusions of classes; does not import MindSpore."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.config import schema
from src.data.classes import class_names, class_palette
from src.utils.metrics import Evaluation

_NUMBERS = re.compile(r"\[\s+(-?\d+(?:,\s+-?\d+)*)\s+\]")


class Confusion(NamedTuple):
    """Pixels of class `truth` predicted as class `prediction`, and their share of all pixels labelled `truth`."""

    truth: int
    prediction: int
    pixels: int
    share: float


def largest_confusions(counts: np.ndarray, limit: int = 5) -> list[Confusion]:
    """Return the pairs of classes with the largest shares, largest first; equal shares are ordered by pixels.

    Args:
        counts: confusion counts (C, C), a row for every label and a column for every prediction.
        limit: maximum number of pairs; pairs that never occurred are left out.
    """
    counts = np.asarray(counts)
    rows = counts.sum(axis=1).tolist()
    wrong = [(truth, pred) for truth, pred in np.argwhere(counts > 0).tolist() if truth != pred]
    found = [Confusion(t, p, int(counts[t, p]), int(counts[t, p]) / rows[t]) for t, p in wrong]
    return sorted(found, key=lambda each: (-each.share, -each.pixels))[:limit]


def confusion_lines(counts: np.ndarray | None, names: Sequence[str], limit: int = 5) -> list[str]:
    """Return the largest confusions as lines of text, in shares of the pixels of the true class."""
    found = [] if counts is None else largest_confusions(counts, limit)
    if not found:
        return ["confusions: none"]
    pairs = [f"{names[each.truth]} taken for {names[each.prediction]}" for each in found]
    width, digits = max(map(len, pairs)), max(len(str(each.pixels)) for each in found)
    rows = [f"  {pair:<{width}}  {100 * e.share:6.2f} %  {e.pixels:>{digits}} pixels" for pair, e in zip(pairs, found)]
    return ["largest confusions, in shares of the labelled pixels of the true class:", *rows]


def scores_of(result: Evaluation) -> dict:
    """Return scores in the form of ``eval.json``, with null for a missing score.

    The confusion matrix has a row for every true class and a column for every predicted one, in pixels.
    """
    scores = {
        "miou": number_or_none(result.miou),
        "iou": [number_or_none(score) for score in result.iou.tolist()],
        "pixel_accuracy": number_or_none(result.pixel_accuracy),
    }
    return scores if result.counts is None else {**scores, "confusion_matrix": result.counts.tolist()}


def classes_of(config: schema.Config) -> dict:
    """Return names and colours, ``#rrggbb``, of the classes in the form of ``eval.json``."""
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in class_palette(config).tolist()]
    return {"class_names": list(class_names(config)), "class_colors": colors}


def json_bytes(record: dict) -> bytes:
    """Return a record as indented JSON in UTF-8, each list of integers on one line."""
    text = json.dumps(record, indent=2)
    return (_NUMBERS.sub(lambda row: "[" + " ".join(row[1].split()) + "]", text) + "\n").encode()


def number_or_none(value: float) -> float | None:
    """Return `value`, or None if it is NaN, which JSON does not have."""
    return None if math.isnan(value) else value
