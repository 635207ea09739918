"""Continuous scales and windows of several classes against draws that are done again by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.base.errors import ConfigError
from src.config.saved import differences, to_dict
from src.data.transforms.resize import RandomResizeCrop
from src.utils.config import parse_config

CROP = "data.train_transforms.item_transforms.RandomResizeCrop"
WINDOW = (32, 40)


def positions(height: int, width: int) -> np.ndarray:
    """Return an image (height, width, 3) whose pixels say where they stand."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows, columns, np.zeros_like(rows)]).astype(np.uint8)


def patched_label() -> np.ndarray:
    """Return a label (96, 120): class 4, a corner that is ignored, and a small patch of classes 1 and 2."""
    label = np.full((96, 120), 4, np.uint8)
    label[:40, :60] = 255
    label[50:70, 70:80], label[50:70, 80:95] = 1, 2
    return label


def shares(window: np.ndarray) -> list[float]:
    values, counts = np.unique(window[window != 255], return_counts=True)
    return [count / counts.sum() for _, count in zip(values, counts)]


def draw_by_hand(label: np.ndarray, rng: np.random.Generator, limit: float) -> tuple[int, int, int]:
    """Return top and left of the window, and how many were drawn: the first that is mixed enough, else the eleventh."""
    drawn, found = 0, []
    while drawn < 11 and (not found or max(found) > limit):
        drawn += 1
        top = int(rng.integers(label.shape[0] - WINDOW[0] + 1))
        left = int(rng.integers(label.shape[1] - WINDOW[1] + 1))
        found = shares(label[top : top + WINDOW[0], left : left + WINDOW[1]])
    return top, left, drawn


def test_scales_are_drawn_continuously_between_the_two_numbers():
    crop = RandomResizeCrop(crop_size=(128, 256), base_size=100, scale_range=(0.25, 2.0))
    image, label = np.full((50, 100, 3), 255, np.uint8), np.zeros((50, 100), np.uint8)
    lengths = []
    for seed in range(800):
        scaled, padded = crop(image, label, np.random.default_rng(seed))
        height, width = int((padded[:, 0] == 0).sum()), int((padded[0] == 0).sum())
        assert abs(height - width / 2) <= 0.5
        assert (scaled[:height, :width] == 255).all()
        assert not scaled[height:].any()
        lengths.append(width)
    assert 25 <= min(lengths) <= 28
    assert 197 <= max(lengths) <= 200
    assert len(set(lengths)) > 150  # of 176; the published steps have 16
    assert abs(np.mean(lengths) - 112.5) < 9  # five standard deviations of the mean


def test_the_same_generator_gives_the_same_window():
    crop = RandomResizeCrop(crop_size=WINDOW, base_size=120, scale_range=(0.5, 2), cat_max_ratio=0.75)
    image, label = positions(96, 120), patched_label()
    first, again, other = (crop(image, label, np.random.default_rng(seed)) for seed in (3, 3, 4))
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


def test_a_window_of_nearly_one_class_is_drawn_again():
    crop = RandomResizeCrop(crop_size=WINDOW, multi_scale=False, cat_max_ratio=0.75)
    image, label, numbers = positions(96, 120), patched_label(), []
    for seed in range(300):
        top, left, drawn = draw_by_hand(label, np.random.default_rng(seed), 0.75)
        numbers.append(drawn)
        cut_image, cut_label = crop(image, label, np.random.default_rng(seed))
        np.testing.assert_array_equal(cut_image, image[top : top + WINDOW[0], left : left + WINDOW[1]])
        np.testing.assert_array_equal(cut_label, label[top : top + WINDOW[0], left : left + WINDOW[1]])
    assert {1, 2, 3, 11} <= set(numbers)


def test_shares_are_those_of_the_scaled_label():
    crop = RandomResizeCrop(crop_size=WINDOW, base_size=120, scale_range=(1.5, 1.5), cat_max_ratio=0.6)
    image, label, redrawn = positions(96, 120), patched_label(), 0
    scaled = cv2.resize(label, (180, 144), interpolation=cv2.INTER_NEAREST)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rng.uniform(1.5, 1.5)
        top, left, drawn = draw_by_hand(scaled, rng, 0.6)
        redrawn += drawn > 1
        _, cut = crop(image, label, np.random.default_rng(seed))
        np.testing.assert_array_equal(cut, scaled[top : top + WINDOW[0], left : left + WINDOW[1]])
    assert redrawn > 5


def test_a_picture_that_is_one_window_is_taken_as_it_is():
    crop = RandomResizeCrop(crop_size=(96, 120), multi_scale=False, cat_max_ratio=0.1)
    image, label = positions(96, 120), patched_label()
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(crop(image, label, rng)[1], label)
    usual = np.random.default_rng(0)
    RandomResizeCrop(crop_size=(96, 120), multi_scale=False)(image, label, usual)
    assert rng.random() == usual.random()  # nothing was drawn beyond the one position


@pytest.mark.once
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["scale_range=[2,0.5]"], r"scale_range: must be \[low, high\] with 0 < low <= high, got \[2.0, 0.5\]"),
        (["scale_range=[0,1]"], r"scale_range: must be \[low, high\] with 0 < low <= high, got \[0.0, 1.0\]"),
        (["scale_range=[0.5,2]", "multi_scale=False"], "scale_range: does nothing with multi_scale False"),
        (["scale_range=[0.5,2]", "scale_factor=8"], "scale_factor: excludes scale_range"),
        (["cat_max_ratio=0"], "cat_max_ratio: must lie above 0, up to 1; got 0.0"),
        (["cat_max_ratio=75"], "cat_max_ratio: must lie above 0, up to 1; got 75.0"),
    ],
)
def test_impossible_values_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        parse_config([f"{CROP}.{override}" for override in overrides], "train")


@pytest.mark.once
def test_on_resume_a_change_is_told_and_an_older_configuration_is_not():
    old = to_dict(parse_config([], "train"))
    changed = to_dict(parse_config([f"{CROP}.cat_max_ratio=0.75"], "train"))
    (line,) = differences(old, changed)
    assert line.startswith("data.train_transforms.item_transforms was ")
    crop = old["data"]["train_transforms"]["item_transforms"][0]["RandomResizeCrop"]
    del crop["scale_range"], crop["cat_max_ratio"]
    assert differences(old, to_dict(parse_config([], "train"))) == []
    crop["base_size"] = 1024
    assert len(differences(old, to_dict(parse_config([], "train")))) == 1
