"""Numbers that describe a few samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Median and range of `number` samples."""

    number: int
    median: float
    low: float
    high: float


def summarize(samples: Sequence[float]) -> Summary:
    """Describe samples; there must be at least one."""
    return Summary(len(samples), statistics.median(samples), min(samples), max(samples))


def ratio_of_medians(samples: Sequence[float], base: Sequence[float]) -> float:
    """Return how many times the median of `base` the median of `samples` is."""
    return statistics.median(samples) / statistics.median(base)


def median_by_kind(steps: Sequence[dict]) -> dict[str, float]:
    """Return the median over some steps of the time of each kind, with what no kind accounts for, largest first.

    Args:
        steps: each with its "ms" and its "kinds", milliseconds by kind.
    """
    kinds = {kind for step in steps for kind in step["kinds"]}
    medians = {kind: statistics.median(step["kinds"].get(kind, 0.0) for step in steps) for kind in kinds}
    ordered = dict(sorted(medians.items(), key=lambda item: -item[1]))
    rest = statistics.median(step["ms"] - sum(step["kinds"].values()) for step in steps)
    return {**ordered, "everything else": rest}
