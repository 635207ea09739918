"""A quick check of the data set before training, for mistakes that would otherwise surface hours later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from src.base.errors import DataError
from src.config import schema
from src.data.cityscapes import CITYSCAPES, LabelCoding, Samples, check_same_size, list_samples
from src.data.containers import UPRIGHT
from src.data.decoder_report import DecoderReports
from src.data.doubts import Doubts
from src.data.image_files import (
    PngHeader,
    check_image_header,
    check_pixels,
    read_bytes,
    read_image,
    read_jpeg_size,
    read_label,
    read_png_header,
)
from src.data.label_maps import label_coding
from src.data.orientations import HEAD_BYTES, aligned_size, orientation_of
from src.data.picture_sizes import size_of, stored_size
from src.data.prefetch import map_ahead, usable_workers
from src.data.repetitions import repetitions
from src.data.transforms.resize import Resize

logger = logging.getLogger(__name__)
SAMPLED_LABELS = 30  # labels of a split whose pixels are checked, besides the first and the last
SHOWN_PROBLEMS = 10


def preflight(
    data: schema.Data, *, num_classes: int, splits: Iterable[str], seed: int, labelled: bool = True
) -> dict[str, int]:
    """Check the data set without decoding all of it, and log the number of pairs of each split.

    Checks existence, header and end of every file, the sizes of every pair, and the pixel values of the first, the last
    and 30 labels per split, drawn with `seed`. JPEGs are decoded, as there is no other way to find out whether they are
    intact. Without `labelled` only images are checked. Oddities that may be intended are logged as warnings.

    Returns:
        The number of pairs of each of the `splits`.

    Raises:
        DataError: with all problems found, up to ten lines.
    """
    coding = label_coding(data, num_classes)
    lists: dict[str, Samples] = {}
    problems: list[str] = []
    for split in splits:
        try:
            samples = list_samples(data.dataset_dir, split, data.name, labelled=labelled)
        except DataError as err:
            problems.append(str(err))
            continue
        what = "pairs of image and label" if labelled else "images"
        logger.info("%s: %d %s in %s", split, len(samples), what, data.dataset_dir)
        lists[split] = samples
        doubts = Doubts(split, _resize(data) if split != "train" else None)
        problems += _problems_of_files(samples, coding, data, doubts)
        problems += _problems_of_values(samples, coding, data, seed)
        _warn(doubts.lines())
    _refuse(list(dict.fromkeys(problems)))  # a bad label may be found twice
    _warn(_repetitions(lists))
    return {split: len(samples) for split, samples in lists.items()}


def _resize(data: schema.Data) -> Resize | None:
    return next((step for step in data.eval_transforms.item_transforms if isinstance(step, Resize)), None)


def _repetitions(lists: dict[str, Samples]) -> list[str]:
    """Return a line about the first repeated pair, with the number of repeated pairs."""
    found = repetitions(lists)
    more = f" ({len(found) - 1} more like it)" if len(found) > 1 else ""
    return [found[0].line() + more] if found else []


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        logger.warning("%s", line)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = [*problems[:SHOWN_PROBLEMS], *([f"... and {more} more"] if more > 0 else [])]
        raise DataError("\n".join(shown))


def _problems_of_files(samples: Samples, coding: LabelCoding, data: schema.Data, doubts: Doubts) -> list[str]:
    """Check existence, headers and sizes of all pairs; missing files are reported as one problem."""
    missing = {pair: [path for path in pair if path and not Path(path).exists()] for pair in samples}
    incomplete = [paths[0] for paths in missing.values() if paths]
    with DecoderReports() as reports:
        check = partial(_check_pair, coding=coding, reports=reports, doubts=doubts, max_pixels=data.max_pixels)
        whole = [pair for pair, paths in missing.items() if not paths]
        problems = list(_problems(check, whole, data.num_parallel_workers))
    if incomplete:
        lacking = "pairs lack a file" if any(samples.labels) else "images are missing"
        count = f"{len(incomplete)} of {len(samples)} {lacking}"
        problems.insert(0, f"{samples.split}: {count}, the first one missing is {incomplete[0]}")
    return problems


def _problems_of_values(samples: Samples, coding: LabelCoding, data: schema.Data, seed: int) -> list[str]:
    """Check the pixel values of a few labels."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(samples), min(SAMPLED_LABELS, len(samples)), replace=False)
    labels = [samples[index][1] for index in sorted({0, len(samples) - 1, *chosen.tolist()})]
    labels = [path for path in labels if path and Path(path).exists()]
    seen = np.zeros(256, bool)
    check = partial(_check_values, coding=coding, seen=seen, max_pixels=data.max_pixels)
    problems = list(_problems(check, labels, data.num_parallel_workers))
    if coding.dataset is CITYSCAPES and not problems:
        suspicion = suspect_train_ids(np.flatnonzero(seen).tolist())
        if suspicion:
            logger.warning("%s: %s", samples.split, suspicion)
    return problems


def _problems(check: Callable, items: Sequence, workers: int) -> Iterator[str]:
    """Call `check` with every item, in threads, and yield the message of every DataError."""

    def caught(item: object) -> str | None:
        try:
            check(item)
        except DataError as err:
            return str(err)
        return None

    return filter(None, map_ahead(caught, items, usable_workers(workers, len(items))))


def _read_header(path: str, max_pixels: int) -> PngHeader | None:
    """Read the header of a PNG, None for other files; refuse a picture of any format with too many pixels."""
    header = read_png_header(path)
    check_pixels(path, stored_size(read_bytes(path)) if header is None else header.size, max_pixels)
    return header


def _check_pair(
    paths: tuple[str, str | None], coding: LabelCoding, reports: DecoderReports, doubts: Doubts, max_pixels: int
) -> None:
    image_path, label_path = paths
    image_header = _read_header(image_path, max_pixels)
    if image_header is not None:
        check_image_header(image_path, image_header)
    reports.check(image_path, max_pixels)
    stored = image_header.size if image_header is not None else read_jpeg_size(image_path)
    image_tag = orientation_of(image_path, HEAD_BYTES)
    if label_path is None:
        if stored is not None:
            doubts.note_size(image_path, aligned_size(stored, image_tag, UPRIGHT))
        return
    label_header = _read_header(label_path, max_pixels)
    coding.check_header(label_path, label_header)
    assert label_header is not None  # check_header refuses what is no PNG
    label_tag = orientation_of(label_path, HEAD_BYTES)
    if stored is None:
        size = size_of(read_image(image_path, max_pixels=max_pixels))
    else:
        size = aligned_size(stored, image_tag, label_tag)
    check_same_size(image_path, size, label_path, label_header.size)
    doubts.note_orientation(image_path, image_tag, label_path, label_tag, label_header.size)
    doubts.note_size(image_path, size)


def _check_values(path: str, coding: LabelCoding, seen: np.ndarray, max_pixels: int) -> None:
    label = read_label(path, coding.decode, max_pixels)
    seen |= np.bincount(label.ravel(), minlength=256) > 0
    coding.check(label, path)


def suspect_train_ids(values: Sequence[int]) -> str:
    """Return a warning if the values of labels, valid as Cityscapes label ids, look like train ids instead."""
    if values and all(value < len(CITYSCAPES.classes) or value == CITYSCAPES.void for value in values):
        return (
            "the labels hold only values from 0..18 and 255, none of the label ids 19..33 (sky, person, car, "
            "...); if these are train ids, set data.name=generic"
        )
    return ""
