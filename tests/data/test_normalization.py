"""Normalisation on the wrong scale is refused, and one that differs from the training's is told with its cause."""

from __future__ import annotations

import json
import logging
import re

import pytest

import preprocess
from src.base.errors import ConfigError
from src.data.normalization import describe_difference, same_normalization, warn_of_two_normalizations
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "is_scale": True}
GREY = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375), "is_scale": False}  # the same, times 255
pytestmark = pytest.mark.once


def options(part: str = "eval", **arguments: object) -> list[str]:
    where = f"data.{part}_transforms.item_transforms.Normalize"
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return [f"{where}.{name}={value}" for name, value in shown.items()]


@pytest.mark.parametrize("script", ["train", "eval", "export", "preprocess", "scripts/quantize_onnx"])
@pytest.mark.parametrize("part", ["train", "eval"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {**GREY, "is_scale": True},
            "mean [123.675, 116.28, 103.53] and std [58.395, 57.12, 57.375] are of values 0..255, but is_scale True "
            "divides pictures by 255 first: set is_scale False, or divide them by 255",
        ),
        ({"mean": GREY["mean"]}, "mean [123.675, 116.28, 103.53] is of values 0..255, but is_scale True"),
        ({"std": GREY["std"]}, "std [58.395, 57.12, 57.375] is of values 0..255, but is_scale True"),
        (
            {**IMAGENET, "is_scale": False},
            "mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225] are of values 0..1, but without is_scale "
            "pictures have 0..255: set is_scale True, or multiply them by 255",
        ),
        ({**GREY, "std": IMAGENET["std"]}, "std [0.229, 0.224, 0.225] is of values 0..1, but without is_scale"),
    ],
    ids=["grey", "grey-mean", "grey-std", "unit", "unit-std"],
)
def test_numbers_of_the_other_scale_are_refused(script, part, arguments, message):
    with pytest.raises(
        ConfigError, match=re.escape(f"data.{part}_transforms.item_transforms.Normalize.is_scale: {message}")
    ):
        parse_config(options(part, **arguments), script)


@pytest.mark.parametrize(
    "arguments",
    [
        IMAGENET,
        GREY,
        {"mean": (0, 0, 0), "std": (1, 1, 1), "is_scale": True},
        {"mean": (0, 0, 0), "std": (1, 1, 1), "is_scale": False},
        {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "is_scale": True},
        {"mean": (123.68, 116.779, 103.939), "std": (1, 1, 1), "is_scale": False},  # as Caffe's networks
        {"mean": (0, 0, 0), "std": (255, 255, 255), "is_scale": False},
    ],
    ids=str,
)
def test_normalisations_in_use_are_accepted(arguments):
    parse_config(options(**arguments), "eval")


def test_differences_come_with_their_cause_and_the_way_out():
    where = "data.eval_transforms.item_transforms.Normalize"
    assert describe_difference(GREY, IMAGENET, where) == ""
    assert same_normalization(IMAGENET, GREY)
    swapped = {**IMAGENET, "mean": IMAGENET["mean"][::-1], "std": IMAGENET["std"][::-1]}
    assert describe_difference(swapped, IMAGENET, where) == (
        "mean [0.406,0.456,0.485] instead of [0.485,0.456,0.406], std [0.225,0.224,0.229] instead of "
        "[0.229,0.224,0.225] (R and B are exchanged: mean and std are in the order R, G, B here); "
        f"give {where}.mean=[0.485,0.456,0.406] {where}.std=[0.229,0.224,0.225]"
    )
    plain = {"mean": (0, 0, 0), "std": (1, 1, 1), "is_scale": False}
    told = describe_difference(plain, {**plain, "is_scale": True}, where)
    assert "a factor of 255: is_scale is probably wrong" in told
    assert told.endswith(f"give {where}.is_scale=True")
    other = {**IMAGENET, "mean": (0.3, 0.3, 0.3)}
    assert "(probably the configuration of another training)" in describe_difference(other, IMAGENET, where)


def test_evaluation_otherwise_than_training_is_told(caplog):
    caplog.set_level(logging.WARNING)
    warn_of_two_normalizations(parse_config(options("train", **GREY) + options("eval", **IMAGENET), "train").data)
    assert not caplog.records
    warn_of_two_normalizations(parse_config(options("eval", **IMAGENET), "train").data)
    (record,) = caplog.records
    assert "evaluation normalises differently from training: mean [0.485,0.456,0.406] instead of" in record.message


def test_the_offline_path_compares_with_the_model(tmp_path, caplog):
    """What export.py wrote beside a model: normalisation on another scale, other names, another order of names."""
    caplog.set_level(logging.WARNING)
    data = write_cityscapes(tmp_path / "data", {"val": 1}, size=(32, 32))
    record = {
        "input": "float32",
        "image_size": [32, 32],
        "num_classes": 19,
        "normalize": {**GREY, "norm_type": "mean_std"},
    }

    def prepare(*words: str, **changes: object) -> None:
        (tmp_path / "model.json").write_text(json.dumps({**record, **changes}), encoding="utf-8")
        resize = "data.eval_transforms.item_transforms.Resize.target_size=[32,32]"
        given = ["--mindir_path", str(tmp_path / "model.mindir"), "--output_path", str(tmp_path / "out")]
        assert preprocess.main([*given, "--data_path", str(data), resize, *words]) == 0

    with pytest.raises(
        ConfigError, match="the model was trained with .*: probably the configuration of another training"
    ):
        prepare()
    prepare(*options(**IMAGENET))
    names = parse_config([], "eval").num_classes * ["x"]
    with pytest.raises(ConfigError, match=r"model.json: trained on 19 classes \(x, x, x, ...\), configured are 19 "):
        prepare(*options(**IMAGENET), class_names=names)
    prepare(*options(**IMAGENET), class_names=[f"class {number}" for number in range(19)])  # no names
    caplog.clear()
    words = ["--data_path", str(data), "--output_path", str(tmp_path / "out"), *options(**IMAGENET)]
    assert preprocess.main(words) == 0
    assert "evaluation normalises differently from training" in caplog.text
