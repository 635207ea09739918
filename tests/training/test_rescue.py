"""Training that fails on the way: what is saved, what is said, and what does not end a run at all."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from src.base.errors import CheckpointError, DataError, TrainingError, UserError
from src.state import saving
from src.state.checkpoint import read_checkpoint, read_run_info
from src.state.checkpoint_names import FOLDER, checkpoint_name, list_checkpoints
from src.state.train_state import TrainState, catch_signals
from src.training.rescue import saving_on_failure
from src.utils import callback
from tests.dataset_helpers import MEAN, STD, write_generic
from tests.run_helpers import command

pytestmark = pytest.mark.once


class Saver:
    """What the training has of `CheckpointSaver`; the device is one step further than the callbacks know."""

    def __init__(self, state: TrainState, folder: Path, done: int) -> None:
        self.state, self.folder, self.saved_step = state, folder, None
        step = SimpleNamespace(asnumpy=lambda: np.array([done], np.int32))
        self.train_cell = SimpleNamespace(optimizer=SimpleNamespace(global_step=step))

    def save(self) -> None:
        self.saved_step = self.state.step
        self.folder.mkdir(exist_ok=True)
        (self.folder / checkpoint_name(self.state.step)).touch()


def fail(tmp_path: Path, error: Exception, *, began: int = 5, done: int = 8, ranks: int = 1) -> str:
    """Let a training fail; return what it says."""
    state = TrainState(began, 100, SimpleNamespace(rank=0, rank_size=ranks))
    saver = Saver(state, tmp_path / FOLDER, done)
    with pytest.raises(UserError) as caught, saving_on_failure(state, saver, tmp_path):
        raise error
    assert isinstance(caught.value, type(error)) or isinstance(error, OSError)
    return str(caught.value)


def saved(tmp_path: Path) -> list[int]:
    return [step for step, _ in list_checkpoints(tmp_path / FOLDER)]


@pytest.mark.parametrize("error", [DataError("a.png: damaged"), OSError(errno.EIO, "failed", "a.png")])
def test_the_finished_steps_are_saved_first(tmp_path, error):
    text = fail(tmp_path, error)
    path = tmp_path / FOLDER / checkpoint_name(8)
    assert text.startswith("a.png: ")
    assert text.endswith(f"; resume with the same options and --resume_ckpt {path}")
    assert saved(tmp_path) == [8]


def test_without_a_finished_step_there_is_nothing_to_save(tmp_path):
    assert fail(tmp_path, DataError("a"), began=0, done=0) == "a; no step was finished, nothing was saved"
    assert fail(tmp_path, DataError("a"), began=5, done=5) == "a; no checkpoint was written"
    assert saved(tmp_path) == []


def test_several_ranks_name_the_last_checkpoint(tmp_path):
    Saver(TrainState(4, 9), tmp_path / FOLDER, 4).save()
    text = fail(tmp_path, DataError("a"), ranks=2)
    assert text.endswith(f"--resume_ckpt {tmp_path / FOLDER / checkpoint_name(4)} (of step 4)")
    assert saved(tmp_path) == [4]


def test_weights_that_are_no_good_are_not_saved(tmp_path):
    assert fail(tmp_path, TrainingError("not finite")) == "not finite"
    assert saved(tmp_path) == []


def test_a_rescue_that_fails_does_not_hide_why_it_was_needed(tmp_path, monkeypatch, caplog):
    def full(_self) -> None:
        raise CheckpointError("cannot write checkpoint x")

    monkeypatch.setattr(Saver, "save", full)
    assert fail(tmp_path, DataError("a.png: damaged")).startswith("a.png: damaged; ")
    assert "cannot write checkpoint x" in caplog.text


def full_once(monkeypatch, number: int) -> None:
    """Let the first checkpoint fail to be written."""
    failures = [OSError(number, os.strerror(number))]

    def write(_values: dict, path: Path) -> None:
        if failures:
            raise CheckpointError(f"cannot write checkpoint {path}") from failures.pop()
        path.touch()

    monkeypatch.setattr(saving, "write_atomically", write)


def folder_with(tmp_path: Path, *steps: int) -> Path:
    for step in steps:
        (tmp_path / checkpoint_name(step)).touch()
    (tmp_path / "BiSeNetV2_best.ckpt").touch()
    return tmp_path


@pytest.mark.parametrize(("steps", "keep", "left"), [((1, 2, 3), 3, [2, 3, 4]), ((1, 2, 3), 2, [3, 4])])
def test_on_a_full_disk_the_oldest_checkpoints_make_room(tmp_path, monkeypatch, steps, keep, left):
    full_once(monkeypatch, errno.ENOSPC)
    saving.save_and_prune({}, folder_with(tmp_path, *steps) / checkpoint_name(4), keep)
    assert [step for step, _ in list_checkpoints(tmp_path)] == left
    assert (tmp_path / "BiSeNetV2_best.ckpt").exists()


@pytest.mark.parametrize(
    ("steps", "keep", "number"),
    [
        ((3,), 1, errno.ENOSPC),
        ((2, 3), 5, errno.ENOSPC),
        ((1, 2, 3), 3, errno.EACCES),
    ],
)
def test_none_is_removed_that_would_stay_or_where_room_is_no_help(tmp_path, monkeypatch, steps, keep, number):
    full_once(monkeypatch, number)
    with pytest.raises(CheckpointError):
        saving.save_and_prune({}, folder_with(tmp_path, *steps) / checkpoint_name(4), keep)
    assert [step for step, _ in list_checkpoints(tmp_path)] == list(steps)


def test_metrics_evaluations_and_curves_are_no_reason_to_stop(tmp_path, caplog):
    """A folder in the place of each file; each is told once, and written again when that is possible."""
    state = TrainState(2, 100)
    saver = SimpleNamespace(saved_step=2, folder=tmp_path)
    score = SimpleNamespace(miou=0.5, pixel_accuracy=0.75)
    steps = callback.StepLogger(state, np.zeros(100), 2, 1, tmp_path / "metrics.jsonl", head_names=())
    evaluator = callback.Evaluator(state, saver, lambda _stop: score, tmp_path / "evaluations.jsonl")
    evaluator.best = 1.0
    curves = callback.CurvePlotter(state, saver, tmp_path)
    names = ("metrics.jsonl", "evaluations.jsonl", "curves.png")
    for name in names:
        (tmp_path / name).mkdir()
    outputs = [np.float32(1), np.zeros(0), np.float32(1), np.int32(0), np.int32(0)]
    outputs = [SimpleNamespace(asnumpy=lambda value=value: value) for value in outputs]
    context = SimpleNamespace(original_args=lambda: SimpleNamespace(net_outputs=outputs))
    for _ in range(3):
        steps.window = (state.step - 1, 0.0, 0.0)
        state.elapsed = 1.0
        for item in (steps, evaluator, curves):
            item.on_train_step_end(context)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.split(": ")[0] for line in warned] == [f"cannot write {tmp_path / name}" for name in names]
    for name in names:
        (tmp_path / name).rmdir()
    steps.window = (state.step - 1, 0.0, 0.0)
    for item in (steps, evaluator, curves):
        item.on_train_step_end(context)
    assert all((tmp_path / name).stat().st_size for name in names)


def test_hanging_up_stops_training_unless_it_is_ignored():
    for handler, stops in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):
        before = signal.signal(signal.SIGHUP, handler)
        try:
            state = TrainState(0, 9)
            with catch_signals(state):
                signal.raise_signal(signal.SIGHUP)
            assert (state.signal_number == signal.SIGHUP) == stops
        finally:
            signal.signal(signal.SIGHUP, before)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


def own_recipe(folder: Path) -> tuple[Path, Path]:
    """Write a data set and a configuration with the network of tests/own_parts, which compiles in no time."""
    data = write_generic(folder / "data", {"train": 6})
    crop = {"RandomResizeCrop": {"crop_size": [48, 96], "multi_scale": False}}
    tail = [{"Normalize": {"mean": list(MEAN), "std": list(STD)}}, "TransposeImage"]
    steps = {"train": [crop, *tail], "eval": [{"Resize": {"target_size": [48, 96]}}, *tail]}
    transforms = {f"{name}_transforms": {"item_transforms": chain} for name, chain in steps.items()}
    values = {
        "net": "TwoHeads",
        "num_classes": 3,
        "loss_weight": [1.0, 0.5],
        "loss": {"type": "doubled"},
        "warmup_step": 0,
        "data": {"dataset_dir": str(data), "name": "park", **transforms},
    }
    (folder / "own.yml").write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return data, folder / "own.yml"


def test_pictures_that_go_bad_in_the_middle_while_the_log_cannot_be_written(tmp_path):
    """The checkpoint of the steps done, to resume from; log and curves only get a line each."""
    data, recipe = own_recipe(tmp_path)
    save_dir = tmp_path / "run"
    (save_dir / "logs").mkdir(parents=True)
    (save_dir / "logs" / "rank_0.log").symlink_to("/dev/full")
    (save_dir / "curves.png").mkdir()
    options = ["--config", recipe, "--save_dir", save_dir, "--batch_size", 2, "--device_target", "CPU"]
    options += ["--total_step", 100_000, "--log_interval", 1, "--checkpoint_interval", 4]
    words = command("tests/own_parts/train_own.py", *options)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process.stdout:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "step 6/" in line:
                for path in data.glob("images/*"):
                    path.write_bytes(path.read_bytes()[:300])
        err = process.stderr.read()
    assert process.wait(timeout=60) == 2, "".join(lines[-20:]) + err[-2000:]
    out = "".join(lines)
    step, path = list_checkpoints(save_dir / FOLDER)[-1]
    assert step == max(int(number) for number in re.findall(r"step (\d+)/100000,", out))
    assert step >= 6
    assert read_run_info(read_checkpoint(path), path).step == step
    told, error = (line for line in err.splitlines() if not line.startswith("[WARNING]"))  # those are MindSpore's
    assert told.startswith(f"warning: cannot write {save_dir / 'logs' / 'rank_0.log'}: No space left on device")
    assert "the file is incomplete (truncated)" in error
    assert error.endswith(f"; resume with the same options and --resume_ckpt {path}")
    assert out.count(f"cannot write {save_dir / 'curves.png'}: Is a directory; the run goes on without it") == 1
