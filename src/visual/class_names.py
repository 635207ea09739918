"""Names of classes in pictures, in the letters that OpenCV's fonts have, and beside them in ``palette.txt``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from src.base.files import write_whole

PALETTE_FILE = "palette.txt"
# What Unicode takes for letters of their own, or for other signs.
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
    """Return what a picture calls a class: its name without accents, or ``id 7`` where the font lacks letters."""
    letters = unicodedata.normalize("NFKD", _in_one_line(name).translate(_PLAIN))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    can_draw = plain.isascii() and plain.isprintable() and any(map(str.isalnum, plain))
    return plain if can_draw else f"id {class_id}"


def names_by_id(names: Iterable[str]) -> dict[int, str]:
    """Return the names that pictures have to show by their class ids."""
    return {number: name for number, name in enumerate(names) if drawn_name(name, number) == f"id {number}" != name}


def write_palette(folder: Path, palette: np.ndarray, names: Sequence[str]) -> None:
    """Write ``palette.txt``: which class id is which class, in the format that `read_palette` reads.

    Args:
        folder: where to.
        palette: RGB colours (num_classes, 3) uint8.
        names: the classes' names.
    """
    head = ["# R G B name, a line for each class id from 0 on"]
    head += [f"# id {number} in the pictures: {_in_one_line(name)}" for number, name in names_by_id(names).items()]
    rows = [f"{red} {green} {blue} {_in_one_line(name)}" for (red, green, blue), name in zip(palette.tolist(), names)]
    write_whole(folder / PALETTE_FILE, "\n".join([*head, *rows, ""]).encode(errors="replace"))


def _in_one_line(name: str) -> str:
    return " ".join(name.split())
