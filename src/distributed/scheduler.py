"""Starting and ending the scheduler of a CPU job, the process through which the ranks find each other.

Rank 0 under mpirun or scripts/launch_ranks.py starts it and ends it, and it never outlives them. Its code is
`src/launch/scheduler_process.py`; if its answers must be delayed, a relay stands in front of it
(`src/launch/relay.py`).
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from src.base.errors import UserError
from src.distributed.child_process import SAFE_PATH, module_environment

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER_PREFIXES = ("OMPI_", "PMIX_", "PRTE_", "RANK_")
LOOPBACK = "127.0.0.1"
START_SECONDS = 60


def free_port() -> int:
    """Return a port of this host that is free now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _command(answer_delay: float) -> list[str]:
    """Return the command of the scheduler's process, with a relay in front if answers must be delayed."""
    return [sys.executable, "-m", "src.launch.relay" if answer_delay else "src.launch.scheduler_process"]


def become_scheduler(answer_delay: float) -> NoReturn:
    """Replace this process, which a launcher started in that role, by the scheduler of its job.

    Args:
        answer_delay: seconds by which its answers are delayed.
    """
    os.chdir(ROOT)
    os.environ.pop(SAFE_PATH, None)  # as `module_environment` does
    command = _command(answer_delay)
    os.execv(command[0], command)


def start_scheduler(
    host: str,
    port: int,
    rank_size: int,
    environment: Mapping[str, str],
    *,
    answer_delay: float = 0.0,
    output: BinaryIO | int | None = subprocess.DEVNULL,
) -> subprocess.Popen:
    """Start the scheduler process of a job of `rank_size` ranks, and wait until it listens.

    A rank that connects before that would retry only after a minute.

    Args:
        host: address at which the ranks connect to it.
        port: the port there.
        rank_size: number of ranks of the job.
        environment: variables of the new process; those of launchers are removed.
        answer_delay: seconds by which its answers are delayed; MindSpore 2.0 needs it.
        output: destination of its output, as in `subprocess`.

    Raises:
        UserError: the scheduler does not listen.
    """
    environment = {k: v for k, v in module_environment(environment).items() if not k.startswith(LAUNCHER_PREFIXES)}
    environment.update(MS_ROLE="MS_SCHED", MS_SCHED_HOST=host, MS_SCHED_PORT=str(port), MS_WORKER_NUM=str(rank_size))
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    # In its own session Ctrl-C does not reach it: the ranks need the scheduler until they have ended.
    process = subprocess.Popen(_command(answer_delay), cwd=ROOT, env=environment, start_new_session=True, **streams)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if _listens(host, port):
            return process
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise UserError(f"the scheduler of the job did not start on {host}, port {port}; is the port in use?")


def _listens(host: str, port: int) -> bool:
    """Return whether a port is in use, without connecting: a connection closed at once disturbs MindSpore 2.0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else the scheduler might not get the port
        try:
            probe.bind((host, port))
        except OSError as err:
            return err.errno == errno.EADDRINUSE
    return False


def stop_scheduler(process: subprocess.Popen) -> None:
    """End the scheduler, when all ranks have ended or are about to."""
    process.kill()
    process.wait()
