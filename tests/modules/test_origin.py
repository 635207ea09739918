"""A checkpoint says what it was trained with, and whatever loads it compares."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest

import eval as eval_script
import export as export_script
import train as train_script
from src.base.errors import CheckpointError
from src.convert import converting
from src.convert.families import BISENET, MMSEG
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.origin import compare_origin, origin_of
from src.predict.predictor import checkpoint_predictor
from src.state import checkpoint
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes

GENERIC = ["--num_classes", "3", "data.name=generic", "data.map_label=null"]
NAMED = [*GENERIC, "data.class_names=[road,path,rest]"]
NEAREST = ["net_args.inner_upsample=nearest"]
NORMALIZE = "data.{}_transforms.item_transforms.Normalize"
pytestmark = pytest.mark.once


def config_of(options: list[str], script: str = "eval"):
    return parse_config([*options, "--device_target", "CPU"], script)


def written(path, options: list[str], *, extra=None):
    """Write a checkpoint as a training with these options does and read it again."""
    values = {"w": np.ones(3, np.float32), **(extra or {})}
    checkpoint.write_atomically({**origin_of(config_of(options, "train")).entry(), **values}, path)
    return checkpoint.read_checkpoint(path)


def test_the_entry_is_json_that_earlier_versions_take_for_training_state(tmp_path):
    values = written(tmp_path / "a.ckpt", NAMED)
    assert list(values) == ["w"]
    entry = ms.load_checkpoint(str(tmp_path / "a.ckpt"))["train_state.origin"].asnumpy()
    assert json.loads(bytes(entry.tolist()).decode()) == {
        "net": "BiSeNetV2",
        "variant": {"inner_upsample": "bilinear", "bn_epsilon": 0.001, "bga_pointwise_bias": False},
        "num_classes": 3,
        "class_names": ["road", "path", "rest"],
        "normalize": {
            "mean": [0.3257, 0.369, 0.3223],
            "std": [0.2112, 0.2148, 0.2115],
            "is_scale": True,
            "norm_type": "mean_std",
        },
    }
    assert checkpoint.is_training_state("train_state.origin")


@pytest.mark.parametrize(
    ("trained", "used", "message"),
    [
        (NAMED, NAMED, ""),
        (NAMED, GENERIC, ""),  # no names to compare
        (GENERIC, NAMED, ""),
        (NAMED, [*GENERIC, "data.class_names=[Road,' path',REST]"], ""),
        ([], [], ""),
        (
            NAMED,
            [],
            "trained on 3 classes (road, path, rest), configured are 19 classes (road, sidewalk, building, ...); give "
            "the configuration of that training, --config with the config.yml of its run, or its data.class_names",
        ),
        (
            NAMED,
            [*GENERIC, "data.class_names=[path,road,rest]"],
            "configured are 3 classes (path, road, rest), in another order; give",
        ),
        (NAMED, [*GENERIC, "data.class_names=[sky,path,rest]"], "configured are 3 classes (sky, path, rest); give"),
        (
            ["net_args.inner_upsample=nearest", "net_args.bn_epsilon=1e-5"],
            [],
            "weights of another variant of the network; give net_args.inner_upsample=nearest net_args.bn_epsilon=1e-05",
        ),
    ],
)
def test_other_classes_and_variants_are_refused(tmp_path, trained, used, message):
    values = written(tmp_path / "a.ckpt", trained)
    if not message:
        compare_origin(config_of(used), values, "a.ckpt")
        return
    with pytest.raises(CheckpointError, match="^a.ckpt: .*" + re.escape(message)) as error:
        compare_origin(config_of(used), values, "a.ckpt")
    assert "\n" not in str(error.value)


def test_fine_tuning_may_have_other_classes_but_not_another_variant(tmp_path):
    values = written(tmp_path / "a.ckpt", [])
    compare_origin(config_of(NAMED, "train"), values, "a.ckpt", training=True, new_classes=True)
    nearest = config_of([*NAMED, "net_args.inner_upsample=nearest"], "train")
    with pytest.raises(CheckpointError, match="another variant of the network; give net_args.inner_upsample=bilinear"):
        compare_origin(nearest, values, "a.ckpt", training=True, new_classes=True)


@pytest.mark.parametrize(("part", "training"), [("eval", False), ("train", True)])
def test_another_normalisation_is_told_with_its_cause(tmp_path, caplog, part, training):
    caplog.set_level(logging.WARNING)
    values = written(tmp_path / "a.ckpt", [])
    where = NORMALIZE.format(part)
    swapped = config_of([f"{where}.mean=[0.3223,0.369,0.3257]", f"{where}.std=[0.2115,0.2148,0.2112]"])
    compare_origin(swapped, values, "a.ckpt", training=training)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("a.ckpt: its training normalised otherwise: mean [0.3223,0.369,0.3257] instead of")
    assert "R and B are exchanged" in record.message
    assert f"give {where}.mean=[0.3257,0.369,0.3223]" in record.message
    caplog.clear()
    grey = [f"{where}.mean=[83.0535,94.095,82.1865]", f"{where}.std=[53.856,54.774,53.9325]", f"{where}.is_scale=False"]
    compare_origin(config_of(grey), values, "a.ckpt", training=training)  # the same, times 255
    assert not caplog.records


def test_older_checkpoints_are_taken_in_silence(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    checkpoint.write_atomically({"w": np.ones(3, np.float32)}, tmp_path / "a.ckpt")
    compare_origin(config_of(NAMED), checkpoint.read_checkpoint(tmp_path / "a.ckpt"), tmp_path / "a.ckpt")
    assert not caplog.records


def test_training_notes_it_down_and_prediction_compares(tmp_path):
    """The checkpoint of a training is written with what `train.py` says of the run."""
    config = config_of(NAMED, "train")
    info = train_script.run_info(config, 4, 7)
    assert info.origin == origin_of(config)
    network = BiSeNetV2(3, aux_heads=True)
    values = {p.name: p.asnumpy() for p in network.get_parameters()}
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically({**info.origin.entry(), **values}, path)
    found = checkpoint.read_checkpoint(path)
    assert found.origin == dataclasses.replace(info.origin, normalize=found.origin.normalize)
    checkpoint_predictor(config_of(NAMED), path, None)
    with pytest.raises(CheckpointError, match="a.ckpt: trained on 3 classes"):
        checkpoint_predictor(config_of([]), path, None)


def test_every_script_compares(tmp_path):
    """With the way out, and nothing is left behind."""
    info = dataclasses.replace(checkpoint.RunInfo(1, 2, 4, 1), origin=origin_of(config_of(NEAREST, "train")))
    network = BiSeNetV2(19, aux_heads=True)
    values = {p.name: p.asnumpy() for p in network.get_parameters()}
    values |= {f"train_state.{name}": np.array([1], np.int64) for name in ("step", "total_step", "total_batch", "seed")}
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically({**info.origin.entry(), **values}, path)
    data = f"data.dataset_dir={write_cityscapes(tmp_path / 'data', {'val': 1}, size=(32, 64))}"
    runtime = SimpleNamespace(rank=0, rank_size=1)
    run = {
        "eval": lambda: eval_script.main(["--checkpoint_path", str(path), "--save_dir", str(tmp_path / "out"), data]),
        "export": lambda: export_script.main(["--checkpoint_file", str(path), "--file_name", str(tmp_path / "out")]),
        "finetune": lambda: train_script.restore(
            network, None, config_of(["--finetune_ckpt", str(path)], "train"), runtime
        ),
        "resume": lambda: train_script.restore(
            network,
            None,
            config_of(["--resume_ckpt", str(path), "--save_dir", str(tmp_path / "run")], "train"),
            runtime,
        ),
    }
    for script in run.values():
        with pytest.raises(
            CheckpointError, match="a.ckpt: weights of another variant .*; give net_args.inner_upsample="
        ):
            script()
    assert not list(tmp_path.glob("out*.mindir")) + list(tmp_path.glob("out*/*.json"))


def test_the_entry_of_converted_weights_fits_their_configuration(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    for family, classes in ((BISENET, ()), (MMSEG, ("road", "path", "rest"))):
        entry = converting.origin_of(family, 3, classes).entry()
        checkpoint.write_atomically({**entry, "w": np.ones(3, np.float32)}, tmp_path / f"{family.name}.ckpt")
        path = tmp_path / f"{family.name}.yml"
        path.write_text(converting.configuration_for(family, 3, classes), encoding="utf-8")
        values = checkpoint.read_checkpoint(path.with_suffix(".ckpt"))
        compare_origin(config_of(["--config", str(path)]), values, path)
        assert not caplog.records
        with pytest.raises(CheckpointError, match="another variant .*; trained on 3 classes"):
            compare_origin(config_of([]), values, path)
