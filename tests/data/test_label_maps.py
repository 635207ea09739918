"""Labels of one's own, by ids, palettes and colours: what is read, what is refused, and what the checks say of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import check_dataset
from src.base.errors import DataError
from src.config import schema
from src.data.cityscapes import read_pair
from src.data.eval_samples import EvalSamples
from src.data.image_files import parse_png_header
from src.data.label_maps import label_coding
from src.data.preflight import preflight
from src.data.train_samples import TrainBatches, create_train_samples
from src.evaluation.predictions import PredictionWriter
from src.utils.config import parse_config
from tests.dataset_helpers import make_data, png_bytes, write_generic, write_png

# Colour and train id; the last two are one class.
COLORS = {(128, 64, 128): 0, (0, 0, 192): 1, (64, 0, 128): 2, (64, 128, 192): 2, (0, 0, 0): 255}
COLOR_MAP = {"128 64 128": "0", "0 0 192": "1", "64 0 128": "2", "64 128 192": "2", "0 0 0": "ignore"}
ID_MAP = {"0": "ignore", "7-8": "0-1", "11": "2", "13": "2"}
IDS = {0: 255, 7: 0, 8: 1, 11: 2, 13: 2}


def coding_of(**maps: dict[str, str]):
    return label_coding(own_data(Path(), **maps), 3)


def own_data(root: Path, **maps: dict[str, str]) -> schema.Data:
    return dataclasses.replace(make_data(root, name="generic"), **maps)


def drawn(values, seed: int = 0, size: tuple[int, int] = (16, 24)) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(list(values)), size)


def by_hand(values: np.ndarray, table: dict) -> np.ndarray:
    """Return the train ids of raw values, (H, W) or colours (H, W, 3), pixel by pixel."""
    rows, columns = values.shape[:2]
    key = (lambda v: tuple(v.tolist())) if values.ndim == 3 else int
    return np.array([[table[key(values[y, x])] for x in range(columns)] for y in range(rows)], np.uint8)


def packed(indices: np.ndarray, depth: int) -> np.ndarray:
    """Pack indices into the bytes of rows, `depth` bits each, the first in the highest bits."""
    bits = (indices[..., None] >> np.arange(depth - 1, -1, -1) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(len(indices), -1), axis=1)


def test_ids_of_greyscale_labels():
    raw = drawn(IDS).astype(np.uint8)
    coding = coding_of(label_ids=ID_MAP)
    label = coding.decode("a.png", png_bytes(raw, color_type=0))
    np.testing.assert_array_equal(coding.to_train_ids(label, "a.png"), by_hand(raw, IDS))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_indices_of_palette_labels(depth):
    count = min(2**depth, 12)
    indices = drawn(range(count)).astype(np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (count, 3), np.uint8)
    pixels = indices if depth == 8 else packed(indices, depth)
    data = png_bytes(pixels, color_type=3, depth=depth, palette=palette)
    coding = coding_of(label_ids={f"0-{count - 1}": "1"})
    np.testing.assert_array_equal(coding.decode("a.png", data), indices)
    assert (coding.to_train_ids(indices, "a.png") == 1).all()


def test_colours_of_rgb_rgba_palette_and_grey_labels(tmp_path):
    coding = coding_of(label_colors=COLOR_MAP)
    numbers = drawn(range(5))
    palette = np.array(list(COLORS), np.uint8)
    colors = palette[numbers]
    expected = by_hand(colors, COLORS)
    rgba = np.dstack([colors, drawn(range(256), 1).astype(np.uint8)])
    files = [png_bytes(colors, color_type=2), png_bytes(rgba, color_type=6)]
    files += [png_bytes(numbers, color_type=3, palette=palette)]
    files += [png_bytes(packed(numbers, 4), color_type=3, depth=4, palette=palette)]
    files += [write_png(tmp_path / "opencv.png", colors).read_bytes()]
    for data in files:
        np.testing.assert_array_equal(coding.to_train_ids(coding.decode("a.png", data), "a.png"), expected)
    grey = coding_of(label_colors={"0 0 0": "0", "255 255 255": "1"})
    mask = drawn([0, 255]).astype(np.uint8)
    label = grey.to_train_ids(grey.decode("a.png", png_bytes(mask, color_type=0)), "a.png")
    np.testing.assert_array_equal(label, mask == 255)


def test_unknown_values_are_named_with_the_file(tmp_path):
    image = write_png(tmp_path / "image.png", np.zeros((16, 24, 3), np.uint8))
    ids = drawn(IDS).astype(np.uint8)
    ids[3, 4], ids[5, 6] = 12, 255
    path = write_png(tmp_path / "ids.png", ids)
    with pytest.raises(DataError) as error:
        read_pair(str(image), str(path), coding_of(label_ids=ID_MAP))
    assert str(error.value) == f"{path}: label values 12, 255: not in data.label_ids"
    colors = np.array(list(COLORS), np.uint8)[drawn(range(5))]
    colors[3, 4], colors[5, 6] = (128, 64, 129), (1, 2, 3)
    path = write_png(tmp_path / "colors.png", colors)
    with pytest.raises(DataError) as error:
        read_pair(str(image), str(path), coding_of(label_colors=COLOR_MAP))
    assert str(error.value) == f"{path}: label colours 1 2 3, 128 64 129: not in data.label_colors"
    noise = np.random.default_rng(0).integers(1, 256, (16, 24, 3), np.uint8)
    path = write_png(tmp_path / "noise.png", noise)
    with pytest.raises(DataError, match=r"^(?:[^,]+, ){8}\.\.\.: not in data\.label_colors$"):
        read_pair(str(image), str(path), coding_of(label_colors=COLOR_MAP))


@pytest.mark.parametrize(
    ("maps", "data", "message"),
    [
        ({"label_ids": ID_MAP}, png_bytes(np.zeros((4, 4, 3)), color_type=2), "3-channel (RGB) PNG; a label needs one"),
        ({"label_ids": ID_MAP}, png_bytes(np.zeros((4, 4)), color_type=0, depth=16), "16-bit greyscale PNG"),
        ({"label_ids": ID_MAP}, b"GIF89a", "not a PNG"),
        ({"label_colors": COLOR_MAP}, cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "not a PNG"),
        ({"label_colors": COLOR_MAP}, png_bytes(np.zeros((4, 4, 3)), color_type=2, depth=16), "16-bit PNG"),
        ({}, png_bytes(np.zeros((4, 4, 3)), color_type=2), "say what the colours stand for with data.label_colors"),
    ],
)
def test_other_kinds_of_files_are_refused(tmp_path, maps, data, message):
    path = str(tmp_path / "label.png")
    coding = coding_of(**maps)
    for look in (coding.decode, lambda name, content: coding.check_header(name, parse_png_header(content))):
        with pytest.raises(DataError) as error:
            look(path, data)
        assert str(error.value).startswith(path)
        assert message in str(error.value)


def test_a_palette_png_that_ends_early_is_refused():
    data = png_bytes(drawn(range(4)).astype(np.uint8), color_type=3, palette=np.zeros((4, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: the file is incomplete"):
        coding_of(label_ids={"0-3": "0"}).decode("a.png", data[:-20])


def colour_copy(root: Path, target: Path) -> Path:
    """Copy a data set of `write_generic`, with the colours of COLORS for train ids; class 2 has both of its colours."""
    for split in ("train", "val"):
        listed = (root / f"{split}.lst").read_text(encoding="utf-8")
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{split}.lst").write_text(listed, encoding="utf-8")
        for line in listed.splitlines():
            image, label = line.split("\t")
            (target / image).parent.mkdir(exist_ok=True)
            (target / image).write_bytes((root / image).read_bytes())
            ids = cv2.imread(str(root / label), cv2.IMREAD_GRAYSCALE)
            colors = np.zeros((*ids.shape, 3), np.uint8)
            for color, train_id in list(COLORS.items())[::-1]:
                colors[ids == train_id] = color
            colors[::2][ids[::2] == 2] = (64, 128, 192)
            write_png(target / label, colors)
    return target


def test_training_and_evaluation_get_the_same_numbers_from_colours_as_from_ids(tmp_path):
    """Equal batches to the last bit: no loss can tell them apart."""
    ids = write_generic(tmp_path / "ids")
    colors = colour_copy(ids, tmp_path / "colors")
    sections = own_data(ids), own_data(colors, label_colors=COLOR_MAP)
    batches = []
    for data in sections:
        source = create_train_samples(data, num_classes=3, seed=5)
        batches.append(list(TrainBatches(source, range(6), batch_size=4)))
    assert len(batches[0]) == 6
    for one, two in zip(*batches):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    assert {0, 1, 2, 255} == set(np.unique(batches[1][0][1]).tolist())
    for one, two in zip(*(EvalSamples(data, num_classes=3).read_ahead() for data in sections)):
        np.testing.assert_array_equal(one.label, two.label)


def test_predictions_are_written_in_raw_ids_and_drawn_in_the_colours_of_labels(tmp_path):
    data = colour_copy(write_generic(tmp_path / "ids", {"train": 1, "val": 1}), tmp_path / "colors")
    words = ["--save_dir", str(tmp_path / "eval"), "--save_images", "True", "data.name=generic", "num_classes=3"]
    colors = ", ".join(f"{color}: {target}" for color, target in COLOR_MAP.items())
    words += ["data.map_label=null", f"data.label_colors={{{colors}}}"]
    config = parse_config(words, "eval")
    sample = EvalSamples(dataclasses.replace(config.data, dataset_dir=str(data)), num_classes=3)[0]
    prediction = np.full(sample.original, 1, np.uint8)
    PredictionWriter(config)(sample, prediction)
    overlay = cv2.imread(str(tmp_path / "eval" / "images" / f"{sample.stem}.png"))[..., ::-1]
    assert (overlay == (0, 0, 192)).all(axis=-1).any()  # class 1 in the legend
    words = ["--save_dir", str(tmp_path / "eval"), "--save_predictions", str(tmp_path / "raw"), "data.name=generic"]
    words += ["num_classes=3", "data.map_label=null", "data.label_ids={7-8: 0-1, 11: 2, 13: 2, 0: ignore}"]
    PredictionWriter(parse_config(words, "eval"))(sample, np.array([[0, 1, 2]], np.uint8))
    written = cv2.imread(str(tmp_path / "raw" / f"{sample.stem}_pred_labelIds.png"), cv2.IMREAD_UNCHANGED)
    assert written.tolist() == [[7, 8, 11]]


def test_preflight_reads_and_refuses_by_the_map(tmp_path):
    root = colour_copy(write_generic(tmp_path / "ids"), tmp_path / "colors")
    settings = {"num_classes": 3, "splits": ("train", "val"), "seed": 1}
    assert preflight(own_data(root, label_colors=COLOR_MAP), **settings) == {"train": 6, "val": 3}
    fewer = {name: target for name, target in COLOR_MAP.items() if name != "64 128 192"}
    with pytest.raises(DataError) as error:
        preflight(own_data(root, label_colors=fewer), **settings)
    first = str(error.value).splitlines()[0]
    assert first == f"{root}/labels/train_0.png: label colours 64 128 192: not in data.label_colors"
    with pytest.raises(DataError, match=r"3-channel \(RGB\) PNG"):
        preflight(own_data(root), **settings)


def test_check_dataset_shows_what_becomes_of_each_value(tmp_path, capsys):
    root = colour_copy(write_generic(tmp_path / "ids"), tmp_path / "colors")
    colors = "{128 64 128: 0, 0 0 192: 1, 64 0 128: 2, 64 128 192: 2, 0 0 0: ignore, 9 9 9: ignore}"
    words = ["--dataset_dir", str(root), "--num_classes", "3", "data.name=generic", "data.map_label=null"]
    words += [
        "data.class_names=[road,path,car]",
        f"data.label_colors={colors}",
        "--json",
        str(tmp_path / "report.json"),
    ]
    assert check_dataset.main(words) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (start, _) = [n for n, line in enumerate(lines) if line[:1] == ["data.label_colors:"]]
    pixels = dict.fromkeys(COLOR_MAP, 0)
    for number in range(6):
        image = cv2.imread(str(root / f"labels/train_{number}.png"))[..., ::-1].reshape(-1, 3)
        for name in pixels:
            pixels[name] += int((image == list(map(int, name.split()))).all(axis=1).sum())
    shown = {
        "128 64 128": "0 road",
        "0 0 192": "1 path",
        "64 0 128": "2 car",
        "64 128 192": "2 car",
        "0 0 0": "ignored",
    }
    assert lines[start + 1] == ["value", "id", "class", "pixels"]
    assert lines[start + 2 : start + 7] == [f"{name} {shown[name]} {pixels[name]}".split() for name in COLOR_MAP]
    assert " ".join(lines[start + 7]) == "in the map, but in no file: 9 9 9"
    train = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["splits"]["train"]
    assert train["label_map"][0] == {"value": "128 64 128", "id": 0, "pixels": pixels["128 64 128"]}
    assert train["classes"][2]["pixels"] == pixels["64 0 128"] + pixels["64 128 192"]
    assert train["ignored"]["pixels"] == pixels["0 0 0"]
