"""Logging: rank 0 on standard output, errors on standard error, every rank in a file of its own."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from src.base.log_handlers import ConsoleHandler, FileHandler

FORMAT = "%(asctime)s [%(levelname)s] %(message)s"
_OWN = "bisenetv2"


class _EarlyRecords(logging.Handler):
    """Keep the records logged before the console or the log file exists, so that they can be replayed there."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def keep_early_records() -> None:
    """Keep the records logged from now on until `setup_logging` opens a file."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(_EarlyRecords())


def setup_logging(save_dir: Path | None, rank: int = 0) -> None:
    """Send the log to standard output (rank 0) and to ``{save_dir}/logs/rank_{rank}.log``; safe to call again.

    Args:
        save_dir: folder of the run; None logs to the console only.
        rank: number of this process.
    """
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    had_console = has_logging()
    for handler in [h for h in root.handlers if h.get_name() == _OWN]:
        root.removeHandler(handler)
        handler.close()
    console = ConsoleHandler(sys.stdout, "the log to standard output")
    errors = ConsoleHandler(sys.stderr, "errors to standard error")
    console.addFilter(lambda record: record.levelno < logging.ERROR)
    errors.setLevel(logging.ERROR)
    handlers: list[logging.Handler] = [console, errors] if rank == 0 else [errors]
    if save_dir is not None:
        path = Path(save_dir) / "logs" / f"rank_{rank}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(FileHandler(path))
    for handler in handlers:
        handler.set_name(_OWN)
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    _replay(root, handlers, had_console)


def _replay(root: logging.Logger, handlers: list[logging.Handler], had_console: bool) -> None:
    """Pass the early records to the new handlers; stop keeping records once there is a file."""
    for early in [handler for handler in root.handlers if isinstance(handler, _EarlyRecords)]:
        files = [handler for handler in handlers if isinstance(handler, logging.FileHandler)]
        for handler in files if had_console else handlers:
            for record in early.records:
                if record.levelno >= handler.level and handler.filter(record):
                    handler.emit(record)
        if files:
            root.removeHandler(early)


def has_logging() -> bool:
    """Return whether `setup_logging` was called."""
    return any(handler.get_name() == _OWN for handler in logging.getLogger().handlers)
