"""Log handlers that survive what they write to: a full disk, a closed pipe. One line says so, and the run goes on."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from src.base import progress_bar
from src.base.errors import printable

FILE_ONLY = {"file_only": True}  # `extra` of a record that is too long for the console
PROGRESS = "progress"  # attribute of a record that says what a progress bar says, too


class _TellsOnce(logging.Handler):
    """Says once, on standard error, that the log cannot be written; Python's own would print every traceback."""

    told = False
    place = "the log"

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - Python's name
        err = sys.exc_info()[1]
        if not isinstance(err, (OSError, ValueError)):  # ValueError: the stream was closed
            super().handleError(record)
        elif not self.told:
            self.told = True
            with contextlib.suppress(OSError, ValueError, AttributeError):
                reason = getattr(err, "strerror", None) or err
                sys.stderr.write(f"warning: cannot write {self.place}: {reason}; the run goes on without it\n")
                sys.stderr.flush()


class ConsoleHandler(_TellsOnce, logging.StreamHandler):
    """Writes to a standard stream, above a progress bar if there is one, but not what is `FILE_ONLY`.

    `place` is what the stream is called.
    """

    def __init__(self, stream: Any, place: str) -> None:
        super().__init__(stream)
        self.place = place
        self.addFilter(lambda record: not getattr(record, "file_only", False))

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, PROGRESS, False) and progress_bar.is_drawn() and _is_terminal(self.stream):
            return
        with progress_bar.hidden():
            super().emit(record)


class FileHandler(_TellsOnce, logging.FileHandler):
    """Writes to a file; what cannot be written when it is closed is lost."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.place = str(path)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().close()


def writes_console() -> bool:
    """Return whether this process has the word on the console: of several ranks, the one that logs there."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, ConsoleHandler)]
    return not handlers or any(handler.level < logging.ERROR for handler in handlers)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def finish_stdout() -> None:
    """Write out what standard output still holds; if that fails, forget it, or Python's own end would fail by it.

    Raises:
        OSError: it cannot be written, and no log has said so yet.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        handlers = logging.getLogger().handlers
        if not any(isinstance(handler, ConsoleHandler) and handler.told for handler in handlers):
            raise
