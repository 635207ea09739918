"""Label files with ids or colours that the configuration maps to train ids. Needs no MindSpore."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from src.base.errors import DataError
from src.config import schema
from src.config.label_maps import Color, parse_colors, parse_ids
from src.config.registry import DATASETS
from src.data.cityscapes import LabelCoding
from src.data.containers import PNG_SIGNATURE, png_chunks
from src.data.image_files import (
    GREY,
    PALETTE,
    PngHeader,
    check_label_header,
    decode,
    decode_label,
    other_kind,
    parse_png_header,
    read_bytes,
)

SHOWN_VALUES = 8
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


class MappedIds(LabelCoding):
    """Label files with arbitrary ids: greyscale PNG of 8 bits, or the indices of a palette PNG.

    Args:
        train_ids: train id, or `ignore_label`, of each id that may occur.
        num_classes: number of classes.
        ignore_label: train id of ignored pixels.
    """

    key = "data.label_ids"

    def __init__(self, train_ids: Mapping[int, int], num_classes: int, ignore_label: int) -> None:
        super().__init__("generic", num_classes, ignore_label)
        self.values = {value: (str(value), train_id) for value, train_id in train_ids.items()}
        self.table, self.unknown = np.full(256, ignore_label, np.uint8), np.ones(256, np.uint8)
        for value, (_, train_id) in self.values.items():
            self.table[value], self.unknown[value] = train_id, 0

    def check_header(self, path: str, header: PngHeader | None) -> None:
        if header is None or header.color_type != PALETTE:
            check_label_header(path, header)

    def decode(self, path: str, data: bytes) -> np.ndarray:
        header = parse_png_header(data)
        return decode_indices(path, data) if header and header.color_type == PALETTE else decode_label(path, data)

    def invalid_values(self, label: np.ndarray) -> list[int]:
        if label.dtype == np.uint8 and not cv2.LUT(label, self.unknown).any():
            return []
        values = np.unique(label)
        return values[self.unknown[values] > 0].tolist()

    def _explain(self, values: list[int]) -> str:
        return f"not in {self.key}"


class MappedColors(LabelCoding):
    """Label files with a colour per class: RGB, palette or grey PNG, 8 bits per channel; alpha is ignored.

    The values of a decoded label are the positions of its colours in the map, from 1; 0 is a colour not in the map.

    Args:
        train_ids: train id, or `ignore_label`, of each RGB colour that may occur; 255 colours at most.
        num_classes: number of classes.
        ignore_label: train id of ignored pixels.
    """

    key = "data.label_colors"

    def __init__(self, train_ids: Mapping[Color, int], num_classes: int, ignore_label: int) -> None:
        super().__init__("generic", num_classes, ignore_label)
        self.values = {
            number: (" ".join(map(str, color)), train_id)
            for number, (color, train_id) in enumerate(train_ids.items(), start=1)
        }
        self.table = np.full(256, ignore_label, np.uint8)
        self.numbers = np.zeros(1 << 24, np.uint8)  # by colour; its untouched pages take no memory
        for number, (color, train_id) in enumerate(train_ids.items(), start=1):
            self.table[number] = train_id
            self.numbers[color[0] << 16 | color[1] << 8 | color[2]] = number

    def check_header(self, path: str, header: PngHeader | None) -> None:
        if header is None:
            raise DataError(
                f"{path}: {other_kind(path)}not a PNG; colours of labels must come as PNG (JPEG would alter them)"
            )
        if header.depth == 16:
            raise DataError(f"{path}: 16-bit PNG; save the colours of labels with 8 bits a channel")

    def decode(self, path: str, data: bytes) -> np.ndarray:
        return self.numbers.take(self._colors(path, data))

    def _colors(self, path: str, data: bytes) -> np.ndarray:
        """Return the colours in the bytes of a file as (H, W) uint32 numbers 0xRRGGBB."""
        self.check_header(path, parse_png_header(data))
        pixels = cv2.cvtColor(decode(path, data, cv2.IMREAD_COLOR | _AS_STORED), cv2.COLOR_BGR2BGRA)
        return pixels.view("<u4")[..., 0] & 0xFFFFFF

    def invalid_values(self, label: np.ndarray) -> list[int]:
        return [] if np.all(label) else [0]

    def literal_values(self, values: Sequence[int]) -> list[int]:
        return []

    def check(self, label: np.ndarray, path: str) -> None:
        if np.all(label):
            return
        colors = self._colors(path, read_bytes(path))
        unknown = np.unique(colors[self.numbers.take(colors) == 0]).tolist()
        shown = ", ".join(f"{c >> 16} {c >> 8 & 255} {c & 255}" for c in unknown[:SHOWN_VALUES])
        more = ", ..." if len(unknown) > SHOWN_VALUES else ""
        raise DataError(f"{path}: label colours {shown}{more}: not in {self.key}")


def label_coding(data: schema.Data, num_classes: int) -> LabelCoding:
    """Return the coding of the configured data set's label files."""
    if data.label_ids is not None:
        return MappedIds(parse_ids(data.label_ids, num_classes, data.ignore_label), num_classes, data.ignore_label)
    if data.label_colors is not None:
        colors = parse_colors(data.label_colors, num_classes, data.ignore_label)
        return MappedColors(colors, num_classes, data.ignore_label)
    return LabelCoding(data.name, num_classes, data.ignore_label)


def file_values(config: schema.Config) -> np.ndarray:
    """Return a (256,) uint8 table from train ids to the raw ids in label files.

    Of several raw ids of a class the first in the map is used. Classes without one, and all classes of files with
    colours, keep their train ids.
    """
    data = config.data
    if data.label_ids is None:
        return DATASETS[data.name].label_id_table()
    table = np.arange(256, dtype=np.uint8)
    train_ids = parse_ids(data.label_ids, config.num_classes, data.ignore_label)
    raw_ids = {train_id: raw for raw, train_id in reversed(train_ids.items())}
    if all(number in raw_ids for number in range(config.num_classes)):
        table[: config.num_classes] = [raw_ids[number] for number in range(config.num_classes)]
    return table


def decode_indices(path: str, data: bytes) -> np.ndarray:
    """Return the indices in the bytes of a palette PNG, (H, W) uint8; `path` is its name in errors.

    OpenCV would replace indices by colours. It gets the same pixels as a greyscale PNG, whose levels it scales to
    0..255 if they have fewer than 8 bits.

    Raises:
        DataError: the bytes are damaged or incomplete.
    """
    depth = data[24]
    header = data[16:25] + bytes([GREY]) + data[26:29]
    grey = [PNG_SIGNATURE, _chunk(b"IHDR", header)]
    for kind, start, end in png_chunks(data):
        if kind in (b"IDAT", b"IEND"):
            grey.append(data[start - 8 : end + 4])
    levels = decode(path, b"".join(grey), cv2.IMREAD_GRAYSCALE | _AS_STORED)
    return levels if depth == 8 else levels // (255 // ((1 << depth) - 1))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
