"""Random scale and crop against windows of fully resized pairs, Resize against bilinear interpolation by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.data.transforms.common import RandomFlip
from src.data.transforms.resize import RandomResizeCrop, Resize, resize_corner
from tests.dataset_helpers import random_pair


def find_crop(image, label, result, *, base_size, crop_size):
    """Find every (k, top, left) that explains a result, by trying all of them on fully resized arrays."""
    found = []
    for k in range(16):
        long_side = int(base_size * (0.5 + k / 10) + 0.5)
        ratio = long_side / max(label.shape)
        height, width = (int(side * ratio + 0.5) for side in label.shape)
        big_image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        big_label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
        bottom, right = max(crop_size[0] - height, 0), max(crop_size[1] - width, 0)
        big_image = np.pad(big_image, ((0, bottom), (0, right), (0, 0)))
        big_label = np.pad(big_label, ((0, bottom), (0, right)), constant_values=255)
        for top in range(big_label.shape[0] - crop_size[0] + 1):
            for left in range(big_label.shape[1] - crop_size[1] + 1):
                window = np.s_[top : top + crop_size[0], left : left + crop_size[1]]
                if (big_label[window] == result[1]).all() and (big_image[window] == result[0]).all():
                    found.append((k, top, left))
    return found


def test_resize_crop_is_one_window_of_the_whole_resized_pair():
    image, label = random_pair(3, (37, 60))
    transform, rng, scales = RandomResizeCrop((32, 40), base_size=64), np.random.default_rng(4), set()
    for _ in range(60):
        result = transform(image, label, rng)
        assert result[0].shape == (32, 40, 3)
        assert result[1].shape == (32, 40)
        assert all(array.dtype == np.uint8 and array.flags["C_CONTIGUOUS"] for array in result)
        found = find_crop(image, label, result, base_size=64, crop_size=(32, 40))
        assert len(found) == 1
        scales.add(found[0][0])
    assert len(scales) >= 12  # of 16; the least likely outcome at 60 draws has probability below 1e-5
    assert {0, 15} <= scales  # smallest and largest


def test_scales_are_uniform_and_follow_the_published_formula():
    # Long sides for base_size 2048, worked out by hand: 2048 * 0.5 = 1024, * 0.6 = 1228.8, ... * 2.0 = 4096.
    by_hand = [1024, 1229, 1434, 1638, 1843, 2048, 2253, 2458, 2662, 2867, 3072, 3277, 3482, 3686, 3891, 4096]
    transform, rng = RandomResizeCrop((32, 32)), np.random.default_rng(0)
    sizes = [transform._draw_size((1024, 2048), rng) for _ in range(3200)]
    assert sorted({width for _, width in sizes}) == by_hand
    counts = np.bincount([by_hand.index(width) for _, width in sizes])
    assert counts.min() > 130  # expected 200, standard deviation 13.7
    assert counts.max() < 270
    assert all(abs(height - width / 2) <= 0.5 for height, width in sizes)


def test_short_side_is_rounded_half_up():
    transform = RandomResizeCrop((32, 32), base_size=64, scale_factor=1)  # long side 32 always
    rng = np.random.default_rng(0)
    assert transform._draw_size((37, 64), rng) == (19, 32)  # 18.5
    assert transform._draw_size((64, 35), rng) == (32, 18)  # 17.5
    assert transform._draw_size((64, 1), rng) == (32, 1)  # never 0


def test_every_crop_position_is_reached_equally_often():
    label = np.arange(34 * 35, dtype=np.int64).reshape(34, 35)
    image = np.stack([label // 256, label % 256, label * 0], axis=-1).astype(np.uint8)
    transform, rng = RandomResizeCrop((32, 32), multi_scale=False), np.random.default_rng(0)
    counts = np.zeros((3, 4), int)
    for _ in range(2400):
        first = transform(image, label.astype(np.uint8), rng)[0][0, 0].astype(int)
        counts[divmod(first[0] * 256 + first[1], 35)] += 1
    assert counts.min() > 140  # 200 each expected, standard deviation 13.5; the last position is [2, 3]
    assert counts.sum() == 2400


def test_without_multi_scale_small_images_are_padded_right_and_bottom():
    image, label = random_pair(0, (20, 50))
    out_image, out_label = RandomResizeCrop((32, 40), multi_scale=False, ignore_label=77)(
        image, label, np.random.default_rng(1)
    )
    left = next(x for x in range(11) if (image[:, x : x + 40] == out_image[:20]).all())
    assert (out_label[:20] == label[:, left : left + 40]).all()
    assert (out_image[20:] == 0).all()
    assert (out_label[20:] == 77).all()


def test_image_and_label_stay_together():
    """Far from the borders of its regions the image must show what the label says, whatever scale and window."""
    label = np.kron(np.arange(8 * 8).reshape(8, 8), np.ones((16, 16))).astype(np.uint8)  # (128, 128), 64 regions
    image = np.repeat(label[..., None] * 3, 3, axis=2)
    transform, rng = RandomResizeCrop((96, 96), base_size=128), np.random.default_rng(5)
    for _ in range(20):
        out_image, out_label = RandomFlip()(*transform(image, label, rng), rng)
        grown, shrunk = cv2.dilate(out_label, np.ones((5, 5))), cv2.erode(out_label, np.ones((5, 5)))
        inside = (grown == shrunk) & (out_label != 255)
        assert inside.mean() > 0.1
        assert (out_image[inside] == out_label[inside][:, None] * 3).all()


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_NEAREST])
@pytest.mark.parametrize("shape", [(256, 512, 3), (256, 512), (97, 131, 3), (61, 33)])
def test_resize_corner_equals_resizing_everything(interpolation, shape):
    rng = np.random.default_rng(shape[0])
    array = rng.integers(0, 256, shape, np.uint8)
    ratios = (
        [0.5 + k / 10 for k in range(16)] + rng.uniform(0.05, 3, 100).tolist() + rng.uniform(0.97, 1.03, 60).tolist()
    )
    for ratio in ratios:
        size = tuple(max(1, round(side * ratio)) for side in shape[:2])
        end = tuple(int(rng.integers(1, side + 1)) for side in size)
        whole = cv2.resize(array, size[::-1], interpolation=interpolation)
        np.testing.assert_array_equal(resize_corner(array, size, end, interpolation), whole[: end[0], : end[1]])


@pytest.mark.parametrize(
    ("size", "target", "keep_ratio", "fitted"),
    [
        ((1024, 2048), (1024, 2048), True, (1024, 2048)),
        ((512, 512), (1024, 2048), True, (1024, 1024)),
        ((360, 480), (1024, 2048), True, (1024, 1365)),  # 480 * 1024 / 360 = 1365.33
        ((600, 2000), (1024, 2048), True, (614, 2048)),  # 600 * 2048 / 2000 = 614.4
        ((360, 480), (1024, 2048), False, (1024, 2048)),
        ((4000, 7), (64, 64), True, (64, 1)),  # 0.112 wide: at least one pixel
    ],
)
def test_resize_geometry_by_hand(size, target, keep_ratio, fitted):
    transform = Resize(target, keep_ratio=keep_ratio)
    assert transform.fitted_size(*size) == fitted
    image = np.full((*size, 3), 9, np.uint8)
    result, label = transform(image, None, None)
    assert label is None
    assert result.shape == (*target, 3)
    assert (result[: fitted[0], : fitted[1]] == 9).all()
    assert result.sum() == 27 * fitted[0] * fitted[1]  # everything else is 0


def bilinear_by_hand(image, size):
    """Half-pixel bilinear interpolation, pixel by pixel in floating point."""
    out = np.empty((*size, image.shape[2]))
    for y, x in np.ndindex(*size):
        v = min(max((y + 0.5) * image.shape[0] / size[0] - 0.5, 0), image.shape[0] - 1)
        u = min(max((x + 0.5) * image.shape[1] / size[1] - 0.5, 0), image.shape[1] - 1)
        y0, x0 = int(v), int(u)
        y1, x1 = min(y0 + 1, image.shape[0] - 1), min(x0 + 1, image.shape[1] - 1)
        top = image[y0, x0] * (1 - (u - x0)) + image[y0, x1] * (u - x0)
        bottom = image[y1, x0] * (1 - (u - x0)) + image[y1, x1] * (u - x0)
        out[y, x] = top * (1 - (v - y0)) + bottom * (v - y0)
    return out


@pytest.mark.parametrize("target", [(35, 50), (64, 64)])
def test_resize_is_bilinear_and_leaves_the_label_alone(target):
    image, label = random_pair(6, (40, 44))
    transform = Resize(target)
    result, same = transform(image, label, None)
    fitted = transform.fitted_size(40, 44)
    assert same is label
    # OpenCV interpolates uint8 with 11-bit weights: one level off at most
    assert np.abs(result[: fitted[0], : fitted[1]] - bilinear_by_hand(image.astype(float), fitted)).max() <= 1
