"""Heartbeats and exit codes of a job's ranks, as small files in the folder of the run's logs.

Files work with every launcher: msrun has a single exit code for all failures, and mpirun's ranks may be on other
machines. Only changes between two readings count; clocks of different machines are never compared.
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

WATCHED = "BISENETV2_WATCHED"  # set by scripts/run_rank.py, which reads the files; runs without it write none
HANG_CODE = 75  # exit code of a job that hung: EX_TEMPFAIL of sysexits.h
BEATS, ENDS, HANGS = "rank_*.beat", "rank_*.end", "rank_*.hang"
_stacks: list[TextIO] = []  # kept open here: faulthandler's own reference did not prevent Python from closing one


class Heartbeat:
    """Records that a rank makes progress, at most once a second.

    Args:
        save_dir: folder of the run.
        rank: number of this process.
    """

    def __init__(self, save_dir: str | Path, rank: int) -> None:
        self.path = Path(save_dir) / "logs" / f"rank_{rank}.beat"
        self.last = 0.0
        self.watched = WATCHED in os.environ

    def beat(self) -> None:
        """Write the heartbeat; errors are ignored, as writers of important files report a full disk."""
        now = time.monotonic()
        if not self.watched or now - self.last < 1 and self.last:
            return
        self.last = now
        with contextlib.suppress(OSError):
            _write(self.path, "beat")


def write_stacks_when_asked(save_dir: str | Path, rank: int) -> None:
    """Make SIGUSR1 append the stacks of all threads to ``logs/rank_N.stacks``, even while no Python code runs."""
    if WATCHED not in os.environ:
        return
    _stacks.append((Path(save_dir) / "logs" / f"rank_{rank}.stacks").open("a", encoding="utf-8"))
    faulthandler.register(signal.SIGUSR1, _stacks[-1], all_threads=True)


def record_exit_code(logs: Path, rank: int, code: int) -> None:
    """Write the exit code of a rank to the folder of the logs, if that exists."""
    with contextlib.suppress(OSError):
        _write(logs / f"rank_{rank}.end", str(code))


def record_hang(logs: Path, rank: int) -> None:
    """Record that the job hangs, so that the watchers of all ranks come to the same conclusion."""
    with contextlib.suppress(OSError):
        _write(logs / f"rank_{rank}.hang", "hang")


def read_status_files(logs: Path, pattern: str) -> dict[str, str]:
    """Return name and content of every file that matches `BEATS`, `ENDS` or `HANGS`."""
    files = {}
    for path in logs.glob(pattern):
        with contextlib.suppress(OSError):
            files[path.name] = path.read_text(encoding="utf-8", errors="replace")
    return files


def new_codes(before: dict[str, str], after: dict[str, str]) -> list[int]:
    """Return the exit codes of the ranks that ended between two readings of `ENDS`."""
    return [int(text.split()[0]) for name, text in after.items() if before.get(name) != text]


def _write(path: Path, text: str) -> None:
    """Write a text, made unique by process and time, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(f"{text} {os.getpid()} {time.time_ns()}\n", encoding="utf-8")
