"""The configuration beside converted weights: what they tell and no more, over a base that can be another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from src.config import schema
from src.convert import converting
from src.convert.families import BISENET, MMSEG
from src.utils.config import parse_config
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAMVID = "config/bisenetv2_camvid.yml"
OWN = ("road", "path", "rest")


def loaded(path: Path) -> schema.Config:
    return parse_config(["--config", str(path)], "train")


def normalized(config: schema.Config) -> set[tuple]:
    parts = (config.data.train_transforms, config.data.eval_transforms)
    steps = (step for part in parts for step in part.item_transforms)
    return {(step.mean, step.std) for step in steps if type(step).__name__ == "Normalize"}


def sizes(config: schema.Config) -> tuple[tuple[int, int], tuple[int, int]]:
    train, evaluation = config.data.train_transforms, config.data.eval_transforms
    return train.item_transforms[0].crop_size, evaluation.item_transforms[0].target_size


@pytest.fixture
def weights(tmp_path) -> Path:
    """The configuration of mmsegmentation's weights of three classes, in a folder of its own."""
    path = tmp_path / "weights.yml"
    path.write_text(converting.configuration_for(MMSEG, 3, OWN), encoding="utf-8")
    return path


def test_only_what_is_known_is_written(weights):
    normalize = {"Normalize": {"mean": list(IMAGENET[0]), "std": list(IMAGENET[1])}}
    assert yaml.safe_load(weights.read_text()) == {
        "__BASE__": "config/bisenetv2_cityscapes.yml",
        "num_classes": 3,
        "net_args": {"inner_upsample": "bilinear", "bn_epsilon": 1e-3, "bga_pointwise_bias": True},
        "data": {
            "name": "generic",
            "map_label": None,
            "class_names": list(OWN),
            "train_transforms": {"item_transforms": normalize},
            "eval_transforms": {"item_transforms": normalize},
        },
    }
    assert "&" not in weights.read_text()  # each list is written out
    config = loaded(weights)
    assert (sizes(config), normalized(config)) == (((1024, 1024), (1024, 2048)), {IMAGENET})


@pytest.mark.parametrize("order", [["weights.yml", CAMVID], [CAMVID, "weights.yml"]], ids=["before", "behind"])
def test_another_base_changes_the_sizes_and_keeps_what_the_weights_need(weights, order):
    own = weights.with_name("own.yml")
    own.write_text(f"__BASE__: [{', '.join(order)}]\ndata:\n  dataset_dir: photographs\n")
    config = loaded(own)
    assert sizes(config) == ((192, 192), (360, 480))
    assert (config.total_step, config.data.dataset_dir) == (400, "photographs")
    assert (config.net_args.bga_pointwise_bias, normalized(config)) == (True, {IMAGENET})
    assert (config.num_classes, config.data.name, config.data.class_names) == (3, "generic", OWN)


def test_the_base_can_be_exchanged_in_the_file_itself(weights):
    text = weights.read_text()
    weights.write_text(text.replace("config/bisenetv2_cityscapes.yml", str(ROOT / CAMVID)))
    config = loaded(weights)
    assert (sizes(config), normalized(config)) == (((192, 192), (360, 480)), {IMAGENET})


def test_cityscapes_and_a_backbone(tmp_path):
    path = tmp_path / "weights.yml"
    path.write_text(converting.configuration_for(BISENET, 19, ()))
    config = loaded(path)
    assert config.data.name == "cityscapes"
    assert (config.net_args.inner_upsample, config.net_args.bn_epsilon) == ("nearest", 1e-5)
    assert config.data.map_label == parse_config([], "train").data.map_label
    written = yaml.safe_load(converting.configuration_for(BISENET, None, ()))
    assert set(written) == {"__BASE__", "net_args"}  # neither its classes nor its normalisation are known
