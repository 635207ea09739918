"""Pictures of class maps, checked pixel by pixel where their content is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.utils.errors import UserError
from src.utils.visualize import colorize, comparison, generic_palette, overlay, write_png
from tests.picture_helpers import border, colors_of

PALETTE = [(10, 200, 30), (250, 5, 90), (40, 60, 255), (201, 202, 11)]
SHAPE = (256, 512)  # of the photographs; shown as large as it is
NAMES = ["road", "sky", "car", "tree"]


def random_image(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def blocks(seed, shape, values, side=64):
    small = np.random.default_rng(seed).choice(values, (shape[0] // side, shape[1] // side)).astype(np.uint8)
    return small.repeat(side, 0).repeat(side, 1)


def is_in(part, picture):
    """Tell whether `picture` shows `part` somewhere, pixel for pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((picture[: -height or None, : -width or None] == part[0, 0]).all(axis=-1))
    return any((picture[y : y + height, x : x + width] == part).all() for y, x in corners)


def test_colorize_looks_up_every_pixel():
    class_map = np.random.default_rng(0).choice([0, 1, 2, 3, 255], (7, 9))
    actual = colorize(class_map, PALETTE, 255)
    assert (actual.shape, actual.dtype) == ((7, 9, 3), np.uint8)
    for y, x in np.ndindex(7, 9):
        assert tuple(actual[y, x]) == (PALETTE[class_map[y, x]] if class_map[y, x] != 255 else (0, 0, 0))


@pytest.mark.parametrize(("value", "ignore_label"), [(4, 255), (255, None), (254, 255), (-1, 255)])
def test_colorize_refuses_a_class_without_a_colour(value, ignore_label):
    with pytest.raises(ValueError, match=rf"holds \[{value}\], but the palette has 4 colours"):
        colorize(np.array([[0, value]]), PALETTE, ignore_label)


def test_generic_colours_are_distinct_from_each_other_and_from_black():
    assert (generic_palette(255)[:20] == generic_palette(20)).all()
    assert len({(0, 0, 0), *map(tuple, generic_palette(255).tolist())}) == 256
    few = [(0, 0, 0), *map(tuple, generic_palette(20).tolist())]
    apart = [max(abs(a - b) for a, b in zip(first, second)) for i, first in enumerate(few) for second in few[:i]]
    assert min(apart) >= 64  # of 255 grey levels in at least one channel


@pytest.mark.parametrize("alpha", [0, 0.25, 0.5, 1])
def test_overlay_mixes_photograph_and_colour(alpha):
    image, class_map = random_image(1, (6, 8)), np.random.default_rng(1).integers(0, 4, (6, 8))
    class_map[0, :3] = 255
    actual = overlay(image, class_map, PALETTE, alpha=alpha, ignore_label=255)
    for y, x, channel in np.ndindex(6, 8, 3):
        photo, value = int(image[y, x, channel]), class_map[y, x]
        expected = photo if value == 255 else (1 - alpha) * photo + alpha * PALETTE[value][channel]
        assert abs(int(actual[y, x, channel]) - expected) <= 0.5  # rounded to the nearest grey level


def test_overlay_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"image \(6, 8, 3\) and class map \(8, 6\) differ"):
        overlay(random_image(0, (6, 8)), np.zeros((8, 6), int), PALETTE)
    with pytest.raises(ValueError, match="alpha must lie in 0..1, got 1.5"):
        overlay(random_image(0, (6, 8)), np.zeros((6, 8), int), PALETTE, alpha=1.5)


def compare(image, label, pred, names=NAMES):
    return comparison(image, label, pred, PALETTE, names, 255)


def test_comparison_sets_overlay_beside_ground_truth():
    image, label, pred = random_image(3, SHAPE), blocks(3, SHAPE, [0, 1, 255]), blocks(4, SHAPE, [0, 2])
    picture = compare(image, label, pred)
    assert is_in(colorize(label, PALETTE, 255), picture[:, picture.shape[1] // 2 :])
    left = picture[:, : picture.shape[1] // 2]
    assert any(is_in(overlay(image, pred, PALETTE, alpha=alpha), left) for alpha in (0.4, 0.5, 0.6, 0.7))
    assert (border(picture) == 255).all()
    assert not is_in(image, picture)
    assert is_in(image, compare(image, None, pred))  # the photograph takes the place of the ground truth


def test_legend_shows_the_classes_present_and_no_others():
    label, pred = blocks(6, SHAPE, [0, 255]), blocks(7, SHAPE, [0, 2])
    legend = compare(random_image(6, SHAPE), label, pred)[256 + 64 :]
    assert {*PALETTE, (0, 0, 0)} & colors_of(legend) == {PALETTE[0], PALETTE[2], (0, 0, 0)}
    without = compare(random_image(6, SHAPE), None, pred)[256 + 64 :]
    assert {*PALETTE, (0, 0, 0)} & colors_of(without) == {PALETTE[0], PALETTE[2]}


def test_legend_names_the_classes():
    image, pred = random_image(8, SHAPE), blocks(8, SHAPE, [0, 2])
    picture = compare(image, None, pred)
    assert (picture == compare(image, None, pred, ["road", "other", "car", "tree"])).all()  # of an absent class
    assert (picture != compare(image, None, pred, ["roof", *NAMES[1:]])).any()
    chinese, number = (compare(image, None, pred, [name, *NAMES[1:]]) for name in ("天空", "class 0"))
    assert (chinese == number).all()  # OpenCV 4 has no letters for it


@pytest.mark.parametrize("shape", [(1, 1), (32, 32), (300, 20), (20, 300), (480, 360), (1024, 2048), (40, 4000)])
def test_comparison_fits_every_size(shape):
    label, pred = np.zeros(shape, np.int64), np.ones(shape, np.int64)
    label[0, 0] = 255
    names = ["an extraordinarily long name of a class, " * 8, "b", "c", "d"]
    picture = compare(random_image(0, shape), label, pred, names)
    assert (picture.shape[2], picture.dtype) == (3, np.uint8)
    assert max(picture.shape) <= 2 * 1024 + 64  # two panels of at most 1024 with their margins
    assert (border(picture) == 255).all()  # nothing is cut off


def test_comparison_of_many_classes_keeps_its_legend_inside():
    pred = np.arange(255, dtype=np.uint8).reshape(15, 17).repeat(30, 0).repeat(30, 1)
    palette, names = generic_palette(255), [f"class number {i}" for i in range(255)]
    picture = comparison(random_image(0, pred.shape), None, pred, palette=palette, names=names, ignore_label=255)
    assert colors_of(picture[450 + 64 :]) >= {*map(tuple, palette.tolist())}
    assert (border(picture) == 255).all()


def test_comparison_refuses_different_sizes():
    image, pred = random_image(0, (32, 64)), np.zeros((32, 64), int)
    for arguments in ((image[1:], pred, pred), (image, pred[1:], pred), (image, None, pred[:, 1:])):
        with pytest.raises(ValueError, match="photograph, ground truth and prediction differ in size"):
            compare(*arguments)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)], ids=["grey", "rgb"])
@pytest.mark.parametrize("name", ["plain.png", "Straße 天空.png"])
def test_png_reads_back_as_written(tmp_path, shape, name):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(str(tmp_path / name), picture[::-1])
    write_png(tmp_path / name, picture)  # replaces the older one
    data = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    assert data[:4].tobytes() == b"\x89PNG"
    found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert (found == (picture if picture.ndim == 2 else picture[:, :, [2, 1, 0]])).all()  # OpenCV reads BGR
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_failed_write_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    before = (tmp_path / "a.png").read_bytes()

    def half_written(path, data):
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(UserError, match=r"cannot write the picture .*a\.png: No space left on device"):
        write_png(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot write the picture .*missing.*No such file or directory"):
        write_png(tmp_path / "missing" / "a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"cannot write the picture .*folder\.png"):
        write_png(tmp_path / "folder.png", np.zeros((4, 4), np.uint8))
    for picture in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match=r"a picture is \(H, W\) or \(H, W, 3\) uint8"):
            write_png(tmp_path / "a.png", picture)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]
