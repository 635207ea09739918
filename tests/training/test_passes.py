"""Steps of several passes, and a run that ends early: what the callbacks see, with data sinks and without."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from src.base.json_lines import read_json_lines
from src.state.train_state import TrainState
from src.training import loop
from src.training.passes import AtUpdates
from src.utils.runtime import Runtime
from tests.model_stand_in import ModelStandIn, OwnLoop
from tests.training.test_sink_loop import Run

both_models = pytest.mark.parametrize("model", [ModelStandIn, OwnLoop])


class PassesRun(Run):
    """A run of three passes a step."""

    beats = 0

    def beat(self) -> None:
        self.beats += 1

    def train(self) -> None:
        config, state = self.config, self.state
        self.state = TrainState(
            state.step, config.total_step, last_step=config.stop_step or 0, accumulate_steps=config.accumulate_steps
        )
        callbacks = [AtUpdates(self.state, self.callbacks(), self.beat)]
        loop.run_training(self.cell, self.state, callbacks, config, Runtime("Ascend", 0, 0, 1, 1))


@both_models
def test_sinks_are_multiples_of_the_passes(monkeypatch, tmp_path, model):
    options = ["--log_interval", "10", "--checkpoint_interval", "20", "--accumulate_steps", "3"]
    run = PassesRun(monkeypatch, tmp_path, model, *options, "--total_step", "41", first=20)
    run.train()
    assert run.calls == [(60, 120, 30), (120, 123, None)]
    assert run.cell.steps == list(range(60, 123))
    assert run.saved() == {40: 60, 41: 63}  # passes since step 20
    assert run.logged() == [30, 40, 41]
    assert run.state.step == 41
    assert run.beats == 2  # without a sink: after the first two passes of the last step


@both_models
def test_waiting_and_time_of_a_step_are_those_of_its_passes(monkeypatch, tmp_path, model):
    """A batch takes 0.3 s and a pass 0.1 s."""
    clock = SimpleNamespace(now=100.0)

    def advance(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    options = ["--log_interval", "10", "--checkpoint_interval", "10", "--accumulate_steps", "3", "--total_step", "21"]
    run = PassesRun(monkeypatch, tmp_path, model, *options)
    run.before_batch, run.cell.after_step = lambda: advance(0.3), lambda step: advance(0.1)
    run.on_save = lambda: advance(1000.0)
    run.train()
    records = read_json_lines(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in records] == [10, 20, 21]
    for record in records:
        assert record["data_wait_ms"] == pytest.approx(900)
        assert record["ms_per_step"] == pytest.approx(1200)
        assert record["images_per_s"] == pytest.approx(4 / 1.2)  # the four images that `Run` gives a step
        assert record["loss"] == 3 * record["step"] - 1  # of the last pass


@both_models
def test_a_run_that_ends_early(monkeypatch, tmp_path, model, caplog):
    caplog.set_level("INFO")
    options = ["--log_interval", "10", "--checkpoint_interval", "20", "--total_step", "100", "--stop_step", "33"]
    run = PassesRun(monkeypatch, tmp_path, model, *options)
    run.train()
    assert run.calls == [(0, 30, 10), (30, 33, 3)]
    assert run.saved() == {20: 20, 33: 33}
    assert run.logged() == [10, 20, 30, 33]
    said = [record.getMessage() for record in caplog.records]
    assert "steps 31 to 33: a sink of 3, compiled once more; --stop_step 40 would avoid it" in said
    assert any(line.startswith("step 33/100, ") for line in said)
