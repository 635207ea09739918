"""The look at the data set before training: what it counts, and what it says about every kind of mistake."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.data import preflight as module
from src.data.cityscapes import list_samples
from src.data.preflight import preflight
from tests.dataset_helpers import make_data, png_bytes, write_cityscapes, write_generic, write_png

IMAGE = "leftImg8bit/train/zurich/zurich_000001_000019_leftImg8bit.png"
LABEL = "gtFine/train/zurich/zurich_000001_000019_gtFine_labelIds.png"
GREY = np.arange(48 * 96).reshape(48, 96).astype(np.uint8) % 34


def check(root, *, name="cityscapes", num_classes=19, splits=("train", "val"), seed=1):
    return preflight(make_data(root, name=name), num_classes=num_classes, splits=splits, seed=seed)


def problems(root, **options):
    with pytest.raises(DataError) as caught:
        check(root, **options)
    return str(caught.value).split("\n")


@pytest.fixture
def cityscapes(tmp_path):
    return write_cityscapes(tmp_path)


def test_a_good_data_set_is_counted(cityscapes, caplog):
    caplog.set_level(logging.INFO)
    assert check(cityscapes) == {"train": 6, "val": 3}
    assert f"train: 6 pairs of image and label in {cityscapes}" in caplog.messages
    assert f"val: 3 pairs of image and label in {cityscapes}" in caplog.messages
    assert check(cityscapes, splits=("val",)) == {"val": 3}


def test_generic_data_and_jpeg_images_pass(tmp_path):
    root = write_generic(tmp_path, {"train": 3})
    jpeg = cv2.imencode(".jpg", np.zeros((48, 96, 3), np.uint8))[1].tobytes()
    (root / "images/train_1.png").write_bytes(jpeg)
    assert check(root, name="generic", num_classes=3, splits=("train",)) == {"train": 3}


def test_splits_without_labels_pass(tmp_path):
    root = write_generic(tmp_path, {"train": 2})
    (root / "test.lst").write_text("images/train_0.png\nimages/train_1.png\n")
    assert check(root, name="generic", num_classes=3, splits=("test",)) == {"test": 2}


def test_a_label_without_its_image_is_a_missing_file(cityscapes):
    image, _ = list_samples(str(cityscapes), "train")[2]
    Path(image).unlink()
    assert problems(cityscapes) == [f"train: 1 of 6 pairs lack a file, the first one missing is {image}"]


def test_missing_files_are_counted_and_the_first_is_named(cityscapes):
    images = [image for image, _ in list_samples(str(cityscapes), "train")]
    lines = [f"{image} {label}\n" for image, label in list_samples(str(cityscapes), "train")]
    (cityscapes / "train.lst").write_text("".join([*lines, "gone.png gone_too.png\n"]))
    (cityscapes / LABEL).unlink()
    assert problems(cityscapes) == [f"train: 2 of 7 pairs lack a file, the first one missing is {cityscapes / LABEL}"]
    assert images


FILES = {
    "sizes": (IMAGE, png_bytes(np.zeros((48, 80, 3)), color_type=2), "{image} has 48x80 pixels but {label} 48x96"),
    "jpeg size": (
        IMAGE,
        cv2.imencode(".jpg", np.zeros((40, 96, 3), np.uint8))[1].tobytes(),
        "{image} has 40x96 pixels but {label} 48x96",
    ),
    "deep image": (IMAGE, png_bytes(np.zeros((48, 96, 3)), color_type=2, depth=16), "{image}: 16-bit image; save it"),
    "image is text": (IMAGE, b"no picture", "{image}: is text, not an image that OpenCV"),
    "empty": (IMAGE, b"", "{image}: the file is empty"),
    "truncated": (
        IMAGE,
        png_bytes(np.zeros((48, 96, 3)), color_type=2)[:-5],
        "{image}: the file is incomplete (truncated)",
    ),
    "colours": (
        LABEL,
        png_bytes(np.dstack([GREY] * 3), color_type=2),
        "{label}: 3-channel (RGB) PNG; a label needs one",
    ),
    "palette": (
        LABEL,
        png_bytes(GREY, color_type=3, palette=np.zeros((34, 3))),
        "{label}: palette (indexed) PNG, the ids are hidden behind colours; save the ids as greyscale",
    ),
    "deep label": (LABEL, png_bytes(GREY, color_type=0, depth=16), "{label}: 16-bit greyscale PNG"),
    "jpeg label": (LABEL, cv2.imencode(".jpg", GREY)[1].tobytes(), "{label}: is a JPEG, not a PNG; labels must be"),
    "values": (
        LABEL,
        png_bytes(GREY + 60, color_type=0),
        "{label}: label values 60, 61, 62, 63, 64, 65, 66, 67, ...: no City",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_bad_files_are_named_once_and_explained(cityscapes, kind):
    name, content, message = FILES[kind]
    (cityscapes / name).write_bytes(content)
    found = problems(cityscapes)
    assert len(found) == 1
    assert found[0].startswith(message.format(image=cityscapes / IMAGE, label=cityscapes / LABEL))


def test_values_outside_the_classes_are_named(tmp_path):
    root = write_generic(tmp_path, {"train": 2}, num_classes=4)
    label = np.full((48, 96), 3, np.uint8)
    label[5, 5] = 200
    write_png(root / "labels/train_1.png", label)
    found = problems(root, name="generic", num_classes=3, splits=("train",))
    assert found[-1] == f"{root}/labels/train_1.png: label values 3, 200: outside 0..2 and ignore_label 255"


def test_first_last_and_thirty_seeded_labels_are_looked_at(tmp_path, monkeypatch):
    root = write_generic(tmp_path, {"train": 120}, size=(8, 8))
    looked_at, read_label = [], module.read_label

    def recording(path, *decoder):
        looked_at.append(int(path.rsplit("_", 1)[1][:-4]))
        return read_label(path, *decoder)

    monkeypatch.setattr(module, "read_label", recording)
    runs = []
    for seed in (1, 1, 2):
        looked_at.clear()
        check(root, name="generic", num_classes=3, splits=("train",), seed=seed)
        assert len(looked_at) == len(set(looked_at))
        assert 30 <= len(looked_at) <= 32
        assert {0, 119} <= set(looked_at)
        runs.append(set(looked_at))
    assert runs[0] == runs[1] != runs[2]


def test_all_problems_are_shown_up_to_ten(cityscapes):
    (cityscapes / IMAGE).write_bytes(b"")
    (cityscapes / LABEL.replace("zurich/zurich_000001", "aachen/aachen_000002")).unlink()
    for path in (cityscapes / "leftImg8bit/val").rglob("*.png"):
        path.unlink()
    found = problems(cityscapes)
    assert len(found) == 3
    assert "1 of 6 pairs lack a file" in found[0]
    assert "the file is empty" in found[1]
    assert "no images of the val split" in found[2]

    write_cityscapes(cityscapes, {"train": 30})
    for path in (cityscapes / "gtFine/train").rglob("*.png"):
        write_png(path, np.full((48, 96), 99, np.uint8))
    found = problems(cityscapes, splits=("train",))
    assert len(found) == 11
    assert found[-1] == "... and 20 more"


def test_missing_folder_and_missing_list(tmp_path):
    found = problems(tmp_path / "gone")
    assert len(found) == 2
    assert "no such folder" in found[0]
    assert "it must hold train.lst" in found[0]
    assert "leftImg8bit/val/<city>" in found[1]
    assert "val.lst: no such file" in problems(write_generic(tmp_path, {"train": 1}), name="generic", num_classes=3)[0]


def test_labels_that_look_like_train_ids_are_warned_of(cityscapes, caplog):
    for path in (cityscapes / "gtFine/train").rglob("*.png"):
        write_png(path, np.where(GREY < 19, GREY, 255).astype(np.uint8))
    check(cityscapes)
    assert [message for message in caplog.messages if "set data.name=generic" in message] == [
        "train: the labels hold only values from 0..18 and 255, none of the label ids 19..33 (sky, person, car, ...); "
        "if these are train ids, set data.name=generic"
    ]


def test_a_full_size_data_set_takes_no_time(tmp_path):
    """2975 pairs: headers only."""
    image, label = png_bytes(np.zeros((4, 8, 3)), color_type=2), png_bytes(np.zeros((4, 8)), color_type=0)
    (tmp_path / "image.png").write_bytes(image)
    for index in range(2975):
        (tmp_path / f"{index}.png").write_bytes(label)
    (tmp_path / "train.lst").write_text("".join(f"image.png {index}.png\n" for index in range(2975)))
    start = time.process_time()  # of all threads, so that other work on the machine does not count; measured 0.3 s
    assert check(tmp_path, splits=("train",)) == {"train": 2975}
    assert time.process_time() - start < 2
