"""YAML and JSON beyond one size, one depth and a number of bases: one line, and soon, whatever they hold."""

from __future__ import annotations

import json
import os
import re
import string
from pathlib import Path

import pytest

from src.base.errors import ConfigError, DataError, UserError
from src.base.json_text import DEEPEST, LONGEST_TEXT, parse_json, read_json
from src.config.builder import build_config
from src.config.label_maps import read_entries
from src.config.yaml_files import read_yaml
from src.config.yaml_loader import Text
from src.distributed.placement import read_rank_table
from src.offline.manifest import read_manifest
from src.predict.palette import read_palette
from src.utils.config import parse_config
from tests.special_files import MAKERS

pytestmark = pytest.mark.once


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def bomb() -> str:
    """Nine values, each nine times the one before: 387 million."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip(string.ascii_lowercase[:8], string.ascii_lowercase[1:]):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


def chain(of: int) -> str:
    """Mappings of which each merges the one before: half of the square of so many pairs."""
    return "m0: &m0 {k0: 1}\n" + "".join(f"m{i}: &m{i} {{<<: *m{i - 1}, k{i}: 1}}\n" for i in range(1, of))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 20_000, "more than 50 deep"),
        ("a: " + "{a: " * 20_000, "more than 50 deep"),
        ("- " * 20_000, "more than 50 deep"),
        (f"a: &a {nested(40)}\nb: {nested(10)[:10]}*a{']' * 10}", "more than 50 deep"),
        (bomb(), "aliases (*) lead to more than 10000 values"),
        (f"{bomb()}\n? *i\n: 1", "x.yml:9: a list or a mapping cannot be a key"),
        (chain(600), "<< leads to more than 10000 values"),
        ("".join(f"k{i}: &a{i} 1\n" for i in range(5_001)), "x.yml: has more than 10000 keys and values"),
        (f"a: [{'1,' * 10_001}]", "x.yml: has more than 10000 keys and values"),
        ("#" * LONGEST_TEXT + "\n", "has more than 1 MB"),
        ("a: " + "1" * 5000, "x.yml:1: a number of 5000 letters; the limit is 100"),
        ("a: !!bool x", "'x' is not a valid bool"),
        ("a: !!int ''", "'' is not a valid int"),
        ("a: !!timestamp x", "'x' is not a valid timestamp"),
        ('a: "\\ud800"', "'\\ud800' holds half a character"),
        ('__BASE__: "\\ud800"', "'\\ud800' holds half a character"),
        ('__BASE__: "a\\0b"', "x.yml: __BASE__: 'a\\x00b': holds a NUL byte"),
        (f"__BASE__: {'a' * 5000}", "file systems take 255 bytes"),
        ("__BASE__: ~nobody_is_called_so/x.yml", "x.yml: __BASE__: ~nobody_is_called_so/x.yml: there is no user"),
        ('data: {label_ids: "a\\0b"}', "x.yml: data.label_ids: 'a\\x00b': holds a NUL byte"),
    ],
)
def test_a_file_of_yaml(tmp_path, text, message):
    path = tmp_path / "x.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
    assert "x.yml" in str(error.value)


def test_what_is_allowed_is_read(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text(f"a: {nested(DEEPEST - 1)}\nb: [{'x, ' * 9_000}x]\n", encoding="utf-8")
    values = read_yaml(path)
    assert len(values["b"]) == 9_001
    assert parse_json(nested(DEEPEST)) == json.loads(nested(DEEPEST))
    assert parse_json('["[[[[' + "[" * 60 + '", "\\"[' + "[" * 60 + '"]')[0].count("[") == 64  # those are text


def test_bases_that_double_with_every_file(tmp_path):
    """30 files that each name the one before twice, by two of its names: a thousand million readings."""
    (tmp_path / "f0.yml").write_text("seed: 7")
    for number in range(1, 31):
        before, other = f"f{number - 1}.yml", f"../{tmp_path.name}/f{number - 1}.yml"
        (tmp_path / f"f{number}.yml").write_text(f"__BASE__: [{before}, {other}]")
    assert read_yaml(tmp_path / "f30.yml") == {"seed": 7}


def test_more_than_a_hundred_files(tmp_path):
    (tmp_path / "f1.yml").write_text("seed: 7")
    for number in range(2, 102):
        (tmp_path / f"f{number}.yml").write_text(f"__BASE__: f{number - 1}.yml")
    assert read_yaml(tmp_path / "f100.yml") == {"seed": 7}
    with pytest.raises(ConfigError, match="f1.yml: __BASE__ leads to more than 100 files"):
        read_yaml(tmp_path / "f101.yml")


def test_bases_that_hold_too_much_together(tmp_path):
    for number in range(3):
        base = f"__BASE__: f{number - 1}.yml\n" if number else ""
        (tmp_path / f"f{number}.yml").write_text(f"{base}a: [{'1,' * 4_000}]\n")
    assert len(read_yaml(tmp_path / "f1.yml")["a"]) == 4_000
    with pytest.raises(ConfigError, match="f0.yml: the configuration: has more than 10000 keys and values"):
        read_yaml(tmp_path / "f2.yml")


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_bases_and_label_maps_that_may_never_end(tmp_path, kind):
    odd = MAKERS[kind](tmp_path / "odd.yml")
    (tmp_path / "x.yml").write_text("__BASE__: odd.yml")
    with pytest.raises(ConfigError, match=f"cannot read configuration .*odd.yml: is {kind}, not a regular file; put"):
        read_yaml(tmp_path / "x.yml")
    with pytest.raises(ConfigError, match=f"odd.yml: cannot be read: is {kind}, not a regular file; put"):
        read_entries(str(odd))


def test_a_palette_may_be_a_pipe_of_the_shell_but_none_in_a_folder(tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b"1 2 3 sky")
    os.close(writer)
    assert read_palette(Path(f"/dev/fd/{reader}"), ["a"])[1] == ("sky",)
    os.close(reader)
    with pytest.raises(ConfigError, match="--palette .*x.txt: cannot be read: is a named pipe, not a regular file"):
        read_palette(MAKERS["a named pipe"](tmp_path / "x.txt"), ["a"])


def test_of_many_problems_the_first_are_told(tmp_path):
    path = tmp_path / "x.yml"
    base = Path(__file__).resolve().parents[2] / "config" / "bisenetv2_tiny.yml"
    long = "".join(f"zz{number}: 1\n" for number in range(500))
    path.write_text(f"__BASE__: {base}\nseed: {'x' * 5_000}\n{long}")
    with pytest.raises(ConfigError) as error:
        parse_config(["--config", str(path)], "train")
    head, *lines = str(error.value).splitlines()
    assert head == f"configuration {path}: 501 problems"
    assert [line.split(":")[0] for line in lines] == [*(f"  zz{number}" for number in range(20)), "  and 481 more"]
    path.write_text(f"__BASE__: {base}\nseed: {'x' * 5_000}\n")
    with pytest.raises(ConfigError, match="seed: expected a whole number, got 'x{900,1000}[.]{3}$"):
        parse_config(["--config", str(path)], "train")


def test_a_base_may_be_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x.yml").write_text("seed: 7\ndata: {label_ids: ids.yml}")
    (tmp_path / "y.yml").write_text("__BASE__: ~/x.yml\ndata: {label_colors: ~/colors.yml}")
    home = str(tmp_path / "home")
    assert read_yaml(tmp_path / "y.yml") == {
        "seed": 7,
        "data": {"label_ids": f"{home}/ids.yml", "label_colors": f"{home}/colors.yml"},
    }


@pytest.mark.parametrize(
    "text", [nested(20_000), "{" * 20_000, '{"a": "' + "x" * LONGEST_TEXT + '"}', '["\\uD800"]', "\xff", "{"]
)
def test_files_of_json(tmp_path, text):
    """Every reader answers with its one line; the oracle of what they have in common is the exception's class."""
    path = tmp_path / "x.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match="."):
        read_json(path)
    with pytest.raises(ConfigError, match="--palette .*x.json"):
        read_palette(path, ["a"])
    with pytest.raises(UserError, match="x.json is not a rank table"):
        read_rank_table(path)
    path.rename(tmp_path / "manifest.json")
    if len(text) < LONGEST_TEXT:
        with pytest.raises(DataError, match="manifest.json: damaged; run preprocess.py again"):
            read_manifest(tmp_path)


def test_label_maps(tmp_path):
    path = tmp_path / "ids.yml"
    path.write_text("0: " + "[" * 20_000)
    with pytest.raises(ConfigError, match="ids.yml: has lists and mappings in each other"):
        read_entries(str(path))
    with pytest.raises(ConfigError, match="has lists and mappings in each other"):
        read_entries(Text("{0: " + "[" * 20_000))


@pytest.mark.parametrize("key", ["save_dir", "data.dataset_dir", "save_predictions", "output_path"])
def test_keys_that_are_paths(tmp_path, monkeypatch, key):
    monkeypatch.setenv("HOME", "/h/me")
    folder, _, name = key.rpartition(".")

    def built(value: str):
        values = read_yaml(Path(__file__).resolve().parents[2] / "config" / "bisenetv2_cityscapes.yml")
        (values[folder] if folder else values)[name] = value
        config = build_config(values)
        return getattr(getattr(config, folder) if folder else config, name)

    assert built("~/x") == "/h/me/x"
    for wrong in ("~nobody_is_called_so/x", "a\0b", "a" * 5000, ""):
        with pytest.raises(ConfigError, match=f"^{key}: "):
            built(wrong)
