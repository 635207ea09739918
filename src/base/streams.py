"""Standard streams that survive the exit of their reader, such as a pager or ``head``."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import sys
from typing import Any, TextIO


class _ReaderTolerantIO(io.FileIO):
    """Writes to a descriptor until its reader is gone, and from then on discards.

    Every write is complete, so that no buffer is needed above: a buffer interrupted by a signal's exception would write
    its content twice.
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
                _redirect_to_null(self.fileno())  # also for libraries and child processes
                return size
            if written is None:  # the descriptor is non-blocking
                select.select([], [self], [])
            rest = rest[written or 0 :]
        return size

    def _is_gone(self, err: OSError) -> bool:
        """Return whether the reader left or the terminal was closed, as opposed to a full disk."""
        is_terminal = err.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        return isinstance(err, ConnectionError) or is_terminal  # includes BrokenPipeError


def drop_lost_output() -> None:
    """Drop output to standard streams whose reader is gone, instead of failing.

    Streams that were closed from the start are opened on the null device, so that no other file gets their numbers.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _redirect_to_null(number)
        if number and _is_plain(getattr(sys, name), number):
            setattr(sys, name, _open_stream(number, getattr(sys, name)))


def _is_plain(stream: TextIO | None, number: int) -> bool:
    """Return whether a stream is None or the one that Python opened for that descriptor."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return stream is None or stream.fileno() == number
    return False


def _open_stream(number: int, stream: io.TextIOWrapper | None) -> TextIO:
    raw = _ReaderTolerantIO(number, "w", closefd=False)
    if stream is None:
        return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        raw,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,  # python -u
    )


def _redirect_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
