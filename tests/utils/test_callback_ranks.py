"""Callbacks of several ranks, which have to meet in the same collectives."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.base.errors import EvaluationInterruptedError
from src.base.json_lines import read_json_lines
from src.distributed.communicator import Communicator
from src.state import checkpoint
from src.state.train_state import TrainState
from src.utils import callback
from src.utils.metrics import Evaluation
from tests.model_stand_in import RunContext
from tests.rank_threads import on_ranks

INTERVAL = 5


def train(ranks: Communicator, folder: Path, evaluate: Callable, *, shared: bool) -> tuple[int, list[int]]:
    """Play the steps of one rank until it stops; return the last step, and those of its checkpoints."""
    state = TrainState(0, 20, ranks)
    cell = ms.nn.BatchNorm2d(2)
    cell.dynamic, cell.statistics = False, [cell.moving_mean, cell.moving_variance]
    saver = callback.CheckpointSaver(
        state,
        cell,
        folder / str(ranks.rank),
        interval=INTERVAL,
        keep_max=9,
        run_info=lambda step: checkpoint.RunInfo(step, 20, 8, 1),
    )
    callbacks = [callback.StepCounter(state), saver, callback.StepEnd(state, saver)]
    if shared or ranks.rank == 0:
        evaluator = callback.Evaluator(
            state, saver, lambda should_stop: evaluate(state, should_stop), folder / "e.jsonl", shared=shared
        )
        callbacks.insert(2, evaluator)
    context, streak = RunContext(), Tensor(0, ms.int32)
    context.arguments.net_outputs = (0, 0, 0, 0, streak)
    while not context.stop and state.step < state.total_step:
        ranks.barrier()  # as the gradients do
        context.arguments.cur_step_num += 1
        for item in callbacks:
            item.on_train_step_begin(context)
        for item in callbacks:
            item.on_train_step_end(context)
    return state.step, [step for step, _ in checkpoint.list_checkpoints(saver.folder)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("rank_size", [1, 2, 3])
def test_all_ranks_stop_after_the_same_step_for_a_signal_while_evaluating(tmp_path, shared, rank_size):
    """What rank 0 evaluates by itself the others know nothing of: they are in the next step already."""

    def interrupted(state: TrainState, should_stop: Callable[[], bool]) -> Evaluation:
        if state.communicator.rank == 0:
            state.note_signal(signal.SIGTERM)
            assert should_stop()
        if shared:
            state.communicator.largest(int(should_stop()))
        raise EvaluationInterruptedError

    found = on_ranks(rank_size, lambda ranks: train(ranks, tmp_path, interrupted, shared=shared))
    alone = rank_size > 1 and not shared
    last = INTERVAL + 1 if alone else INTERVAL
    assert [step for step, _ in found] == rank_size * [last]
    assert found[0][1] == sorted({INTERVAL, last})


def test_the_scripts_evaluator_knows_whether_all_take_part(tmp_path, monkeypatch):
    import train as script
    from src.utils.config import parse_config

    monkeypatch.setattr(script, "make_evaluation", lambda *arguments: None)
    network, cell = SimpleNamespace(head_names=("main",)), SimpleNamespace(overflow=SimpleNamespace(advice=""))
    for parallel in (True, False):
        options = ["--save_dir", str(tmp_path), "--run_eval", "True", "--eval_parallel", str(parallel)]
        state = TrainState(0, 20, Communicator(0, 2))
        callbacks = script.create_callbacks(state, network, cell, np.ones(20), parse_config(options, "train"))
        (evaluator,) = [item for item in callbacks if isinstance(item, callback.Evaluator)]
        assert evaluator.shared == parallel


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
