"""CPU jobs under mpirun: rank 0 starts a scheduler and sends its address to the other ranks through MPI."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from src.base.errors import UserError
from src.distributed.job_end import end_at_once_after
from src.distributed.placement import Placement
from src.distributed.scheduler import LOOPBACK, free_port, start_scheduler, stop_scheduler


def meet(placement: Placement, environment: Mapping[str, str], answer_delay: float) -> dict[str, str]:
    """Return the variables that make this rank a worker of the scheduler, which rank 0 starts first.

    At its end rank 0 waits for the other ranks, which need the scheduler. A rank that fails ends the job.

    Args:
        placement: the process's place in its job.
        environment: this process's variables; MS_SCHED_HOST and MS_SCHED_PORT may set the address of the scheduler.
        answer_delay: seconds by which the scheduler's answers are delayed.

    Raises:
        UserError: mpi4py is missing, or other hosts cannot reach rank 0.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as err:
        raise UserError(f"mpirun on the CPU needs mpi4py and its MPI library: pip install mpi4py ({err})") from err
    result: tuple[str, int, int] | str | None = None
    if placement.rank == 0:
        try:
            result = _start(placement, environment, answer_delay)
        except UserError as err:
            result = str(err)
    result = MPI.COMM_WORLD.bcast(result, root=0)
    # A rank that fails later must not wait for the others at exit, and MindSpore 2.0 cannot connect with MPI in use.
    MPI.Finalize()
    if isinstance(result, str):
        raise UserError(result)
    assert result is not None  # rank 0 has one or the other
    host, port, end_port = result
    if placement.rank:
        try:
            end_at_once_after(socket.create_connection((host, end_port)).close)
        except OSError as err:
            raise UserError(f"rank {placement.rank} cannot reach rank 0 on {host}: {err.strerror}") from err
    place = {"MS_NODE_ID": str(placement.rank), "MS_WORKER_NUM": str(placement.rank_size)}
    return {"MS_ROLE": "MS_WORKER", "MS_SCHED_HOST": host, "MS_SCHED_PORT": str(port), **place}


def _start(placement: Placement, environment: Mapping[str, str], answer_delay: float) -> tuple[str, int, int]:
    """Start the scheduler; return its host and port, and the port at which rank 0 waits for the others to end."""
    host = LOOPBACK
    if placement.local_size < placement.rank_size:
        name = environment.get("MS_SCHED_HOST") or socket.gethostname()
        try:
            host = socket.gethostbyname(name)
        except OSError as err:
            raise UserError(
                f"the address of {name} is not known ({err.strerror}); set MS_SCHED_HOST on rank 0"
            ) from err
        if host.startswith("127."):
            raise UserError(
                f"{name} is {host}, which other hosts cannot reach; set MS_SCHED_HOST on rank 0 to its address"
            )
    port = int(environment.get("MS_SCHED_PORT") or free_port())
    scheduler = start_scheduler(host, port, placement.rank_size, environment, answer_delay=answer_delay)
    others = socket.create_server((host, 0), backlog=placement.rank_size)

    def leave() -> None:
        """Wait until every other rank has closed its connection by exiting, then end the scheduler."""
        for connection, _ in [others.accept() for _ in range(placement.rank_size - 1)]:
            connection.recv(1)
        stop_scheduler(scheduler)

    end_at_once_after(leave)
    return host, port, others.getsockname()[1]
