"""Reading image and label files, with errors for all content that would otherwise silently spoil a training."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from src.base.errors import DataError
from src.base.file_kinds import HEAD, PICTURES, kind_of, kind_of_file
from src.base.paths import name_problem
from src.base.special_files import special_kind
from src.config.schema_data import MAX_PIXELS
from src.data.containers import PNG_END, PNG_SIGNATURE, is_complete, jpeg_size, unsupported_number_type
from src.data.picture_sizes import stored_size

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types of the PNG header
COLOR_TYPES = {RGB: "3-channel (RGB)", PALETTE: "palette (indexed)", GREY_ALPHA: "2-channel (alpha)", RGBA: "4-channel"}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
NO_IMAGE = "damaged, or not an image OpenCV can decode"
HEADER_BYTES = 33  # signature and the IHDR chunk
LARGEST_FILE = 1 << 32  # bytes, the limit of TIFF


class PngHeader(NamedTuple):
    """The header of a PNG; sizes in pixels, depth in bits per channel."""

    height: int
    width: int
    depth: int
    color_type: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def parse_png_header(data: bytes) -> PngHeader | None:
    """Read the header from the first bytes of a file; None if it is not a PNG."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < HEADER_BYTES or data[12:16] != b"IHDR":
        return None
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    return PngHeader(height, width, data[24], data[25])


def read_png_header(path: str) -> PngHeader | None:
    """Read the header of a file without decoding it; None if it is not a PNG.

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
        require_complete(path, read_bytes(path))
    return header


def read_jpeg_size(path: str) -> tuple[int, int] | None:
    """Return height and width of a JPEG as stored, without decoding it; None for other files.

    Raises:
        DataError: the file is missing, cannot be read, or ends too early.
    """
    data = read_bytes(path)
    require_complete(path, data)
    return jpeg_size(data)


def read_image(path: str, *, turned: bool = True, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a PNG or JPEG as (H, W, 3) uint8 RGB.

    Grey becomes three equal channels, alpha is dropped.

    Args:
        path: the file.
        turned: apply a camera's orientation tag; False leaves the picture as it is stored.
        max_pixels: limit on height times width.

    Raises:
        DataError: the file is missing, damaged, incomplete, not an image, too large, or has 16 bits per channel.
    """
    data = read_bytes(path)
    check_pixels(path, stored_size(data), max_pixels)
    header = parse_png_header(data)
    if header is not None:
        check_image_header(path, header)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    image = decode(path, data, flags if turned else flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.dtype != np.uint8:  # TIFF
        kind = "floating-point " if image.dtype.kind == "f" else ""
        raise DataError(f"{path}: {8 * image.itemsize}-bit {kind}image; save it with 8 bits a channel")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_label(
    path: str, decode_as: Callable[[str, bytes], np.ndarray] | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read the values of an 8-bit greyscale PNG as (H, W) uint8 as stored; orientation tags do not turn labels.

    Args:
        path: the file.
        decode_as: decodes files of another kind, called with path and bytes.
        max_pixels: limit on height times width.

    Raises:
        DataError: the file is missing, damaged, incomplete, too large, or not such a PNG.
    """
    data = read_bytes(path)
    check_pixels(path, stored_size(data), max_pixels)
    return (decode_as or decode_label)(path, data)


def decode_label(path: str, data: bytes) -> np.ndarray:
    """Decode the bytes of a label file as `read_label` does; `path` is its name in errors."""
    check_label_header(path, parse_png_header(data))
    return decode(path, data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def check_pixels(path: str, size: tuple[int, int] | None, max_pixels: int) -> None:
    """Raise a DataError if a picture of (height, width) `size` has more than `max_pixels`; None passes."""
    if size is None:
        return
    shown = "{}x{} pixels (height x width)".format(*size)
    if 0 in size:
        raise DataError(f"{path}: damaged, its header says {shown}")
    if size[0] * size[1] > max_pixels:
        raise DataError(f"{path}: {shown}, more than data.max_pixels={max_pixels}; cut it into parts, or raise the key")


def check_image_header(path: str, header: PngHeader) -> None:
    """Raise a DataError for 16 bits per channel, which would silently be cut to 8, and for invalid headers."""
    if header.depth not in DEPTHS.get(header.color_type, ()):
        shown = f"colour type {header.color_type} with {header.depth} bits a channel"
        raise DataError(f"{path}: damaged, its header says {shown}")
    if header.depth == 16:
        raise DataError(f"{path}: 16-bit image; save it with 8 bits a channel")


def check_label_header(path: str, header: PngHeader | None) -> None:
    """Raise a DataError for everything but 8-bit greyscale PNG, saying what the file is instead."""
    if header is None:
        raise DataError(
            f"{path}: {other_kind(path)}not a PNG; labels must be 8-bit greyscale PNG (JPEG would alter the ids)"
        )
    if header.color_type == PALETTE:
        raise DataError(
            f"{path}: palette (indexed) PNG, the ids are hidden behind colours; save the ids as greyscale, or "
            "say what indices or colours stand for with data.label_ids or data.label_colors"
        )
    if header.color_type != GREY:
        kind = COLOR_TYPES.get(header.color_type, f"colour type {header.color_type}")
        raise DataError(
            f"{path}: {kind} PNG; a label needs one channel that holds the class ids, not colours; "
            "or say what the colours stand for with data.label_colors"
        )
    if header.depth != 8:
        raise DataError(f"{path}: {header.depth}-bit greyscale PNG; save the label ids with 8 bits a pixel")


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without blocking: it may have become a pipe since it was checked; some in /proc block as well."""
    return os.open(path, flags | os.O_NONBLOCK)


def _open(path: str) -> BinaryIO:
    kind = special_kind(path)
    if kind:
        raise DataError(f"{path}: is {kind}, not a regular file; put the picture itself there")
    try:
        return open(path, "rb", opener=_open_at_once)  # noqa: PTH123 - pathlib takes no opener
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file") from err
    except (OSError, ValueError) as err:  # ValueError: not a valid file name
        raise DataError(f"{path}: {name_problem(path) or getattr(err, 'strerror', None) or err}") from err


def read_bytes(path: str, size: int = -1) -> bytes:
    """Return the first `size` bytes of a file, or all; used because cv2.imread does not open every file name.

    Raises:
        DataError: the file is missing, empty, larger than a picture can be, or cannot be read.
    """
    with _open(path) as file:
        length = os.fstat(file.fileno()).st_size
        if size < 0 and length > LARGEST_FILE:
            raise DataError(f"{path}: has {length / 1e9:.1f} GB, more than any picture; put the picture itself there")
        try:
            data = file.read(size)
        except OSError as err:
            raise DataError(f"{path}: cannot be read: {err.strerror}") from err
    _require_content(path, data)
    return data


def decode(path: str, data: bytes, flags: int) -> np.ndarray:
    """Decode the bytes of a file with OpenCV's `flags`; `path` is its name in errors.

    Raises:
        DataError: the bytes are damaged, incomplete, or not an image.
    """
    require_complete(path, data)
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        raise DataError(f"{path}: OpenCV cannot decode it: {err.err}") from err
    if array is None:
        raise DataError(f"{path}: {undecodable_reason(data)}")
    return array


def other_kind(path: str) -> str:
    """Return the kind of a file as the beginning of a message, "is KIND, "; "" if it is not known."""
    kind = kind_of_file(path)
    return f"is {kind.name}, " if kind else ""


def undecodable_reason(data: bytes) -> str:
    """Return why OpenCV cannot decode the bytes of a file, and what to do."""
    if numbers := unsupported_number_type(data):
        return f"is a TIFF with {numbers}; save it with 8 bits a channel"
    kind = kind_of(data[:HEAD])
    if kind is None or kind.name in PICTURES:
        return NO_IMAGE
    return f"is {kind.name}, not an image that OpenCV {cv2.__version__} can decode; {kind.advice}"


def _require_content(path: str, data: bytes) -> None:
    if not data:
        raise DataError(f"{path}: the file is empty")


def require_complete(path: str, data: bytes) -> None:
    """Raise a DataError that names the file if it is truncated."""
    if not is_complete(data):
        raise DataError(f"{path}: the file is incomplete (truncated); copy or download it again")
