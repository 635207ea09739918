"""Bases of a configuration: one that several share, one of the repository, and changes of single transforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.base.errors import ConfigError
from src.config.yaml_files import read_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "config"
TRANSFORMS = "steps: [{Crop: {size: 8, scale: 2}}, Flip, {Color: {range: [1, 2]}}]\n"


def files(folder: Path, **texts: str) -> Path:
    """Write NAME.yml for every name, and return the last one."""
    for name, text in texts.items():
        path = folder / f"{name}.yml"
        path.write_text(text)
    return path


def test_a_base_of_two_bases_takes_nothing_back(tmp_path):
    top = files(
        tmp_path,
        root="a: 1\nb: 1\nc: 1\n",
        one="__BASE__: root.yml\na: 2\n",
        two="__BASE__: root.yml\nb: 3\n",
        top="__BASE__: [one.yml, two.yml]\n",
    )
    assert read_yaml(top) == {"a": 2, "b": 3, "c": 1}


def test_a_base_that_is_named_after_another_wins_even_where_that_is_built_on_it(tmp_path):
    top = files(tmp_path, root="a: 1\nb: 1\n", one="__BASE__: root.yml\na: 2\n", top="__BASE__: [one.yml, root.yml]\n")
    assert read_yaml(top) == {"a": 1, "b": 1}


def test_thirty_pairs_that_each_name_both_before_are_read_at_once(tmp_path):
    pairs = {f"{a}{n}": f"__BASE__: [f{n - 1}.yml, g{n - 1}.yml]\n{a}{n}: {n}\n" for n in range(1, 30) for a in "fg"}
    top = files(tmp_path, f0="f0: 0\n", g0="g0: 0\n", **pairs, top="__BASE__: [f29.yml, g29.yml]\n")
    assert read_yaml(top) == {f"{a}{n}": n for n in range(30) for a in "fg"}


def test_a_base_that_is_named_twice_is_refused(tmp_path):
    top = files(tmp_path, f0="k0: 0\n", f1="__BASE__: [f0.yml, f0.yml]\n")
    with pytest.raises(ConfigError, match="f1.yml: __BASE__ names f0.yml twice$"):
        read_yaml(top)


@pytest.mark.parametrize("spelling", ["one.yml", "../{}/one.yml"])
def test_a_circle_is_refused(tmp_path, spelling):
    top = files(tmp_path, two=f"__BASE__: {spelling.format(tmp_path.name)}\n", one="__BASE__: [two.yml]\n")
    with pytest.raises(ConfigError, match="one.yml: __BASE__ includes itself"):
        read_yaml(top)


def test_a_link_to_itself_is_no_file(tmp_path):
    (tmp_path / "loop.yml").symlink_to("loop.yml")
    top = files(tmp_path, top="__BASE__: loop.yml\n")
    with pytest.raises(ConfigError, match="cannot read configuration .*loop.yml: Too many levels of symbolic links"):
        read_yaml(top)


def test_a_base_of_the_repository_is_found_from_anywhere_unless_there_is_one_nearby(tmp_path):
    top = files(tmp_path, top="__BASE__: config/bisenetv2_camvid.yml\n")
    assert read_yaml(top) == read_yaml(CONFIGS / "bisenetv2_camvid.yml")
    (tmp_path / "config").mkdir()
    files(tmp_path / "config", bisenetv2_camvid="a: 1\n")
    assert read_yaml(top) == {"a": 1}


def test_a_mapping_over_a_list_of_transforms_changes_those_that_it_names(tmp_path):
    top = files(
        tmp_path,
        root=TRANSFORMS,
        top="__BASE__: root.yml\nsteps: {Crop: {size: 4}, Flip: {prob: 1}, Color: False}\n",
    )
    assert read_yaml(top) == {"steps": [{"Crop": {"size": 4, "scale": 2}}, {"Flip": {"prob": 1}}]}


def test_changes_stay_changes_until_they_meet_the_list(tmp_path):
    top = files(
        tmp_path,
        root=TRANSFORMS,
        one="steps: {Crop: {size: 4}}\n",
        two="__BASE__: one.yml\nsteps: {Crop: {scale: 1}, Color: False}\n",
        top="__BASE__: [root.yml, two.yml]\n",
    )
    assert read_yaml(top) == {"steps": [{"Crop": {"size": 4, "scale": 1}}, "Flip"]}


def test_an_entry_that_is_not_there_cannot_be_changed(tmp_path):
    top = files(tmp_path, root=TRANSFORMS, top="__BASE__: root.yml\nsteps: {Crops: {size: 4}}\n")
    with pytest.raises(ConfigError) as error:
        read_yaml(top)
    assert str(error.value) == f"{top}: steps: the list has no entry 'Crops' to change; did you mean 'Crop'?"


def test_other_lists_are_replaced(tmp_path):
    top = files(tmp_path, root="a: [1, 2]\nb: [{x: 1, y: 2}]\n", top="__BASE__: root.yml\na: {x: 1}\nb: {x: 2}\n")
    assert read_yaml(top) == {"a": {"x": 1}, "b": {"x": 2}}
