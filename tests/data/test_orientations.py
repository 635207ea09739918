"""Orientation tags: pictures are turned by them, labels never, and what the two do not share is said."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.data.cityscapes import LabelCoding, read_pair
from src.data.containers import orientation
from src.data.image_files import read_image, read_label
from src.data.preflight import preflight
from tests.data.test_check_dataset import CLASSES, run
from tests.dataset_helpers import make_data, png_bytes, write_generic
from tests.exif_helpers import exif, jpeg, smooth, tagged_png

pytestmark = pytest.mark.once

SIZE = (48, 96)
LABEL = np.random.default_rng(3).integers(0, 3, SIZE, np.uint8)
IMAGE = smooth(0, SIZE)
# How EXIF's orientations show what is stored.
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def label_png(tag: int, label: np.ndarray = LABEL, *, late: bool = False) -> bytes:
    data = png_bytes(label, color_type=0)
    return data if tag == 1 else tagged_png(data, exif(tag), late=late)


def image_png(tag: int, image: np.ndarray = IMAGE) -> bytes:
    return tagged_png(png_bytes(image, color_type=2), exif(tag))


@pytest.mark.parametrize("tag", SHOWN)
def test_labels_are_never_turned_and_pictures_are(tmp_path, tag):
    path = tmp_path / "file.png"
    for late in (False, True):
        path.write_bytes(label_png(tag, late=late))
        np.testing.assert_array_equal(read_label(str(path)), LABEL)
    path.write_bytes(image_png(tag))
    np.testing.assert_array_equal(read_image(str(path)), SHOWN[tag](IMAGE))
    np.testing.assert_array_equal(read_image(str(path), turned=False), IMAGE)


def test_the_tag_is_read_as_opencv_reads_it():
    for tag, shown in SHOWN.items():
        for data in (label_png(tag), label_png(tag, late=True), image_png(tag), jpeg(IMAGE, exif(tag))):
            assert orientation(data) == tag
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert decoded.shape[:2] == shown(LABEL).shape
    little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    assert orientation(jpeg(IMAGE, little)) == 6
    for damaged in (little[:17], little[:9], b"II*\0\xff\xff\xff\xff", b"nonsense", exif(0), exif(9)):
        assert orientation(jpeg(IMAGE, damaged)) == 1
    assert orientation(jpeg(IMAGE)) == orientation(cv2.imencode(".bmp", IMAGE)[1].tobytes()) == orientation(b"") == 1


@pytest.mark.parametrize("tag", SHOWN)
def test_a_label_belongs_to_the_pixels_it_was_drawn_on(tmp_path, tag):
    """With the picture's own tag the label was stored as the picture was, without one it shows what is shown."""
    image, label, coding = tmp_path / "image.png", tmp_path / "label.png", LabelCoding("generic", 3, 255)
    image.write_bytes(image_png(tag))
    label.write_bytes(label_png(tag))
    pixels, ids = read_pair(str(image), str(label), coding)
    np.testing.assert_array_equal(pixels, IMAGE)
    np.testing.assert_array_equal(ids, LABEL)
    label.write_bytes(label_png(1, np.ascontiguousarray(SHOWN[tag](LABEL))))
    pixels, ids = read_pair(str(image), str(label), coding)
    np.testing.assert_array_equal(pixels, SHOWN[tag](IMAGE))
    np.testing.assert_array_equal(ids, SHOWN[tag](LABEL))


def checked(root: Path, image: bytes, label: bytes, caplog) -> tuple[str, str]:
    """Return the problem that check_dataset finds in a pair, and the warning of training; "" for none."""
    write_generic(root, {"train": 2}, size=SIZE)
    (root / "images/train_1.png").write_bytes(image)
    (root / "labels/train_1.png").write_bytes(label)
    problem = ""
    try:
        run(root, *CLASSES, "--splits", "train")
    except DataError as err:
        problem = str(err)
    caplog.set_level(logging.WARNING)
    caplog.clear()
    try:
        preflight(make_data(root, name="generic"), num_classes=3, splits=("train",), seed=1)
    except DataError as err:
        return problem, str(err)
    return problem, "\n".join(caplog.messages)


def test_what_is_not_shared_is_said(tmp_path, caplog, capsys):
    unequal = "1 problem: 1 pair of unequal orientations"
    image, label = (f"{tmp_path}/{kind}/train_1.png" for kind in ("images", "labels"))
    problem, warning = checked(tmp_path, image_png(1), label_png(3), caplog)
    assert problem == unequal
    assert warning.startswith(f"train: {label}: has an orientation tag (3), {image} has no such tag; labels are never")
    assert f"train: {label}: has an orientation tag (3)" in capsys.readouterr().out
    problem, warning = checked(tmp_path, jpeg(IMAGE, exif(4)), label_png(3), caplog)
    assert (problem, f"{image} has orientation 4" in warning) == (unequal, True)
    problem, warning = checked(tmp_path, jpeg(IMAGE, exif(3)), label_png(1), caplog)
    assert problem == unequal
    assert warning.startswith(f"train: {image}: its orientation tag (3) turns it, {label} has none")


def test_what_is_shared_or_plain_from_the_sizes_needs_no_word(tmp_path, caplog):
    upright = np.ascontiguousarray(LABEL.T)
    for image, label in (
        (image_png(3), label_png(3)),
        (image_png(6), label_png(6)),
        (jpeg(IMAGE, exif(8)), label_png(8)),
        (image_png(6), label_png(1, upright)),
        (jpeg(IMAGE, exif(6)), label_png(1, upright)),
    ):
        assert checked(tmp_path, image, label, caplog) == ("", "")
    problem, refusal = checked(tmp_path, jpeg(IMAGE, exif(6)), label_png(1), caplog)
    assert problem == "1 problem: 1 pair of unequal sizes"
    assert refusal.endswith(f"has 96x48 pixels but {tmp_path}/labels/train_1.png 48x96")
