"""Pictures with what cameras add: orientation tags, previews."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

TAG, OFFSET, LENGTH = 0x0112, 0x0201, 0x0202
SHORT, LONG = 3, 4


def smooth(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Draw (H, W, 3) uint8 that a JPEG keeps almost as it is."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def exif(orientation: int = 1, preview: bytes = b"") -> bytes:
    """Return a TIFF structure, big-endian, with an orientation and, if there is one, a JPEG as the preview."""
    first = struct.pack(">HHHIHH", 1, TAG, SHORT, 1, orientation, 0)
    start = 8 + len(first) + 4
    if not preview:
        return b"MM\0*" + struct.pack(">I", 8) + first + struct.pack(">I", 0)
    behind = start + 2 + 2 * 12 + 4
    second = struct.pack(">HHHIIHHIII", 2, OFFSET, LONG, 1, behind, LENGTH, LONG, 1, len(preview), 0)
    return b"MM\0*" + struct.pack(">I", 8) + first + struct.pack(">I", start) + second + preview


def jpeg(image: np.ndarray, block: bytes = b"", *, progressive: bool = False) -> bytes:
    """Encode an image as JPEG, with a `block` of EXIF right behind its start."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    if not block:
        return data
    content = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:]


def tagged_png(data: bytes, block: bytes, *, late: bool = False) -> bytes:
    """Add a `block` of EXIF to a PNG, in front of its pixels or behind them."""
    chunk = b"eXIf" + block
    whole = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    place = len(data) - 12 if late else 33
    return data[:place] + whole + data[place:]


def half(data: bytes) -> bytes:
    """Cut a JPEG in the middle of its pixels."""
    scan = data.rindex(b"\xff\xda")
    return data[: (scan + len(data)) // 2]


def emptied(data: bytes) -> bytes:
    """Replace the second half of a JPEG's pixels by zeros; it keeps its length and its end."""
    kept = half(data)
    return kept + bytes(len(data) - len(kept) - 2) + data[-2:]
