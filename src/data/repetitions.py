"""Pairs that are there more than once: in one split, where they count double, or in two, where scores mean nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from src.data.cityscapes import Samples


class Repetition(NamedTuple):
    """A pair that was there before."""

    path: str  # of its image
    split: str
    other: str  # image of the pair before: the same one, or one that holds the same
    before: str  # split of that pair

    def line(self) -> str:
        """Return what is the matter, in a line that names the file."""
        is_same = self.other == self.path
        if self.split == self.before:
            what = "is listed twice" if is_same else f"holds the same as {self.other}, label included"
            return f"{self.path}: {what}"
        what = f"is in {self.before} as well" + ("" if is_same else f", as {self.other}")
        return f"{self.path}: {what}; {self.split} scores what was learnt"


class Repetitions:
    """Remembers the pairs of all splits."""

    def __init__(self) -> None:
        self._seen: dict[str | bytes, tuple[str, str]] = {}

    def find(self, split: str, path: str, content: bytes = b"") -> Repetition | None:
        """Note a pair by the file of its image and, unless it is empty, by a digest of what image and label hold.

        Returns:
            What it repeats, if anything.
        """
        keys = (os.path.realpath(path), content) if content else (os.path.realpath(path),)
        for key in keys:
            if key in self._seen:
                return Repetition(path, split, *self._seen[key])
        self._seen.update(dict.fromkeys(keys, (path, split)))
        return None


def repetitions(lists: Mapping[str, Samples]) -> list[Repetition]:
    """Return what is listed more than once; `lists` has the pairs of each split by its name."""
    seen = Repetitions()
    found = (seen.find(split, path) for split, samples in lists.items() for path in samples.images.tolist())
    return [repetition for repetition in found if repetition]
