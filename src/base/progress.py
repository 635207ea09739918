"""How far a long loop is. Needs no MindSpore."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 20.0


class Progress:
    """Log how far a long loop is and how long it will take, at most every PROGRESS_SECONDS."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.done = total, what, 0
        self.start = self.last = time.monotonic()

    def advance(self) -> None:
        """Count one more item done."""
        self.done += 1
        now = time.monotonic()
        if self.done == 1:
            self.first = now  # the first item includes compilation
        elif now - self.last >= PROGRESS_SECONDS:
            self.last = now
            rate = (self.done - 1) / (now - self.first)
            left = (self.total - self.done) / rate
            logger.info(
                "%s %d/%d, %.2f images/s, %s left", self.what, self.done, self.total, rate, format_seconds(left)
            )

    def rate(self) -> float:
        """Return items per second, the first one left out where there are more."""
        start, done = (self.first, self.done - 1) if self.done > 1 else (self.start, self.done)
        return done / max(time.monotonic() - start, 1e-9)


def format_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
