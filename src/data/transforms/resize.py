"""Transforms that change the size: random scale and crop for training, a fixed size for evaluation.

`Optional[...]` instead of `X | None`: the annotations of fields are evaluated at run time, on Python 3.9 too.
"""

from dataclasses import dataclass
from typing import Optional

import cv2
import numpy as np

from src.config.schema import Transform
from src.config.schema_base import at_least, key, problem_unless, scale_interval, share
from src.config.schema_data import MAX_PIXELS
from src.data.draws import note
from src.data.picture_sizes import size_of

MOST_REDRAWS = 10  # of a window, see `RandomResizeCrop.cat_max_ratio`


def window_size(size: tuple[int, int]) -> str:
    """Check a height and width: not below the network's minimum, and not absurdly many pixels."""
    if size[0] * size[1] > MAX_PIXELS:
        return f"must have at most {MAX_PIXELS} pixels, got {'x'.join(map(str, size))[:40]}"
    return at_least(32)(size)


@dataclass(frozen=True)
class RandomResizeCrop(Transform):
    """Scale image and label at random, pad right and bottom, cut one random window.

    The long side becomes ``int(base_size * (0.5 + k / 10) + 0.5)`` with k uniform in 0 ... scale_factor - 1 and the
    short side follows in proportion, rounded half up, at least 1. The image is resized bilinearly, the label by nearest
    neighbour; what is smaller than the window is padded with zeros and `ignore_label`. Every window position is equally
    likely, the last one included.

    With `scale_range` the long side is ``int(base_size * s + 0.5)`` with s uniform between the two numbers. With
    `cat_max_ratio` a window is drawn again, at most ten times, if one class has more than that share of its pixels that
    are not ignored, or if all of its pixels are ignored; the eleventh window is always accepted.
    """

    crop_size: tuple[int, int] = key(help="height and width of the window, pixels", check=window_size)
    multi_scale: bool = key(True, "draw a scale; False keeps the image's size")
    base_size: int = key(2048, "long side at scale 1, pixels", check=at_least(1))
    scale_factor: int = key(
        16, "number of scales: long side = base_size * (0.5 + k / 10), k = 0 ... scale_factor - 1", check=at_least(1)
    )
    ignore_label: Optional[int] = key(None, "label of the padding; null = data.ignore_label")
    scale_range: Optional[tuple[float, float]] = key(
        None,
        "draw the scale continuously: long side = base_size * s, s uniform in [low, high]; null = the steps of "
        "scale_factor",
        check=scale_interval,
    )
    cat_max_ratio: Optional[float] = key(
        None,
        "draw a window again, ten times at most, of which one class has more than this share; null = never",
        check=share,
    )

    def problems(self) -> list[str]:
        usual = type(self).scale_factor
        return problem_unless(
            self.scale_range is None or self.multi_scale, "scale_range", "does nothing with multi_scale False"
        ) + problem_unless(
            self.scale_range is None or self.scale_factor == usual, "scale_factor", "excludes scale_range"
        )

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        original = size_of(label)
        size = self._draw_size(original, rng)
        ignored = 255 if self.ignore_label is None else self.ignore_label  # None: outside of a configuration
        top, left = self._draw_corner(size, rng)
        if self.cat_max_ratio is not None:
            label = resize_corner(label, size, size, cv2.INTER_NEAREST)
            top, left = self._draw_mixed_corner(label, (top, left), ignored, rng)
        note(original=original, size=size, window=(top, left))
        end = (min(top + self.crop_size[0], size[0]), min(left + self.crop_size[1], size[1]))
        image = resize_corner(image, size, end, cv2.INTER_LINEAR)[top:, left:]
        label = resize_corner(label, size, end, cv2.INTER_NEAREST)[top:, left:]
        return pad(image, self.crop_size, 0), pad(label, self.crop_size, ignored)

    def _draw_size(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """Draw the height and width to resize to."""
        if not self.multi_scale:
            return size
        if self.scale_range is not None:
            scale = rng.uniform(*self.scale_range)
        else:
            scale = 0.5 + int(rng.integers(self.scale_factor)) / 10
        note(scale=float(scale))
        long_side = int(self.base_size * scale + 0.5)
        return scaled_size(size, long_side / max(size))

    def _draw_corner(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """Draw the top left corner of the window, (top, left)."""
        top, left = (int(rng.integers(max(length - window, 0) + 1)) for length, window in zip(size, self.crop_size))
        return top, left

    def _draw_mixed_corner(
        self, label: np.ndarray, corner: tuple[int, int], ignored: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Return `corner`, or a redrawn one, so that no class dominates its window of the scaled (H, W) `label`."""
        if all(length <= window for length, window in zip(label.shape, self.crop_size)):
            return corner  # only one window is possible
        for _ in range(MOST_REDRAWS):
            top, left = corner
            window = label[top : top + self.crop_size[0], left : left + self.crop_size[1]]
            counts = np.bincount(window.ravel(), minlength=256)
            counts[ignored] = 0
            if 0 < counts.max() <= self.cat_max_ratio * counts.sum():
                break
            corner = self._draw_corner(size_of(label), rng)
        return corner


@dataclass(frozen=True)
class Resize(Transform):
    """Resize the image to `target_size` bilinearly; the label stays as it is.

    With `keep_ratio` the image is resized to fit into the target and padded with zeros at the right and bottom;
    `fitted_size` returns the part of the result that is picture. Without it the image is stretched. The label is not
    changed, because the class map is resized to the label's size; `ignore_label` therefore has no effect.
    """

    in_training = False
    in_evaluation = True

    target_size: tuple[int, int] = key(help="height and width, pixels", check=window_size)
    keep_ratio: bool = key(True, "fit inside target_size and pad right and bottom; False stretches")
    ignore_label: Optional[int] = key(
        None, "pads nothing, as labels keep their size here; null, or data.ignore_label as published"
    )

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width inside `target_size` that an image of this size covers."""
        if not self.keep_ratio:
            return self.target_size
        ratio = min(self.target_size[0] / height, self.target_size[1] / width)
        fitted = scaled_size((height, width), ratio)
        return min(fitted[0], self.target_size[0]), min(fitted[1], self.target_size[1])

    def __call__(
        self, image: np.ndarray, label: Optional[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        fitted = self.fitted_size(*image.shape[:2])
        return pad(resize_corner(image, fitted, fitted, cv2.INTER_LINEAR), self.target_size, 0), label


def scaled_size(size: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Scale a (height, width), rounding half up, to at least one pixel."""
    return max(1, int(size[0] * ratio + 0.5)), max(1, int(size[1] * ratio + 0.5))


def resize_corner(array: np.ndarray, size: tuple[int, int], end: tuple[int, int], interpolation: int) -> np.ndarray:
    """Return ``cv2.resize(array to size)[: end[0], : end[1]]`` without computing most of the rest.

    Given the scale instead of the size, cv2.resize maps every pixel to the source as for the whole array, so that the
    corner is identical bit for bit. Spare source pixels keep the border rule away from it. If scaling happens to leave
    the corner's size unchanged, cv2 would merely copy, so the whole array is resized instead.
    """
    if size == array.shape[:2]:
        return array[: end[0], : end[1]]
    scale = [new / old for new, old in zip(size, array.shape)]
    source = [min(old, int(np.ceil(last / s)) + 2) for old, last, s in zip(array.shape, end, scale)]
    if all(round(length * s) == length for length, s in zip(source, scale)):
        source = list(array.shape[:2])
    corner = cv2.resize(array[: source[0], : source[1]], None, fx=scale[1], fy=scale[0], interpolation=interpolation)
    return corner[: end[0], : end[1]]


def pad(array: np.ndarray, size: tuple[int, int], value: int) -> np.ndarray:
    """Pad right and bottom to `size` with `value`; the result is contiguous."""
    height, width = array.shape[:2]
    if (height, width) == size:
        return np.ascontiguousarray(array)
    padded = np.full((*size, *array.shape[2:]), value, array.dtype)
    padded[:height, :width] = array
    return padded
