"""Ending a process of a CPU job with this project's own scheduler without MindSpore's shutdown.

MindSpore's shutdown crashes about once in some hundred runs, after all results are written: a message of the scheduler
arrives on a connection that is being closed (segmentation fault in `Connection::ParseMessage`, seen in 2.8).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from src.base.claims import release_all

_leave: list[Callable[[], None]] = []


def end_at_once_after(leave: Callable[[], None]) -> None:
    """Make `end_process` call `leave`, unless the process failed, and then exit without MindSpore's shutdown."""
    _leave.append(leave)


def end_process(code: int) -> NoReturn:
    """End this process with an exit code, and release its claims."""
    release_all()
    if not _leave:
        sys.exit(code)
    if code == 0:
        for leave in _leave:
            leave()
    end_at_once(code)


def end_at_once(code: int) -> NoReturn:
    """End this process with an exit code, without the shutdown code of MindSpore and Python."""
    release_all()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
