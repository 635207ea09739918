"""Ranks of a job as threads of one process, which meet in every collective as processes do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from src.distributed.communicator import Communicator


class Threads(Communicator):
    """A communicator whose ranks are threads; floats are added in float32, as on the wire."""

    def __init__(self, rank: int, rank_size: int, shared: dict) -> None:
        super().__init__(rank, rank_size)
        self.shared = shared

    def sum_floats(self, values: np.ndarray) -> np.ndarray:
        self.shared[self.rank] = np.asarray(values, np.float32)
        self.shared["barrier"].wait(10)
        shapes = {self.shared[rank].shape for rank in range(self.rank_size)}
        assert len(shapes) == 1, f"the ranks are in different collectives: {shapes}"
        total = sum(self.shared[rank] for rank in range(self.rank_size))
        self.shared["barrier"].wait(10)
        return total


def on_ranks(rank_size: int, function: Callable[[Communicator], Any]) -> list:
    """Run ``function(communicator)`` on every rank; return the results."""
    shared: dict = {"barrier": threading.Barrier(rank_size)}
    with ThreadPoolExecutor(rank_size) as executor:
        ranks = [Threads(rank, rank_size, shared) for rank in range(rank_size)]
        return list(executor.map(function, ranks))
