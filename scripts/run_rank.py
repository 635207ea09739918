"""Run one rank of a job and tell what became of it: started by the launchers, see scripts/launch_ranks.py.

Usage: python scripts/run_rank.py SCRIPT [options]. The rank is a child process that gets SIGTERM and SIGINT passed on
and never outlives this one. If it fails, rank, host and the end of its log go to standard error.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base.errors import UserError
from src.distributed.child_process import end_with_parent
from src.distributed.scheduler import become_scheduler
from src.utils.local_adapter import discover_rank, is_scheduler, scheduler_answer_delay

SHOWN_LINES = 5
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGINT)  # exit codes of a rank that did what it was asked


def main(argv: Sequence[str]) -> int:
    """Run the rank to its end; return its exit code, 128 + number if a signal ended it."""
    end_with_parent(signal.SIGTERM)  # msrun leaves its workers behind when it is told to stop
    if is_scheduler():
        become_scheduler(scheduler_answer_delay())
    child = subprocess.Popen(
        [sys.executable, *argv], start_new_session=True, preexec_fn=lambda: end_with_parent(signal.SIGKILL)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    code = child.wait()
    code = 128 - code if code < 0 else code
    if code not in (0, *STOPPED):
        sys.stderr.write(obituary(code, log_of(argv)))
        sys.stderr.flush()
    return code


def log_of(argv: Sequence[str]) -> Path | None:
    """Return the rank's log file, if its folder stands on the command line."""
    if "--save_dir" not in argv[:-1]:
        return None
    return Path(argv[argv.index("--save_dir") + 1]) / "logs" / f"rank_{place()[0]}.log"


def place() -> tuple[int, int]:
    """Return rank and number of ranks, (0, 1) if the variables make no sense."""
    try:
        placement = discover_rank()
    except UserError:
        return 0, 1
    return placement.rank, placement.rank_size


def obituary(code: int, log: Path | None) -> str:
    """Say which rank ended how, with the end of its log."""
    how = f"with exit code {code}"
    if code > 128:
        how = f"by signal {code - 128} ({signal.Signals(code - 128).name})"
    rank, size = place()
    lines = [f"error: rank {rank} of {size} on {platform.node()} (process {os.getpid()}) ended {how}"]
    if log is not None and log.is_file():
        lines[0] += f"; the end of {log}:"
        lines += log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
