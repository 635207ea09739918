"""How far a long loop is. Needs no MindSpore."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from src.base import progress_bar
from src.base.log_handlers import PROGRESS, writes_console

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0


class Progress:
    """Say how far a long loop is and how long it will take: by a bar on a terminal, else by a line now and then.

    The bar is there within ``with``, on the console that has the log. Without it, and in log files, a line comes at
    most every PROGRESS_SECONDS.

    Args:
        total: how many items there are.
        what: what is done with them; begins the line.
        unit: what they are.
        say: takes the line where no bar is to be seen; None logs it, of which the console has no need beside a bar.
    """

    def __init__(self, total: int, what: str, unit: str = "images", say: Callable[[str], object] | None = None) -> None:
        self.total, self.what, self.unit, self.say, self.done = total, what, unit, say, 0
        self.start = self.last = time.monotonic()
        self.bar = progress_bar.Bar(what, unit)

    def __enter__(self) -> Progress:
        self.bar.wanted = writes_console()
        self.bar.__enter__()
        self.bar.show(self.done, self.total)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def advance(self) -> None:
        """Count one more item done."""
        self.done += 1
        now = time.monotonic()
        if self.done == 1:
            self.first = now  # the first item includes compilation
            self.bar.show(self.done, self.total)
            return
        rate = self.rate()
        left, speed = format_seconds(max(0, self.total - self.done) / rate), f"{rate:.2f} {self.unit}/s"
        self.bar.show(self.done, self.total, f"{left} left", speed)
        if now - self.last >= PROGRESS_SECONDS:
            self.last = now
            self._say(f"{self.what} {self.done}/{self.total} {self.unit}, about {left} left, {speed}")

    def _say(self, line: str) -> None:
        if self.say is None:
            logger.info("%s", line, extra={PROGRESS: True})
        elif not progress_bar.is_drawn():
            self.say(line)

    def rate(self) -> float:
        """Return items per second, the first one left out where there are more."""
        start, done = (self.first, self.done - 1) if self.done > 1 else (self.start, self.done)
        return done / max(time.monotonic() - start, 1e-9)


def format_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
