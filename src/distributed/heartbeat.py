"""Signs of life of the ranks of a job, and how they ended: small files in the folder of the run's logs.

Files reach whoever watches whatever started the ranks: msrun has one exit code for all failures, and mpirun's ranks may
be on other machines. What differs between two readings counts; clocks of several machines are never compared.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
from pathlib import Path
from typing import TextIO

from src.base.temporary import replacing

WATCHED = "BISENETV2_WATCHED"  # set by scripts/run_rank.py, which reads the files; no other run writes any
HANG_CODE = 75  # of a job that stood still: EX_TEMPFAIL of sysexits.h
BEATS, ENDS, HANGS = "rank_*.beat", "rank_*.end", "rank_*.hang"
_stacks: list[TextIO] = []  # open files: faulthandler's own reference has not kept Python from closing one


class Heart:
    """Says that a rank goes on, at most once a second.

    Args:
        save_dir: folder of the run.
        rank: number of this process.
    """

    def __init__(self, save_dir: str | Path, rank: int) -> None:
        self.path = Path(save_dir) / "logs" / f"rank_{rank}.beat"
        self.last = 0.0
        self.watched = WATCHED in os.environ

    def beat(self) -> None:
        """Say it; that the disk is full is told by those whose files matter."""
        now = time.monotonic()
        if not self.watched or now - self.last < 1 and self.last:
            return
        self.last = now
        with contextlib.suppress(OSError):
            _write(self.path, "beat")


def write_stacks_when_asked(save_dir: str | Path, rank: int) -> None:
    """Let SIGUSR1 add the stacks of all threads to ``logs/rank_N.stacks``, even while no Python code runs."""
    if WATCHED not in os.environ:
        return
    _stacks.append((Path(save_dir) / "logs" / f"rank_{rank}.stacks").open("a", encoding="utf-8"))
    faulthandler.register(signal.SIGUSR1, _stacks[-1], all_threads=True)


def note_end(logs: Path, rank: int, code: int) -> None:
    """Leave the exit code of a rank in the folder of the logs, if there is one."""
    with contextlib.suppress(OSError):
        _write(logs / f"rank_{rank}.end", str(code))


def note_hang(logs: Path, rank: int) -> None:
    """Tell whoever watches the other ranks that the job stands still: all have to find so, or none."""
    with contextlib.suppress(OSError):
        _write(logs / f"rank_{rank}.hang", "hang")


def read_signs(logs: Path, pattern: str) -> dict[str, str]:
    """Return name and content of every file that matches `BEATS`, `ENDS` or `HANGS`."""
    signs = {}
    for path in logs.glob(pattern):
        with contextlib.suppress(OSError):
            signs[path.name] = path.read_text(encoding="utf-8", errors="replace")
    return signs


def new_codes(before: dict[str, str], after: dict[str, str]) -> list[int]:
    """Return the exit codes of the ranks that ended between two readings of `ENDS`."""
    return [int(text.split()[0]) for name, text in after.items() if before.get(name) != text]


def _write(path: Path, text: str) -> None:
    """Write a text that differs from all earlier ones so that no reader ever sees a part of it."""
    with replacing(path) as temporary:
        temporary.write_text(f"{text} {os.getpid()} {time.time_ns()}\n", encoding="utf-8")
