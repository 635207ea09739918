"""Device, rank and threads of this process, and their set-up.

MindSpore is imported inside the functions, because this module is imported before MindSpore.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass

from src.base.cores import one_thread_at_a_time, ranks_sharing_cores, usable_threads
from src.base.errors import UserError
from src.distributed.job_end import end_at_once_after
from src.distributed.placement import MPIRUN, SINGLE, Placement
from src.utils.local_adapter import (
    cap_onednn,
    choose_device,
    discover_rank,
    early_notes,
    has_own_scheduler,
    init_cluster,
    meet_by_mpi,
    mindspore_version,
    set_cpu_threads,
    set_device,
)

logger = logging.getLogger(__name__)

OLDEST, NEWEST = (2, 0), (2, 10)  # MindSpore
# Fuse gradients into messages of up to 64 MB, MindSpore's default for "auto"; those of this network take 21 MB in all.
COMM_FUSION = {"comm_fusion": {"allreduce": {"mode": "auto", "config": None}}}


@dataclass(frozen=True)
class Runtime:
    """Device of this process, and its place among the processes of the job and of the host."""

    device_target: str
    device_id: int
    rank: int
    rank_size: int
    num_threads: int
    local_rank: int = 0
    local_size: int = 1
    launcher: str = SINGLE

    @property
    def ranks_sharing_cores(self) -> int:
        """Return how many ranks share the cores of `usable_cores`; 1 if each has cores of its own."""
        return ranks_sharing_cores(self.local_size)


def init_device(device_target: str | None, device_id: int | None, ms_mode: int, num_threads: int | None) -> Runtime:
    """Check the version, find rank and device, and set the MindSpore context.

    It does not connect to the other ranks: device settings must come before that, see `join_job`.

    Args:
        device_target: "Ascend", "GPU", "CPU" or None for the best one.
        device_id: device number or None.
        ms_mode: 0 graph mode, 1 PyNative mode.
        num_threads: threads of the CPU kernels, None for OMP_NUM_THREADS or all cores.

    Raises:
        UserError: MindSpore is missing or of an unknown version, or the device is missing.
    """
    version = mindspore_version()
    if not OLDEST <= version[:2] <= NEWEST:
        found = ".".join(map(str, version)) or "none"
        raise UserError(f"needs MindSpore 2.0 to 2.10, found {found}; pip install -r requirements.txt")
    placement = discover_rank()
    cap_onednn()  # the scripts have, a program of the user's own may not
    import mindspore as ms

    target, number = choose_device(device_target, device_id, placement)
    set_device(target, number)
    ms.set_context(mode=ms.PYNATIVE_MODE if ms_mode else ms.GRAPH_MODE)
    threads = num_threads or usable_threads(ranks_sharing_cores(placement.local_size))
    if target == "CPU":
        set_cpu_threads(threads)
    for note in early_notes():
        logger.info("%s", note)
    mode = "PyNative" if ms_mode else "graph"
    logger.info("MindSpore %s, %s mode, device %s %d, %d CPU threads", ms.__version__, mode, target, number, threads)
    return Runtime(
        target, number, placement.rank, placement.rank_size, threads, *placement.local_place, placement.launcher
    )


def join_job(placement: Placement, device_target: str) -> int:
    """Connect to the other ranks for data-parallel training; return this rank.

    Call it after `apply_settings`: determinism covers the communication only if it is set before that starts, and
    MindSpore warns that settings may have no effect once the device is in use. MindSpore 2.0 numbers the processes of a
    dynamic cluster itself, whatever the launcher says.

    Raises:
        UserError: the other ranks cannot be reached.
    """
    import mindspore as ms

    if placement.launcher == MPIRUN and device_target == "CPU":
        meet_by_mpi(placement)  # MindSpore needs a scheduler on the CPU
    elif device_target == "CPU" and has_own_scheduler():
        end_at_once_after(lambda: None)
    try:
        with one_thread_at_a_time() if device_target == "CPU" else contextlib.nullcontext():
            rank = init_cluster()
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[0][:200]
        raise UserError(f"rank {placement.rank} of {placement.rank_size} cannot join the job: {reason}") from err
    ms.set_auto_parallel_context(
        parallel_mode=ms.ParallelMode.DATA_PARALLEL,
        gradients_mean=True,
        device_num=placement.rank_size,
        **(COMM_FUSION if device_target == "Ascend" else {}),
    )
    return rank
