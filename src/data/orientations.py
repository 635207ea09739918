"""Orientation of pictures and labels: a camera's tag turns pictures, but never labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from src.config.schema_data import MAX_PIXELS
from src.data.containers import UPRIGHT, orientation
from src.data.image_files import check_pixels, decode_label, read_bytes, read_image
from src.data.picture_sizes import stored_size

HEAD_BYTES = 1 << 16  # in which the tag is, unless a program added it at the end of a PNG
TRANSPOSED = (5, 6, 7, 8)  # the orientations that exchange height and width


def read_aligned(
    image_path: str,
    label_path: str | None,
    decode_as: Callable[[str, bytes], np.ndarray] = decode_label,
    max_pixels: int = MAX_PIXELS,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an image as `read_image` does and its label, if it has one, as `read_label` does.

    If both have the same orientation tag, they were stored alike, and the image is not turned either. `decode_as`
    decodes labels of other kinds, called with path and bytes; `max_pixels` limits both files.

    Returns:
        Image (H, W, 3) uint8 RGB, label (h, w) uint8 or None.

    Raises:
        DataError: as for these functions.
    """
    image = read_image(image_path, max_pixels=max_pixels)
    if label_path is None:
        return image, None
    data = read_bytes(label_path)
    check_pixels(label_path, stored_size(data), max_pixels)
    label = decode_as(label_path, data)
    tag = orientation(data)
    if tag != UPRIGHT and tag == orientation_of(image_path):
        image = read_image(image_path, turned=False, max_pixels=max_pixels)
    return image, label


def orientation_of(path: str, size: int = -1) -> int:
    """Return the orientation 1..8 in the first `size` bytes (default: all) of a PNG or JPEG, 1 for upright.

    Raises:
        DataError: the file is missing, empty, or cannot be read.
    """
    return orientation(read_bytes(path, size))


def aligned_size(size: tuple[int, int], image_tag: int, label_tag: int) -> tuple[int, int]:
    """Return height and width that `read_aligned` gives an image of the stored `size`."""
    return size[::-1] if image_tag in TRANSPOSED and image_tag != label_tag else size


def orientation_doubt(
    image_path: str, image_tag: int, label_path: str, label_tag: int, label_size: tuple[int, int]
) -> str:
    """Return why a label may not match its image although their sizes agree; "" if nothing suggests that.

    A quarter turn of a picture that is not square is not doubtful: the sizes show how the label was made.
    """
    if image_tag == label_tag or (label_tag == UPRIGHT and image_tag in TRANSPOSED and label_size[0] != label_size[1]):
        return ""
    if label_tag != UPRIGHT:
        other = "no such tag" if image_tag == UPRIGHT else f"orientation {image_tag}"
        return (
            f"{label_path}: has an orientation tag ({label_tag}), {image_path} has {other}; labels are never turned: "
            "save the label the way up its image is shown, without the tag"
        )
    return (
        f"{image_path}: its orientation tag ({image_tag}) turns it, {label_path} has none; if the label was drawn on "
        "the picture as it is shown, save the image upright, without the tag"
    )
