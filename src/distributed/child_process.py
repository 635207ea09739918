"""Child processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

SAFE_PATH = "PYTHONSAFEPATH"
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent(number: int) -> None:
    """Let the kernel send this process the signal `number` when its parent is gone; called by the child itself."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it went in between
        os.kill(os.getpid(), number)


def for_modules(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for ``python -m`` in this project's folder: with PYTHONSAFEPATH it would find no module."""
    return {name: value for name, value in environment.items() if name != SAFE_PATH}


def become(shell: int, command: list[str]) -> None:
    """Go on as `command`, which ends by SIGTERM when the process `shell`, the parent, is gone."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != shell:
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":  # what shell scripts start their steps with, see with_me in scripts/setup_env.sh
    become(int(sys.argv[1]), sys.argv[2:])
