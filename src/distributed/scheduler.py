"""How the scheduler of a job on the CPU is started and ended: the process at whose address the ranks find each other.

Rank 0 under mpirun starts it, or scripts/launch_ranks.py; they end it, and it never outlives them. What it does is in
`src/launch/scheduler_process.py`; where its answers have to be held up, a relay stands before it
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
from src.distributed.child_process import SAFE_PATH, for_modules

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER_PREFIXES = ("OMPI_", "PMIX_", "PRTE_", "RANK_")
LOOPBACK = "127.0.0.1"
START_SECONDS = 60


def free_port() -> int:
    """Return a port of this host that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _command(answer_delay: float) -> list[str]:
    """Return the command of the scheduler's process, with a relay before it where answers have to be held up."""
    return [sys.executable, "-m", "src.launch.relay" if answer_delay else "src.launch.scheduler_process"]


def become_scheduler(answer_delay: float) -> NoReturn:
    """Let this process, which a launcher started in that role, go on as the scheduler of its job.

    Args:
        answer_delay: seconds by which its answers are held up.
    """
    os.chdir(ROOT)
    os.environ.pop(SAFE_PATH, None)  # as `for_modules` does
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
    """Start the scheduler process of a job of `rank_size` ranks.

    Returns when it listens: a rank that comes earlier would try again only after a minute.

    Args:
        host: address at which the ranks look for it.
        port: the port there.
        rank_size: number of ranks of the job.
        environment: variables of the new process, those of launchers left out.
        answer_delay: seconds by which its answers are held up; MindSpore 2.0 needs it.
        output: where what it prints goes, as `subprocess` takes it.

    Raises:
        UserError: it does not listen.
    """
    environment = {k: v for k, v in for_modules(environment).items() if not k.startswith(LAUNCHER_PREFIXES)}
    environment.update(MS_ROLE="MS_SCHED", MS_SCHED_HOST=host, MS_SCHED_PORT=str(port), MS_WORKER_NUM=str(rank_size))
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    # A session of its own: a terminal's Ctrl-C is for the ranks, which need the scheduler until they have ended.
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
    """Return whether somebody listens there, without a connection: one that is gone at once disturbs MindSpore 2.0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or it could keep the scheduler from the port
        try:
            probe.bind((host, port))
        except OSError as err:
            return err.errno == errno.EADDRINUSE
    return False


def stop_scheduler(process: subprocess.Popen) -> None:
    """End the scheduler, when all ranks have ended or are about to."""
    process.kill()
    process.wait()
