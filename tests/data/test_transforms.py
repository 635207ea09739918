"""Flip, colour and normalisation against formulas by hand and colorsys, and the factory of transforms."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest

from src.base.errors import ConfigError
from src.config.registry import TRANSFORMS
from src.data.transforms.common import Normalize, RandomColor, RandomFlip, TransposeImage
from src.data.transforms.resize import RandomResizeCrop, Resize
from src.data.transforms_factory import create_transforms
from tests.dataset_helpers import MEAN, STD, random_pair

NO_COLOR = {"brightness_delta": 0, "contrast_range": (1, 1), "saturation_range": (1, 1), "hue_delta": 0}


# ---------------------------------------------------------------- RandomFlip


def test_flip_mirrors_image_and_label_together():
    image, label = random_pair(0, (5, 7))
    flipped_image, flipped_label = RandomFlip(prob=1.0)(image, label, np.random.default_rng(0))
    for y in range(5):
        for x in range(7):
            assert flipped_label[y, x] == label[y, 6 - x]
            assert flipped_image[y, x].tolist() == image[y, 6 - x].tolist()


@pytest.mark.parametrize(("prob", "low", "high"), [(0.0, 0, 0), (0.5, 420, 580), (0.2, 140, 260), (1.0, 1000, 1000)])
def test_flip_probability(prob, low, high):
    image, label = random_pair(0, (1, 2))
    rng, flip = np.random.default_rng(1), RandomFlip(prob)
    flips = sum(flip(image, label, rng)[1][0, 0] != label[0, 0] for _ in range(1000))
    assert label[0, 0] != label[0, 1]
    assert low <= flips <= high  # 5 standard deviations


# --------------------------------------------------------------- RandomColor


def results(transform, image, count):
    rng = np.random.default_rng(0)
    label = np.zeros(image.shape[:2], np.uint8)
    for _ in range(count):
        result, same = transform(image, label, rng)
        assert result.dtype == np.uint8
        assert result.shape == image.shape
        assert same is label
        yield result


def all_levels():
    return np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


def test_brightness_shifts_by_whole_levels_up_to_delta():
    image, shifts = all_levels(), []
    for result in results(RandomColor(**{**NO_COLOR, "brightness_delta": 32}), image, 1500):
        shift = int(result[8, 0, 0]) - 128  # level 128 never saturates
        np.testing.assert_array_equal(result, np.clip(image.astype(int) + shift, 0, 255))
        shifts.append(shift)
    assert min(shifts) == -32
    assert max(shifts) == 32
    assert 0.42 < np.mean(np.array(shifts) == 0) < 0.60  # not drawn, or drawn as 0


def test_contrast_multiplies_and_rounds():
    image, changed, factors = all_levels(), 0, []
    for result in results(RandomColor(**{**NO_COLOR, "contrast_range": (0.4, 1.6)}), image, 600):
        levels = result.reshape(-1, 3)[:, 0].astype(float)
        below = np.flatnonzero((levels < 255) & (np.arange(256) > 0))
        # rint(level * factor) = result  <=>  factor within half a level of result / level, for all levels at once
        low, high = ((levels[below] - 0.5) / below).max(), ((levels[below] + 0.5) / below).min()
        assert low <= high
        assert (levels[np.arange(256) * high > 256] == 255).all()
        changed += not np.array_equal(result, image)
        factors.append((low + high) / 2)
    assert 0.4 < changed / 600 < 0.6
    assert 0.39 < min(factors) < 0.45
    assert 1.55 < max(factors) < 1.61


def colorful():
    """Saturated RGB colours, where OpenCV's coarse uint8 HSV loses least."""
    hues = np.linspace(0, 1, 48, endpoint=False)
    rgb = [colorsys.hsv_to_rgb(h, s, 0.9) for h in hues for s in (0.5, 0.7, 0.9)]
    return np.rint(np.array(rgb) * 255).astype(np.uint8).reshape(12, 12, 3)


def by_colorsys(image, *, hue_shift=0, saturation=1.0):
    """Turn the hue by `hue_shift` times 2 degrees and scale the saturation, in floating point."""
    out = np.empty(image.shape)
    for index in np.ndindex(image.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*(image[index] / 255.0))
        out[index] = colorsys.hsv_to_rgb((h + hue_shift / 180) % 1.0, min(1.0, s * saturation), v)
    return out * 255


def test_hue_turns_by_up_to_delta_and_wraps_around():
    image, shifts = colorful(), []
    candidates = {shift: by_colorsys(image, hue_shift=shift) for shift in range(-20, 21)}
    for result in results(RandomColor(**{**NO_COLOR, "hue_delta": 18}), image, 300):
        if np.array_equal(result, image):
            shifts.append(None)
            continue
        errors = {shift: np.abs(result - expected).max() for shift, expected in candidates.items()}
        best = min(errors, key=errors.get)
        assert errors[best] < 6  # uint8 hue is a step of 2 degrees: up to 1 degree, 4.25 levels, plus rounding
        shifts.append(best)
    drawn = [shift for shift in shifts if shift is not None]
    assert 0.38 < len(drawn) / 300 < 0.62
    assert min(drawn) <= -17
    assert max(drawn) >= 17
    assert -18 <= min(drawn) <= max(drawn) <= 18


def test_saturation_scales_colours_and_leaves_grey():
    image, factors = colorful(), []
    for result in results(RandomColor(**{**NO_COLOR, "saturation_range": (0.5, 1.5)}), image, 200):
        if np.array_equal(result, image):
            continue
        spread = [np.ptp(array.astype(int), axis=2) for array in (image, result)]
        mild = spread[0] < 0.6 * 230  # saturation 0.5: does not saturate at factor 1.5
        factor = np.median(spread[1][mild] / spread[0][mild])
        assert np.abs(result - by_colorsys(image, saturation=factor)).max() < 7
        factors.append(factor)
    assert 70 <= len(factors) <= 130
    assert 0.48 < min(factors) < 0.56
    assert 1.44 < max(factors) < 1.52
    grey = all_levels()
    for result in results(RandomColor(**{**NO_COLOR, "saturation_range": (0.5, 1.5), "hue_delta": 18}), grey, 20):
        np.testing.assert_array_equal(result, grey)


def test_contrast_comes_before_or_after_the_colour():
    image = colorful()

    def contrast(array):
        return np.clip(np.rint(array * 1.6), 0, 255).astype(np.uint8)

    def saturate(array):
        hsv = cv2.cvtColor(array, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = np.clip(np.rint(hsv[..., 1] * 1.5), 0, 255)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

    outcomes = {
        "none": image,
        "contrast": contrast(image),
        "colour": saturate(image),
        "contrast first": saturate(contrast(image)),
        "contrast last": contrast(saturate(image)),
    }
    assert not np.array_equal(outcomes["contrast first"], outcomes["contrast last"])
    transform = RandomColor(**{**NO_COLOR, "contrast_range": (1.6, 1.6), "saturation_range": (1.5, 1.5)})
    seen = [
        next(name for name, expected in outcomes.items() if np.array_equal(result, expected))
        for result in results(transform, image, 400)
    ]
    share = {name: seen.count(name) / 400 for name in outcomes}
    for name, expected in zip(outcomes, (0.25, 0.25, 0.25, 0.125, 0.125)):
        assert abs(share[name] - expected) < 0.09, (name, share)


def test_brightness_comes_before_contrast():
    image, seen = all_levels(), set()
    factor = 0.5
    transform = RandomColor(**{**NO_COLOR, "brightness_delta": 32, "contrast_range": (factor, factor)})
    for result in results(transform, image, 200):
        if result[15, 15, 0] > 200:
            continue  # contrast not drawn
        found = [
            shift
            for shift in range(-32, 33)
            if (np.rint(np.clip(image.astype(float) + shift, 0, 255) * factor) == result).all()
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 20  # half of 200, half of those with a shift other than 0


def test_color_does_not_change_its_input():
    image = colorful()
    copy = image.copy()
    list(results(RandomColor(), image, 30))
    np.testing.assert_array_equal(image, copy)


# ---------------------------------------------- Normalize and TransposeImage


@pytest.mark.parametrize("is_scale", [True, False])
def test_normalize_equals_the_formula_in_float64(is_scale):
    image = random_pair(0, (32, 40))[0]
    image[0, :, :] = np.arange(40)[:, None] * 6  # low and high levels for sure
    mean, std = (MEAN, STD) if is_scale else ((90.0, 80.0, 70.0), (50.0, 60.0, 70.0))
    result, label = Normalize(mean, std, is_scale=is_scale)(image, None, None)
    expected = (image.astype(np.float64) / (255 if is_scale else 1) - np.array(mean)) / np.array(std)
    assert result.dtype == np.float32
    assert label is None
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_transpose_gives_contiguous_channels_first_without_copying():
    image = random_pair(0, (4, 6))[0]
    normalized, _ = Normalize(MEAN, STD)(image, None, None)
    result, _ = TransposeImage()(normalized, None, None)
    assert result.shape == (3, 4, 6)
    assert result.flags["C_CONTIGUOUS"]
    assert np.shares_memory(result, normalized)
    for c, y, x in np.ndindex(3, 4, 6):
        assert result[c, y, x] == normalized[y, x, c]


# ------------------------------------------------------- registry, factory and errors


def test_the_registry_names_every_transform_by_its_class():
    assert {name: cls.__name__ for name, cls in TRANSFORMS.items()} == {name: name for name in TRANSFORMS}
    assert set(TRANSFORMS) == {
        "Normalize",
        "RandomColor",
        "RandomFlip",
        "RandomResizeCrop",
        "Resize",
        "TransposeImage",
    }


def test_factory_fills_in_the_ignore_label():
    open_label, settled = RandomResizeCrop(crop_size=(32, 32)), RandomResizeCrop(crop_size=(32, 32), ignore_label=255)
    filled = create_transforms([open_label, settled, RandomFlip()], 19).transforms
    assert [getattr(transform, "ignore_label", None) for transform in filled] == [19, 255, None]


def test_transforms_run_in_order():
    image, label = random_pair(0, (40, 40))
    sections = (Resize(target_size=(32, 32)), Normalize(), TransposeImage())
    result, _ = create_transforms(sections, 255)(image, label)
    assert result.shape == (3, 32, 32)
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomFlip(1.5), "prob: must lie in 0..1, got 1.5"),
        (lambda: RandomResizeCrop((0, 4)), "crop_size: must be at least 32"),
        (lambda: Resize((4, 0)), "target_size: must be at least 32"),
        (lambda: Normalize(norm_type="min_max"), "norm_type: must be one of mean_std; got 'min_max'"),
        (lambda: TransposeImage(hwc2chw=False), "hwc2chw: must be one of True"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
