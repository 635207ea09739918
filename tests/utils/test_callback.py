"""Callbacks one by one, driven by a made-up training loop."""

from __future__ import annotations

import json
import logging
import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.base.errors import EvaluationInterruptedError, TrainingError
from src.base.json_lines import read_json_lines
from src.base.progress import format_seconds
from src.modules import overflow
from src.state import checkpoint
from src.state.train_state import TrainState, catch_signals
from src.utils import callback
from src.utils.metrics import Evaluation

ROOT = Path(__file__).resolve().parents[2]
RATES = np.linspace(0.05, 0.0, 100)
HEADS = ("main", "aux2", "aux3", "aux4", "aux5_4")


class RunContext:
    """What MindSpore hands to a callback."""

    def __init__(self, step: int, **outputs: float) -> None:
        values = {"loss": 2.5, "scale": 8.0, "overflows": 0, "streak": 0, **outputs}
        heads = Tensor([0.1, 0.2, 0.3, 0.4, 1.5], ms.float32)
        tensors = [Tensor(values["loss"], ms.float32), heads]
        tensors += [
            Tensor(values[name], kind)
            for name, kind in (("scale", ms.float32), ("overflows", ms.int32), ("streak", ms.int32))
        ]
        self.arguments = SimpleNamespace(cur_step_num=step, net_outputs=tuple(tensors))
        self.stopped = False

    def original_args(self) -> SimpleNamespace:
        return self.arguments

    def request_stop(self) -> None:
        self.stopped = True


def drive(callbacks: list, contexts: list[RunContext]) -> None:
    for item in callbacks:
        item.on_train_begin(contexts[0])
    for context in contexts:
        for item in callbacks:
            item.on_train_step_begin(context)
        for item in callbacks:
            item.on_train_step_end(context)


def make_logger(tmp_path: Path, *, start: int = 0, total: int = 100, interval: int = 10) -> tuple[list, Path]:
    state, path = TrainState(start, total), tmp_path / "metrics.jsonl"
    return [callback.StepCounter(state), callback.StepLogger(state, RATES, 8, interval, path, head_names=HEADS)], path


def test_log_line_has_the_published_shape(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    callbacks, _ = make_logger(tmp_path)
    drive(callbacks, [RunContext(step, loss=8.22469) for step in range(1, 21)])
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("step ")]
    assert len(lines) == 2
    assert re.fullmatch(r"step 20/100, loss: 8\.2247, cur_lr: \d\.\d{6}, cost \d+\.\d{2} ms", lines[1])
    assert f"cur_lr: {RATES[19]:.6f}" in lines[1]


def test_metrics_file(tmp_path):
    callbacks, path = make_logger(tmp_path, start=40, interval=20)
    drive(callbacks, [RunContext(step, overflows=3) for step in range(1, 61)])
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [r["step"] for r in records] == [60, 80, 100]
    assert list(records[0]) == [
        "step",
        "loss",
        "loss_main",
        "loss_aux2",
        "loss_aux3",
        "loss_aux4",
        "loss_aux5_4",
        "lr",
        "ms_per_step",
        "images_per_s",
        "data_wait_ms",
        "loss_scale",
        "overflows",
    ]
    first = records[0]
    assert (first["loss"], first["loss_scale"], first["overflows"]) == (2.5, 8.0, 3)
    assert first["loss_aux5_4"] == 1.5
    assert first["lr"] == pytest.approx(RATES[59])
    assert first["images_per_s"] == pytest.approx(8000 / first["ms_per_step"])
    assert 0 <= first["data_wait_ms"] <= first["ms_per_step"]


def test_last_step_is_logged_off_the_grid(tmp_path):
    callbacks, path = make_logger(tmp_path, total=13)
    drive(callbacks, [RunContext(step) for step in range(1, 14)])
    assert [r["step"] for r in read_json_lines(path)] == [10, 13]


def test_sinks_advance_by_several_steps(tmp_path):
    callbacks, path = make_logger(tmp_path)
    drive(callbacks, [RunContext(10), RunContext(20), RunContext(30)])
    assert [r["step"] for r in read_json_lines(path)] == [10, 20, 30]


def test_new_overflows_are_reported(tmp_path, caplog):
    callbacks, _ = make_logger(tmp_path, interval=1)
    drive(callbacks, [RunContext(1), RunContext(2, overflows=2, scale=4), RunContext(3, overflows=2, scale=4)])
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == ["gradients of 2 steps so far were not finite, loss scale 4"]


def test_non_finite_losses_are_null_in_the_file(tmp_path):
    callbacks, path = make_logger(tmp_path, interval=1)
    drive(callbacks, [RunContext(1, loss=math.inf)])
    assert read_json_lines(path)[0]["loss"] is None


def test_guard_stops_after_fifty_bad_steps():
    state = TrainState(0, 100)
    guard = [callback.StepCounter(state), callback.NonFiniteGuard(state)]
    drive(guard, [RunContext(step, streak=step) for step in range(1, 50)])
    with pytest.raises(TrainingError, match="step 50: loss or gradients were not finite for 50 consecutive steps"):
        drive(guard, [RunContext(1, streak=50)])


def test_guard_says_what_the_overflow_check_advises():
    state = TrainState(0, 100)
    advice = {kind: kind.advice for kind in (overflow.FiniteByRegister, overflow.FiniteByValue)}
    for kind, text in advice.items():
        guard = [callback.StepCounter(state), callback.NonFiniteGuard(state, text)]
        with pytest.raises(TrainingError) as caught:
            drive(guard, [RunContext(1, streak=50)])
        by_register = kind is overflow.FiniteByRegister
        assert ("NPUGetFloatStatusV2" in str(caught.value)) == by_register
        assert ("--force_update True" in str(caught.value)) == by_register


def make_saver(folder: Path, state: TrainState, **options) -> callback.CheckpointSaver:
    settings = {"interval": 5, "keep_max": 3, "run_info": lambda step: checkpoint.RunInfo(step, 100, 8, 1), **options}
    cell = ms.nn.Dense(2, 2)
    cell.dynamic = False  # as a train cell has it
    return callback.CheckpointSaver(state, cell, folder, **settings)


def test_checkpoints_are_written_pruned_and_the_last_step_has_one(tmp_path):
    state = TrainState(0, 22)
    (tmp_path / "mine.ckpt").touch()
    (tmp_path / checkpoint.BEST_NAME).touch()
    drive([callback.StepCounter(state), make_saver(tmp_path, state)], [RunContext(step) for step in range(1, 23)])
    assert [step for step, _ in checkpoint.list_checkpoints(tmp_path)] == [15, 20, 22]
    assert (tmp_path / "mine.ckpt").exists()
    assert (tmp_path / checkpoint.BEST_NAME).exists()
    values = checkpoint.read_checkpoint(tmp_path / checkpoint.checkpoint_name(22))
    assert checkpoint.read_run_info(values, "").step == 22


def test_stop_writes_a_checkpoint_and_ends_the_run(tmp_path):
    state = TrainState(0, 100)
    saver = make_saver(tmp_path, state)
    state.signal_number = signal.SIGTERM
    context = RunContext(3)
    drive([callback.StepCounter(state), saver, callback.StepEnd(state, saver)], [context])
    assert context.stopped
    assert [step for step, _ in checkpoint.list_checkpoints(tmp_path)] == [3]


def test_a_signal_after_the_saver_had_its_turn_still_gets_a_checkpoint(tmp_path):
    state = TrainState(0, 100)
    saver = make_saver(tmp_path, state)
    context = RunContext(3)
    drive([callback.StepCounter(state), saver], [context])
    state.signal_number = signal.SIGTERM
    callback.StepEnd(state, saver).on_train_step_end(context)
    assert context.stopped
    assert [step for step, _ in checkpoint.list_checkpoints(tmp_path)] == [3]


def test_a_checkpoint_that_somebody_removed_ends_nothing(tmp_path):
    state = TrainState(0, 30)
    saver = make_saver(tmp_path, state, keep_max=1)
    counter = callback.StepCounter(state)
    drive([counter, saver], [RunContext(5)])
    (tmp_path / checkpoint.checkpoint_name(5)).unlink()
    drive([counter, saver], [RunContext(5)])
    assert [step for step, _ in checkpoint.list_checkpoints(tmp_path)] == [10]


def result(miou: float) -> Evaluation:
    return Evaluation(4, miou, np.array([miou, np.nan]), 0.5, 1.0)


def make_evaluator(tmp_path: Path, state: TrainState, scores: list[float], **options: str) -> list:
    saver = make_saver(tmp_path, state)
    scores, path = list(scores), tmp_path / "e.jsonl"
    evaluator = callback.Evaluator(state, saver, lambda should_stop: result(scores.pop(0)), path, **options)
    return [callback.StepCounter(state), saver, evaluator]


def test_best_checkpoint_follows_the_best_score_also_over_a_resume(tmp_path):
    state = TrainState(0, 100)
    drive(make_evaluator(tmp_path, state, [0.2, 0.5, 0.4]), [RunContext(step) for step in range(1, 16)])
    best = tmp_path / checkpoint.BEST_NAME
    assert checkpoint.read_run_info(checkpoint.read_checkpoint(best), best).step == 10
    assert [r["miou"] for r in read_json_lines(tmp_path / "e.jsonl")] == [0.2, 0.5, 0.4]
    resumed = TrainState(15, 100)
    drive(make_evaluator(tmp_path, resumed, [0.45, math.nan, 0.6]), [RunContext(step) for step in range(1, 11)])
    assert checkpoint.read_run_info(checkpoint.read_checkpoint(best), best).step == 10
    resumed = TrainState(25, 100)
    drive(make_evaluator(tmp_path, resumed, [0.6]), [RunContext(step) for step in range(1, 6)])
    assert checkpoint.read_run_info(checkpoint.read_checkpoint(best), best).step == 30


def test_scores_of_another_protocol_are_not_compared(tmp_path):
    steps = [RunContext(step) for step in range(1, 6)]
    best = tmp_path / checkpoint.BEST_NAME
    for number, (protocol, score, step) in enumerate([("ss", 0.6, 5), ("ssc", 0.5, 10), ("ssc", 0.4, 10)]):
        drive(make_evaluator(tmp_path, TrainState(5 * number, 100), [score], protocol=protocol), steps)
        assert checkpoint.read_run_info(checkpoint.read_checkpoint(best), best).step == step
    assert [record.get("protocol") for record in read_json_lines(tmp_path / "e.jsonl")] == [None, "ssc", "ssc"]


def test_evaluation_is_abandoned_for_a_signal(tmp_path):
    state = TrainState(0, 100)
    callbacks = make_evaluator(tmp_path, state, [])

    def interrupted(should_stop) -> Evaluation:
        state.signal_number = signal.SIGINT
        assert should_stop()
        raise EvaluationInterruptedError

    callbacks[2].evaluate = interrupted
    drive(callbacks, [RunContext(step) for step in range(1, 6)])
    assert not (tmp_path / "e.jsonl").exists()


def test_what_callbacks_take_is_no_training_time(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(callback.time, "monotonic", lambda: clock.now)
    state = TrainState(0, 100)
    path = tmp_path / "metrics.jsonl"
    saver = make_saver(tmp_path, state)

    def slow(should_stop) -> Evaluation:
        clock.now += 1000
        return result(0.1)

    evaluator = callback.Evaluator(state, saver, slow, tmp_path / "e.jsonl")
    counter, step_logger = callback.StepCounter(state), callback.StepLogger(state, RATES, 8, 10, path, head_names=HEADS)
    callbacks = [counter, step_logger, saver, evaluator, callback.StepEnd(state, saver)]
    counter.on_train_begin(RunContext(0))
    for step in range(1, 21):
        clock.now += 0.5  # waiting for data
        for item in callbacks:
            item.on_train_step_begin(RunContext(step))
        clock.now += 1.5  # the step
        for item in callbacks:
            item.on_train_step_end(RunContext(step))
    assert clock.now > 4000
    assert [r["ms_per_step"] for r in read_json_lines(path)] == [2000, 2000]
    assert [r["data_wait_ms"] for r in read_json_lines(path)] == [500, 500]


def test_curves_are_drawn_with_each_checkpoint(tmp_path):
    state = TrainState(0, 100)
    saver = make_saver(tmp_path / "checkpoints", state)
    step_logger = callback.StepLogger(state, RATES, 8, 2, tmp_path / "metrics.jsonl", head_names=HEADS)
    plotter = callback.CurvePlotter(state, saver, tmp_path)
    drive([callback.StepCounter(state), step_logger, saver, plotter], [RunContext(step) for step in range(1, 5)])
    assert not (tmp_path / "curves.png").exists()
    drive([callback.StepCounter(state), step_logger, saver, plotter], [RunContext(1)])
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_json_lines_keep_the_last_of_a_step_and_leave_out_a_torn_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 1, "a": 3}\n{"step": 3, "a"', encoding="utf-8")
    assert read_json_lines(path) == [{"step": 1, "a": 3}, {"step": 2, "a": 2}]
    assert read_json_lines(tmp_path / "missing") == []


SIGNAL_SCRIPT = """
import os, signal, src.state.train_state as c
number = signal.Signals[{name!r}]
state = c.TrainState(0, 1)
with c.catch_signals(state):
    print(state.stopping, flush=True)
    os.kill(os.getpid(), number)
    print(state.stopping, state.signal_number == number, flush=True)
    os.kill(os.getpid(), number)
    print("not reached")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_first_signal_is_noted_second_one_ends_the_process(name):
    script = [sys.executable, "-c", SIGNAL_SCRIPT.format(name=name)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True", "True"]
    assert done.returncode == -signal.Signals[name]


def test_signals_are_as_before_after_training():
    before = signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with catch_signals(TrainState(0, 1)):
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert (signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before


def test_format_seconds():
    assert [format_seconds(s) for s in (0, 61, 3600 * 33 + 59.6)] == ["0:00:00", "0:01:01", "33:01:00"]
