"""How long training waits for its batches, under a data sink and compared over the ranks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from src.distributed.communicator import Communicator

Batch = TypeVar("Batch")


class Feed:
    """When the batches of a data sink were asked for, and when they were there.

    A sink takes its batches inside the graph, where no callback sees it wait. What the host sees is this end of the
    queues before the device: MindSpore's fetching thread asks for the next batch as soon as they have room.
    """

    def __init__(self) -> None:
        self._times: deque[tuple[float, float]] = deque()

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield `batches` and note their times; a new pass over the data drops those of the one before.

        MindSpore takes a batch for its type and shape before the pass that trains.
        """
        times = self._times = deque()
        asked = time.monotonic()
        for batch in batches:
            times.append((asked, time.monotonic()))
            yield batch
            asked = time.monotonic()

    def waited(self, steps: int, begin: float, end: float) -> float:
        """Return the seconds that the next `steps` steps, one sink, waited for their batches; to be called in order.

        The fetching thread is no measure by itself: it is kept waiting while the device computes, too. So the longest
        time of a step is taken with which all steps still fit in between their batch's arrival and the end of the sink,
        if they take equally long; the rest of the sink is waiting. It is never more than the time for which batches
        were being waited for at all: a graph that compiles first waits for nothing.

        Args:
            steps: steps of the sink.
            begin: when it began, in seconds of `time.monotonic`.
            end: when its last step was done.
        """
        times = [self._times.popleft() for _ in range(min(steps, len(self._times)))]
        if not times:
            return 0.0
        arrivals = [max(arrived, begin) for _, arrived in times]
        per_step = min((end - arrived) / (len(times) - i) for i, arrived in enumerate(arrivals))
        blocked = sum(max(0.0, arrived - max(asked, begin)) for asked, arrived in times)
        return min(blocked, end - begin - len(times) * per_step)


def compare_waits(wait_ms: float, communicator: Communicator) -> dict[str, float]:
    """Return the shortest and the longest wait of all ranks and the rank of the longest; nothing for a single rank.

    All ranks wait for the slowest one, whose host may lack cores or read from a slow disk.

    Args:
        wait_ms: milliseconds that this rank waited for a batch.
        communicator: the ranks, all of which call this.
    """
    if communicator.rank_size == 1:
        return {}
    waits = communicator.all_gather(round(1000 * wait_ms))  # whole microseconds
    longest = int(waits.argmax())
    return {
        "data_wait_ms_min": int(waits.min()) / 1000,
        "data_wait_ms_max": int(waits[longest]) / 1000,
        "data_wait_rank": longest,
    }


def wait_text(record: Mapping[str, float]) -> str:
    """Return what a record of metrics.jsonl says about waiting, for the log."""
    if "data_wait_rank" not in record:
        return f"{record['data_wait_ms']:.1f} ms a step"
    low, high, rank = (record[f"data_wait_{name}"] for name in ("ms_min", "ms_max", "rank"))
    return f"{low:.1f} to {high:.1f} ms a step, the longest on rank {rank}"
