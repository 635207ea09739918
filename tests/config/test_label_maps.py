"""The maps of data.label_ids and data.label_colors: how they are written, what is refused, which are shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.base.errors import ConfigError
from src.config.label_maps import parse_colors, parse_ids
from src.config.saved import to_yaml
from src.data.classes import class_palette
from src.data.label_maps import file_values, label_coding
from src.utils.config import parse_config
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
OWN = ["data.name=generic", "num_classes=3", "data.map_label=null"]


def shipped(tmp_path: Path, name: str):
    """Return the configuration with a shipped map as its README line says."""
    path = tmp_path / "own.yml"
    path.write_text(f"__BASE__: [{ROOT}/config/bisenetv2_cityscapes.yml, {ROOT}/config/labels/{name}]\n")
    return parse_config(["--config", str(path)], "train")


def test_single_ids_ranges_and_what_is_ignored():
    entries = {"0": "ignore", "7": "2", "10-12": "0-2", "20-23": "1", "255": "255"}
    expected = {0: 255, 7: 2, 10: 0, 11: 1, 12: 2, 20: 1, 21: 1, 22: 1, 23: 1, 255: 255}
    assert parse_ids(entries, 3, 255) == expected
    assert parse_ids({"5": "Ignore"}, 3, 100) == {5: 100}
    assert parse_colors({"128 64 128": "0", "0,0,0": "ignore", "1, 2, 3": "2"}, 3, 255) == {
        (128, 64, 128): 0,
        (0, 0, 0): 255,
        (1, 2, 3): 2,
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("label_ids={0: 3}", "data.label_ids: 0: train id 3 is outside 0..2; or write ignore"),
        ("label_ids={256: 0}", "data.label_ids: 256: raw ids are 0..255, or a range such as 1-150; got '256'"),
        ("label_ids={5-3: 0}", "data.label_ids: 5-3: raw ids are 0..255, or a range such as 1-150; got '5-3'"),
        ("label_ids={0-3: 0-2}", "data.label_ids: 0-3: 4 raw ids, but 3 train ids"),
        ("label_ids={0-3: 0, 2: 1}", "data.label_ids: 2: 2 is given twice"),
        ("label_ids={0: road}", "data.label_ids: 0: expected a train id, a range of them, or ignore; got 'road'"),
        ("label_ids={0: [1]}", "data.label_ids: 0: expected a train id or ignore, got [1]"),
        ("label_ids={0:1}", "0:1: expected a train id or ignore, got None; YAML needs a space after the colon"),
        ("label_ids={}", "data.label_ids: expected raw values and train ids, such as {0: ignore, 1-150: 0-149}"),
        ("label_ids=none.yml", "data.label_ids: none.yml: cannot be read: No such file or directory"),
        ("label_ids={0: 1, 0: 2}", "data.label_ids: key '0' given twice"),
        ("label_colors={1 2: 0}", "data.label_colors: 1 2: a colour is R G B, each 0..255"),
        ("label_colors={1 2 256: 0}", "data.label_colors: 1 2 256: a colour is R G B, each 0..255"),
        ("label_colors={1 2 3: 0-1}", "data.label_colors: 1 2 3: expected one train id, got 0-1"),
        ("label_colors={1 2 3: 0, '1,2,3': 1}", "data.label_colors: 1,2,3: 1 2 3 is given twice"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(override, message):
    with pytest.raises(ConfigError) as error:
        parse_config([*OWN, f"data.{override}"], "train")
    assert str(error.value).splitlines()[0].endswith(message)


def test_all_entries_that_are_wrong_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        parse_config([*OWN, "data.label_ids={0: 3, 1: x}"], "train")
    assert [line.split(":")[1].strip() for line in str(error.value).splitlines()[1:]] == ["0", "1"]


def test_a_map_needs_data_without_ids_of_its_own_and_excludes_another():
    with pytest.raises(ConfigError, match=r"data.label_ids: needs data.name=generic"):
        parse_config(["data.label_ids={0: 0}"], "train")
    with pytest.raises(ConfigError, match=r"data.label_colors: excludes data.label_ids"):
        parse_config([*OWN, "data.label_ids={0: 0}", "data.label_colors={0 0 0: 0}"], "train")
    colors = ", ".join(f"{number} 0 0: 0" for number in range(256))
    with pytest.raises(ConfigError, match=r"data.label_colors: has 256 colours, the limit is 255"):
        parse_config([*OWN, f"data.label_colors={{{colors}}}"], "train")


def test_a_file_is_found_beside_the_configuration_and_saved_with_its_content(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "own.yml").write_text("# our ids\n1-2: 0-1\n9: 2\n0: ignore\n", encoding="utf-8")
    path = tmp_path / "own.yml"
    path.write_text(
        f"__BASE__: {ROOT}/config/bisenetv2_cityscapes.yml\nnum_classes: 3\n"
        "data: {name: generic, map_label: null, label_ids: maps/own.yml}\n",
        encoding="utf-8",
    )
    config = parse_config(["--config", str(path)], "train")
    assert config.data.label_ids == {"1-2": "0-1", "9": "2", "0": "ignore"}
    assert parse_config([*OWN, f"data.label_ids={tmp_path}/maps/own.yml"], "train").data.label_ids["9"] == "2"
    saved = tmp_path / "elsewhere.yml"
    saved.write_text(to_yaml(config), encoding="utf-8")
    (tmp_path / "maps" / "own.yml").unlink()
    assert parse_config(["--config", str(saved)], "train") == config
    # an entry of its own replaces that of the file
    one = parse_config(["--config", str(saved), "data.label_ids.9=ignore"], "train")
    assert one.data.label_ids == {"1-2": "0-1", "9": "ignore", "0": "ignore"}


def test_predicted_ids_are_the_first_raw_ones_where_every_class_has_one():
    table = file_values(parse_config([*OWN, "data.label_ids={9: 1, 4-5: 0, 7: 1, 200: 2, 0: ignore}"], "eval"))
    assert table[:3].tolist() == [4, 9, 200]
    for own in ("data.label_ids={9: 1, 4: 0}", "data.label_colors={0 0 9: 0, 0 0 4: 1, 1 1 1: 2}"):
        assert file_values(parse_config([*OWN, own], "eval")).tolist() == list(range(256))


def test_classes_are_drawn_in_the_first_colour_of_their_labels():
    plain = class_palette(parse_config(OWN, "eval"))
    colors = "data.label_colors={10 20 30: 2, 40 50 60: 0, 70 80 90: 2, 0 0 0: ignore}"
    palette = class_palette(parse_config([*OWN, colors], "eval"))
    assert palette.tolist() == [[40, 50, 60], plain[1].tolist(), [10, 20, 30]]


def test_ade20k_counts_from_one(tmp_path):
    config = shipped(tmp_path, "ade20k.yml")
    coding = label_coding(config.data, config.num_classes)
    label = np.array([[0, 1, 13, 150]], np.uint8)
    assert coding.to_train_ids(label, "x").tolist() == [[255, 0, 12, 149]]
    assert (config.data.class_names[0], config.data.class_names[12]) == ("wall", "person")
    assert coding.invalid_values(np.array([[151, 255, 3]], np.uint8)) == [151, 255]


def test_coco_stuff_leaves_out_the_eleven_ids_that_never_occur(tmp_path):
    config = shipped(tmp_path, "coco_stuff.yml")
    coding = label_coding(config.data, config.num_classes)
    never = [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]
    ids = [number for number in range(182) if number not in never]
    assert coding.to_train_ids(np.array([ids], np.uint8), "x").tolist() == [list(range(171))]
    assert coding.to_train_ids(np.array([[255]], np.uint8), "x") == 255
    everything = np.arange(256, dtype=np.uint8)[None]
    assert coding.invalid_values(everything) == sorted([*never, *range(182, 255)])
    by_category = {1: "person", 13: "stop sign", 27: "backpack", 90: "toothbrush", 92: "banner", 182: "wood"}
    names = {category: config.data.class_names[coding.table[category - 1]] for category in by_category}
    assert names == by_category  # COCO counts its categories from 1


def test_mapillary_ignores_what_is_unlabelled(tmp_path):
    config = shipped(tmp_path, "mapillary.yml")
    coding = label_coding(config.data, config.num_classes)
    assert coding.to_train_ids(np.array([[0, 13, 64, 65]], np.uint8), "x").tolist() == [[0, 13, 64, 255]]
    names = config.data.class_names
    assert (names[0], names[13], names[27], names[64]) == ("Bird", "Road", "Sky", "Ego Vehicle")


def test_vocs_colours_are_those_of_its_formula(tmp_path):
    config = shipped(tmp_path, "voc.yml")
    for number in range(21):  # bit k of the class number is bit 7 - k // 3 of channel k % 3
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
        assert class_palette(config)[number].tolist() == color
    assert config.data.label_colors["224 224 192"] == "ignore"
    assert config.data.class_names[15] == "person"


def test_camvids_32_colours_make_the_11_classes(tmp_path):
    config = shipped(tmp_path, "camvid.yml")
    colors = parse_colors(config.data.label_colors, 11, 255)
    assert len(colors) == 32
    assert set(colors.values()) == {*range(11), 255}
    # those of the 11 classes in the paper of SegNet, in its order
    first = "128 128 128, 128 0 0, 192 192 128, 128 64 128, 0 0 192, 128 128 0, 192 128 128, 64 64 128"
    palette = [" ".join(map(str, color)) for color in class_palette(config).tolist()]
    assert ", ".join(palette) == f"{first}, 64 0 128, 64 64 0, 0 128 192"
    assert all(set(color) <= {0, 64, 128, 192} for color in colors)
