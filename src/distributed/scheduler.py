"""The scheduler of a job on the CPU: the process at whose address the ranks find each other. It trains nothing.

Started by rank 0 under mpirun and by scripts/launch_ranks.py: ``python -m src.distributed.scheduler``, with
MS_ROLE=MS_SCHED, MS_SCHED_HOST, MS_SCHED_PORT and MS_WORKER_NUM. They end it, and it never outlives them; msrun's ends
after the ranks.
On MindSpore 2.0 a relay stands before it (see relay.py).
"""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from src.base.errors import UserError
from src.distributed.child_process import end_with_parent
from src.utils.local_adapter import init_cluster, scheduler_answer_delay, set_device

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER_PREFIXES = ("OMPI_", "PMIX_", "PRTE_", "RANK_")
LOOPBACK = "127.0.0.1"
START_SECONDS = 60


def free_port() -> int:
    """Return a port of this host that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def scheduler_module(relayed: bool | None = None) -> str:
    """Return the module to run as the scheduler, with a relay where this MindSpore needs one or as `relayed` tells."""
    if relayed is None:
        relayed = scheduler_answer_delay() > 0
    return "src.launch.relay" if relayed else "src.distributed.scheduler"


def start_scheduler(
    host: str,
    port: int,
    rank_size: int,
    environment: Mapping[str, str],
    *,
    output: BinaryIO | int | None = subprocess.DEVNULL,
    relayed: bool | None = None,
) -> subprocess.Popen:
    """Start the scheduler process of a job of `rank_size` ranks.

    Returns when it listens: a rank that comes earlier would try again only after a minute.

    Args:
        host: address at which the ranks look for it.
        port: the port there.
        rank_size: number of ranks of the job.
        environment: variables of the new process, those of launchers left out.
        output: where what it prints goes, as `subprocess` takes it.
        relayed: whether a relay stands before it; where this MindSpore needs one, if not given.

    Raises:
        UserError: it does not listen.
    """
    environment = {k: v for k, v in environment.items() if not k.startswith(LAUNCHER_PREFIXES)}
    environment.update(MS_ROLE="MS_SCHED", MS_SCHED_HOST=host, MS_SCHED_PORT=str(port), MS_WORKER_NUM=str(rank_size))
    process = subprocess.Popen(
        [sys.executable, "-m", scheduler_module(relayed)], cwd=ROOT, env=environment,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,  # a terminal's Ctrl-C is for the ranks, which need it until they have ended
    )  # fmt: skip
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if _listens(host, port):
            return process
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise UserError(f"the scheduler of the job did not start on {host}, port {port}; is the port in use?")


def _listens(host: str, port: int) -> bool:
    """Tell whether somebody listens there, without a connection: one that is gone at once disturbs MindSpore 2.0."""
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


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    import mindspore as ms

    set_device("CPU", 0)
    ms.set_context(mode=ms.GRAPH_MODE)  # MindSpore 2.0 connects processes in no other mode
    init_cluster()  # some versions end the process here, when the job is over
