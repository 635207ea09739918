"""Prediction and export take the weights of a checkpoint that are asked for: those trained, or their average."""

from __future__ import annotations

import json
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

import export as export_script
from scripts import predict as predict_script
from src.base.errors import CheckpointError, ConfigError
from src.config.registry import NETWORKS
from src.modules.base_modules import Network
from src.offline.models import load_model
from src.predict.predictor import checkpoint_predictor
from src.predict.record import make_record
from src.state import checkpoint
from src.utils.config import parse_config

OPTIONS = ["--net", "OneClass", "--num_classes", "3", "data.name=generic", "data.map_label=null"]
CLASS = {"model": 0, "ema": 2}

pytestmark = pytest.mark.once


class OneClass(Network):
    """Gives every pixel the class with the largest bias."""

    def __init__(self, num_classes: int, *, aux_heads: bool = True, **_others: object) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, num_classes, 1, has_bias=True, weight_init="zeros", bias_init="zeros")

    def construct(self, image: Tensor) -> Tensor:
        return self.head(image)


@pytest.fixture
def averaged(tmp_path, monkeypatch) -> Path:
    """A checkpoint whose weights say 0 and whose average says 2."""
    monkeypatch.setitem(NETWORKS, "OneClass", OneClass)
    values = {"head.weight": np.zeros((3, 3, 1, 1), np.float32), "head.bias": np.array([1, 0, 0], np.float32)}
    values |= {"ema.head.weight": values["head.weight"], "ema.head.bias": np.array([0, 0, 1], np.float32)}
    checkpoint.write_atomically(values, tmp_path / "averaged.ckpt")
    checkpoint.write_atomically({name: values[name] for name in list(values)[:2]}, tmp_path / "plain.ckpt")
    return tmp_path / "averaged.ckpt"


@pytest.mark.parametrize("weights", CLASS)
def test_prediction(averaged, weights):
    config = parse_config([*OPTIONS, "--weights", weights], "eval")
    predictor = checkpoint_predictor(config, averaged, None)
    np.testing.assert_array_equal(predictor(np.zeros((40, 50, 3), np.uint8)), np.full((40, 50), CLASS[weights]))
    record = make_record(config, averaged, averaged, None, {})
    assert record["options"].get("weights", "model") == weights


def test_prediction_by_a_checkpoint_without_an_average(averaged):
    config = parse_config([*OPTIONS, "--weights", "ema"], "eval")
    with pytest.raises(CheckpointError, match="plain.ckpt: holds no averaged weights"):
        checkpoint_predictor(config, averaged.with_name("plain.ckpt"), None)


def test_an_exported_model_has_its_weights_already():
    words = ["--model", "x.mindir", "--input", "a", "--output", "b"]
    assert predict_script.parse_args(words).weights == "model"
    with pytest.raises(ConfigError, match="--weights: is for a checkpoint"):
        predict_script.parse_args([*words, "--weights", "ema"])


def test_export(averaged, tmp_path, graph_mode):
    model = tmp_path / "model.mindir"
    words = ["--checkpoint_file", averaged, "--file_name", model, "--weights", "ema", "--image_size", 32, 64]
    assert export_script.main([*map(str, words), "--device_target", "CPU", *OPTIONS]) == 0
    assert json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["weights"] == "ema"
    classes = load_model(model)(np.zeros((1, 3, 32, 64), np.float32))
    np.testing.assert_array_equal(classes, np.full((1, 32, 64), CLASS["ema"]))
    ms.set_context(mode=ms.PYNATIVE_MODE)
