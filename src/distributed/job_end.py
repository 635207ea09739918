"""How a process of a job on the CPU ends where the scheduler is this project's own: without MindSpore's farewell.

That crashes once in some hundred times, with all results written: what the scheduler still sends meets a connection
that is being taken down (segmentation fault in `Connection::ParseMessage`, seen in 2.8).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from src.base.claims import release_all

_leave: list[Callable[[], None]] = []


def leave_by(leave: Callable[[], None]) -> None:
    """Let this process end at once after it has called `leave`, which is left out if it has failed."""
    _leave.append(leave)


def end_process(code: int) -> NoReturn:
    """End this process with an exit code, and release what it has claimed."""
    release_all()
    if not _leave:
        sys.exit(code)
    if code == 0:
        for leave in _leave:
            leave()
    end_at_once(code)


def end_at_once(code: int) -> NoReturn:
    """End this process with an exit code and without anything else of MindSpore's or Python's farewell."""
    release_all()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
