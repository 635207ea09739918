"""Transforms that keep the size: flip, colour, normalisation, layout.

`Optional[...]` instead of `X | None`: the annotations of fields are evaluated at run time, on Python 3.9 too.
"""

import functools
from dataclasses import dataclass
from typing import Optional

import cv2
import numpy as np

from src.config.schema import Transform
from src.config.schema_base import between, key, ordered_range, positive
from src.data.draws import note
from src.data.normalization import scale_problems

LEVELS = np.arange(256, dtype=np.float64)
HUES = 180  # OpenCV stores hue as 0..179 in uint8


@dataclass(frozen=True)
class RandomFlip(Transform):
    """Mirror image and label left to right with probability `prob`."""

    prob: float = key(0.5, "probability of mirroring", check=between(0, 1))

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        flip = bool(rng.random() < self.prob)
        note(flip=flip)
        if not flip:
            return image, label
        return cv2.flip(image, 1), cv2.flip(label, 1)


@dataclass(frozen=True)
class RandomColor(Transform):
    """Distort brightness, contrast, saturation and hue, each with probability one half.

    Brightness comes first; contrast follows it or comes last, at random; saturation and hue share one conversion to
    OpenCV's uint8 HSV (hue in 0..179). Every effect rounds and saturates to uint8. Shifts are integers of either sign;
    that of the hue is modulo 180.
    """

    brightness_delta: int = key(32, "brightness is shifted by up to this, grey levels", check=between(0, 255))
    contrast_range: tuple[float, float] = key((0.5, 1.5), "lowest and highest contrast factor", check=ordered_range)
    saturation_range: tuple[float, float] = key((0.5, 1.5), "lowest and highest saturation factor", check=ordered_range)
    hue_delta: int = key(18, "hue is shifted by up to this, in OpenCV's 0..179 (2 degrees each)", check=between(0, 90))

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        note(brightness=0, contrast=1.0)
        tone, late_tone = self._draw_tone(rng)
        saturation, hue = self._draw_color(rng)
        image = _look_up(image, tone)
        if saturation != 1.0 or hue != 0:
            image = _shift_color(image, saturation, hue)
        return _look_up(image, late_tone), label

    def _draw_tone(self, rng: np.random.Generator) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
        """Draw brightness and contrast; return the tables to apply before and after the colour shift."""
        tables: list[Optional[np.ndarray]] = [None, None]
        if rng.random() < 0.5:
            shift = rng.integers(-self.brightness_delta, self.brightness_delta + 1)
            note(brightness=int(shift))
            tables[0] = _to_uint8(LEVELS + shift)
        if rng.random() < 0.5:
            factor = rng.uniform(*self.contrast_range)
            note(contrast=float(factor))
            contrast = _to_uint8(LEVELS * factor)
            if rng.random() < 0.5:
                note(contrast_last=True)
                tables[1] = contrast
            else:  # combine the two tables
                tables[0] = contrast if tables[0] is None else contrast[tables[0]]
        return tables[0], tables[1]

    def _draw_color(self, rng: np.random.Generator) -> tuple[float, int]:
        """Draw the saturation factor and the hue shift; (1.0, 0) changes nothing."""
        saturation = rng.uniform(*self.saturation_range) if rng.random() < 0.5 else 1.0
        hue = int(rng.integers(-self.hue_delta, self.hue_delta + 1)) if rng.random() < 0.5 else 0
        note(saturation=float(saturation), hue=hue)
        return saturation, hue


@dataclass(frozen=True)
class Normalize(Transform):
    """Convert uint8 RGB (H, W, 3) to float32 ``(x / 255 - mean) / std``; without `is_scale` x is not divided.

    The 256 possible results of each channel are computed once, in float64, and looked up. The result is a channels-last
    view of a channels-first buffer, so that the following `TransposeImage` copies nothing.
    """

    in_evaluation = True

    mean: tuple[float, float, float] = key((0.3257, 0.3690, 0.3223), "RGB mean, of values / 255 when is_scale")
    std: tuple[float, float, float] = key((0.2112, 0.2148, 0.2115), "RGB standard deviation", check=positive)
    is_scale: bool = key(True, "divide by 255 first")
    norm_type: str = key("mean_std", "the formula", choices=("mean_std",))

    def problems(self) -> list[str]:
        return scale_problems(self.mean, self.std, is_scale=self.is_scale)

    @functools.cached_property
    def tables(self) -> list[np.ndarray]:
        """The results by grey level, (256,) float32 for each channel."""
        levels = LEVELS / 255 if self.is_scale else LEVELS
        return [((levels - m) / s).astype(np.float32) for m, s in zip(self.mean, self.std)]

    def __call__(
        self, image: np.ndarray, label: Optional[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        planes = np.empty((3, *image.shape[:2]), np.float32)
        for plane, channel, table in zip(planes, cv2.split(image), self.tables):
            cv2.LUT(channel, table, dst=plane)
        return planes.transpose(1, 2, 0), label  # to (H, W, 3)


@dataclass(frozen=True)
class TransposeImage(Transform):
    """Convert an image (H, W, 3) to the network's layout (3, H, W), contiguous in memory."""

    in_evaluation = True

    hwc2chw: bool = key(True, "(H, W, 3) to (3, H, W), the layout the network reads", choices=(True,))

    def __call__(
        self, image: np.ndarray, label: Optional[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        return np.ascontiguousarray(image.transpose(2, 0, 1)), label  # to (3, H, W)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Round to the nearest grey level and saturate."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _look_up(image: np.ndarray, table: Optional[np.ndarray]) -> np.ndarray:
    return image if table is None else cv2.LUT(image, table)


def _shift_color(image: np.ndarray, saturation: float, hue: int) -> np.ndarray:
    """Scale the saturation and turn the hue of an RGB image."""
    tables = np.empty((1, 256, 3), np.uint8)  # one column each for hue, saturation, value
    tables[0, :, 0] = (LEVELS + hue) % HUES
    tables[0, :, 1] = _to_uint8(LEVELS * saturation)
    tables[0, :, 2] = LEVELS
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return cv2.cvtColor(cv2.LUT(hsv, tables), cv2.COLOR_HSV2RGB)
