"""Restart a job after a failure that a restart may fix."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from src.base.failures import USER_ERROR
from src.base.stops import STOP_CODES
from src.distributed.heartbeat import BEATS, ENDS, HANG_CODE, new_codes, read_status_files
from src.launch.job import Job
from src.launch.processes import JobStoppedError

PAUSE_SECONDS = 3.0  # for the launchers on other machines to notice the end, and for the port to become free


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a job ended."""

    code: int
    may_restart: bool  # whether a restart may help
    has_stepped: bool  # whether a step was finished


def run_with_restarts(
    launch: Callable[[Job, Mapping[str, str]], int], job: Job, environment: Mapping[str, str], launcher: str
) -> int:
    """Run the job, restarting it from its newest complete checkpoint up to `job.restarts` times; return its exit code.

    It is not restarted after a user error, after a requested stop, or if no rank that writes to this folder has
    finished a step since the last start.

    Args:
        launch: a launcher.
        job: the job.
        environment: its environment variables.
        launcher: name of the launcher.
    """
    # mpirun's ranks on other machines write to this folder, too; the other launchers see their own machine only.
    ranks = job.device_num if launcher == "mpirun" else job.local_num
    restarts = 0
    while True:
        outcome = _run_once(launch, job, environment, ranks)
        if restarts == job.restarts or not outcome.may_restart:
            return outcome.code
        ended = f"the job ended with exit code {outcome.code}"
        if not outcome.has_stepped:
            _report(f"{ended}; not started again, no step was finished since its start")
            return outcome.code
        restarts += 1
        _report(f"{ended}; restart {restarts} of {job.restarts}")
        time.sleep(PAUSE_SECONDS)
        if restarts == 1:
            job = dataclasses.replace(job, options=(*job.options, "--auto_resume", "True"))


def _run_once(
    launch: Callable[[Job, Mapping[str, str]], int], job: Job, environment: Mapping[str, str], ranks: int
) -> Outcome:
    logs = Path(job.save_dir).resolve() / "logs"
    beats, ends = read_status_files(logs, BEATS), read_status_files(logs, ENDS)  # of earlier starts
    asked = None
    try:
        code = launch(job, environment)
    except JobStoppedError as err:
        code, asked = err.code, err.number
    codes = new_codes(ends, read_status_files(logs, ENDS))
    if asked and set(codes) <= {0, *STOP_CODES}:  # launchers use other exit codes for a stop
        code = 128 + asked
    code = job_code(code, codes)
    return Outcome(code, asked is None and may_restart(code, codes, ranks), read_status_files(logs, BEATS) != beats)


def job_code(code: int, codes: list[int]) -> int:
    """Return the job's exit code: that of a rank for a user error or a hang, else the launcher's `code`."""
    for decisive in (USER_ERROR, HANG_CODE):
        if code and decisive in codes:
            return decisive
    return code


def may_restart(code: int, codes: list[int], ranks: int) -> bool:
    """Return whether a restart may help.

    Args:
        code: exit code of the job.
        codes: exit codes of the ranks that could record theirs.
        ranks: number of ranks; a requested stop ends all of them with a stop code, a failure does not.
    """
    if code in (0, USER_ERROR, *STOP_CODES):
        return False
    stopped = [end for end in codes if end in STOP_CODES]
    return len(stopped) < ranks


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
