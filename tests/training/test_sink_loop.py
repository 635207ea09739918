"""The training loop with data sinks, which only an Ascend has: how steps are cut, and what happens around a sink."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.base.errors import DataError, TrainingError
from src.base.json_lines import read_json_lines
from src.state import checkpoint
from src.state.train_state import TrainState
from src.training import loop
from src.utils import callback
from src.utils.config import parse_config
from src.utils.runtime import Runtime
from tests.model_stand_in import Batches, ModelStandIn, OwnLoop

ADVICE = "steps {} to {}: {}, compiled once more; {} would avoid it"


@pytest.mark.parametrize(
    ("first", "last", "intervals", "expected", "said"),
    [
        (0, 160000, (10, 2000), [(0, 160000, 10)], ["data sink: 10 steps"]),
        (0, 100, (20, 50), [(0, 100, 10)], ["data sink: 10 steps"]),
        (0, 60, (30, 90), [(0, 60, 30)], ["data sink: 30 steps"]),
        (0, 165, (10, 2000), [(0, 165, 5)], ["data sink: 5 steps"]),  # shorter ones instead of a second size
        (35, 165, (30, 90), [(35, 165, 5)], ["data sink: 5 steps"]),
        (5, 160, (10, 2000), [(5, 160, 5)], ["data sink: 5 steps"]),
        (
            0,
            164,
            (10, 2000),
            [(0, 160, 10), (160, 164, 4)],
            ["data sink: 10 steps", ADVICE.format(161, 164, "a sink of 4", "--total_step 170")],
        ),
        (
            20,
            41,
            (10, 20),
            [(20, 40, 10), (40, 41, 1)],
            ["data sink: 10 steps", ADVICE.format(41, 41, "no sink", "--total_step 50")],
        ),
        (
            3,
            25,
            (10, 20),
            [(3, 10, 7), (10, 20, 10), (20, 25, 5)],
            [
                "data sink: 10 steps",
                ADVICE.format(4, 10, "a sink of 7", "resuming at a multiple of 10"),
                ADVICE.format(21, 25, "a sink of 5", "--total_step 30"),
            ],
        ),
        (0, 8, (10, 20), [(0, 8, 8)], ["data sink: 8 steps"]),
        (0, 12, (4, 6), [(0, 12, 2)], ["data sink: 2 steps"]),
        (
            7,
            100,
            (1, 20),
            [(7, 100, 1)],
            [
                "no data sink: with --log_interval 1 and --checkpoint_interval 20 it would have a single step; "
                "where both are multiples of 10 it has 10"
            ],
        ),
    ],
)
def test_how_steps_are_cut_into_sinks(caplog, first, last, intervals, expected, said):
    caplog.set_level("INFO")
    assert loop.plan_sinks(first, last, *intervals) == expected
    assert [record.getMessage() for record in caplog.records] == said


@pytest.mark.parametrize("intervals", [(4, 6), (10, 15), (20, 30), (3, 5)])
def test_no_log_or_checkpoint_is_missed_by_a_sink(intervals):
    for first in range(14):
        for last in range(14, 70, 3):
            ends = []
            for start, end, size in loop.plan_sinks(first, last, *intervals):
                assert (end - start) % size == 0
                ends += range(start + size, end + 1, size)
            wanted = {
                step for step in range(first + 1, last + 1) if any(step % interval == 0 for interval in intervals)
            }
            assert wanted | {last} <= set(ends)
            assert ends == sorted(ends)


class Counting(nn.Cell):
    """Stands in for the train cell: its weight and its loss are the number of batches seen."""

    dynamic = False

    def __init__(self, streak: int = 0) -> None:
        super().__init__()
        self.weight = Parameter(Tensor(0.0, ms.float32), name="weight")
        self.steps: list[int] = []
        self.after_step, self.streak = lambda step: None, streak

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        self.steps.append(step)
        self.weight.set_data(Tensor(float(len(self.steps)), ms.float32))
        self.after_step(step)
        loss, number = Tensor(float(step), ms.float32), Tensor(3, ms.int32)
        return loss, Tensor([0.5], ms.float32), Tensor(8.0, ms.float32), number, Tensor(self.streak, ms.int32)


class Run:
    """A run of `run_training` on what it takes for an Ascend, in `folder`."""

    def __init__(self, monkeypatch, folder: Path, model: type, *options: str, first: int = 0) -> None:
        self.folder, self.first, self.cell = folder, first, Counting()
        self.config = parse_config(list(options), "train")
        self.state = TrainState(first, self.config.total_step)
        self.calls, self.before_batch, self.on_save = [], lambda: None, lambda: None
        monkeypatch.setattr(loop, "create_train_dataset", self.dataset)
        monkeypatch.setattr(loop, "Model", self.record(model))

    def record(self, model: type) -> type:
        calls = self.calls

        class Recording(model):
            def train(self, epoch, dataset, callbacks, dataset_sink_mode, sink_size) -> None:
                steps = dataset.steps
                calls.append((steps.start, steps.stop, sink_size if dataset_sink_mode else None))
                super().train(epoch, dataset, callbacks, dataset_sink_mode, sink_size)

        return Recording

    def dataset(self, data, *, start_step, total_step, feed, **others) -> Batches:
        return Batches(start_step, total_step, feed, self.before_batch)

    def callbacks(self) -> list:
        def info(step: int) -> checkpoint.RunInfo:
            self.on_save()
            return checkpoint.RunInfo(step, self.config.total_step, 4, 1)

        rates, metrics = np.linspace(1, 0, self.config.total_step), self.folder / "metrics.jsonl"
        saver = callback.CheckpointSaver(
            self.state, self.cell, self.folder, interval=self.config.checkpoint_interval, keep_max=99, run_info=info
        )
        return [
            callback.StepCounter(self.state),
            callback.StepLogger(self.state, rates, 4, self.config.log_interval, metrics, head_names=("main",)),
            callback.NonFiniteGuard(self.state),
            saver,
            callback.StepEnd(self.state, saver),
        ]

    def train(self) -> None:
        loop.run_training(self.cell, self.state, self.callbacks(), self.config, Runtime("Ascend", 0, 0, 1, 1))

    def saved(self) -> dict[int, int]:
        """Return the number of batches that each checkpoint has seen, by the step that it names."""
        found = {}
        for step, path in checkpoint.list_checkpoints(self.folder):
            values = checkpoint.read_checkpoint(path)
            assert checkpoint.read_run_info(values, path).step == step
            found[step] = int(values["weight"])
        return found

    def logged(self) -> list[int]:
        return [record["step"] for record in read_json_lines(self.folder / "metrics.jsonl")]


OPTIONS = ("--log_interval", "10", "--checkpoint_interval", "20")
both_models = pytest.mark.parametrize("model", [ModelStandIn, OwnLoop])


@both_models
def test_steps_logs_and_checkpoints(monkeypatch, tmp_path, model):
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "43")
    run.train()
    assert run.calls == [(0, 40, 10), (40, 43, 3)]
    assert run.cell.steps == list(range(43))
    assert run.saved() == {20: 20, 40: 40, 43: 43}
    assert run.logged() == [10, 20, 30, 40, 43]
    records = read_json_lines(tmp_path / "metrics.jsonl")
    assert [record["loss"] for record in records] == [9, 19, 29, 39, 42]  # the sink's last step
    assert [record["overflows"] for record in records] == 5 * [3]


@both_models
def test_a_resumed_run_and_a_last_step_without_a_sink(monkeypatch, tmp_path, model):
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "41", first=20)
    run.train()
    assert run.calls == [(20, 40, 10), (40, 41, None)]
    assert run.cell.steps == list(range(20, 41))
    assert run.saved() == {40: 20, 41: 21}
    assert run.logged() == [30, 40, 41]
    assert run.state.step == 41


@both_models
def test_no_sink_where_every_step_is_logged(monkeypatch, tmp_path, model):
    run = Run(monkeypatch, tmp_path, model, "--log_interval", "1", "--checkpoint_interval", "4", "--total_step", "6")
    run.train()
    assert run.calls == [(0, 6, None)]
    assert run.saved() == {4: 4, 6: 6}
    assert run.logged() == [1, 2, 3, 4, 5, 6]


@both_models
@pytest.mark.parametrize(
    ("at_step", "stops_after", "saved"),
    [
        (13, 20, {20: 20}),
        (25, 30, {20: 20, 30: 30}),  # no checkpoint was due
        (39, 40, {20: 20, 40: 40}),  # the segment is complete, the next one does not begin
        (41, 43, {20: 20, 40: 40, 43: 43}),
    ],
)
def test_a_signal_within_a_sink_stops_after_it(monkeypatch, tmp_path, model, at_step, stops_after, saved):
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "43")
    run.cell.after_step = lambda step: step == at_step and run.state.note_signal(signal.SIGTERM)
    run.train()
    assert (run.state.step, run.state.signal_number) == (stops_after, signal.SIGTERM)
    assert run.cell.steps == list(range(stops_after))
    assert run.saved() == saved


@both_models
def test_a_signal_while_saving_stops_after_that_sink(monkeypatch, tmp_path, model):
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "43")
    run.on_save = lambda: run.state.signal_number or run.state.note_signal(signal.SIGTERM)
    run.train()
    assert run.cell.steps == list(range(20))
    assert run.saved() == {20: 20}


@both_models
def test_what_a_sink_counts_ends_the_run(monkeypatch, tmp_path, model):
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "100")
    run.cell.after_step = lambda step: setattr(run.cell, "streak", step + 1)
    with pytest.raises(TrainingError, match="step 50: loss or gradients were not finite for 50 consecutive steps"):
        run.train()


@both_models
def test_an_unusable_file_ends_the_run_with_its_name(monkeypatch, tmp_path, model):
    def fail() -> None:
        raise RuntimeError("Exception thrown from dataset pipeline.\nDataError: a.png: damaged\n- more\n")

    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "100")
    run.before_batch = fail
    with pytest.raises(DataError, match=r"^a\.png: damaged$"):
        run.train()


@both_models
def test_waiting_within_a_sink_and_without_one(monkeypatch, tmp_path, model):
    """A batch takes 0.3 s and a step 0.1 s, one after the other: nothing is fetched ahead here."""
    clock = SimpleNamespace(now=100.0)

    def advance(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    run = Run(monkeypatch, tmp_path, model, *OPTIONS, "--total_step", "41")
    run.before_batch, run.cell.after_step = lambda: advance(0.3), lambda step: advance(0.1)
    run.on_save = lambda: advance(1000.0)
    run.train()
    records = read_json_lines(tmp_path / "metrics.jsonl")
    assert run.calls[-1] == (40, 41, None)
    assert len(records) == 5
    for record in records:
        assert record["data_wait_ms"] == pytest.approx(300)
        assert record["ms_per_step"] == pytest.approx(400)
