"""What is said of a configuration where: all of it in the log file, what differs from the default on the console."""

from __future__ import annotations

import logging

import pytest
import yaml

from src.base.errors import count_names
from src.config.builder import build_config
from src.config.saved import to_dict
from src.config.summary import changed_keys, log_configuration
from src.utils.config import DEFAULT_CONFIG, parse_config
from src.utils.logger import setup_logging

CROP = "data.train_transforms.item_transforms.RandomResizeCrop.crop_size"


@pytest.fixture(autouse=True)
def no_handlers_stay():
    """Take away the handlers that the log gets here."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()


def test_the_console_gets_what_differs_and_the_file_everything(tmp_path, capsys):
    config = parse_config(["--total_step", "7", f"{CROP}=[64,96]", "optimizer.lr_init=0.02"], "train")
    setup_logging(tmp_path)
    log_configuration(config, DEFAULT_CONFIG)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("[INFO] configuration as in bisenetv2_cityscapes.yml, but for")
    assert lines == [f"  {CROP}: [64, 96]", "  optimizer.lr_init: 0.02", "  total_step: 7"]
    written = (tmp_path / "logs" / "rank_0.log").read_text(encoding="utf-8")
    _, _, whole = written.partition("[INFO] configuration:\n")
    assert yaml.safe_load(whole) == to_dict(config)


def test_the_default_takes_one_line(tmp_path, capsys):
    setup_logging(None)
    log_configuration(parse_config([], "train"), DEFAULT_CONFIG)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("[INFO] configuration as in bisenetv2_cityscapes.yml")


def test_every_key_that_differs_is_told():
    words = ["--num_classes", "9", "data.name=generic", "data.map_label=null", "net_args.freeze_bn=True", "--seed", "5"]
    assert sorted(changed_keys(parse_config(words, "train"), parse_config([], "train"))) == [
        "data.map_label: None",
        "data.name: generic",
        "net_args.freeze_bn: True",
        "num_classes: 9",
        "seed: 5",
    ]


def test_long_values_are_counted_and_other_transforms_named():
    default = parse_config([], "train")
    names = [f"c{number}" for number in range(19)]
    words = [f"data.class_names=[{','.join(names)}]", "--config", str(DEFAULT_CONFIG.with_name("bisenetv2_camvid.yml"))]
    lines = changed_keys(parse_config(words, "train"), default)
    assert "data.class_names: 19 values (c0, c1, c2 and 16 more)" in lines
    path = "data.train_transforms.item_transforms"
    assert f"{path}: RandomResizeCrop, RandomFlip, Normalize, TransposeImage" in lines
    assert changed_keys(build_config(to_dict(default)), default) == []


@pytest.mark.parametrize(
    ("names", "text"),
    [([], "0 ()"), (["a"], "1 (a)"), (["a", "b", "c"], "3 (a, b, c)"), (list("abcdef"), "6 (a, b, c and 3 more)")],
)
def test_names_are_counted_with_the_first_three(names, text):
    assert count_names(iter(names)) == text
