"""Classes and label ids, lists and folders, and reading pairs."""

from __future__ import annotations

import numpy as np
import pytest

from src.base.errors import DataError
from src.data.cityscapes import (
    CITYSCAPES,
    CLASSES,
    LabelCoding,
    Samples,
    list_samples,
    map_label,
    read_pair,
)
from tests.dataset_helpers import write_cityscapes, write_generic, write_png

MAPPING = """7→0 8→1 11→2 12→3 13→4 17→5 19→6 20→7 21→8 22→9 23→10 24→11 25→12 26→13 27→14 28→15
31→16 32→17 33→18"""
BY_HAND = {int(pair.split("→")[0]): int(pair.split("→")[1]) for pair in MAPPING.split()}


# ------------------------------------------------------------------- classes


@pytest.mark.parametrize("ignore_label", [255, 19, 200])
def test_every_label_id_maps_as_published(ignore_label):
    table = CITYSCAPES.train_id_table(ignore_label)
    assert table.dtype == np.uint8
    assert {value: int(table[value]) for value in range(256)} == {
        value: BY_HAND.get(value, ignore_label) for value in range(256)
    }


def test_train_ids_map_back():
    table = CITYSCAPES.label_id_table()
    assert {train_id: int(table[train_id]) for train_id in range(19)} == {v: k for k, v in BY_HAND.items()}
    assert (table[19:] == 0).all()


def test_class_table():
    assert len(CLASSES) == 19
    assert ",".join(cls.name for cls in CLASSES) == (
        "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,"
        "truck,bus,train,motorcycle,bicycle"
    )
    colors = {cls.name: cls.color for cls in CLASSES}
    assert len(set(colors.values())) == 19
    assert colors["road"] == (128, 64, 128)
    assert colors["person"] == (220, 20, 60)
    assert colors["car"] == (0, 0, 142)


def test_map_label_looks_every_pixel_up():
    label = np.arange(256, dtype=np.uint8).reshape(8, 32)
    table = np.random.default_rng(0).integers(0, 256, 256, np.uint8)
    mapped = map_label(label, table)
    assert [mapped[index] for index in np.ndindex(8, 32)] == [table[label[index]] for index in np.ndindex(8, 32)]


# -------------------------------------------------------------- label values


def test_cityscapes_labels_become_train_ids():
    label = np.array([*range(34), 255], np.uint8).reshape(5, 7)
    train_ids = LabelCoding("cityscapes", 19, 255).to_train_ids(label, "x.png")
    assert train_ids.ravel().tolist() == [BY_HAND.get(value, 255) for value in [*range(34), 255]]


def test_generic_labels_stay_as_they_are():
    label = np.array([[0, 1, 2, 100]], np.uint8)
    np.testing.assert_array_equal(LabelCoding("generic", 3, 100).to_train_ids(label, "x.png"), label)


@pytest.mark.parametrize(
    ("coding", "valid"),
    [
        (("cityscapes", 19, 255), {*range(34), 255}),
        (("generic", 3, 255), {0, 1, 2, 255}),
        (("generic", 3, 100), {0, 1, 2, 100}),
        (("generic", 2, 2), {0, 1, 2}),
        (("generic", 255, 255), set(range(256))),
    ],
)
def test_exactly_the_values_without_meaning_are_invalid(coding, valid):
    coding = LabelCoding(*coding)
    for value in range(256):
        label = np.zeros((2, 3), np.uint8)
        label[1, 2] = value
        assert coding.invalid_values(label) == ([] if value in valid else [value])


@pytest.mark.parametrize(
    ("coding", "values", "message"),
    [
        (
            ("cityscapes", 19, 255),
            [40, 7, 200],
            "a b.png: label values 40, 200: no Cityscapes label ids .*labelIds.png",
        ),
        (("cityscapes", 19, 255), [99], "data.name=generic for train ids of your own"),
        (("generic", 3, 255), [1, 3, 255], r"a b.png: label values 3: outside 0..2 and ignore_label 255$"),
        (
            ("generic", 19, 255),
            [7, 33],
            "label values 33: .* if these are Cityscapes label ids, set data.name=cityscapes",
        ),
        (("generic", 2, 255), list(range(20)), r"label values 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.: outside"),
    ],
)
def test_values_without_meaning_name_file_and_values(coding, values, message):
    with pytest.raises(DataError, match=message):
        LabelCoding(*coding).to_train_ids(np.array([values], np.uint8), "a b.png")


# --------------------------------------------------------- lists and folders


def test_folders_are_scanned_in_order(tmp_path):
    write_cityscapes(tmp_path, {"train": 5, "val": 2})
    (tmp_path / "leftImg8bit/train/aachen/notes.txt").write_text("no image")
    samples = list_samples(str(tmp_path), "train")
    assert [image[len(str(tmp_path)) + 1 :] for image, _ in samples] == [
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "leftImg8bit/train/aachen/aachen_000002_000019_leftImg8bit.png",
        "leftImg8bit/train/aachen/aachen_000004_000019_leftImg8bit.png",
        "leftImg8bit/train/zurich/zurich_000001_000019_leftImg8bit.png",
        "leftImg8bit/train/zurich/zurich_000003_000019_leftImg8bit.png",
    ]
    assert [label[len(str(tmp_path)) + 1 :] for _, label in samples][3] == (
        "gtFine/train/zurich/zurich_000001_000019_gtFine_labelIds.png"
    )
    assert len(list_samples(str(tmp_path), "val")) == 2


def test_a_list_wins_over_the_folders(tmp_path):
    write_cityscapes(tmp_path)
    image = "leftImg8bit/train/zurich/zurich_000001_000019_leftImg8bit.png"
    label = "gtFine/train/zurich/zurich_000001_000019_gtFine_labelIds.png"
    (tmp_path / "train.lst").write_text(f"{image} {label}\n")
    assert list(list_samples(str(tmp_path), "train")) == [(str(tmp_path / image), str(tmp_path / label))]
    assert len(list_samples(str(tmp_path), "val")) == 3  # no list, so scanned


def test_list_syntax(tmp_path):
    text = "\ufeff# made by hand\n\na.png\tb.png\nc.png    d.png  \n  # more\n"
    text += "mit Ärger.png\tund so.png\r\n/abs/e.png f.png"
    (tmp_path / "val.lst").write_text(text, encoding="utf-8")
    assert list(list_samples(str(tmp_path), "val", "generic")) == [
        (f"{tmp_path}/a.png", f"{tmp_path}/b.png"),
        (f"{tmp_path}/c.png", f"{tmp_path}/d.png"),
        (f"{tmp_path}/mit Ärger.png", f"{tmp_path}/und so.png"),
        ("/abs/e.png", f"{tmp_path}/f.png"),
    ]


def test_other_splits_need_no_labels(tmp_path):
    (tmp_path / "test.lst").write_text("a.png\nb.png c.png\n")
    assert [label for _, label in list_samples(str(tmp_path), "test")] == [None, f"{tmp_path}/c.png"]
    write_cityscapes(tmp_path / "folders", {"test": 2})
    (tmp_path / "folders/gtFine/test/aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    labels = [label for _, label in list_samples(str(tmp_path / "folders"), "test")]
    assert labels[0] is None
    assert labels[1].endswith("zurich_000001_000019_gtFine_labelIds.png")


def test_paths_are_kept_in_arrays():
    samples = Samples("train", [("a", None), ("äöü/long name.png", "label.png")])
    assert isinstance(samples.images, np.ndarray)
    assert isinstance(samples.labels, np.ndarray)
    assert [samples[0], samples[1]] == [("a", None), ("äöü/long name.png", "label.png")]
    assert all(type(path) is str for path in samples[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png b.png\nc.png\n", "train.lst, line 2: no label for c.png; the train split needs 'image<TAB>label'"),
        ("# x\nmy photo.png b.png\n", "train.lst, line 2: expected image and label, got 3 fields; .* TAB"),
        ("a.png\tb.png\tc.png\n", "train.lst, line 1: expected image and label, got 3 fields"),
        ("# nothing\n\n", "train.lst: the list is empty"),
        (
            "a.png b_gtFine_labelTrainIds.png\n",
            "line 1: b_gtFine_labelTrainIds.png holds train ids already; list .*labelIds",
        ),
    ],
)
def test_malformed_lists_name_the_line(tmp_path, text, message):
    (tmp_path / "train.lst").write_text(text)
    with pytest.raises(DataError, match=message):
        list_samples(str(tmp_path), "train")


def test_train_id_files_are_fine_for_generic_data(tmp_path):
    (tmp_path / "train.lst").write_text("a.png b_gtFine_labelTrainIds.png\n")
    assert len(list_samples(str(tmp_path), "train", "generic")) == 1


def test_list_in_another_encoding(tmp_path):
    (tmp_path / "train.lst").write_bytes("bäcker.png b.png\n".encode("latin-1"))
    with pytest.raises(DataError, match="train.lst: cannot be read as UTF-8 text"):
        list_samples(str(tmp_path), "train")


def test_missing_folders_say_what_belongs_there(tmp_path):
    with pytest.raises(
        DataError, match=r"no such folder: .*gone; it must hold train.lst .* or leftImg8bit/train/<city>"
    ):
        list_samples(str(tmp_path / "gone"), "train")
    with pytest.raises(
        DataError, match=f"{tmp_path}: no images of the val split; it must hold val.lst .* gtFine/val/<city>"
    ):
        list_samples(str(tmp_path), "val")
    with pytest.raises(
        DataError, match=r"train.lst: no such file; it must hold train.lst with one 'image<TAB>label' a line"
    ):
        list_samples(str(tmp_path), "train", "generic")
    write_cityscapes(tmp_path, {"train": 1})
    (tmp_path / "gtFine").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"gtFine/train: no such folder, but leftImg8bit/train has images; unpack gtFine"
    ):
        list_samples(str(tmp_path), "train")


def test_pairs_of_different_size_are_refused(tmp_path):
    image = str(write_png(tmp_path / "image.png", np.zeros((8, 8, 3), np.uint8)))
    label = str(write_png(tmp_path / "label.png", np.zeros((8, 4), np.uint8)))
    coding = LabelCoding("generic", 3, 255)
    with pytest.raises(DataError, match=r"image.png has 8x8 pixels but .*label.png 8x4"):
        read_pair(image, label, coding)


def test_pairs_are_read_with_train_ids(tmp_path):
    write_generic(tmp_path)
    image_path, label_path = list_samples(str(tmp_path), "train", "generic")[0]
    image, label = read_pair(image_path, label_path, LabelCoding("generic", 3, 255))
    assert image.shape == (48, 96, 3)
    assert set(np.unique(label)) <= {0, 1, 2, 255}
    assert read_pair(image_path, None, LabelCoding("generic", 3, 255))[1] is None
    with pytest.raises(DataError, match=r"labels/train_0.png: label values .*2.*: outside 0..1"):
        read_pair(image_path, label_path, LabelCoding("generic", 2, 255))
