"""Class names in pictures, limited to the letters of OpenCV's fonts, and the file ``palette.txt`` with full names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from src.base.files import write_whole

PALETTE_FILE = "palette.txt"
# Letters that Unicode does not decompose into a base letter and an accent, and other characters.
_PLAIN = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "ı": "i",
        "–": "-",
        "—": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
    }
)


def drawn_name(name: str, class_id: int) -> str:
    """Return the name of a class for a picture: without accents, or ``id 7`` if the font lacks letters of it."""
    letters = unicodedata.normalize("NFKD", _in_one_line(name).translate(_PLAIN))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    can_draw = plain.isascii() and plain.isprintable() and any(map(str.isalnum, plain))
    return plain if can_draw else f"id {class_id}"


def names_by_id(names: Iterable[str]) -> dict[int, str]:
    """Return, by class id, the names that pictures show as ids because the font lacks letters of them."""
    return {number: name for number, name in enumerate(names) if drawn_name(name, number) == f"id {number}" != name}


def write_palette(folder: Path, palette: np.ndarray, names: Sequence[str]) -> None:
    """Write ``palette.txt``, colour and name of each class id, in the format of `read_palette`.

    Args:
        folder: the folder to write it to.
        palette: RGB colours (num_classes, 3) uint8.
        names: the classes' names.
    """
    head = ["# R G B name, a line for each class id from 0 on"]
    head += [f"# id {number} in the pictures: {_in_one_line(name)}" for number, name in names_by_id(names).items()]
    rows = [f"{red} {green} {blue} {_in_one_line(name)}" for (red, green, blue), name in zip(palette.tolist(), names)]
    write_whole(folder / PALETTE_FILE, "\n".join([*head, *rows, ""]).encode(errors="replace"))


def _in_one_line(name: str) -> str:
    return " ".join(name.split())
