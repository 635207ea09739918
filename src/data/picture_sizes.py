"""Reading the size of a picture from its header, before a decoder allocates memory for it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np

from src.data.containers import JPEG_SIGNATURE, PNG_SIGNATURE, jpeg_size

Size = tuple[int, int]
_GAP = rb"(?:\s|#[^\n]*\n)+"  # between the words of a PNM
_PNM = re.compile(rb"P[1-6Ff]" + _GAP + rb"(?P<width>\d{1,10})" + _GAP + rb"(?P<height>\d{1,10})")
_PAM = re.compile(rb"(?=[^\0]{0,1000}?\nWIDTH (?P<width>\d{1,10}))(?=[^\0]{0,1000}?\nHEIGHT (?P<height>\d{1,10}))")
_RADIANCE = re.compile(rb"[^\0]{0,1000}?\n\n[-+]Y (?P<height>\d{1,10}) [-+]X (?P<width>\d{1,10})\n")
_WIDTH, _HEIGHT = 256, 257  # tags of a TIFF
_ENTRIES = 1 << 16  # of a directory; a larger count means damage
_TYPES = {3: "H", 4: "I", 16: "Q"}  # types of these tags' values
_BOXES = 1 << 12  # first bytes, in which JPEG 2000 and AVIF have the box with the size


def size_of(picture: np.ndarray) -> Size:
    """Return height and width of a picture (H, W) or (H, W, channels)."""
    height, width = picture.shape[:2]
    return height, width


def stored_size(data: bytes) -> Size | None:
    """Return height and width in the header of a picture, as stored; None if there is none.

    Supports PNG, JPEG, BMP, GIF, WebP, TIFF (its first picture), PNM, PAM, PFM, Radiance HDR, Sun raster, JPEG 2000 and
    AVIF. The rest of the file is not checked.
    """
    for signature, read in _READERS:
        if data.startswith(signature):
            try:
                return read(data)
            except (struct.error, OverflowError):  # truncated, or with an impossible offset
                return None
    return None


def _numbers_at(form: str, offset: int, *, turned: bool = False) -> Callable[[bytes], Size | None]:
    """Make a reader of two numbers at an offset: width and height, or, `turned`, height and width."""

    def read(data: bytes) -> Size:
        first, second = map(abs, struct.unpack_from(form, data, offset))
        return (first, second) if turned else (second, first)

    return read


def _bmp(data: bytes) -> Size | None:
    (header,) = struct.unpack_from("<I", data, 14)
    return _numbers_at("<HH" if header == 12 else "<ii", 18)(data)


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _tiff(data: bytes) -> Size | None:
    order = "<" if data.startswith(b"II") else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    (first,) = struct.unpack_from(f"{order}Q", data, 8) if is_big else struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}H", data, first)
    place, step, value = (first + 8, 20, 12) if is_big else (first + 2, 12, 8)
    found = {}
    for entry in range(place, min(place + step * min(count, _ENTRIES), len(data)), step):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (_WIDTH, _HEIGHT) and kind in _TYPES:
            (found[tag],) = struct.unpack_from(f"{order}{_TYPES[kind]}", data, entry + value)
    return (found[_HEIGHT], found[_WIDTH]) if len(found) == 2 else None


def _text_header(form: re.Pattern) -> Callable[[bytes], Size | None]:
    """Make a reader of a header that is text."""

    def read(data: bytes) -> Size | None:
        match = form.match(data)
        return (int(match["height"]), int(match["width"])) if match else None

    return read


def _box(name: bytes, distance: int, *, turned: bool) -> Callable[[bytes], Size | None]:
    """Make a reader of the two numbers `distance` bytes after the name of a box."""

    def read(data: bytes) -> Size | None:
        found = data.find(name, 0, _BOXES)
        return _numbers_at(">II", found + len(name) + distance, turned=turned)(data) if found >= 0 else None

    return read


def _iso(data: bytes) -> Size | None:
    return _box(b"ispe", 4, turned=False)(data) if data[4:8] == b"ftyp" else None


_READERS = (
    (PNG_SIGNATURE, _numbers_at(">II", 16)),
    (JPEG_SIGNATURE, jpeg_size),
    (b"BM", _bmp),
    (b"GIF8", _numbers_at("<HH", 6)),
    (b"RIFF", _webp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),
    (b"MM\0+", _tiff),
    (b"P7", _text_header(_PAM)),
    (b"P", _text_header(_PNM)),
    (b"#?", _text_header(_RADIANCE)),
    (b"\x59\xa6\x6a\x95", _numbers_at(">II", 4)),  # Sun raster
    (b"\0\0\0\x0cjP  ", _box(b"ihdr", 0, turned=True)),
    (b"\xff\x4f\xff\x51", _numbers_at(">II", 8)),  # the bare codestream of JPEG 2000
    (b"\0\0\0", _iso),
)
