"""Images that Python code hands over as arrays; for everything else, what makes an image of it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from src.base.errors import DataError

WANTED = "an image is an array (H, W, 3) uint8 in RGB order"


def require_image(image: Any, which: str = "") -> np.ndarray:
    """Return an image, (H, W, 3) uint8, whose rows lie one after the other in memory.

    Args:
        image: what should be one.
        which: begins the line about anything else, such as "image 1: ".

    Raises:
        DataError: it is anything else; the line says what would make an image of it.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(f"{which}{WANTED}, got {_described(image)}")
    advice = _advice(image)
    if advice or image.size == 0:
        raise DataError(f"{which}{WANTED}, got {image.shape} {image.dtype}{'; ' if advice else ''}{advice}")
    return np.ascontiguousarray(image)


def _described(value: Any) -> str:
    """Return what was given in place of an array, and what to do with it."""
    if isinstance(value, (str, os.PathLike)):
        return f"the path {os.fspath(value)!r}; src.data.image_files.read_image(path) reads one"
    name = f"{type(value).__module__.partition('.')[0]}'s {type(value).__name__}"
    if hasattr(value, "asnumpy"):
        return f"{name}; give value.asnumpy()"
    if hasattr(value, "convert"):
        return f"{name}; give numpy.asarray(image.convert('RGB'))"
    return f"{type(value).__name__}; numpy.asarray may make one of it"


def _advice(image: np.ndarray) -> str:
    """Return what is to be done with an array that is no image, nothing for one that is."""
    shape = image.shape
    if image.ndim == 2:
        return "of grey, numpy.repeat(image[..., None], 3, axis=2) makes one"
    if image.ndim == 4:
        return "give one image at a time"
    if image.ndim != 3:
        return "see the shape"
    if shape[2] != 3:
        return _channel_advice(shape)
    if image.dtype == np.uint8:
        return ""
    if np.issubdtype(image.dtype, np.floating):
        return "give values 0..255 as they were decoded, not normalised: (255 * image).round().astype(numpy.uint8)"
    return "give values 0..255: image.astype(numpy.uint8) where they are"


def _channel_advice(shape: tuple[int, ...]) -> str:
    if shape[2] == 4:
        return "image[..., :3] leaves the alpha channel out"
    if shape[2] == 1:
        return "of grey, numpy.repeat(image, 3, axis=2) makes one"
    return "numpy.moveaxis(image, 0, -1) puts the channels last" if shape[0] == 3 else "see the number of channels"
