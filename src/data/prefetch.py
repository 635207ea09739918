"""Reading ahead in threads.

Threads, not processes: decoding and resizing run inside OpenCV, which releases the interpreter lock, as MindSpore does
while a step runs. MindSpore's worker processes took a third more CPU time per image when measured, for copies through
shared memory, and they need a large /dev/shm and the fork of a process that may hold a device already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

from src.base.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_workers(requested: int, num_items: int, ranks_on_host: int = 1) -> int:
    """Limit a number of workers to this rank's share of the cores and to the number of items; at least 1."""
    return max(1, min(requested, usable_cores() // ranks_on_host, num_items))


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for all `items`, in their order, computed by `workers` threads ahead of time.

    At most two results per worker are pending. An exception of `function` is raised in place of its result. Closing the
    iterator drops calls that have not begun.
    """
    cv2.setNumThreads(0)  # samples are processed in parallel; threads within each would only compete
    executor = ThreadPoolExecutor(workers, thread_name_prefix="read-ahead")
    pending: deque[Future] = deque()
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        executor.shutdown(wait=False)
