"""Run one rank of a job and report how it ended; started by the launchers, see scripts/launch_ranks.py.

Usage: python scripts/run_rank.py [--hang_minutes M] SCRIPT [options]. The rank is a child process that gets SIGTERM,
SIGINT and SIGHUP passed on and never outlives this one. If it fails, rank, host and the end of its log go to standard
error.
After M minutes without a step of any rank its stacks are written and it is killed; the exit code is 75 then.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base.errors import UserError
from src.base.stops import STOP_CODES, stop_signals
from src.distributed.child_process import end_with_parent
from src.distributed.heartbeat import BEATS, HANG_CODE, HANGS, WATCHED, read_status_files, record_exit_code, record_hang
from src.distributed.scheduler import become_scheduler
from src.utils.local_adapter import discover_rank, is_scheduler, scheduler_answer_delay

SHOWN_LINES = 5
POLL_SECONDS = 1.0
STACKS_SECONDS = 5.0  # from the request for stacks to the end; longer than the runners differ


def main(argv: Sequence[str]) -> int:
    """Run the rank to its end; return its exit code, 128 + number if a signal ended it."""
    hang_seconds = math.inf
    if argv and argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if argv[:1] == ["--hang_minutes"]:
        hang_seconds, argv = 60 * float(argv[1]), argv[2:]
    end_with_parent(signal.SIGTERM)  # msrun leaves its workers behind when it is stopped
    if is_scheduler():
        become_scheduler(scheduler_answer_delay())
    if not argv:
        sys.stderr.write(f"error: no script was given; see python {sys.argv[0]} --help\n")
        return 2
    child = subprocess.Popen(
        [sys.executable, *argv],
        env={**os.environ, WATCHED: "1"},
        start_new_session=True,
        preexec_fn=lambda: end_with_parent(signal.SIGKILL),
    )
    for number in stop_signals():
        signal.signal(number, lambda received, _frame: send_even_if_stopped(child, received))
    log = rank_log(argv)
    code = wait_for_rank(child, log, hang_seconds)
    code = 128 - code if code < 0 else code
    if log:
        record_exit_code(log.parent, rank_and_size()[0], code)
    if code not in (0, *STOP_CODES):
        sys.stderr.write(failure_report(code, log))
        sys.stderr.flush()
    return code


def wait_for_rank(child: subprocess.Popen, log: Path | None, hang_seconds: float) -> int:
    """Wait until the rank ends, or kill it after `hang_seconds` without a heartbeat of any rank; return its exit code.

    Time counts from the first heartbeat: a graph may take half an hour to compile before the first step.
    """
    if log is None or hang_seconds == math.inf:
        return child.wait()
    logs, seen = log.parent, time.monotonic()
    start = last = read_status_files(logs, BEATS)
    earlier = read_status_files(logs, HANGS)
    while read_status_files(logs, HANGS) == earlier:  # else another rank's runner has noticed the hang
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(POLL_SECONDS)
        beats = read_status_files(logs, BEATS)
        if beats != last or beats == start:
            last, seen = beats, time.monotonic()
        elif time.monotonic() - seen > hang_seconds:
            break
    record_hang(logs, rank_and_size()[0])
    stacks = log.with_suffix(".stacks")
    sys.stderr.write(f"no step was finished for {hang_seconds / 60:g} minutes; the stacks: {stacks}\n")
    sys.stderr.flush()
    dump_stacks(child, stacks)
    child.kill()
    child.wait()
    return HANG_CODE


def dump_stacks(child: subprocess.Popen, stacks: Path) -> None:
    """Make the rank write its stacks; takes the same time in all runners, because the end of one ends the others.

    A rank that is stopped by SIGSTOP must be continued for it.
    """
    end, before = time.monotonic() + STACKS_SECONDS, file_size(stacks)
    send_even_if_stopped(child, signal.SIGUSR1)
    while file_size(stacks) == before and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)  # for the other threads' stacks
    child.send_signal(signal.SIGSTOP)
    time.sleep(max(0.0, end - time.monotonic()))


def send_even_if_stopped(child: subprocess.Popen, number: int) -> None:
    """Send a signal to the rank, and continue it if it is stopped, so that it handles the signal."""
    child.send_signal(number)
    child.send_signal(signal.SIGCONT)


def file_size(path: Path) -> int:
    """Return the size of a file, 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0


def rank_log(argv: Sequence[str]) -> Path | None:
    """Return the rank's log file if the command line names the run's folder, else None."""
    if "--save_dir" not in argv[:-1]:
        return None
    return Path(argv[argv.index("--save_dir") + 1]) / "logs" / f"rank_{rank_and_size()[0]}.log"


def rank_and_size() -> tuple[int, int]:
    """Return rank and number of ranks, (0, 1) if the environment is invalid."""
    try:
        placement = discover_rank()
    except UserError:
        return 0, 1
    return placement.rank, placement.rank_size


def failure_report(code: int, log: Path | None) -> str:
    """Return a message about how the rank ended, with the end of its log."""
    how = f"with exit code {code}"
    if code > 128:
        how = f"by signal {code - 128} ({signal.Signals(code - 128).name})"
    rank, size = rank_and_size()
    lines = [f"error: rank {rank} of {size} on {platform.node()} (process {os.getpid()}) ended {how}"]
    if log is not None and log.is_file():
        lines[0] += f"; the end of {log}:"
        lines += log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
