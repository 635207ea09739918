"""Parts of one's own, from outside of `src`: tests/own_parts/ registers five and trains with all of them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.base.errors import ConfigError
from src.config.registry import DATASETS, NETWORKS, OPTIMIZERS, TRANSFORMS
from src.data.image_files import read_image, read_label
from src.data.train_samples import create_train_samples
from src.state.checkpoint import read_checkpoint
from src.utils.config import parse_config
from tests.dataset_helpers import MEAN, STD, write_generic
from tests.own_parts.dataset import PARK
from tests.own_parts.network import TwoHeads
from tests.own_parts.transform import Negative
from tests.run_helpers import ROOT, read_metrics, run_script

RATE = 0.125
TAIL = [{"Normalize": {"mean": list(MEAN), "std": list(STD)}}, "TransposeImage"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A configuration that names a network, a data set, a loss, an optimizer and a transform of one's own."""
    root = tmp_path_factory.mktemp("own")
    crop = {"RandomResizeCrop": {"crop_size": [48, 96], "multi_scale": False}}
    values = {
        "net": "TwoHeads",
        "num_classes": 3,
        "loss_weight": [1.0, 0.5],
        "loss": {"type": "doubled"},
        "optimizer": {"type": "adam", "lr_init": RATE, "lr_end": RATE, "weight_decay": 0.0},
        "warmup_step": 0,
        "data": {
            "dataset_dir": str(write_generic(root / "data")),
            "name": "park",
            "train_transforms": {"item_transforms": [crop, {"Negative": {"white": 200}}, *TAIL]},
            "eval_transforms": {"item_transforms": [{"Resize": {"target_size": [48, 96]}}, *TAIL]},
        },
    }
    path = root / "own.yml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(recipe) -> Path:
    """Two steps with all of them, from a script outside of `src`."""
    folder = recipe.parent / "run"
    options = ["--total_step", 2, "--checkpoint_interval", 1, "--log_interval", 1, "--device_target", "CPU"]
    run_script("tests/own_parts/train_own.py", "--config", recipe, "--save_dir", folder, "--batch_size", 2, *options)
    return folder


def test_network_and_loss(run):
    """Logits that are all zero: ln 3 of each head, twice, weighted 1 and 0.5; to a few roundings of float32."""
    first, second = (read_metrics(run)[step] for step in (1, 2))
    assert first["loss_main"] == pytest.approx(2 * math.log(3), rel=1e-5)
    assert first["loss_extra"] == pytest.approx(2 * math.log(3), rel=1e-5)
    assert first["loss"] == pytest.approx(1.5 * 2 * math.log(3), rel=1e-5)
    assert second["loss"] < first["loss"]
    assert (run / "curves.png").stat().st_size > 1000


def test_optimizer(run):
    """The first step of Adam goes as far as the learning rate, whatever the gradient."""
    values = read_checkpoint(run / "checkpoints" / "BiSeNetV2_1_rank0.ckpt")
    for name in ("main.bias", "main.weight", "extra.bias", "extra.weight"):
        np.testing.assert_allclose(np.abs(values[name]), RATE, rtol=1e-3)


@pytest.fixture
def registered(monkeypatch) -> None:
    for registry, name, part in ((NETWORKS, "TwoHeads", TwoHeads), (DATASETS, "park", PARK)):
        monkeypatch.setitem(registry, name, part)
    monkeypatch.setitem(TRANSFORMS, "Negative", Negative)
    monkeypatch.setitem(OPTIMIZERS, "adam", None)


@pytest.mark.usefixtures("registered")
def test_data_set_and_transform(recipe, monkeypatch):
    config = parse_config(["--config", str(recipe), "loss.type=ce"], "eval")
    samples = create_train_samples(config.data, num_classes=3, seed=1)
    image, label = samples.read((0, 0))
    image_path, label_path = samples.samples[0]
    train_ids = {2: 0, 0: 1, 1: 2, 255: 255}
    np.testing.assert_array_equal(label, np.vectorize(train_ids.get)(read_label(label_path)))
    dark = np.maximum(200 - read_image(image_path).astype(int), 0)
    np.testing.assert_allclose(image, ((dark / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-5)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.train_transforms.item_transforms.Negative.white=300", "Negative.white: must lie in 0..255, got 300"),
        ("--num_classes=4", "num_classes: the park has 3, got 4"),
        ("--loss_weight=[1,1,1]", "loss_weight: expected 2 values, main, extra; got"),
        ("--net=Twoheads", "net: must be one of BiSeNetV2, TwoHeads; got 'Twoheads'"),
    ],
)
def test_they_are_checked_like_those_of_the_project(recipe, word, message):
    options = ["--config", str(recipe), "loss.type=ce"]
    with pytest.raises(ConfigError, match=message):
        parse_config([*options, word], "train")


def test_help_names_a_transform_of_ones_own_without_mindspore():
    code = (
        "import sys; sys.modules['mindspore'] = None; import src\n"
        "from src.config.registry import TRANSFORMS; from src.utils.config import parse_config\n"
        "TRANSFORMS['Negative'] = 'tests.own_parts.transform:Negative'; parse_config(['--help'], 'train')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Negative.white: grey level that becomes black (default 255)" in done.stdout
