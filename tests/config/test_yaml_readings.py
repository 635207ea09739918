"""What a configuration file means: as the command line reads it, or refused with both readings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.base.errors import ConfigError
from src.config.yaml_files import read_yaml
from src.utils.config import parse_config

BASE = f"__BASE__: {Path(__file__).resolve().parents[2] / 'config' / 'bisenetv2_cityscapes.yml'}\n"
pytestmark = pytest.mark.once


def load(folder: Path, text: str, *options: str):
    path = folder / "x.yml"
    path.write_text(BASE + text, encoding="utf-8")
    return parse_config(["--config", str(path), *options], "train")


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("total_step: 0100", "0100 is 64 in YAML 1.1, the number 100 elsewhere; write 64 or 100, or '0100' in quotes"),
        ("seed: -010", "-010 is -8 in YAML 1.1, the number -10 elsewhere"),
        ("total_step: 1:30", "1:30 is 90 in YAML 1.1, the text '1:30' elsewhere; write 90, or '1:30' in quotes"),
        ("clip_grad_norm: 1:30.5", "1:30.5 is 90.5 in YAML 1.1, the text '1:30.5' elsewhere"),
        ("total_step: 0x10", "0x10 is 16 in YAML 1.1, the text '0x10' elsewhere"),
        ("total_step: 0b11", "0b11 is 3 in YAML 1.1, the text '0b11' elsewhere"),
        ("total_step: 1__0", "1__0 is 10 in YAML 1.1, the text '1__0' elsewhere"),
        ("mix: on", "on is True in YAML 1.1, the text 'on' elsewhere; write True, or 'on' in quotes"),
        ("mix: No", "No is False in YAML 1.1, the text 'No' elsewhere"),
        ("data: {class_names: [yes, no]}", "yes is True in YAML 1.1, the text 'yes' elsewhere"),
        ("save_dir: 2026-11-27", "2026-11-27 is a date in YAML 1.1, the text '2026-11-27' elsewhere; quote it"),
        ("loss_weight: [1, 1, 1, 1, 010]", "010 is 8 in YAML 1.1, the number 10 elsewhere; write 8 or 10"),
    ],
)
def test_two_readings_are_refused_with_both(tmp_path, text, readings):
    with pytest.raises(ConfigError, match=re.escape(f"x.yml:2: {readings}")) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["loss_weight=[1,1,1,1,010]", "data.class_names=[2026-02-30]"])
def test_lists_of_the_command_line_are_read_alike(tmp_path, option):
    message = "010 is 8 in YAML 1.1" if "010" in option else "expected a list"
    with pytest.raises(ConfigError, match=f"{option.split('=')[0]}: {message}"):
        load(tmp_path, "", option)


@pytest.mark.parametrize("word", ["1_000", "1000", "1e3", "01e3", "+1000", "1000.0", "'01000'", "09"])
def test_numbers_are_those_of_the_command_line(tmp_path, word):
    """Python's own reading of the word is the oracle."""
    expected = int(float(word.strip("'")))
    assert load(tmp_path, f"total_step: {word}").total_step == expected
    assert load(tmp_path, "", "--total_step", word.strip("'")).total_step == expected


def test_none_is_null_and_words_in_quotes_are_text(tmp_path):
    config = load(tmp_path, "save_dir: None\nclip_grad_norm: none\ndevice_id: NONE\nresume_ckpt: 'None'\nmix: TRUE\n")
    assert (config.save_dir, config.clip_grad_norm, config.device_id) == (None, None, None)
    assert (config.resume_ckpt, config.mix) == ("None", True)
    assert load(tmp_path, "ms_loss_scaler: none").ms_loss_scaler == "none"  # a choice of this key
    assert load(tmp_path, "train_url: '0100'\nmodelarts: true\nsave_dir: 'on'").save_dir == "on"


MERGED = """\
data:
  train_transforms:
    item_transforms:
      - RandomResizeCrop: &crop {crop_size: [64, 64], base_size: 96}
      - Normalize: &norm {mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2]}
      - TransposeImage
  eval_transforms:
    item_transforms:
      - Resize: {target_size: [64, 96]}
      - Normalize: {<<: *norm, std: [0.1, 0.1, 0.1]}
      - TransposeImage: {}
"""


def test_merge_keys_work_and_own_keys_win(tmp_path):
    data = load(tmp_path, MERGED).data
    normalize = data.eval_transforms.item_transforms[1]
    assert (normalize.mean, normalize.std) == ((0.5, 0.4, 0.3), (0.1, 0.1, 0.1))
    assert data.train_transforms.item_transforms[1].std == (0.2, 0.2, 0.2)


def test_merged_mappings_follow_the_specification(tmp_path):
    """https://yaml.org/type/merge.html: own keys win, of several mappings the earlier one, merged ones merge."""
    path = tmp_path / "x.yml"
    path.write_text(
        "a: &a {x: 1, r: 10}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b], r: 3}\nd: &d {<<: *a, x: 0}\ne: {<<: *d, y: 9}\n",
        encoding="utf-8",
    )
    values = read_yaml(path)
    assert values["c"] == {"x": 1, "y": 2, "r": 3}
    assert values["d"] == {"x": 0, "r": 10}
    assert values["e"] == {"x": 0, "r": 10, "y": 9}


def test_an_alias_is_a_copy(tmp_path):
    """Setting a key of one place leaves the other alone."""
    text = MERGED.replace("{<<: *norm, std: [0.1, 0.1, 0.1]}", "*norm")
    data = load(tmp_path, text, "data.eval_transforms.item_transforms.Normalize.mean=[0.1,0.1,0.1]").data
    assert data.eval_transforms.item_transforms[1].mean == (0.1, 0.1, 0.1)
    assert data.train_transforms.item_transforms[1].mean == (0.5, 0.4, 0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<<: 3\n", "x.yml:2: << takes a mapping or a list of mappings"),
        ("data: &a {b: *a}\n", "x.yml: an alias (*) leads to a value that contains itself"),
        ("optimizer: {lr_init: 1, lr_init: 2}\n", "x.yml:2: key 'lr_init' given twice"),
        ("optimizer: {<<: {lr_init: 1}, <<: {lr_end: 0}}\n", "x.yml:2: key '<<' given twice"),
        ("on: 1\n", "x.yml:2: 'on' cannot be a key"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(tmp_path, text)


@pytest.mark.parametrize("key", ["loss_weight", "data.map_label"])
def test_weights_that_are_all_zero_are_refused(tmp_path, key):
    count = {"loss_weight": 5, "data.map_label": 19}[key]
    with pytest.raises(ConfigError, match=f"{key}: must not all be 0: nothing would be learned"):
        load(tmp_path, "", f"{key}={[0] * count}")
    load(tmp_path, "", f"{key}={[0] * (count - 1) + [1]}")
