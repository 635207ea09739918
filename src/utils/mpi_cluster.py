"""Under mpirun on the CPU: a scheduler, started by rank 0, whose address the other ranks learn through MPI."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from src.utils.errors import UserError
from src.utils.placement import Placement
from src.utils.scheduler import LOOPBACK, free_port, start_scheduler, stop_scheduler


def meet(placement: Placement, environment: Mapping[str, str], last_of_all: list[Callable[[], None]]) -> dict[str, str]:
    """Return the variables that make this rank a worker of the scheduler; rank 0 starts it first.

    Args:
        placement: which process of its job this is.
        environment: this process's; MS_SCHED_HOST and MS_SCHED_PORT in it name the address of the scheduler.
        last_of_all: receives what to do when this process has left the job.

    Raises:
        UserError: mpi4py is missing, or other hosts cannot reach rank 0.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as err:
        raise UserError(f"mpirun on the CPU needs mpi4py and its MPI library: pip install mpi4py ({err})") from err
    address = _start(placement, environment, last_of_all) if placement.rank == 0 else None
    host, port = MPI.COMM_WORLD.bcast(address, root=0)
    # A rank that fails later must not wait for the others at its end.
    MPI.Finalize()
    if host is None:
        raise UserError(port)
    return {
        "MS_ROLE": "MS_WORKER", "MS_SCHED_HOST": host, "MS_SCHED_PORT": str(port), "MS_NODE_ID": str(placement.rank),
        "MS_WORKER_NUM": str(placement.rank_size),
    }  # fmt: skip


def _start(
    placement: Placement, environment: Mapping[str, str], last_of_all: list[Callable[[], None]]
) -> tuple[str | None, int | str]:
    """Start the scheduler; return its host and port, or None and what is wrong."""
    host = LOOPBACK
    if placement.local_size < placement.rank_size:
        name = environment.get("MS_SCHED_HOST") or socket.gethostname()
        try:
            host = socket.gethostbyname(name)
        except OSError as err:
            return None, f"the address of {name} is not known ({err.strerror}); set MS_SCHED_HOST on rank 0"
        if host.startswith("127."):
            return None, f"{name} is {host}, which other hosts cannot reach; set MS_SCHED_HOST on rank 0 to its address"
    port = int(environment.get("MS_SCHED_PORT") or free_port())
    try:
        scheduler = start_scheduler(host, port, placement.rank_size, environment)
    except UserError as err:
        return None, str(err)
    last_of_all.append(lambda: stop_scheduler(scheduler))
    return host, port
