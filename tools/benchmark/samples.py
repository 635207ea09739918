"""Statistics of a few samples."""

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
    """Return the summary of at least one sample."""
    return Summary(len(samples), statistics.median(samples), min(samples), max(samples))


def ratio_of_medians(samples: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of `samples` divided by the median of `base`."""
    return statistics.median(samples) / statistics.median(base)


def median_by_kind(steps: Sequence[dict]) -> dict[str, float]:
    """Return the median time of each kind over the steps, and of the remaining time, largest first.

    Args:
        steps: steps with "ms", their milliseconds, and "kinds", milliseconds by kind.
    """
    kinds = {kind for step in steps for kind in step["kinds"]}
    medians = {kind: statistics.median(step["kinds"].get(kind, 0.0) for step in steps) for kind in kinds}
    ordered = dict(sorted(medians.items(), key=lambda item: -item[1]))
    rest = statistics.median(step["ms"] - sum(step["kinds"].values()) for step in steps)
    return {**ordered, "everything else": rest}
