"""Progress of long loops, as a bar or as log lines. Needs no MindSpore."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from src.base import progress_bar
from src.base.log_handlers import PROGRESS, logs_to_console

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0


class Progress:
    """Report the progress of a long loop and the time left, by a bar on a terminal, otherwise by occasional lines.

    The bar is drawn within ``with``, by the process that logs to the console. Without a bar, and in log files, there is
    a line at most every PROGRESS_SECONDS.

    Args:
        total: number of items.
        what: what is done with them, at the beginning of the line.
        unit: name of the items, in the plural.
        say: receives each line if no bar is drawn; None logs it, to the console only if there is no bar.
    """

    def __init__(self, total: int, what: str, unit: str = "images", say: Callable[[str], object] | None = None) -> None:
        self.total, self.what, self.unit, self.say, self.done = total, what, unit, say, 0
        self.start = self.last = time.monotonic()
        self.bar = progress_bar.Bar(what, unit)

    def __enter__(self) -> Progress:
        self.bar.wanted = logs_to_console()
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
        """Return items per second, without the first item if there are more."""
        start, done = (self.first, self.done - 1) if self.done > 1 else (self.start, self.done)
        return done / max(time.monotonic() - start, 1e-9)


def format_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
