"""Configuration: files, bases, command line, overrides, and what bad input gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from src.base.errors import ConfigError
from src.config import schema
from src.config.builder import build_config
from src.config.saved import differences, nested_keys, to_dict, to_yaml
from src.config.yaml_files import read_yaml
from src.data.transforms.resize import RandomResizeCrop
from src.utils.config import make_parser, parse_config
from tests.config_values import published_class_weights

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"

NO_PADDING_LABEL = [
    "data.train_transforms.item_transforms.RandomResizeCrop.ignore_label=null",
    "data.eval_transforms.item_transforms.Resize.ignore_label=null",
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_published_values_are_the_default():
    config = parse_config([], "train")
    assert config.data.map_label == tuple(published_class_weights())
    assert config.data.train_transforms.item_transforms[0] == RandomResizeCrop((1024, 1024), True, 2048, 16, 255)
    assert config.data.train_transforms.item_transforms[2].contrast_range == (0.4, 1.6)
    assert config.data.eval_transforms.img_ratios == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert config.data.eval_transforms.item_transforms[0].target_size == (1024, 2048)
    optimizer = config.optimizer
    assert (optimizer.lr_init, optimizer.lr_end, optimizer.lr_power) == (0.05, 0.0, 0.9)
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.nesterov) == (0.9, 0.0005, False)
    assert (config.warmup_step, config.total_step, config.batch_size) == (1000, 160000, 4)
    assert config.loss_weight == (1.0,) * 5
    assert (config.seed, config.log_interval, config.checkpoint_interval, config.keep_checkpoint_max) == (
        1,
        10,
        2000,
        5,
    )


@pytest.mark.parametrize("path", sorted(CONFIG_DIR.glob("*.yml")), ids=lambda path: path.name)
def test_shipped_files_hold_only_known_keys(path):
    default = yaml.safe_load(to_yaml(parse_config([], "train")))

    def check(values: dict, known: dict) -> None:
        for name, value in values.items():
            assert name in known
            if isinstance(value, dict):
                check(value, known[name])

    check(read_yaml(path), default)


def test_later_bases_win_and_the_file_wins_over_its_bases(tmp_path):
    write(tmp_path / "a.yml", "total_step: 1\nseed: 1\nbatch_size: 2\noptimizer: {lr_init: 0.1, momentum: 0.5}\n")
    write(tmp_path / "b.yml", "total_step: 2\nseed: 2\noptimizer: {lr_init: 0.2}\n")
    path = write(tmp_path / "c.yml", "__BASE__: [a.yml, b.yml]\ntotal_step: 3\n")
    expected = {"total_step": 3, "seed": 2, "batch_size": 2, "optimizer": {"lr_init": 0.2, "momentum": 0.5}}
    assert read_yaml(path) == expected
    nested = tmp_path / "sub"
    nested.mkdir()
    assert read_yaml(write(nested / "d.yml", "__BASE__: ../c.yml\n")) == expected


def test_lists_replace(tmp_path):
    base = CONFIG_DIR / "bisenetv2_cityscapes.yml"
    path = write(tmp_path / "x.yml", f"__BASE__: {base}\ndata: {{eval_transforms: {{img_ratios: [1.0, 2.0]}}}}\n")
    assert parse_config(["--config", str(path)], "eval").data.eval_transforms.img_ratios == (1.0, 2.0)


def test_command_line_beats_file_and_override_beats_option():
    config = parse_config(["--lr_init", "0.02", "--total_step", "7", "optimizer.lr_init=0.03", "total_step=8"], "train")
    assert (config.optimizer.lr_init, config.total_step) == (0.03, 8)
    assert parse_config(["--lr_init", "0.02"], "train").optimizer.lr_init == 0.02


def test_transforms_are_addressed_by_name():
    config = parse_config(["data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[192,256]"], "train")
    assert config.data.train_transforms.item_transforms[0].crop_size == (192, 256)
    assert config.data.train_transforms.item_transforms[0].base_size == 2048


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", True), ("true", True), ("1", True), ("False", False), ("false", False), ("0", False)],
)
def test_booleans(text, expected):
    assert parse_config(["--mix", text], "train").mix is expected


def test_single_scale_switches_both_off():
    transforms = parse_config(["--single_scale", "True"], "eval").data.eval_transforms
    assert (transforms.multi_scale, transforms.flip) == (False, False)
    transforms = parse_config(["--multi_scale", "False"], "eval").data.eval_transforms
    assert (transforms.multi_scale, transforms.flip) == (False, True)


def test_none_is_no_value_unless_it_is_a_choice():
    config = parse_config(["--ms_loss_scaler", "none", "--clip_grad_norm", "none"], "train")
    assert (config.ms_loss_scaler, config.clip_grad_norm) == ("none", None)
    assert parse_config(["--ms_loss_scaler", "null"], "train").ms_loss_scaler is None


def test_null_and_numbers_without_a_dot():
    config = parse_config(["data.map_label=null", "optimizer.weight_decay=5e-4", "--total_step", "2e3"], "train")
    assert config.data.map_label is None
    assert config.optimizer.weight_decay == 0.0005
    assert config.total_step == 2000


def test_text_options_are_taken_literally():
    assert parse_config(["--save_dir", "2024"], "train").save_dir == "2024"
    assert parse_config(["data.dataset_dir=/a b/[c]: d"], "train").data.dataset_dir == "/a b/[c]: d"


def test_config_from_a_pipe():
    reader, writer = os.pipe()
    os.write(writer, f"__BASE__: {CONFIG_DIR / 'bisenetv2_cityscapes.yml'}\ntotal_step: 12\n".encode())
    os.close(writer)
    assert parse_config(["--config", f"/dev/fd/{reader}"], "train").total_step == 12
    os.close(reader)


def test_resolved_configuration_reads_back_as_itself():
    config = parse_config(["net_args.bn_epsilon=1e-5", "--clip_grad_norm", "2"], "train")
    assert build_config(yaml.safe_load(to_yaml(config))) == config


def test_every_option_is_explained():
    for script in ("train", "eval"):
        text = " ".join(make_parser(script).format_help().split())
        for path, field in nested_keys(schema.Config):
            if "." in path or script in field.metadata["scripts"]:
                assert path in text
                assert " ".join(field.metadata["help"].split()[:4]) in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--totl_step", "3"], r"unknown option --totl_step; did you mean '--total_step'"),
        (["--save_images", "True"], "unknown option --save_images"),  # an option of eval.py
        (["optimizer.lr_inti=1"], r"optimizer.lr_inti: unknown key; did you mean 'lr_init'"),
        (["optimzer.lr_init=1"], r"optimzer: unknown key; did you mean 'optimizer'"),
        (
            ["data.train_transforms.item_transforms.RandomFlop.prob=1"],
            r"no entry 'RandomFlop'; did you mean 'RandomFlip'",
        ),
        (["data.train_transforms.item_transforms.RandomFlip.probability=1"], r"probability: unknown key; .*'prob'"),
        (["num_classes.x=1"], "leads through a value"),
        (["surplus"], "unexpected argument 'surplus'"),
        (["--batch_size"], "expected one argument"),
        (["--batch_size", "four"], "batch_size: expected a whole number, got 'four'"),
        (["--batch_size", "2.5"], "batch_size: expected a whole number"),
        (["--batch_size", "0"], "batch_size: must be at least 1, got 0"),
        (["loss_weight=[1,1,x,1,1]"], r"loss_weight\[2\]: expected a number, got 'x'"),
        (["data.map_label=[1,x]"], r"data.map_label\[1\]: expected a number"),
        (["--resume_ckpt", ""], "resume_ckpt: must not be empty"),
        (["--save_dir", " "], "save_dir: must not be empty"),
        (["--seed", "5000000000"], "seed: must lie in 0..4294967295"),
        (["--batch_size", "1"], "batch_size: must be at least 2"),
        (["--mix", "yes"], "mix: expected True or False, got 'yes'"),
        (["--ms_mode", "2"], "ms_mode: must be one of 0, 1; got 2"),
        (["--num_classes", "18"], "Cityscapes has 19, got 18"),
        (["optimizer.lr_init=nan"], "optimizer.lr_init: expected a number"),
        (["data.ignore_label=254"], "RandomResizeCrop.ignore_label: is 255 but data.ignore_label is 254"),
        (["data.ignore_label=18", *NO_PADDING_LABEL], "18 is one of the 19 classes"),
        (["data.map_label=[1,2]"], "data.map_label: needs num_classes = 19 entries"),
        (["loss_weight=[1,1]"], "loss_weight: expected 5 values"),
        (["loss.type=focal"], "loss.type: must be one of ce, ohem; got 'focal'"),
        (["loss.ohem_thresh=0"], "loss.ohem_thresh: must lie between 0 and 1, got 0"),
        (["loss.ohem_thresh=1"], "loss.ohem_thresh: must lie between 0 and 1, got 1"),
        (["loss.ohem_min_kept=0"], "loss.ohem_min_kept: must be at least 1, got 0"),
        (["data.eval_transforms.img_ratios=[]"], "img_ratios: needs at least one ratio"),
        (["data.eval_transforms.item_transforms.Normalize.std=[0,1,1]"], "Normalize.std: must be positive"),
        (["data.train_transforms.item_transforms=[RandomFlip]"], "must begin with RandomResizeCrop"),
        (["data.train_transforms.item_transforms=[{Blur: {}}]"], "Blur: unknown transform"),
        (["--resume_ckpt", "a", "--finetune_ckpt", "b"], "excludes finetune_ckpt"),
        (["loss.ohem_min_kept=5"], "loss.ohem_min_kept: does nothing without loss.type=ohem"),
        (["loss.ohem_thresh=0.6"], "loss.ohem_thresh: does nothing without loss.type=ohem"),
        (["--config", "missing.yml"], "cannot read configuration missing.yml: No such file"),
    ],
)
def test_bad_command_lines(arguments, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(arguments, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not YAML"),
        ("a: 2023-02-30", "not YAML: day is out of range"),
        ("- 1\n", "expected a mapping"),
        ("seed: 1\nseed: 2\n", "x.yml:2: key 'seed' given twice"),
        ("__BASE__: x.yml\n", "includes itself"),
        ("__BASE__: nothing.yml\n", "nothing.yml: No such file"),
        ("__BASE__: [1]\n", "__BASE__ must be a file name or a list of file names"),
        ("__BASE__: {a: 1}\n", "__BASE__ must be a file name"),
        ("? [a]\n: 1\n", "cannot be a key"),
        ("__BASE__: null\n", "data.*: required"),
        ("data: 3\n", "data: expected keys and values, got 3"),
        ("seed: 1\n", "data.*: required"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = write(tmp_path / "x.yml", text)
    with pytest.raises(ConfigError, match=message):
        parse_config(["--config", str(path)], "train")


def test_all_problems_of_a_file_are_reported_at_once(tmp_path):
    base = CONFIG_DIR / "bisenetv2_cityscapes.yml"
    text = f"__BASE__: {base}\nseeed: 3\ntotal_step: 0\noptimizer: {{lr_init: fast, momentum: 2}}\ndata: {{nmae: x}}\n"
    with pytest.raises(ConfigError) as error:
        parse_config(["--config", str(write(tmp_path / "x.yml", text))], "train")
    message = str(error.value)
    assert "5 problems" in message
    for part in ("seeed: unknown", "total_step: must", "lr_init: expected", "momentum: must", "data.nmae: unknown"):
        assert part in message


def test_differences_name_what_the_losses_depend_on():
    old = to_dict(parse_config([], "train"))
    arguments = ["--lr_init", "0.01", "--log_interval", "3", "--save_dir", "x", "data.num_parallel_workers=1"]
    transforms = "data.train_transforms.item_transforms.RandomFlip.prob=0.1"
    lines = differences(old, to_dict(parse_config([*arguments, transforms], "train")))
    assert [line.split(" was ")[0] for line in lines] == ["data.train_transforms.item_transforms", "optimizer.lr_init"]
    assert lines[1] == "optimizer.lr_init was 0.05, is 0.01 now"
    assert differences(old, old) == []
