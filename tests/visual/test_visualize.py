"""Pictures of class maps, checked pixel by pixel where their content is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.base.errors import UserError
from src.data.classes import generic_palette
from src.visual.drawing import shorten, text_width
from src.visual.visualize import (
    accuracy_text,
    colorize,
    comparison,
    error_map,
    hatch,
    overlay,
    with_legend,
    write_png,
)
from tests.picture_helpers import border, colors_of, is_in, written

PALETTE = [(10, 200, 30), (250, 5, 90), (40, 60, 255), (201, 202, 11)]
ORANGE = (255, 176, 0)  # of wrong pixels
SHAPE = (256, 512)  # of the photographs; shown twice as large
NAMES = ["road", "sky", "car", "tree"]


def random_image(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def blocks(seed, shape, values, side=64):
    small = np.random.default_rng(seed).choice(values, (shape[0] // side, shape[1] // side)).astype(np.uint8)
    return small.repeat(side, 0).repeat(side, 1)


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


def panel(picture, row, column):
    """Cut a panel out of a sheet of photographs of SHAPE, each shown twice as large, below a title of 52 pixels."""
    top, left = 52 + row * (512 + 52), 16 + column * (1024 + 16)
    return picture[top : top + 512, left : left + 1024]


def legend(picture, rows=2):
    return picture[rows * (512 + 52) :]


def title(text):
    return written(text, 0.85, thickness=2)


def test_every_panel_shows_its_colours_in_their_places():
    """Blocks of 64x64 pixels, here seen at their centres: nothing there depends on how pictures are enlarged."""
    image = blocks(2, SHAPE, np.arange(256))[..., None].repeat(3, 2)
    label, pred = blocks(3, SHAPE, [0, 1, 2, 255]), blocks(4, SHAPE, [0, 1, 2])
    picture = compare(image, label, pred)
    seen = set()
    for y, x in np.ndindex(4, 8):
        inside = np.s_[128 * y + 30 : 128 * y + 98, 128 * x + 30 : 128 * x + 98]
        photo, truth, guess, error = (panel(picture, *at)[inside] for at in ((0, 0), (0, 1), (1, 0), (1, 1)))
        grey, expected, found = int(image[64 * y, 64 * x, 0]), int(label[64 * y, 64 * x]), int(pred[64 * y, 64 * x])
        assert (photo == grey).all()
        assert np.abs(guess - (0.25 * grey + 0.75 * np.array(PALETTE[found]))).max() <= 1
        if expected == 255:
            assert colors_of(truth) == colors_of(error) == {(0, 0, 0), (130, 130, 130)}  # hatched
        else:
            assert np.abs(truth - (0.25 * grey + 0.75 * np.array(PALETTE[expected]))).max() <= 1
            assert np.abs(error - np.array(ORANGE if expected != found else 0.45 * grey + 15)).max() <= 0.5
        seen.add("ignored" if expected == 255 else expected == found)
    assert seen == {"ignored", True, False}


def test_sheet_without_ground_truth_holds_photograph_and_prediction():
    image, pred = np.full((*SHAPE, 3), 100, np.uint8), blocks(4, SHAPE, [0, 2])
    picture = compare(image, None, pred)
    assert picture.shape[:2] == (52 + 512 + 70, 2096)
    assert (panel(picture, 0, 0) == 100).all()
    assert (panel(picture, 0, 1) == overlay(image, pred, PALETTE, alpha=0.75).repeat(2, 0).repeat(2, 1)).all()
    assert ORANGE not in colors_of(picture)


def test_error_map_tells_every_pixel():
    image, rng = random_image(5, (9, 11)), np.random.default_rng(5)
    label, pred = rng.choice([0, 1, 255], (9, 11)), rng.integers(0, 2, (9, 11))
    shown = error_map(image, label, pred, ignore_label=255)
    for y, x in np.ndindex(9, 11):
        if label[y, x] == 255:
            assert tuple(shown[y, x]) in ((0, 0, 0), (130, 130, 130))
        elif label[y, x] != pred[y, x]:
            assert tuple(shown[y, x]) == ORANGE
        else:
            red, green, blue = (int(value) for value in image[y, x])
            dim = 0.45 * (0.299 * red + 0.587 * green + 0.114 * blue) + 15
            assert np.abs(shown[y, x] - dim).max() <= 1


def test_errors_are_brighter_than_all_else_for_those_who_see_no_colours():
    white = np.full((4, 4, 3), 255, np.uint8)
    shown = error_map(white, np.eye(4, dtype=int), np.zeros((4, 4), int), ignore_label=255)
    brightness = shown @ (0.299, 0.587, 0.114)
    assert np.diag(brightness).min() > brightness[~np.eye(4, dtype=bool)].max() + 40


def test_hatching_keeps_to_its_mask():
    image = random_image(6, (20, 30)) // 2 + 1  # neither black nor the grey of the stripes
    mask = np.zeros((20, 30), bool)
    mask[5:, :12] = True
    shown = hatch(image, mask)
    assert (shown[~mask] == image[~mask]).all()
    assert {tuple(pixel) for pixel in shown[mask].tolist()} == {(0, 0, 0), (130, 130, 130)}


@pytest.mark.parametrize(
    ("label", "pred", "text"),
    [
        ([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2, 3, 0], "pixel accuracy 87.5 %"),
        ([0, 0, 1, 255, 255], [1, 0, 0, 0, 1], "pixel accuracy 33.3 %"),
        ([1, 255], [1, 0], "pixel accuracy 100.0 %"),
        ([1, 1], [0, 0], "pixel accuracy 0.0 %"),
        ([1] * 10000, [1] * 9999 + [0], "pixel accuracy 99.9 %"),  # not all, although 99.99 rounds to 100.0
        ([255, 255], [0, 1], "no labelled pixels"),
    ],
)
def test_accuracy_counts_the_labelled_pixels(label, pred, text):
    assert accuracy_text(np.array([label]), np.array([pred]), 255) == text


def test_title_tells_the_accuracy_of_the_whole_picture():
    label, pred = np.zeros((1024, 2048), np.uint8), np.zeros((1024, 2048), np.uint8)
    pred[::8] = 1  # an eighth wrong: rows that a picture at half the size may show or miss
    picture = compare(np.zeros((1024, 2048, 3), np.uint8), label, pred)
    assert is_in(title("Errors: pixel accuracy 87.5 %"), picture[52 + 512 : 2 * 52 + 512, 1056:])
    assert ORANGE in colors_of(picture[52 + 512 : 2 * 52 + 512])  # the key of the errors beside it
    assert is_in(title("Ground truth"), picture[:52, 1056:])
    assert is_in(title("Photograph"), picture[:52, :1056])
    assert is_in(title("Prediction"), picture[52 + 512 : 2 * 52 + 512, :1056])


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ([0, 255], [0, 2], {PALETTE[0], PALETTE[2], (0, 0, 0)}),
        ([0, 1], [1, 3], {PALETTE[0], PALETTE[1], PALETTE[3]}),
        ([255], [1], {PALETTE[1], (0, 0, 0)}),
        ([2], [2], {PALETTE[2]}),
        (None, [0, 2], {PALETTE[0], PALETTE[2]}),
    ],
)
def test_legend_shows_the_classes_present_and_no_others(truth, guess, expected):
    label, pred = None if truth is None else blocks(6, SHAPE, truth), blocks(7, SHAPE, guess)
    shown = legend(compare(random_image(6, SHAPE), label, pred), rows=1 if truth is None else 2)
    assert {*PALETTE, (0, 0, 0), ORANGE} & colors_of(shown) == expected


def test_a_rare_class_is_in_the_legend_even_if_too_small_to_be_seen():
    label, pred = np.zeros((1024, 2048), np.uint8), np.zeros((1024, 2048), np.uint8)
    label[1, 1] = 3
    assert PALETTE[3] in colors_of(legend(compare(np.zeros((1024, 2048, 3), np.uint8), label, pred)))


def test_legend_names_the_classes():
    image, pred = random_image(8, SHAPE), blocks(8, SHAPE, [0, 2])
    picture = compare(image, None, pred)
    assert (picture == compare(image, None, pred, ["road", "other", "car", "tree"])).all()  # of an absent class
    assert (picture != compare(image, None, pred, ["roof", *NAMES[1:]])).any()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("天空", "id 0"),
        ("Gehölz", "Geholz"),
        ("Straße", "Strasse"),
        ("a\nb", "a b"),
        (" ", "id 0"),
        ("car 车", "id 0"),
        ("a\x1bb", "id 0"),
        ("rails – tram", "rails - tram"),
    ],
)
def test_names_are_written_in_letters_that_the_font_has_or_as_their_id(name, shown):
    image, pred = random_image(8, SHAPE), blocks(8, SHAPE, [0, 2])
    pictures = [compare(image, None, pred, [text, *NAMES[1:]]) for text in (name, shown)]
    assert (pictures[0] == pictures[1]).all()


@pytest.mark.parametrize("shape", [(1, 1), (32, 32), (300, 20), (20, 300), (480, 360), (1024, 2048), (40, 4000)])
def test_comparison_fits_every_size(shape):
    label, pred = np.zeros(shape, np.int64), np.ones(shape, np.int64)
    label[0, 0] = 255
    names = ["an extraordinarily long name of a class, " * 8, "b", "c", "d"]
    picture = compare(random_image(0, shape), label, pred, names)
    assert (picture.shape[2], picture.dtype) == (3, np.uint8)
    assert 2 * 640 <= picture.shape[1] <= 2100
    assert picture.shape[0] <= 2 * 1024 + 300  # two panels with their titles and a legend
    assert (border(picture) == 255).all()  # nothing is cut off


def test_a_long_name_leaves_room_for_its_neighbour():
    pred = blocks(8, SHAPE, [0, 1])
    shown = legend(compare(random_image(0, SHAPE), None, pred, ["a name of many words, " * 20, "b", "", ""]), rows=1)
    tops = [np.nonzero((shown == color).all(axis=-1))[0].min() for color in PALETTE[:2]]
    assert tops[0] == tops[1]


@pytest.mark.parametrize(("shape", "factor"), [((64, 96), 7), ((256, 512), 2), ((360, 480), 2), ((700, 900), 1)])
def test_small_pictures_are_enlarged_by_whole_numbers(shape, factor):
    """A class map keeps the shape of its pixels, and the text is large enough for it."""
    pred = np.random.default_rng(0).integers(0, 2, shape)
    picture = compare(np.zeros((*shape, 3), np.uint8), None, pred)
    black = np.rint(0.75 * np.array(PALETTE))[pred]  # the colours over a black photograph
    left = 16 + 16 + max(640, factor * shape[1])
    shown = picture[52 : 52 + factor * shape[0], left : left + factor * shape[1]]
    assert np.abs(shown - black.repeat(factor, 0).repeat(factor, 1)).max() <= 1


def test_comparison_of_many_classes_keeps_its_legend_inside():
    pred = np.arange(255, dtype=np.uint8).reshape(15, 17).repeat(30, 0).repeat(30, 1)
    palette, names = generic_palette(255), [f"class number {i}" for i in range(255)]
    picture = comparison(random_image(0, pred.shape), None, pred, palette=palette, names=names, ignore_label=255)
    assert colors_of(picture[2 * 450 + 52 :]) >= {*map(tuple, palette.tolist())}
    assert (border(picture) == 255).all()


def test_comparison_leaves_its_arguments_alone():
    image, label, pred = random_image(9, SHAPE), blocks(9, SHAPE, [0, 1, 255]), blocks(10, SHAPE, [0, 1])
    copies = [array.copy() for array in (image, label, pred)]
    compare(image, label, pred)
    assert all((array == copy).all() for array, copy in zip((image, label, pred), copies))


def test_comparison_refuses_different_sizes():
    image, pred = random_image(0, (32, 64)), np.zeros((32, 64), int)
    for arguments in ((image[1:], pred, pred), (image, pred[1:], pred), (image, None, pred[:, 1:])):
        with pytest.raises(ValueError, match="photograph, ground truth and prediction differ in size"):
            compare(*arguments)


@pytest.mark.parametrize("width", [5, 30, 60, 137, 400])
def test_shortened_text_fits(width):
    text = "a name that is rather long"
    fitting = [count for count in range(len(text)) if text_width(f"{text[:count]}...") <= width]
    longest = f"{text[: max(fitting, default=0)].rstrip()}..."
    assert shorten(text, width) == (text if text_width(text) <= width else longest)


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


@pytest.mark.parametrize(("shape", "factor"), [((40, 70), 1), ((0, 900), 1), ((300, 2000), 1), ((30, 4500), 4)])
def test_a_legend_below_a_picture_grows_with_it_and_keeps_its_pixels(shape, factor):
    picture = random_image(9, shape)
    shown = with_legend(picture, [0, 2], PALETTE, NAMES)
    width = max(640, shape[1])
    assert (shown.shape[1], shown.dtype) == (width, np.uint8)
    assert (shown[: shape[0], : shape[1]] == picture).all()
    assert (shown[: shape[0], shape[1] :] == 255).all()
    below = shown[shape[0] :]
    assert PALETTE[0] in colors_of(below)
    assert PALETTE[1] not in colors_of(below)
    assert PALETTE[2] in colors_of(below)
    rows = np.nonzero((below == PALETTE[0]).all(axis=-1))[0]
    assert rows.max() - rows.min() + 1 == pytest.approx(24 * factor, abs=2 * factor)  # height of a swatch
    assert (border(below) == 255).all()


def test_a_legend_of_many_classes_stays_inside():
    palette, names = generic_palette(255), [f"class number {i}" for i in range(255)]
    shown = with_legend(random_image(0, (10, 10)), range(255), palette, names)
    assert colors_of(shown[10:]) >= {*map(tuple, palette.tolist())}
    assert (border(shown[10:]) == 255).all()
