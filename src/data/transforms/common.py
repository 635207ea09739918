"""Transforms that keep the size: flip, colour, normalisation, layout."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

LEVELS = np.arange(256, dtype=np.float64)
HUES = 180  # OpenCV stores hue as 0..179 in uint8


class RandomFlip:
    """Mirror image and label left to right with probability `prob`."""

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomFlip: prob must lie in 0..1, got {prob}")
        self.prob = prob

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.prob:
            return image, label
        return cv2.flip(image, 1), cv2.flip(label, 1)


class RandomColor:
    """Distort brightness, contrast, saturation and hue, each with probability one half.

    Brightness comes first; contrast follows it or comes last, at random; saturation and hue share one trip through
    OpenCV's uint8 HSV (hue in 0..179). Every effect rounds and saturates to uint8.

    Args:
        brightness_delta: largest shift in grey levels, both signs; the shift is a whole number.
        contrast_range: lowest and highest factor around 0.
        saturation_range: lowest and highest factor of the saturation.
        hue_delta: largest shift of the hue, both signs, modulo 180; a whole number.
    """

    def __init__(
        self,
        brightness_delta: int = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = tuple(contrast_range)
        self.saturation_range = tuple(saturation_range)
        self.hue_delta = hue_delta

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        tone, late_tone = self._draw_tone(rng)
        saturation, hue = self._draw_color(rng)
        image = _look_up(image, tone)
        if saturation != 1.0 or hue != 0:
            image = _shift_color(image, saturation, hue)
        return _look_up(image, late_tone), label

    def _draw_tone(self, rng: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Draw brightness and contrast; return the tables to apply before and after the colour shift."""
        tables: list[np.ndarray | None] = [None, None]
        if rng.random() < 0.5:
            shift = rng.integers(-self.brightness_delta, self.brightness_delta + 1)
            tables[0] = _to_uint8(LEVELS + shift)
        if rng.random() < 0.5:
            contrast = _to_uint8(LEVELS * rng.uniform(*self.contrast_range))
            if rng.random() < 0.5:
                tables[1] = contrast
            else:  # two tables in a row make one
                tables[0] = contrast if tables[0] is None else contrast[tables[0]]
        return tables[0], tables[1]

    def _draw_color(self, rng: np.random.Generator) -> tuple[float, int]:
        """Draw the saturation factor and the hue shift; (1.0, 0) changes nothing."""
        saturation = rng.uniform(*self.saturation_range) if rng.random() < 0.5 else 1.0
        hue = int(rng.integers(-self.hue_delta, self.hue_delta + 1)) if rng.random() < 0.5 else 0
        return saturation, hue


class Normalize:
    """Turn uint8 RGB (H, W, 3) into float32 ``(x / 255 - mean) / std``; without `is_scale` the division is left out.

    The 256 possible results a channel are computed once, in float64, and looked up. The result is a channels-last view
    of a channels-first buffer: `TransposeImage`, which follows, costs nothing.
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.3257, 0.3690, 0.3223),
        std: Sequence[float] = (0.2112, 0.2148, 0.2115),
        is_scale: bool = True,
        norm_type: str = "mean_std",
    ) -> None:
        if norm_type != "mean_std":
            raise ValueError(f"Normalize: norm_type must be 'mean_std', got {norm_type!r}")
        levels = LEVELS / 255 if is_scale else LEVELS
        self.tables = [((levels - m) / s).astype(np.float32) for m, s in zip(mean, std)]

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        planes = np.empty((3, *image.shape[:2]), np.float32)
        for plane, channel, table in zip(planes, cv2.split(image), self.tables):
            cv2.LUT(channel, table, dst=plane)
        return planes.transpose(1, 2, 0), label  # to (H, W, 3)


class TransposeImage:
    """Bring an image (H, W, 3) to the network's layout (3, H, W), contiguous in memory."""

    def __init__(self, hwc2chw: bool = True) -> None:
        if not hwc2chw:
            raise ValueError("TransposeImage: hwc2chw must be True, the network reads (N, 3, H, W)")

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return np.ascontiguousarray(image.transpose(2, 0, 1)), label  # to (3, H, W)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Round to the nearest grey level and saturate."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _look_up(image: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    return image if table is None else cv2.LUT(image, table)


def _shift_color(image: np.ndarray, saturation: float, hue: int) -> np.ndarray:
    """Scale the saturation and turn the hue of an RGB image."""
    tables = np.empty((1, 256, 3), np.uint8)  # one column each for hue, saturation, value
    tables[0, :, 0] = (LEVELS + hue) % HUES
    tables[0, :, 1] = _to_uint8(LEVELS * saturation)
    tables[0, :, 2] = LEVELS
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return cv2.cvtColor(cv2.LUT(hsv, tables), cv2.COLOR_HSV2RGB)
