"""The ranks' runners (`scripts/run_rank.py`) below a launcher on this machine.

msrun and Open MPI do not forward signals: on Ctrl-C msrun kills its ranks at once and exits with 0, and Open MPI 5 ends
its ranks before they have saved. The signal therefore goes to the runners directly; one rank that gets it is enough.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RUN_RANK = Path(__file__).resolve().parents[2] / "scripts" / "run_rank.py"
_PARENT = 1  # index of the parent in /proc/PID/stat after the name, which ends at the last bracket


def runners_below(launcher: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the process ids of the ranks' runners that descend from `launcher`; none without /proc."""
    parents = {}
    for entry in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            parents[int(entry.name)] = int(text.rpartition(")")[2].split()[_PARENT])
    return sorted(
        number for number in parents if _is_descendant(number, launcher, parents) and _is_runner(proc, number)
    )


def _is_descendant(number: int, ancestor: int, parents: dict[int, int]) -> bool:
    while number in parents:
        number = parents[number]
        if number == ancestor:
            return True
    return False


def _is_runner(proc: Path, number: int) -> bool:
    with contextlib.suppress(OSError):
        return os.fsencode(RUN_RANK) in (proc / str(number) / "cmdline").read_bytes().split(b"\0")[:2]
    return False
