"""Modules that start threads while they load, and what such threads must not receive."""

from __future__ import annotations

import contextlib
import importlib
import signal


def import_without_signals(name: str) -> None:
    """Import the module `name`, if it is there, so that the threads it starts never receive SIGINT.

    It is for the main thread alone, which takes it between two training steps. On any other thread MindSpore's own
    handler, which is in force while a graph runs, would turn it into SIGTERM.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with contextlib.suppress(ImportError):  # told where it is used
            importlib.import_module(name)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
