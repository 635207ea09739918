"""Inspecting a whole data set: its content, and everything that is wrong with it. Needs no MindSpore."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.base.errors import DataError
from src.config.schema_data import MAX_PIXELS
from src.data.cityscapes import LabelCoding, Samples, check_same_size
from src.data.decoder_report import DecoderReports
from src.data.image_files import read_image, read_label
from src.data.orientations import TRANSPOSED, orientation_doubt, orientation_of
from src.data.picture_sizes import size_of
from src.data.prefetch import map_ahead, usable_workers

MISSING, UNREADABLE, VALUES, SIZES, LIST = "missing", "unreadable", "values", "sizes", "list"
ORIENTATION, TWICE, SHARED, IGNORED = "orientation", "twice", "shared", "ignored"
# Singular and plural of each kind.
KINDS = {
    MISSING: ("missing file", "missing files"),
    UNREADABLE: ("unreadable file", "unreadable files"),
    VALUES: ("label with impossible values", "labels with impossible values"),
    SIZES: ("pair of unequal sizes", "pairs of unequal sizes"),
    ORIENTATION: ("pair of unequal orientations", "pairs of unequal orientations"),
    TWICE: ("pair listed twice", "pairs listed twice"),
    SHARED: ("pair in two splits", "pairs in two splits"),
    IGNORED: ("split without a class", "splits without a class"),
    LIST: ("split that cannot be listed", "splits that cannot be listed"),
}
WEIGHT_OFFSET = 1.02
WEIGHT_FORMULA = "1 / ln(1.02 + p), p = the class's share of the training pixels that are not ignored"
WEIGHT_SOURCE = "ENet: Paszke et al. 2016, arXiv:1606.02147"


class Problem(NamedTuple):
    """A problem: one of KINDS, the file, and a line that names the file and describes the problem."""

    kind: str
    path: str
    message: str
    values: tuple[int, ...] = ()  # all impossible values of a label


class PairFacts(NamedTuple):
    """Facts about one pair of image and label."""

    size: tuple[int, int] | None  # height and width of the image; None if it cannot be read
    counts: np.ndarray | None  # (256,) int64: pixels of each value in the label's file; None likewise
    problems: tuple[Problem, ...]
    label_path: str | None = None
    content: bytes = b""  # digest of image and label; empty if one of them cannot be read


class SplitFacts:
    """Facts about a split, summed over its pairs.

    Args:
        coding: the meaning of the labels' values.
    """

    def __init__(self, coding: LabelCoding) -> None:
        self.coding = coding
        self.pairs = 0
        self.sizes: Counter[tuple[int, int]] = Counter()  # (height, width) of the readable images
        self.values = np.zeros(256, np.int64)  # pixels of each value in the files
        self.pixels = np.zeros(coding.num_classes, np.int64)  # of each class, in all readable labels
        self.images = np.zeros(coding.num_classes, np.int64)  # number of labels with each class
        self.ignored = 0  # pixels
        self.invalid = 0  # pixels with invalid values
        self.problems: list[Problem] = []
        self.empty_labels: list[str] = []  # labels with ignored pixels only
        self.remarks: list[str] = []  # on oddities that may be intended

    def add(self, facts: PairFacts) -> None:
        """Add one pair."""
        self.pairs += 1
        self.problems += facts.problems
        if facts.size is not None:
            self.sizes[facts.size] += 1
        if facts.counts is None:
            return
        self.values += facts.counts
        valid = facts.counts.copy()
        valid[impossible_values(facts.counts, self.coding)] = 0
        train_ids = np.arange(256) if self.coding.table is None else self.coding.table
        by_train_id = np.zeros(256, np.int64)
        np.add.at(by_train_id, train_ids, valid)
        classes = by_train_id[: self.coding.num_classes]
        self.pixels += classes
        self.images += classes > 0
        if valid.any() and not classes.any():
            assert facts.label_path is not None  # whose pixels they are
            self.empty_labels.append(facts.label_path)
        self.ignored += int(valid.sum() - classes.sum())
        self.invalid += int(facts.counts.sum() - valid.sum())

    def shares(self) -> np.ndarray:
        """Return each class's share of the pixels that are not ignored, (num_classes,) float64; 0 without pixels."""
        return self.pixels / max(int(self.pixels.sum()), 1)

    def ignored_share(self) -> float:
        """Return the share of ignored pixels among all of them."""
        return self.ignored / max(int(self.values.sum()), 1)


def inspect_split(
    samples: Samples, coding: LabelCoding, workers: int, max_pixels: int = MAX_PIXELS
) -> Iterator[PairFacts]:
    """Read every file of a split in threads and yield the facts about each pair, in the order of the list.

    Only a few pairs are in memory at a time. A pair that is listed several times is read once.
    """
    times = Counter(samples)
    kept: dict[tuple[str, str | None], PairFacts] = {}  # of pairs that are listed again
    with DecoderReports() as reports:
        inspect = partial(inspect_pair, coding=coding, reports=reports, max_pixels=max_pixels)
        ahead = map_ahead(inspect, times, usable_workers(workers, len(times)))  # in the order of the list
        with contextlib.closing(ahead) as read:
            for pair in samples:
                facts = kept.get(pair) or next(read)
                if times[pair] > 1:
                    kept[pair] = facts
                yield facts


def inspect_pair(
    paths: tuple[str, str | None], coding: LabelCoding, reports: DecoderReports, max_pixels: int = MAX_PIXELS
) -> PairFacts:
    """Decode an image and its label; return the facts and all problems."""
    image_path, label_path = paths
    problems: list[Problem] = []
    image = label = None
    with _collect(problems, _kind_of_file(image_path), image_path):
        reports.check(image_path, max_pixels)
        image = read_image(image_path, max_pixels=max_pixels)
    if label_path is not None:
        with _collect(problems, _kind_of_file(label_path), label_path):
            label = read_label(label_path, coding.decode, max_pixels)
    if label is None or label_path is None:
        return PairFacts(None if image is None else size_of(image), None, tuple(problems))
    counts = np.bincount(label.ravel(), minlength=256)
    with _collect(problems, VALUES, label_path, tuple(coding.literal_values(impossible_values(counts, coding)))):
        coding.check(label, label_path)
    if image is None:
        return PairFacts(None, counts, tuple(problems), label_path)
    size = _check_alignment(image_path, size_of(image), label_path, size_of(label), problems)
    return PairFacts(size, counts, tuple(problems), label_path, _digest(image, label))


def _check_alignment(
    image_path: str, size: tuple[int, int], label_path: str, label_size: tuple[int, int], problems: list[Problem]
) -> tuple[int, int]:
    """Compare an image, turned by its tag to `size`, with its label; return the size at which it is used."""
    image_tag, label_tag = orientation_of(image_path), orientation_of(label_path)
    if image_tag == label_tag and image_tag in TRANSPOSED:
        size = size[::-1]  # then it is not turned, see `read_aligned`
    with _collect(problems, SIZES, label_path):
        check_same_size(image_path, size, label_path, label_size)
        doubt = orientation_doubt(image_path, image_tag, label_path, label_tag, label_size)
        if doubt:
            problems.append(Problem(ORIENTATION, label_path, doubt))
    return size


def _digest(image: np.ndarray, label: np.ndarray) -> bytes:
    content = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    content.update(np.ascontiguousarray(label).data)
    return content.digest()


def impossible_values(counts: np.ndarray, coding: LabelCoding) -> list[int]:
    """Return the invalid values that occur, sorted; `counts` (256,) are the pixels of each value."""
    return coding.invalid_values(np.flatnonzero(counts))


def class_weights(shares: np.ndarray) -> list[float]:
    """Return ENet's weight of each class, 1 / ln(1.02 + share): from 1.42 (every pixel) to 50.5 (none)."""
    return [1 / math.log(WEIGHT_OFFSET + share) for share in shares.tolist()]


def count_problems(problems: list[Problem]) -> str:
    """Return how many problems of each kind there are, such as ``3 problems: 1 missing file, 2 unreadable files``."""
    counts = Counter(problem.kind for problem in problems)
    kinds = [f"{counts[kind]} {names[counts[kind] > 1]}" for kind, names in KINDS.items() if counts[kind]]
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: {', '.join(kinds)}"


def _kind_of_file(path: str) -> str:
    return UNREADABLE if Path(path).exists() else MISSING


@contextlib.contextmanager
def _collect(problems: list[Problem], kind: str, path: str, values: tuple[int, ...] = ()) -> Iterator[None]:
    """Append a DataError to `problems` instead of raising it."""
    try:
        yield
    except DataError as err:
        problems.append(Problem(kind, path, str(err), values))
