"""Oddities that are logged without stopping a run: doubtful orientations, enlarged pictures."""

from __future__ import annotations

from src.data.orientations import orientation_doubt
from src.data.transforms.resize import Resize

LARGEST_ENLARGEMENT = 1.5  # beyond that the network sees objects larger than any it was trained on


class Doubts:
    """Collects oddities, from any thread, while the pairs of a split are checked.

    Args:
        split: name of the split.
        resize: the evaluation's transform of the size; None if nothing is evaluated.
    """

    def __init__(self, split: str, resize: Resize | None) -> None:
        self.split, self.resize = split, resize
        self._orientations: list[str] = []
        self._enlarged: list[tuple[float, str, tuple[int, int]]] = []

    def note_orientation(
        self, image_path: str, image_tag: int, label_path: str, label_tag: int, label_size: tuple[int, int]
    ) -> None:
        """Note a pair if its image and label may be oriented differently."""
        found = orientation_doubt(image_path, image_tag, label_path, label_tag, label_size)
        if found:
            self._orientations.append(found)

    def note_size(self, path: str, size: tuple[int, int]) -> None:
        """Note the (height, width) of an image."""
        if self.resize is None:
            return
        enlargement = max(new / old for new, old in zip(self.resize.fitted_size(*size), size))
        if enlargement > LARGEST_ENLARGEMENT:
            self._enlarged.append((enlargement, path, size))

    def lines(self) -> list[str]:
        """Return a line for each kind of oddity, with the number of cases."""
        lines = []
        if self._orientations:
            first, more = min(self._orientations), len(self._orientations) - 1
            lines.append(f"{self.split}: {first}" + (f" ({more} more of this kind)" if more else ""))
        if self._enlarged:
            enlargement, path, (height, width) = max(self._enlarged)
            assert self.resize is not None  # by whose size they are enlarged
            target = "{}x{}".format(*self.resize.target_size)
            lines.append(
                f"{self.split}: evaluation enlarges {len(self._enlarged)} images, up to {enlargement:.2f} times: "
                f"{path} has {height}x{width} pixels, target_size is {target}; such scores are lower, set "
                f"data.eval_transforms.item_transforms.Resize.target_size=[{max(height, 32)},{max(width, 32)}]"
            )
        return lines
