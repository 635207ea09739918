"""Communication between the ranks of a job outside the training step: sums, text, barriers."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

_BITS = 16  # bits of an integer that each summed float32 carries: exact for up to 256 ranks
_TEXT_BYTES = 4096


class Communicator:
    """Collective operations; all ranks must call them in the same order. With a single rank nothing is sent.

    Args:
        rank: number of this process.
        rank_size: number of processes.
    """

    def __init__(self, rank: int = 0, rank_size: int = 1) -> None:
        self.rank, self.rank_size = rank, rank_size

    @property
    def place(self) -> tuple[int, int]:
        """Rank and number of ranks."""
        return self.rank, self.rank_size

    @functools.cached_property
    def _all_reduce(self) -> Callable[[np.ndarray], np.ndarray]:
        from src.distributed.all_reduce import sum_over_ranks  # MindSpore loads here, not with this module

        return sum_over_ranks()

    def sum_floats(self, values: ArrayLike) -> np.ndarray:
        """Add up float32 arrays of one shape over all ranks."""
        values = np.asarray(values, np.float32)
        return values if self.rank_size == 1 else self._all_reduce(values)

    def sum_integers(self, values: ArrayLike) -> np.ndarray:
        """Add up arrays of non-negative integers below 2**63 exactly over all ranks; int64.

        The CPU's all-reduce supports floats only, so the numbers are sent in pieces of 16 bits.
        """
        values = np.asarray(values, np.int64)
        if self.rank_size == 1:
            return values
        pieces = np.stack([values >> shift & (1 << _BITS) - 1 for shift in range(0, 64, _BITS)])
        summed = self.sum_floats(pieces).astype(np.int64)
        return sum(piece << shift for piece, shift in zip(summed, range(0, 64, _BITS)))

    def all_gather(self, value: int) -> np.ndarray:
        """Return the non-negative number of every rank, (rank_size,) int64."""
        values = np.zeros(self.rank_size, np.int64)
        values[self.rank] = value
        return self.sum_integers(values)

    def largest(self, value: int) -> int:
        """Return the largest of the ranks' non-negative numbers."""
        return int(self.all_gather(value).max())

    def barrier(self) -> None:
        """Wait until every rank has reached this call."""
        self.sum_floats(np.zeros(1))

    def broadcast_text(self, text: str) -> str:
        """Return the text of rank 0 on every rank, up to 4096 bytes of UTF-8."""
        data = np.frombuffer(text.encode(), np.uint8)
        if len(data) > _TEXT_BYTES:
            raise ValueError(f"text of {len(data)} bytes, at most {_TEXT_BYTES} can be sent")
        sent = np.zeros(_TEXT_BYTES)
        if self.rank == 0:
            sent[: len(data)] = data
        return self.sum_floats(sent).astype(np.uint8).tobytes().rstrip(b"\0").decode()
