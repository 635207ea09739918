"""How far a long loop is. Needs no MindSpore."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0


class Progress:
    """Say how far a long loop is and how long it will take, at most every PROGRESS_SECONDS.

    Args:
        total: how many items there are.
        what: what is done with them; begins the line.
        unit: what they are.
        say: takes the line.
    """

    def __init__(self, total: int, what: str, unit: str = "images", say: Callable[[str], object] = logger.info) -> None:
        self.total, self.what, self.unit, self.say, self.done = total, what, unit, say, 0
        self.start = self.last = time.monotonic()

    def advance(self) -> None:
        """Count one more item done."""
        self.done += 1
        now = time.monotonic()
        if self.done == 1:
            self.first = now  # the first item includes compilation
        elif now - self.last >= PROGRESS_SECONDS:
            self.last, rate = now, self.rate()
            left = format_seconds((self.total - self.done) / rate)
            self.say(f"{self.what} {self.done}/{self.total} {self.unit}, about {left} left, {rate:.2f} {self.unit}/s")

    def rate(self) -> float:
        """Return items per second, the first one left out where there are more."""
        start, done = (self.first, self.done - 1) if self.done > 1 else (self.start, self.done)
        return done / max(time.monotonic() - start, 1e-9)


def format_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
