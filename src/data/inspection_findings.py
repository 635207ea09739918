"""Findings across pairs: repeated pairs, labels without a class, classes that no label has."""

from __future__ import annotations

from collections.abc import Sequence

from src.data.inspection import IGNORED, SHARED, TWICE, PairFacts, Problem, SplitFacts
from src.data.repetitions import Repetitions


class Findings:
    """Examines the pairs of all splits, one split after the other, and adds findings to the facts about each."""

    def __init__(self) -> None:
        self._repetitions = Repetitions()

    def add_pair(self, split: str, path: str, facts: PairFacts, total: SplitFacts) -> None:
        """Add a pair, by the `path` of its image, to the `total` of its split."""
        total.add(facts)
        found = self._repetitions.find(split, path, facts.content)
        if found is None:
            return
        if found.before == split and found.other != path:  # also happens while the car stands still
            total.remarks.append(found.line())
        else:
            total.problems.append(Problem(TWICE if found.before == split else SHARED, path, found.line()))

    def add_split(self, split: str, total: SplitFacts, dataset_dir: str, names: Sequence[str]) -> None:
        """Add the findings about a whole split to its `total`, after all of its pairs."""
        if total.values.any() and not total.pixels.any():
            line = f"{dataset_dir}: no label of the {split} split holds a class, every pixel is ignored"
            total.problems.append(Problem(IGNORED, dataset_dir, line))
            return
        if total.empty_labels:
            more = len(total.empty_labels) - 1
            others = f", and {more} more labels" if more else ""
            total.remarks.append(f"{total.empty_labels[0]}: every pixel is ignored{others}")
        absent = [name for name, pixels in zip(names, total.pixels.tolist()) if not pixels]
        if absent and total.pixels.any():
            effect = "cannot be learnt" if split == "train" else "has no say in the mIoU, unless it is predicted"
            total.remarks.append(f"{', '.join(absent)}: never occurs, {effect}")


def count_remarks(remarks: int) -> str:
    """Return the last line of a report without faulty files."""
    if not remarks:
        return "no problems"
    return f"no faulty file; {remarks} remark{'s' if remarks > 1 else ''} above"
