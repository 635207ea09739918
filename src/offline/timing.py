"""Times of an offline inference, reported in the same form as the C++ runner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Timings:
    """Milliseconds of each image, and seconds in total.

    Attributes:
        inference_ms: time of the model only.
        pipeline_ms: from the start of reading an input to the end of writing its result.
        seconds: from the first input to the last result.
    """

    inference_ms: list[float] = field(default_factory=list)
    pipeline_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def report(self) -> str:
        """Return the text of ``test_perform_static.txt``."""
        count = len(self.inference_ms)
        average = sum(self.inference_ms) / count
        return (
            f"NN inference cost average time: {average:.3f} ms of infer_count {count}\n"
            f"inference ms: {spread(self.inference_ms)}\n"
            f"pipeline ms, from reading an input to its written result: {spread(self.pipeline_ms)}\n"
            f"pipeline: {count} images in {self.seconds:.3f} s, {count / self.seconds:.3f} images/s\n"
        )


def spread(samples: Sequence[float]) -> str:
    """Return minimum, median and 99th percentile (nearest rank) of times in milliseconds, as text."""
    ordered = sorted(samples)
    ranks = {share: ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99)}
    return f"min {ordered[0]:.3f}, median {ranks[0.5]:.3f}, p99 {ranks[0.99]:.3f}"
