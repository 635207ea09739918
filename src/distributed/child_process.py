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
    """Make the kernel send this process the signal `number` when its parent exits; called by the child itself."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # the parent exited before prctl
        os.kill(os.getpid(), number)


def module_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for ``python -m`` in this project's folder: PYTHONSAFEPATH would hide its modules."""
    return {name: value for name, value in environment.items() if name != SAFE_PATH}


def exec_attached(shell: int, command: list[str]) -> None:
    """Replace this process by `command`, which gets SIGTERM when the parent process `shell` exits."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != shell:
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":  # shell scripts start their steps by this, see run_attached in scripts/setup_env.sh
    exec_attached(int(sys.argv[1]), sys.argv[2:])
