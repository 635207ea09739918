"""The configuration from Python: values instead of words, with the checks of the command line."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.base.errors import ConfigError
from src.config.loading import load_config
from tests.run_helpers import ROOT

FLIP = "data.train_transforms.item_transforms.RandomFlip"


def test_the_default_is_the_published_recipe(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["program", "--batch_size", "9", "unknown"])
    monkeypatch.chdir(tmp_path)
    config = load_config()
    assert (config.net, config.num_classes, config.batch_size, config.total_step) == ("BiSeNetV2", 19, 4, 160000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_looked_for_here_and_then_in_the_repository(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    steps = yaml.safe_load((ROOT / "config/bisenetv2_demo.yml").read_text(encoding="utf-8"))["total_step"]
    assert load_config("config/bisenetv2_demo.yml").total_step == steps
    Path("config").mkdir()
    Path("config/bisenetv2_demo.yml").write_text("__BASE__: config/bisenetv2_tiny.yml\ntotal_step: 3\n", "utf-8")
    assert load_config(Path("config/bisenetv2_demo.yml")).total_step == 3
    with pytest.raises(ConfigError, match=r"^cannot read configuration missing\.yml: No such file or directory$"):
        load_config("missing.yml")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("batch_size", np.int64(2), 2),
        ("mix", np.bool_(True), True),
        ("mix", True, True),
        ("optimizer.lr_init", np.float64(0.125), 0.125),
        ("image_size", (64, 96), (64, 96)),
        ("data.eval_transforms.img_ratios", np.array([0.5, 1.0]), (0.5, 1.0)),
        ("data.dataset_dir", Path("/some/where"), "/some/where"),
        ("data.dataset_dir", "none", "none"),  # text is text, what a command line may mean by it notwithstanding
        ("data.map_label", None, None),
        ("data.class_names", [f"c{number}" for number in range(19)], tuple(f"c{number}" for number in range(19))),
        ("data.eval_transforms.item_transforms.Resize.target_size", [64, 64], None),
    ],
)
def test_values_are_pythons_and_numpys(path, value, expected):
    found = load_config(overrides={path: value})
    if expected is None and value is not None:
        assert found.data.eval_transforms.item_transforms[0].target_size == (64, 64)
        return
    for name in path.split("."):
        found = getattr(found, name)
    assert (found, type(found)) == (expected, type(expected))


def test_a_mapping_changes_what_it_names():
    default = load_config()
    nested = {
        "data": {"eval_transforms": {"flip": False}, "train_transforms": {"item_transforms": {"RandomColor": False}}}
    }
    config = load_config(overrides={**nested, FLIP: {"prob": 0.25}, "optimizer": {"lr_init": 0.5}})
    evaluation = config.data.eval_transforms
    assert (evaluation.flip, evaluation.img_ratios) == (False, default.data.eval_transforms.img_ratios)
    names = [type(transform).__name__ for transform in config.data.train_transforms.item_transforms]
    assert names == ["RandomResizeCrop", "RandomFlip", "Normalize", "TransposeImage"]
    assert config.data.train_transforms.item_transforms[1].prob == 0.25
    assert (config.optimizer.lr_init, config.optimizer.momentum) == (0.5, 0.9)
    assert load_config() == default  # nothing stays


def test_a_configuration_is_changed_as_its_file_would_be():
    """What follows from another key, single_scale for instance, does not stay when that key is changed."""
    plain, evaluation = load_config(), "data.eval_transforms"
    single = load_config(plain, {"single_scale": True, "image_size": [64, 96]})
    assert (single.data.eval_transforms.multi_scale, single.data.eval_transforms.flip) == (False, False)
    assert load_config(single, {"single_scale": False, "image_size": None}) == plain
    assert load_config(single, {f"{evaluation}.flip": False, "single_scale": False}) == load_config(
        None, {f"{evaluation}.flip": False, "image_size": [64, 96]}
    )
    for start in (None, plain):
        with pytest.raises(ConfigError, match=r"optimizer\.lr_init: required with adamw"):
            load_config(start, {"optimizer.type": "adamw"})
    assert load_config(dataclasses.replace(plain, batch_size=np.int64(8))).batch_size == 8


@pytest.mark.parametrize("value", [0, "", [], True])
def test_only_false_leaves_a_transform_out(value):
    transforms = "data.train_transforms.item_transforms"
    with pytest.raises(ConfigError, match="RandomFlip"):
        load_config(None, {transforms: {"RandomFlip": value}})
    for overrides in ({transforms: {"RandomFlip": False}}, {f"{transforms}.RandomFlip": False}):
        found = load_config(None, overrides).data.train_transforms.item_transforms
        assert "RandomFlip" not in [type(transform).__name__ for transform in found]


def test_an_enumeration_stands_for_its_value():
    folders = enum.Enum("Folders", {"VAL": "/data"})
    assert load_config(None, {"data.dataset_dir": folders.VAL}).data.dataset_dir == "/data"


def test_an_empty_name_is_no_file():
    with pytest.raises(ConfigError, match="path: is empty"):
        load_config("")


def test_maps_of_labels_may_have_numbers_as_keys():
    classes = {"num_classes": 2, "data.name": "generic", "data.map_label": None}
    config = load_config(overrides={**classes, "data.label_ids": {7: 0, 11: 1, "0-6": "ignore"}})
    assert config.data.label_ids == {"7": "0", "11": "1", "0-6": "ignore"}


def test_all_problems_are_told_at_once():
    wrong = {"batchsize": 4, "data.datset_dir": "x", "optimizer": {"lr_init": -1}, "total_step": "many", "net": "Net"}
    with pytest.raises(ConfigError) as caught:
        load_config(ROOT / "config/bisenetv2_demo.yml", wrong)
    assert str(caught.value).splitlines() == [
        f"configuration {ROOT / 'config/bisenetv2_demo.yml'}: 5 problems",
        "  batchsize: unknown key; did you mean 'batch_size'?",
        "  data.datset_dir: unknown key; did you mean 'dataset_dir'?",
        "  optimizer.lr_init: must be positive, got -1.0",
        "  total_step: expected a whole number, got 'many'",
        "  net: must be one of BiSeNetV2; got 'Net'",
    ]


@pytest.mark.parametrize(
    ("path", "overrides", "message"),
    [
        (["--batch_size", "4"], None, r"^path: expected the name of a YAML file, got list; changes are overrides$"),
        ({"batch_size": 4}, None, r"^path: .* got dict"),
        (None, ["batch_size=4"], r"^overrides: expected a mapping such as {'batch_size': 4}, got \['batch_size=4'\]$"),
        (None, {3: 4}, r"^overrides: a key is text such as 'data\.dataset_dir', got 3$"),
        (
            None,
            {f"{FLIP}p.prob": 1.0},
            r"RandomFlipp\.prob: the list has no entry 'RandomFlipp'; did you mean 'RandomFl",
        ),
        (
            None,
            {f"{FLIP}p": {"prob": 1.0}},
            r"the list has no entry 'RandomFlipp' to change; did you mean 'RandomFlip'",
        ),
        (None, {"optimizer.momentum.x": 1}, r"^optimizer\.momentum\.x: leads through a value that has no keys$"),
        (None, {"data.dataset_dir": b"x"}, r"data\.dataset_dir: expected text, got b'x'$"),
        (None, {"batch_size": float("nan")}, r"batch_size: expected a whole number, got nan$"),
    ],
)
def test_what_makes_no_sense_is_one_line(path, overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path, overrides)
    assert len(str(caught.value).splitlines()) == 1
