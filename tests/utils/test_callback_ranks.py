"""Callbacks of several ranks, which have to meet in the same collectives."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.base.json_lines import read_json_lines
from src.distributed.communicator import Communicator
from src.state.train_state import TrainState
from src.utils import callback
from tests.model_stand_in import RunContext
from tests.rank_threads import on_ranks


def test_the_slowest_rank_is_in_the_metrics(tmp_path, caplog):
    """A single rank's records are those of test_metrics_file in test_callback.py."""
    caplog.set_level("INFO")

    def steps(ranks: Communicator) -> None:
        state, path = TrainState(0, 20, ranks), tmp_path / "metrics.jsonl" if ranks.rank == 0 else None
        step_logger = callback.StepLogger(state, np.ones(20), 8, 10, path, head_names=("main",))
        context = RunContext()
        context.arguments.net_outputs = [Tensor(value, ms.float32) for value in (2.5, [2.5], 1.0, 0, 0)]
        for step in range(1, 21):
            state.step, state.elapsed = step, step
            state.data_wait += (0.002, 0.5, 0.001)[ranks.rank]
            step_logger.on_train_step_end(context)

    on_ranks(3, steps)
    records = read_json_lines(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in records] == [10, 20]
    for record in records:
        assert list(record)[6:10] == ["data_wait_ms", "data_wait_ms_min", "data_wait_ms_max", "data_wait_rank"]
        assert [record[name] for name in list(record)[6:10]] == pytest.approx([2, 1, 500, 1])
    assert "data wait 1.0 to 500.0 ms a step, the longest on rank 1, loss scale 1, 0 overflows" in caplog.text
