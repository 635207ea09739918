"""How long training waits for its batches: under a data sink, and compared between ranks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from src.distributed.communicator import Communicator

Batch = TypeVar("Batch")


class Feed:
    """Times at which the batches of a data sink were requested and available.

    A sink takes its batches inside the graph, where no callback sees it wait. The host only sees its end of the queues
    to the device: MindSpore's fetching thread requests the next batch as soon as they have room.
    """

    def __init__(self) -> None:
        self._times: deque[tuple[float, float]] = deque()

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield `batches` and record their times; each call discards the times of earlier ones.

        Earlier ones exist because MindSpore takes a batch for its type and shape before the pass that trains.
        """
        times = self._times = deque()
        asked = time.monotonic()
        for batch in batches:
            times.append((asked, time.monotonic()))
            yield batch
            asked = time.monotonic()

    def waiting_seconds(self, steps: int, begin: float, end: float) -> float:
        """Return for how many seconds the next `steps` steps, one sink, waited for batches; to be called in order.

        The fetching thread's waits alone do not say: it also waits while the device computes. Assuming that all steps
        take equally long, the step time is the longest with which every step fits between the arrival of its batch and
        the end of the sink; the rest of the sink's time is waiting. The result is at most the time during which a batch
        was pending, so that compilation does not count as waiting.

        Args:
            steps: number of steps of the sink.
            begin: start of the sink, in seconds of `time.monotonic`.
            end: end of its last step, likewise.
        """
        times = [self._times.popleft() for _ in range(min(steps, len(self._times)))]
        if not times:
            return 0.0
        arrivals = [max(arrived, begin) for _, arrived in times]
        per_step = min((end - arrived) / (len(times) - i) for i, arrived in enumerate(arrivals))
        blocked = sum(max(0.0, arrived - max(asked, begin)) for asked, arrived in times)
        return min(blocked, end - begin - len(times) * per_step)


def compare_waits(wait_ms: float, communicator: Communicator) -> dict[str, float]:
    """Return the shortest and the longest wait of all ranks and the rank of the longest; empty for a single rank.

    All ranks wait for the slowest one, whose host may lack cores or read from a slow disk.

    Args:
        wait_ms: milliseconds that this rank waited for a batch.
        communicator: connects the ranks, all of which must call this.
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
    """Return the waiting times in a record of metrics.jsonl as text for the log."""
    if "data_wait_rank" not in record:
        return f"{record['data_wait_ms']:.1f} ms a step"
    low, high, rank = (record[f"data_wait_{name}"] for name in ("ms_min", "ms_max", "rank"))
    return f"{low:.1f} to {high:.1f} ms a step, the longest on rank {rank}"
