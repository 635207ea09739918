"""Reading image and label files, with an error for everything that would otherwise train on nonsense."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from src.base.errors import DataError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"  # the last chunk of every complete PNG
JPEG_SIGNATURE = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types of the PNG header
COLOR_TYPES = {RGB: "3-channel (RGB)", PALETTE: "palette (indexed)", GREY_ALPHA: "2-channel (alpha)", RGBA: "4-channel"}
HEADER_BYTES = 33  # signature and the IHDR chunk


class PngHeader(NamedTuple):
    """What the first bytes of a PNG say; sizes in pixels, depth in bits a channel."""

    height: int
    width: int
    depth: int
    color_type: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def parse_png_header(data: bytes) -> PngHeader | None:
    """Read the header from the first bytes of a file; None if it is no PNG."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < HEADER_BYTES or data[12:16] != b"IHDR":
        return None
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    return PngHeader(height, width, data[24], data[25])


def read_png_header(path: str) -> PngHeader | None:
    """Read the header of a file without decoding it; None if it is no PNG.

    Raises:
        DataError: the file is missing, cannot be read, or ends too early.
    """
    with _open(path) as file:
        start = file.read(HEADER_BYTES)
        _require_content(path, start)
        header = parse_png_header(start)
        if header is None:
            return None
        file.seek(-len(PNG_END), os.SEEK_END)
        is_whole = file.read() == PNG_END
    if not is_whole:
        _require_complete(path, _read(path))
    return header


def read_image(path: str) -> np.ndarray:
    """Read a PNG or JPEG as (H, W, 3) uint8 RGB.

    Grey becomes three equal channels, alpha is dropped, a camera's orientation tag is obeyed.

    Raises:
        DataError: the file is missing, damaged, incomplete, no image, or has 16 bits a channel.
    """
    data = _read(path)
    header = parse_png_header(data)
    if header is not None:
        check_image_header(path, header)
    image = _decode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:  # TIFF
        raise DataError(f"{path}: {8 * image.itemsize}-bit image; save it with 8 bits a channel")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_label(path: str) -> np.ndarray:
    """Read the values of an 8-bit greyscale PNG as (H, W) uint8.

    Raises:
        DataError: the file is missing, damaged, incomplete, or no such PNG.
    """
    data = _read(path)
    check_label_header(path, parse_png_header(data))
    return _decode(path, data, cv2.IMREAD_GRAYSCALE)


def check_image_header(path: str, header: PngHeader) -> None:
    """Refuse 16 bits a channel: they would be cut to 8 without a word."""
    if header.depth == 16:
        raise DataError(f"{path}: 16-bit image; save it with 8 bits a channel")


def check_label_header(path: str, header: PngHeader | None) -> None:
    """Refuse everything but 8-bit greyscale PNG, saying what the file is instead."""
    if header is None:
        raise DataError(f"{path}: not a PNG; labels must be 8-bit greyscale PNG (JPEG would alter the ids)")
    if header.color_type == PALETTE:
        raise DataError(f"{path}: palette (indexed) PNG, the ids are hidden behind colours; save the ids as greyscale")
    if header.color_type != GREY:
        kind = COLOR_TYPES.get(header.color_type, f"colour type {header.color_type}")
        raise DataError(f"{path}: {kind} PNG; a label needs one channel that holds the class ids, not colours")
    if header.depth != 8:
        raise DataError(f"{path}: {header.depth}-bit greyscale PNG; save the label ids with 8 bits a pixel")


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file") from err
    except OSError as err:
        raise DataError(f"{path}: {err.strerror}") from err


def _read(path: str) -> bytes:
    """Return the bytes of a file; Python opens any name, cv2.imread not every one."""
    with _open(path) as file:
        try:
            data = file.read()
        except OSError as err:
            raise DataError(f"{path}: cannot be read: {err.strerror}") from err
    _require_content(path, data)
    return data


def _decode(path: str, data: bytes, flags: int) -> np.ndarray:
    _require_complete(path, data)
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        raise DataError(f"{path}: OpenCV cannot decode it: {err.err}") from err
    if array is None:
        raise DataError(f"{path}: damaged, or not an image OpenCV can decode")
    return array


def _require_content(path: str, data: bytes) -> None:
    if not data:
        raise DataError(f"{path}: the file is empty")


def _require_complete(path: str, data: bytes) -> None:
    if not is_complete(data):
        raise DataError(f"{path}: the file is incomplete (truncated); copy or download it again")


def is_complete(data: bytes) -> bool:
    """Tell whether a PNG or JPEG has its end; depending on the version, OpenCV pads a cut one with grey.

    Bytes behind the end are allowed. Other formats count as complete.
    """
    if data.startswith(PNG_SIGNATURE):
        return data.endswith(PNG_END) or _find_png_end(data)
    if data.startswith(JPEG_SIGNATURE):
        return JPEG_END in data
    return True


def _find_png_end(data: bytes) -> bool:
    """Walk the chunks, each 4 bytes length, 4 bytes type, data, 4 bytes checksum."""
    position = len(PNG_SIGNATURE)
    while position + len(PNG_END) <= len(data):
        if data[position : position + len(PNG_END)] == PNG_END:
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False
