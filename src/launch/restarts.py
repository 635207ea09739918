"""Starting a job again after a failure that a restart may mend."""

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

PAUSE_SECONDS = 3.0  # for the other machines' launchers to see the end, and for the port to be free


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a start of a job ended: its exit code, and what there is to say for another one."""

    code: int
    mendable: bool  # whether a restart may help
    stepped: bool  # whether a step was finished


def run_with_restarts(
    launch: Callable[[Job, Mapping[str, str]], int], job: Job, environment: Mapping[str, str], launcher: str
) -> int:
    """Run the job, again from its newest complete checkpoint up to `job.restarts` times; return its exit code.

    It is not started again after a mistake of the user's, after a stop that was asked for, and when no rank that
    writes to this folder has finished a step since the last start.

    Args:
        launch: a launcher.
        job: what to run.
        environment: its variables.
        launcher: the launcher's name.
    """
    # mpirun's ranks on other machines write to the same folder; the other launchers answer for their own machine.
    ranks = job.device_num if launcher == "mpirun" else job.local_num
    restarts = 0
    while True:
        outcome = _run_once(launch, job, environment, ranks)
        if restarts == job.restarts or not outcome.mendable:
            return outcome.code
        ended = f"the job ended with exit code {outcome.code}"
        if not outcome.stepped:
            _say(f"{ended}; not started again, no step was finished since its start")
            return outcome.code
        restarts += 1
        _say(f"{ended}; restart {restarts} of {job.restarts}")
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
    if asked and set(codes) <= {0, *STOP_CODES}:  # launchers have codes of their own for it
        code = 128 + asked
    code = job_code(code, codes)
    return Outcome(code, asked is None and may_restart(code, codes, ranks), read_status_files(logs, BEATS) != beats)


def job_code(code: int, codes: list[int]) -> int:
    """Return the job's exit code: what a rank said of a user's mistake or of a hang, else the launcher's `code`."""
    for decisive in (USER_ERROR, HANG_CODE):
        if code and decisive in codes:
            return decisive
    return code


def may_restart(code: int, codes: list[int], ranks: int) -> bool:
    """Return whether a restart may mend what happened.

    Args:
        code: exit code of the job.
        codes: those of the ranks that could leave theirs.
        ranks: how many there are; a stop that was asked for ends all of them alike, a failure does not.
    """
    if code in (0, USER_ERROR, *STOP_CODES):
        return False
    stopped = [end for end in codes if end in STOP_CODES]
    return len(stopped) < ranks


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
