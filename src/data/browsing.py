"""Training samples for viewing, each with its random draws. Needs no MindSpore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from src.data.draws import recording
from src.data.normalization import denormalize, normalization_of
from src.data.train_samples import TrainSamples, draw_samples


class BrowsedSample(NamedTuple):
    """A training sample as the network gets it, but without normalisation."""

    position: int  # in the endless stream of training
    epoch: int
    path: str  # of the photograph
    image: np.ndarray  # (H, W, 3) uint8 RGB
    label: np.ndarray  # (H, W) uint8 train ids
    drawn: dict[str, Any]  # draws noted by its transforms, see `src/data/draws.py`

    def lines(self) -> list[str]:
        """Return a description of the sample in a few lines, in ASCII apart from the path."""
        place = f"position {self.position}, epoch {self.epoch}"
        return [place, *draw_lines(self.drawn)]


def browse(source: TrainSamples, positions: range) -> Iterator[BrowsedSample]:
    """Yield the samples at the given positions of the training stream, exactly as training takes them.

    Raises:
        DataError: an image or label cannot be used.
    """
    normalize = normalization_of(source.transforms.transforms)
    for position, (epoch, index) in zip(positions, draw_samples(positions, len(source), source.seed)):
        with recording() as drawn:
            image, label = source.read((epoch, index))
        path = str(source.samples[index][0])
        yield BrowsedSample(position, epoch, path, denormalize(image, normalize), label, drawn)


def draw_lines(drawn: Mapping[str, Any]) -> list[str]:
    """Return the draws of a sample in words: size and window, mirroring, colour, and those of other transforms."""
    left = dict(drawn)
    lines = [_window(left), _flip(left), _color(left)]
    others = ", ".join(f"{name} {value}" for name, value in left.items())
    return [line for line in (*lines, others) if line]


def _window(left: dict[str, Any]) -> str:
    original, size, scale = left.pop("original", None), left.pop("size", None), left.pop("scale", None)
    if size is None:
        return ""
    drawn = "size kept" if scale is None else f"scale {scale:.3g}"
    top_left = "window at {}, {} (top, left)".format(*left.pop("window"))
    return "{}: {}x{} to {}x{}, ".format(drawn, *original, *size) + top_left


def _flip(left: dict[str, Any]) -> str:
    flip = left.pop("flip", None)
    return "" if flip is None else "flipped" if flip else "not flipped"


def _color(left: dict[str, Any]) -> str:
    names = ("brightness", "contrast", "saturation", "hue")
    if not all(name in left for name in names):
        return ""
    brightness, contrast, saturation, hue = (left.pop(name) for name in names)
    last = " (last)" if left.pop("contrast_last", False) else ""
    shown = [
        f"brightness {brightness:+d}" if brightness else "",
        f"contrast x{contrast:.2f}{last}" if contrast != 1 else "",
        f"saturation x{saturation:.2f}" if saturation != 1 else "",
        f"hue {2 * hue:+d} degrees" if hue else "",
    ]
    return ", ".join(filter(None, shown)) or "colours kept"
