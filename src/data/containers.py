"""Parsing the chunks of a PNG and the segments of a JPEG: whether the file is complete, and its orientation."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"  # the last chunk of every complete PNG
JPEG_SIGNATURE = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
UPRIGHT = 1  # of EXIF's orientations 1..8
_APP1, _SCAN, _END = 0xE1, 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF, _ORIENTATION, _SHORT = b"Exif\0\0", 0x0112, 3
_BITS, _SAMPLE_FORMAT, _FLOATING = 258, 339, 3  # of a TIFF's values


def is_complete(data: bytes) -> bool:
    """Return whether a PNG or JPEG has its end marker; some versions of OpenCV pad truncated files with grey.

    The end of a preview inside a JPEG is not the end of the file. Bytes after the end are allowed. Other formats count
    as complete, because OpenCV refuses truncated ones.
    """
    if data.startswith(PNG_SIGNATURE):
        return data.endswith(PNG_END) or any(kind == b"IEND" for kind, _, _ in png_chunks(data))
    if data.startswith(JPEG_SIGNATURE):
        scan = next((start for marker, start, _ in _jpeg_segments(data) if marker == _SCAN), None)
        return scan is not None and data.find(JPEG_END, scan) >= 0  # no code of a scan looks like a marker
    return True


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of a PNG or JPEG, 1..8; 1 (upright) for files without one and other formats."""
    if data.startswith(PNG_SIGNATURE):
        blocks = (data[start:end] for kind, start, end in png_chunks(data) if kind == b"eXIf")
    elif data.startswith(JPEG_SIGNATURE):
        blocks = (data[start + len(_EXIF) : end] for start, end in _exif_segments(data))
    else:
        return UPRIGHT
    return next((found for found in map(_orientation_of, blocks) if found), UPRIGHT)


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a JPEG as stored; None for other files and if they are not before the first scan."""
    if not data.startswith(JPEG_SIGNATURE):
        return None
    frames = (start for marker, start, _ in _jpeg_segments(data) if marker in _FRAMES)
    sizes = (struct.unpack_from(">HH", data, start + 1) for start in frames if start + 5 <= len(data))
    height, width = next(sizes, (0, 0))
    return (height, width) if height and width else None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, and start and end of the content, of every complete chunk."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):  # 4 bytes length, 4 bytes type, content, 4 bytes checksum
        start = position + 8
        end = start + int.from_bytes(data[position : position + 4], "big")
        position = end + 4
        if position <= len(data):
            yield data[start - 4 : start], start, end


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, and start and end of the content, of every segment up to the first scan."""
    position = len(JPEG_SIGNATURE)
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker in (0x00, 0xFF):  # a fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker == _END:
            return
        else:
            start = position + 4
            position += 2 + int.from_bytes(data[position + 2 : start], "big")
            yield marker, start, position
            if marker == _SCAN:
                return


def _exif_segments(data: bytes) -> Iterator[tuple[int, int]]:
    for marker, start, end in _jpeg_segments(data):
        if marker == _APP1 and data.startswith(_EXIF, start):
            yield start, end


def _orientation_of(block: bytes) -> int | None:
    """Return the orientation in an EXIF block, which is a TIFF without a picture; None if it has none."""
    values = (value for tag, value in _tiff_shorts(block) if tag == _ORIENTATION and UPRIGHT <= value <= 8)
    return next(values, None)


def unsupported_number_type(data: bytes) -> str:
    """Return the type of a TIFF's numbers unless they are integers of 8 or 16 bits; "" for those and other files."""
    tags = dict(_tiff_shorts(data))
    bits, is_floating = tags.get(_BITS, 8), tags.get(_SAMPLE_FORMAT) == _FLOATING
    return f"{bits}-bit {'floating-point' if is_floating else 'whole'} numbers" if is_floating or bits > 16 else ""


def _tiff_shorts(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield tag and first value of the entries with 16-bit values in the first directory of a TIFF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        for at in range(first + 2, first + 2 + 12 * entries, 12):
            tag, kind, count, place = struct.unpack_from(f"{order}HHII", data, at)
            if kind == _SHORT:  # up to two values are stored in the entry itself
                yield tag, struct.unpack_from(f"{order}H", data, at + 8 if count <= 2 else place)[0]
    except struct.error:  # truncated
        pass
