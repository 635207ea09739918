"""Log handlers that survive a full disk or a closed pipe: they warn once, and the run goes on."""

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
PROGRESS = "progress"  # attribute of records that a progress bar makes redundant


class _WarnsOnce(logging.Handler):
    """Reports once, on standard error, that the log cannot be written; Python's own handlers print every traceback."""

    warned = False
    place = "the log"

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - Python's name
        err = sys.exc_info()[1]
        if not isinstance(err, (OSError, ValueError)):  # ValueError: the stream was closed
            super().handleError(record)
        elif not self.warned:
            self.warned = True
            with contextlib.suppress(OSError, ValueError, AttributeError):
                reason = getattr(err, "strerror", None) or err
                sys.stderr.write(f"warning: cannot write {self.place}: {reason}; the run goes on without it\n")
                sys.stderr.flush()


class ConsoleHandler(_WarnsOnce, logging.StreamHandler):
    """Writes to a standard stream, above a progress bar if there is one, and leaves out `FILE_ONLY` records.

    Args:
        stream: the stream.
        place: name of the stream in messages.
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


class FileHandler(_WarnsOnce, logging.FileHandler):
    """Writes to a file; output that cannot be flushed when it is closed is lost."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.place = str(path)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().close()


def logs_to_console() -> bool:
    """Return whether this process logs to the console; of several ranks only one does."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, ConsoleHandler)]
    return not handlers or any(handler.level < logging.ERROR for handler in handlers)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def finish_stdout() -> None:
    """Flush standard output; if that fails, discard the rest, which would otherwise make Python's own exit fail.

    Raises:
        OSError: it cannot be written, and no log handler has reported that yet.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        handlers = logging.getLogger().handlers
        if not any(isinstance(handler, ConsoleHandler) and handler.warned for handler in handlers):
            raise
