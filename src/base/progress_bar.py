"""A progress bar on the last line of a terminal, below all log lines. Needs no MindSpore.

The cursor rests at the beginning of the bar. Other output therefore overwrites the bar, and erasing from the cursor on
removes all of it, even if a terminal that became narrower has wrapped it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence

ERASE = "\r\x1b[J"  # go to the beginning of the line, erase to the end of the screen
REDRAW_SECONDS = 0.1
_SHORTEST, _LONGEST = 10, 40  # cells of the bar itself
_USUAL_WIDTH = 80  # of a terminal that does not report its width
_lock = threading.RLock()
_bars: list[Bar] = []  # the active ones; the last one is drawn


class Bar:
    """A bar on standard error while a ``with`` block runs, if standard error is a terminal.

    Of nested bars only the innermost one is drawn.

    Args:
        what: what is done, at the beginning of the line.
        unit: name of the counted items.
        wanted: False disables the bar.
    """

    def __init__(self, what: str, unit: str, *, wanted: bool = True) -> None:
        self.what, self.unit, self.wanted = what, unit, wanted
        self._line: tuple[str, float | None, str, str] = ("", 0.0, "", "")  # see `bar_line`
        self.drawn = False
        self._fd, self._pid, self._last = -1, os.getpid(), 0.0

    def __enter__(self) -> Bar:
        self._fd = _open_terminal() if self.wanted else -1
        if self._fd >= 0:
            with _lock:
                _erase()
                _bars.append(self)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._fd < 0 or os.getpid() != self._pid:
            return
        with _lock:
            self.erase()
            _bars.remove(self)
            os.close(self._fd)
            self._fd = -1
            _draw()

    def show(self, done: int, total: int, left: str = "", rate: str = "") -> None:
        """Draw the bar, at most ten times a second.

        Args:
            done: number of finished items.
            total: number of all items; 0 if unknown.
            left: text with the time left.
            rate: text with the speed.
        """
        count = f"{done}/{total}" if total > 0 else str(done)
        self._line = (count, min(max(done / total, 0), 1), left, rate) if total > 0 else (count, None, "", rate)
        now = time.monotonic()
        if self._fd < 0 or os.getpid() != self._pid or now - self._last < REDRAW_SECONDS and done != total:
            return
        self._last = now
        with _lock:
            if _bars[-1] is self:
                self.draw()

    def draw(self) -> None:
        """Draw the bar over its previous state."""
        if not _in_foreground(self._fd):
            self.drawn = False
            return
        if self._line[0]:
            line = bar_line(self.what, self.unit, self._line, terminal_width(self._fd) - 1)
            self.drawn = self._write(f"{ERASE}{line}\r")

    def erase(self) -> None:
        """Erase the bar."""
        if self.drawn:
            self.drawn = False
            self._write(ERASE)

    def _write(self, text: str) -> bool:
        """Write without Python's buffers, which a signal handler could find half written; return whether it worked."""
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        try:
            os.write(self._fd, text.encode(encoding, "replace"))
        except OSError:  # the terminal is gone
            return False
        return True


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Hide the bar while the block writes a line to the terminal."""
    if not any(bar._pid == os.getpid() for bar in _bars[-1:]):  # a forked child draws none
        yield
        return
    with _lock:
        was_drawn = bool(_bars) and _bars[-1].drawn
        if was_drawn:
            _erase()
        try:
            yield
        finally:
            if was_drawn:
                _draw()


def is_drawn() -> bool:
    """Return whether a bar of this process is visible."""
    return any(bar.drawn and bar._pid == os.getpid() for bar in _bars[-1:])


def bar_line(what: str, unit: str, line: Sequence, width: int) -> str:
    """Return the text of a bar in at most `width` cells; parts that do not fit are left out, the rate first.

    Args:
        what: what is done.
        unit: name of the counted items.
        line: count of finished items, as text; their share, 0..1, or None; time left; rate.
        width: available cells of the terminal.
    """
    count, share, left, rate = line
    long, middle, short = f"{what} {count} {unit}", f"{what} {count}", count
    if share is None:
        return _cut(_printable(f"{long}, {rate}" if rate else long), width)
    percent = f"{int(100 * share)} %"
    timed = f"{percent}, {left}" if left else percent
    full = f"{timed}, {rate}" if rate else timed
    for head, tail in ((long, full), (long, timed), (middle, timed)):
        length = min(width - _cells(head) - _cells(tail) - 4, _LONGEST)
        if length >= _SHORTEST:
            done = int(share * length)
            return _printable(f"{head} [{'#' * done}{'.' * (length - done)}] {tail}")
    fitting = (text for text in (f"{middle}  {timed}", f"{middle}  {percent}", middle) if _cells(text) <= width)
    return _cut(_printable(next(fitting, short)), width)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: East Asian letters two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _cut(text: str, width: int) -> str:
    while _cells(text) > max(width, 0):
        text = text[:-1]
    return text


def terminal_width(fd: int) -> int:
    """Return the current width of a terminal, in cells."""
    try:
        return os.get_terminal_size(fd).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def _open_terminal() -> int:
    """Return a descriptor of standard error, -1 if it is not a terminal with a movable cursor."""
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        return -1
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stderr.fileno()
        if os.isatty(number):
            return os.dup(number)  # after a signal standard error is redirected, see `src/base/stops.py`
    return -1


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it is not this session's terminal
        return True


def _erase() -> None:
    if _bars:
        _bars[-1].erase()


def _draw() -> None:
    if _bars:
        _bars[-1].draw()
