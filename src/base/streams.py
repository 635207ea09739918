"""Standard streams that outlive what they lead to: a pager that was left, a ``head`` that has seen enough."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import sys
from typing import Any, TextIO


class _Lasting(io.FileIO):
    """Writes to a descriptor until nobody reads that any more; from then on, to nowhere.

    It writes all it is given, so that no buffer is needed above it: one that is left by the exception of a signal would
    write again what has been written.
    """

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            try:
                written = super().write(rest)
            except OSError as err:
                if not self._is_gone(err):
                    raise
                _lead_nowhere(self.fileno())  # what libraries and children write there, too
                return size
            if written is None:  # somebody has made it one that never waits
                select.select([], [self], [])
            rest = rest[written or 0 :]
        return size

    def _is_gone(self, err: OSError) -> bool:
        """Tell a reader that left, or a terminal that was closed, from a full disk."""
        is_terminal = err.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        return isinstance(err, ConnectionError) or is_terminal  # BrokenPipeError is one


def drop_lost_output() -> None:
    """Let this process go on when what reads its standard output or standard error is gone; that output is dropped.

    One that was closed from the start leads nowhere, so that no file of somebody's is opened in its place.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _lead_nowhere(number)
        if number and _is_plain(getattr(sys, name), number):
            setattr(sys, name, _opened(number, getattr(sys, name)))


def _is_plain(stream: TextIO | None, number: int) -> bool:
    """Return whether a stream is what Python opened for that descriptor, or None."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return stream is None or stream.fileno() == number
    return False


def _opened(number: int, stream: io.TextIOWrapper | None) -> TextIO:
    raw = _Lasting(number, "w", closefd=False)
    if stream is None:
        return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        raw,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,  # python -u
    )


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
