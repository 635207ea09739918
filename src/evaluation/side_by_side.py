"""The scores of several protocols in one table; does not import MindSpore."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.utils.metrics import Evaluation


def side_by_side(names: Sequence[str], results: Sequence[Evaluation], classes: Sequence[str]) -> str:
    """Return a table with a column for each protocol: IoU of every class, mean, pixel accuracy, images per second.

    Args:
        names: names of the protocols.
        results: their scores, in the same order.
        classes: names of the classes.
    """
    scores = np.array([result.iou for result in results]).reshape(len(results), len(classes)).T
    rows = [(name, [_score(value) for value in line]) for name, line in zip(classes, scores.tolist())]
    below = [
        ("mean", [_score(result.miou) for result in results]),
        ("pixel accuracy", [_score(result.pixel_accuracy) for result in results]),
        ("images/s", [f"{result.images_per_second:.2f}" for result in results]),
    ]
    head, width = ("IoU", list(names)), max(len(name) for name, _ in [*rows, *below])
    lines = [f"{name:<{width}}" + "".join(f"  {cell:>6}" for cell in cells) for name, cells in (head, *rows, *below)]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1 : len(rows) + 1], rule, *lines[len(rows) + 1 :]])


def _score(value: float) -> str:
    return "absent" if np.isnan(value) else f"{value:.4f}"
