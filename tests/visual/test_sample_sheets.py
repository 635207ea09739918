"""Sheets of training samples: every crop and its label are on it, ignored pixels are hatched, classes have a legend."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.visual.sample_sheets import Tile, label_over, sample_sheet
from tests.picture_helpers import colors_of, is_in, written

PALETTE, NAMES = [(200, 10, 10), (10, 200, 10), (10, 10, 200)], ["road", "tree", "sky"]


def make_tile(number, size=(480, 480), text="a line"):
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (size[0] // 8, size[1] // 8)).repeat(8, 0).repeat(8, 1)
    return Tile(image, label, f"picture {number}", [text])


def test_labels_lie_over_the_photograph_and_ignored_pixels_are_hatched():
    image = np.full((20, 20, 3), 100, np.uint8)
    label = np.zeros((20, 20), np.uint8)
    label[10:] = 255
    shown = label_over(image, label, PALETTE, 255)
    np.testing.assert_array_equal(shown[:10], np.full((10, 20, 3), (160, 46, 46)))  # 0.4 photograph, 0.6 colour
    assert {tuple(color) for color in shown[10:].reshape(-1, 3).tolist()} == {(0, 0, 0), (130, 130, 130)}


@pytest.mark.once
@pytest.mark.parametrize("count", [1, 3])
def test_every_sample_is_on_the_sheet(count):
    tiles = [make_tile(number) for number in range(count)]
    sheet = sample_sheet(tiles, PALETTE, NAMES, 255)
    for tile in tiles:  # 480 pixels are shown as they are
        for picture in (tile.image, label_over(tile.image, tile.label, PALETTE, 255)):
            for part in (picture[:24, :24], picture[-24:, -24:]):
                difference = cv2.matchTemplate(sheet[..., 0].copy(), part[..., 0].copy(), cv2.TM_SQDIFF_NORMED)
                assert difference.min() < 1e-5  # of noise that is elsewhere it is above 0.1
    for name, color, there in zip(NAMES, PALETTE, (True, True, False)):
        assert is_in(written(name, 0.75), sheet[-100:, :700]) == there
        assert (color in colors_of(sheet[-100:, :700])) == there
    assert is_in(written("ignored", 0.75), sheet[-100:, :700])


def test_title_and_lines_stand_below_the_picture():
    sheet = sample_sheet([make_tile(7)], PALETTE, NAMES, 255)
    below = sheet[496:550, :300]
    assert is_in(written("picture 7", 0.65), below)
    assert is_in(written("a line", color=(110, 110, 110)), below)


@pytest.mark.parametrize("size", [(32, 64), (1024, 2048), (700, 40)])
def test_any_size_of_crop_fits(size):
    sheet = sample_sheet([make_tile(0, (max(size[0], 8), max(size[1], 8)))] * 2, PALETTE, NAMES, 255)
    assert max(sheet.shape[:2]) < 2100
    assert sheet.dtype == np.uint8


def test_letters_that_the_font_lacks_and_long_lines_do_no_harm():
    sheet = sample_sheet([make_tile(0, text="汽车 " * 200)], PALETTE, ["汽车", "tree", "sky"], 255)
    assert sheet.shape == sample_sheet([make_tile(0)], PALETTE, NAMES, 255).shape
