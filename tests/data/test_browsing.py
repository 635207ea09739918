"""Browsed samples: those that training gets, and draws that, applied by hand, make the same picture."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from src.data.browsing import browse, draw_lines
from src.data.draws import note, recording
from src.data.normalization import denormalize
from src.data.train_samples import TrainBatches, create_train_samples
from src.data.transforms.common import Normalize, RandomColor
from tests.dataset_helpers import MEAN, STD, make_data, write_cityscapes

CROP, BASE, SEED = (32, 64), 96, 7


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    data = make_data(write_cityscapes(tmp_path_factory.mktemp("data")))
    return create_train_samples(data, num_classes=19, seed=SEED)


def test_they_are_the_batches_of_training(source):
    """In order, over the end of an epoch, and bit for bit: nothing but the normalisation is undone."""
    batches = list(TrainBatches(source, range(3), batch_size=3))
    found = list(browse(source, range(9)))
    assert [each.position for each in found] == list(range(9))
    assert [each.epoch for each in found] == [0] * 6 + [1] * 3
    for number, each in enumerate(found):
        image, label = (array[number % 3] for array in batches[number // 3])
        np.testing.assert_array_equal(each.label, label)
        again = (each.image.transpose(2, 0, 1) / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
        np.testing.assert_array_equal(image, again.astype(np.float32))


def test_the_position_may_be_anywhere(source):
    for one, other in zip(browse(source, range(7, 9)), list(browse(source, range(9)))[7:]):
        assert one.path == other.path
        np.testing.assert_array_equal(one.image, other.image)


def test_recording_changes_no_sample(source):
    for item in ((0, 0), (0, 3), (2, 5)):
        plain = source.read(item)
        with recording() as drawn:
            noted = source.read(item)
        assert drawn
        for one, other in zip(plain, noted):
            assert one.tobytes() == other.tobytes()


def draw_by_hand(shape, rng):
    """Draw in the order and from the ranges that the README tells."""
    scale = 0.5 + rng.integers(16) / 10
    factor = int(BASE * scale + 0.5) / max(shape)
    size = tuple(max(1, int(length * factor + 0.5)) for length in shape)
    window = tuple(int(rng.integers(max(length - crop, 0) + 1)) for length, crop in zip(size, CROP))
    drawn = {"scale": scale, "original": shape, "size": size, "window": window, "flip": rng.random() < 0.5}
    drawn |= {"brightness": 0, "contrast": 1.0, "saturation": 1.0, "hue": 0}
    if rng.random() < 0.5:
        drawn["brightness"] = int(rng.integers(-32, 33))
    if rng.random() < 0.5:
        drawn["contrast"] = rng.uniform(0.4, 1.6)
        if rng.random() < 0.5:
            drawn["contrast_last"] = True
    if rng.random() < 0.5:
        drawn["saturation"] = rng.uniform(0.5, 1.5)
    if rng.random() < 0.5:
        drawn["hue"] = int(rng.integers(-18, 19))
    return drawn


def test_what_is_noted_was_drawn(source):
    paths = [image for image, _ in source.samples]
    seen = []
    for each in browse(source, range(30)):
        rng = np.random.default_rng((SEED, each.epoch, paths.index(each.path)))
        assert each.drawn == draw_by_hand((48, 96), rng)
        seen.append(each.drawn)
    assert {True, False} == {drawn["flip"] for drawn in seen}
    assert any(drawn.get("contrast_last") for drawn in seen)


def rounded(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def apply_by_hand(image, drawn):
    """Make the sample of what was drawn for it: the whole picture at its new size, then the window."""
    image = cv2.resize(image, drawn["size"][::-1], interpolation=cv2.INTER_LINEAR)
    top, left = drawn["window"]
    cut = image[top : top + CROP[0], left : left + CROP[1]]
    padded = np.zeros((*CROP, 3), np.uint8)
    padded[: cut.shape[0], : cut.shape[1]] = cut
    if drawn["flip"]:
        padded = padded[:, ::-1]
    if drawn["brightness"]:
        padded = rounded(padded.astype(float) + drawn["brightness"])
    if not drawn.get("contrast_last"):
        padded = rounded(padded * drawn["contrast"])
    if drawn["saturation"] != 1 or drawn["hue"]:
        hsv = cv2.cvtColor(np.ascontiguousarray(padded), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = ((hsv[..., 0].astype(int) + drawn["hue"]) % 180).astype(np.uint8)
        hsv[..., 1] = rounded(hsv[..., 1] * drawn["saturation"])
        padded = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return rounded(padded * drawn["contrast"]) if drawn.get("contrast_last") else padded


def test_what_is_noted_makes_the_sample(source):
    for each in browse(source, range(24)):
        photo = cv2.cvtColor(cv2.imread(each.path), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(each.image, apply_by_hand(photo, each.drawn))


def test_nobody_asking_nothing_is_kept_and_threads_keep_to_themselves():
    note(a=1)
    with recording() as outer:
        thread = threading.Thread(target=note, kwargs={"of_a_thread": 1})
        thread.start()
        thread.join()
        note(b=1)
        with recording() as inner:
            note(b=2)
        note(c=3)
    note(d=4)
    assert (outer, inner) == ({"b": 1, "c": 3}, {"b": 2})


@pytest.mark.parametrize("is_scale", [True, False])
def test_every_level_comes_back(is_scale):
    levels = np.arange(256, dtype=np.uint8)
    picture = np.stack([levels, levels[::-1], levels // 2], axis=1)[None]
    factor = 1 if is_scale else 255
    mean, std = (tuple(factor * np.array(values)) for values in (MEAN, STD))
    normalize = Normalize(mean=mean, std=std, is_scale=is_scale)
    values = (picture / (255 if is_scale else 1) - mean) / std
    np.testing.assert_array_equal(denormalize(values.astype(np.float32).transpose(2, 0, 1), normalize), picture)


def test_draws_in_words():
    drawn = {"scale": 1.25, "original": (360, 480), "size": (720, 960), "window": (12, 7), "flip": True}
    color = {"brightness": -9, "contrast": 1.204, "contrast_last": True, "saturation": 0.5, "hue": 4}
    assert draw_lines({**drawn, **color, "noise": 3, "kind": "snow"}) == [
        "scale 1.25: 360x480 to 720x960, window at 12, 7 (top, left)",
        "flipped",
        "brightness -9, contrast x1.20 (last), saturation x0.50, hue +8 degrees",
        "noise 3, kind snow",
    ]
    plain = {"brightness": 0, "contrast": 1.0, "saturation": 1.0, "hue": 0, "flip": False}
    assert draw_lines(plain) == ["not flipped", "colours kept"]
    assert draw_lines({name: drawn[name] for name in ("original", "size", "window")}) == [
        "size kept: 360x480 to 720x960, window at 12, 7 (top, left)"
    ]
    assert draw_lines({}) == []


def test_colour_alone_notes_what_it_leaves():
    with recording() as drawn:
        image = np.full((4, 4, 3), 100, np.uint8)
        for seed in range(50):
            drawn.clear()
            result, _ = RandomColor()(image, None, np.random.default_rng(seed))
            if (drawn["brightness"], drawn["contrast"], drawn["saturation"], drawn["hue"]) == (0, 1.0, 1.0, 0):
                np.testing.assert_array_equal(result, image)
                break
        else:
            pytest.fail("no draw left the picture as it is")
