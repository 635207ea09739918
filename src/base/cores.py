"""CPU cores: how many this process may use, and dividing them among the ranks of a host. Needs no MindSpore."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

CORES_DIVIDED = "RANK_CORES_DIVIDED"  # set for the processes that a rank starts
# Whether this rank has cores of its own among those of the host.
_cores_are_divided = False


def cpu_has_avx512(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the CPU has AVX-512; False where that cannot be read."""
    try:
        return "avx512f" in cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False


def usable_cores() -> int:
    """Return the number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_threads(processes: int = 1) -> int:
    """Return how many threads the kernels of each process get where `processes` share this process's cores.

    OMP_NUM_THREADS takes precedence if it is set, as in other numerical software; of a list the first number counts.
    """
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if setting.isascii() and setting.isdigit() and int(setting) > 0:
        return int(setting)
    return max(1, usable_cores() // processes)


def divide_cores(local_rank: int, local_size: int) -> None:
    """Pin this rank, with all threads and processes it starts from now on, to its share of the job's cores.

    Args:
        local_rank: number of this rank among the ranks of the host.
        local_size: number of ranks on the host.
    """
    global _cores_are_divided
    if local_size == 1 or not hasattr(os, "sched_setaffinity"):
        return
    if CORES_DIVIDED not in os.environ:
        cores = sorted(os.sched_getaffinity(0))
        share = len(cores) // local_size
        if share:  # fewer cores than ranks, e.g. because mpirun bound each rank to one: nothing to divide
            first = local_rank * share
            os.sched_setaffinity(0, cores[first : first + share])
        os.environ[CORES_DIVIDED] = "1"
    _cores_are_divided = True


def ranks_sharing_cores(local_size: int) -> int:
    """Return how many of a host's `local_size` ranks share the `usable_cores`; 1 if each rank has its own."""
    return 1 if _cores_are_divided else local_size


@contextlib.contextmanager
def one_thread_at_a_time() -> Iterator[None]:
    """Run this thread, and those that start within the block, one at a time, each until it waits.

    Works around a race when a rank joins a job: in MindSpore 2.8 and 2.10 the thread that watches a connection may
    record it as established before the connecting thread has recorded it as pending; the rank then retries for up to a
    minute.

    The threads share one core under the batch policy, where a waking thread does not preempt another (sched(7)). Has no
    effect where the system lacks that policy or does not permit it.
    """
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    cores, others = os.sched_getaffinity(0), _threads()
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(cores)})
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        for thread in _threads() - others | {threading.get_native_id()}:
            with contextlib.suppress(OSError):  # it may have ended
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
                os.sched_setaffinity(thread, cores)


def _threads() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}
