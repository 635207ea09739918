"""Finding pairs that occur more than once: in one split, where they count double, or in two, which spoils scores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from src.data.cityscapes import Samples


class Repetition(NamedTuple):
    """A pair that repeats an earlier one."""

    path: str  # of its image
    split: str
    other: str  # image of the earlier pair: the same file, or one with the same content
    before: str  # split of the earlier pair

    def line(self) -> str:
        """Return a line that names the file and describes the repetition."""
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
        """Remember a pair by the path of its image and, unless it is empty, by a digest of image and label.

        Returns:
            The repetition of an earlier pair, if it is one.
        """
        keys = (os.path.realpath(path), content) if content else (os.path.realpath(path),)
        for key in keys:
            if key in self._seen:
                return Repetition(path, split, *self._seen[key])
        self._seen.update(dict.fromkeys(keys, (path, split)))
        return None


def repetitions(lists: Mapping[str, Samples]) -> list[Repetition]:
    """Return the pairs that are listed more than once; `lists` has the pairs of each split by its name."""
    seen = Repetitions()
    found = (seen.find(split, path) for split, samples in lists.items() for path in samples.images.tolist())
    return [repetition for repetition in found if repetition]
