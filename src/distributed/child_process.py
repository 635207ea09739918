"""Child processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process the signal `number` when its parent is gone; called by the child itself."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it went in between
        os.kill(os.getpid(), number)
