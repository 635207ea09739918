"""Training with passes, averages and AdamW, as a user runs it, stopped by `stop_step` and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

import eval as eval_script
import train as train_script
from src.base.errors import CheckpointError
from src.config.registry import NETWORKS
from src.modules.base_modules import Network
from src.state import checkpoint
from tests.dataset_helpers import write_generic
from tests.run_helpers import read_metrics, tiny_options


class Small(Network):
    """Two heads over one normalised convolution: as quickly compiled as trained."""

    head_names = ("main", "extra")
    head_parts = ("main", "extra")

    def __init__(self, num_classes: int, *, aux_heads: bool = True, **_others: object) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.aux_heads = aux_heads
        self.body = nn.Conv2d(3, 4, 1, weight_init=Tensor(rng.standard_normal((4, 3, 1, 1)), ms.float32))
        self.bn = nn.BatchNorm2d(4)
        weights = Tensor(0.1 * rng.standard_normal((num_classes, 4, 1, 1)), ms.float32)
        self.main = nn.Conv2d(4, num_classes, 1, weight_init=weights)
        if aux_heads:
            self.extra = nn.Conv2d(4, num_classes, 1, weight_init=weights)

    def construct(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = ops.relu(self.bn(self.body(image)))
        return (self.main(x), self.extra(x)) if self.training and self.aux_heads else self.main(x)


def train(*options: object) -> int:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        return train_script.main([str(option) for option in options])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> Iterator[list[str]]:
    data = write_generic(tmp_path_factory.mktemp("data"))
    own = ["--net", "Small", "--num_classes", "3", "data.name=generic", "data.map_label=null", "data.class_names=null"]
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(NETWORKS, "Small", Small)
        yield [*own, *tiny_options(data)]


@pytest.fixture(scope="module")
def recipe(options) -> list[object]:
    words = ["--loss_weight", "[1,0.5]", "--accumulate_steps", 2, "--ema_decay", 0.75, "optimizer.type=adamw"]
    words += ["--lr_init", 0.01, "optimizer.head_lr_mult=10", "--total_step", 6, "--log_interval", 1]
    return [*words, "--checkpoint_interval", 6, "--ms_loss_scaler", "dynamic", *options]


@pytest.fixture(scope="module")
def straight(tmp_path_factory, recipe) -> Path:
    """The undisturbed run, with an evaluation at its end."""
    folder = tmp_path_factory.mktemp("straight")
    assert train("--save_dir", folder, "--run_eval", "True", *recipe) == 0
    return folder


def last(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / checkpoint.checkpoint_name(step)


def test_a_run_that_stops_at_a_step_goes_on_as_if_it_had_not(straight, tmp_path, recipe, caplog):
    caplog.set_level("INFO")
    assert train("--save_dir", tmp_path, "--stop_step", 4, *recipe) == 0
    assert "stop_step: after step 4 of 6; resume with" in caplog.text
    assert "batch: 2 images a device, 1 devices, 2 passes a step, 4 in total" in caplog.text
    assert checkpoint.list_checkpoints(tmp_path / "checkpoints") == [(4, last(tmp_path, 4))]
    assert train("--resume_ckpt", last(tmp_path, 4), *recipe) == 0
    expected, actual = (checkpoint.read_checkpoint(last(folder, 6)) for folder in (straight, tmp_path))
    assert expected.keys() == actual.keys() >= {"ema.bn.moving_mean", "adam_v.main.weight", "adam_steps"}
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    timed = ("ms_per_step", "images_per_s", "data_wait_ms")
    records = [
        {step: {key: value for key, value in record.items() if key not in timed} for step, record in lines.items()}
        for lines in (read_metrics(straight), read_metrics(tmp_path))
    ]
    assert records[0] == records[1]
    assert sorted(records[0]) == list(range(1, 7))


@pytest.mark.once
def test_nothing_is_left_behind_stop_step(straight, recipe, tmp_path):
    words = ["--resume_ckpt", last(straight, 6), "--save_dir", tmp_path, "--stop_step", 5]
    with pytest.raises(CheckpointError, match="6 steps done, nothing left of 5"):
        train(*words, *recipe)


@pytest.mark.once
def test_the_average_is_evaluated_while_training_and_where_it_is_asked_for(straight, options, tmp_path):
    in_training = json.loads((straight / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    found = {}
    for weights in ("model", "ema"):
        words = ["--checkpoint_path", last(straight, 6), "--weights", weights, "--single_scale", "True"]
        assert eval_script.main([*map(str, words), "--save_dir", str(tmp_path / weights), *options]) == 0
        found[weights] = json.loads((tmp_path / weights / "eval.json").read_text(encoding="utf-8"))
        assert found[weights]["weights"] == weights
    assert found["ema"]["pixel_accuracy"] == in_training["pixel_accuracy"]
    assert found["model"]["pixel_accuracy"] != in_training["pixel_accuracy"]
