"""What ranks tell each other, with threads in the place of processes; the real thing is in test_distributed.py."""

from __future__ import annotations

import numpy as np
import pytest

from src.base.errors import TrainingError
from src.distributed.communicator import Communicator
from src.state.train_state import TrainState
from tests.rank_threads import on_ranks


@pytest.mark.parametrize("rank_size", [2, 3, 8])
def test_whole_numbers_are_added_exactly(rank_size):
    values = np.random.default_rng(0).integers(0, 2**59, (rank_size, 5, 7))
    values[:, 0, 0] = 2**59 - 1
    values[:, 0, 1] = 0
    for total in on_ranks(rank_size, lambda ranks: ranks.sum_integers(values[ranks.rank])):
        assert total.dtype == np.int64
        np.testing.assert_array_equal(total, values.sum(axis=0))


def test_as_many_ranks_as_are_promised():
    ones = np.full(3, 2**16 - 1)
    pieces = np.float32(0)
    for _ in range(256):  # the largest pieces, added one by one as an all-reduce may do
        pieces = np.float32(pieces + np.float32(ones[0]))
    assert int(pieces) == 256 * (2**16 - 1)


def test_text_and_numbers_of_all():
    assert on_ranks(3, lambda ranks: ranks.broadcast_text("läufe/1" if ranks.rank == 0 else "")) == 3 * ["läufe/1"]
    assert on_ranks(3, lambda ranks: ranks.largest(ranks.rank * 10)) == [20, 20, 20]
    assert on_ranks(3, lambda ranks: ranks.all_gather(2**48 - ranks.rank).tolist()) == 3 * [
        [2**48, 2**48 - 1, 2**48 - 2],
    ]
    with pytest.raises(ValueError, match="at most 4096"):
        Communicator().broadcast_text("x" * 5000)


def test_one_rank_alone_sends_nothing():
    alone = Communicator()
    assert alone.sum_integers(5) == 5
    assert alone.sum_floats(2.5) == 2.5
    assert alone.broadcast_text("runs/x") == "runs/x"
    assert alone.largest(3) == 3
    alone.barrier()


def test_a_signal_of_one_rank_stops_all():
    def step(ranks: Communicator) -> tuple[bool, int | None]:
        state = TrainState(0, 10, ranks)
        if ranks.rank == 1:
            state.note_signal(15)
        before = state.stopping
        state.agree_on_stop()
        return before, state.stopping, state.signal_number

    assert on_ranks(3, step) == 3 * [(False, True, 15)]
    assert on_ranks(2, lambda ranks: TrainState(0, 10, ranks).agree_on_stop()) == [None, None]


def test_ranks_that_drift_apart_are_stopped():
    ms = pytest.importorskip("mindspore")
    from src.state.checkpoint import average_statistics, check_equal_weights

    def compare(ranks: Communicator) -> str:
        same = ms.Parameter(ms.Tensor(np.ones(3, np.float32)), name="weight")
        statistic = ms.Parameter(ms.Tensor(np.full((2,), ranks.rank, np.float32)), name="mean")
        average_statistics([statistic], ranks)
        np.testing.assert_array_equal(statistic.asnumpy(), [0.5, 0.5])
        check_equal_weights([same, statistic], ranks, 1)
        other = ms.Parameter(ms.Tensor(np.full((3,), ranks.rank, np.float32)), name="weight")
        with pytest.raises(TrainingError, match="step 2: the ranks have different weights.*HCCL_OP_EXPANSION_MODE"):
            check_equal_weights([other], ranks, 2)
        return "compared"

    assert on_ranks(2, compare) == ["compared", "compared"]
