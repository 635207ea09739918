"""Importing modules that start threads, with signals blocked in those threads."""

from __future__ import annotations

import contextlib
import importlib
import signal


def import_without_signals(name: str) -> None:
    """Import the module `name`, if it is installed, so that the threads it starts never receive SIGINT.

    Only the main thread may receive it, between two training steps. On any other thread MindSpore's own handler, which
    is installed while a graph runs, would turn it into SIGTERM.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with contextlib.suppress(ImportError):  # reported where the module is used
            importlib.import_module(name)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
