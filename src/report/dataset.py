"""The report of a data set check: sizes, classes, pictures of faulty files. Does not import MindSpore."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from src.base.errors import DataError
from src.data.cityscapes import LabelCoding
from src.data.image_files import read_label
from src.data.inspection import KINDS, ORIENTATION, SIZES, VALUES, Problem, SplitFacts, count_problems
from src.report.page import Section, write_page
from src.report.pictures import reduced
from src.visual.visualize import WRONG

MOST_PICTURES = 300  # limit for pictures of faulty files; the page lists all files
LARGEST = 320  # pixels on the longest side of a picture
_PROGRAM = Path(__file__).with_name("thumbnail_process.py")
_LABEL_PROBLEMS = (VALUES, SIZES, ORIENTATION)  # kinds of problems whose file is a label
_IGNORED_COLOR = (90, 90, 90)


def write_dataset_report(
    path: Path,
    tree: dict[str, Any],
    splits: Mapping[str, SplitFacts],
    problems: Mapping[str, Sequence[Problem]],
    palette: np.ndarray,
) -> None:
    """Write the report of a check; see `write_page`.

    Args:
        path: the file.
        tree: the result of `report_as_json`.
        splits: facts about the readable splits, by name.
        problems: problems found, by split.
        palette: RGB colour of each class.
    """
    write_page(path, "Check of a data set", _sections(tree, splits, problems, palette), subtitle=tree["dataset_dir"])


def _sections(
    tree: dict[str, Any],
    splits: Mapping[str, SplitFacts],
    problems: Mapping[str, Sequence[Problem]],
    palette: np.ndarray,
) -> Iterator[Section]:
    every = [(split, problem) for split, found in problems.items() for problem in found]
    for split, facts in tree["splits"].items():
        colors = ("#{:02x}{:02x}{:02x}".format(*color) for color in palette.tolist())
        classes = [{**each, "color": color} for each, color in zip(facts["classes"], colors)]
        yield Section("split", split, {**facts, "classes": classes})
    codings = {split: facts.coding for split, facts in splits.items()}
    summary = count_problems([problem for _, problem in every]) if every else "No file is faulty."
    if len(every) > MOST_PICTURES:
        summary += f"; pictures of the first {MOST_PICTURES}"
    title = f"Faulty files ({len(every)})"
    yield Section("faults", title, {"summary": summary}, _fault_records(every, codings, palette))
    remarks = [[each["split"], each["message"]] for each in tree["remarks"]]
    yield Section("table", f"Remarks ({len(remarks)})", {"columns": ["Split", "Remark"], "rows": remarks})
    if tree["class_weights"]:
        yield _weights_section(tree)


def _weights_section(tree: dict[str, Any]) -> Section:
    weights = tree["class_weights"]
    names = [each["name"] for each in tree["splits"]["train"]["classes"]]
    pasted = f"data.map_label=[{','.join(f'{weight:.4f}' for weight in weights['map_label'])}]"
    notes = [f"A proposal: {weights['formula']} ({weights['source']})", pasted]
    rows = [list(pair) for pair in zip(names, weights["map_label"])]
    return Section("table", "Class weights", {"columns": ["Class", "Weight"], "rows": rows, "notes": notes})


def _fault_records(
    problems: Iterable[tuple[str, Problem]], codings: Mapping[str, LabelCoding], palette: np.ndarray
) -> Iterator[dict[str, Any]]:
    with Thumbnails() as thumbnails:
        for number, (split, problem) in enumerate(problems):
            picture = None
            if number < MOST_PICTURES and Path(problem.path).is_file():
                label = _label_picture(problem, codings.get(split), palette)
                picture = thumbnails(problem.path) if label is None else png_url(label)
            kind = KINDS[problem.kind][0]
            yield {"split": split, "kind": kind, "path": problem.path, "message": problem.message, "picture": picture}


def _label_picture(problem: Problem, coding: LabelCoding | None, palette: np.ndarray) -> np.ndarray | None:
    """Return a small picture of a label by its classes, with invalid values and their surroundings in bright orange.

    Returns:
        The picture, (H, W, 3) uint8 RGB; None if the file is not a label, or cannot be read as one.
    """
    if problem.kind not in _LABEL_PROBLEMS or coding is None:
        return None
    try:
        label = read_label(problem.path, coding.decode)
    except DataError:
        return None
    wrong = np.isin(label, coding.invalid_values(label)).astype(np.uint8)
    width = 1 + max(label.shape) // 64  # so that a single pixel is visible
    impossible = reduced(cv2.dilate(wrong, np.ones((width, width), np.uint8)), LARGEST) > 0
    train_ids = np.arange(256) if coding.table is None else coding.table
    table = np.full((256, 3), _IGNORED_COLOR, np.uint8)
    known = train_ids < len(palette)
    table[known] = palette[train_ids[known]]
    return np.where(impossible[..., None], np.array(WRONG, np.uint8), table[reduced(label, LARGEST)])


def png_url(picture: np.ndarray) -> str:
    """Return a picture (H, W, 3), uint8 RGB, as a lossless ``data:`` URL."""
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", picture[..., ::-1])[1].tobytes()).decode()


class Thumbnails:
    """Make thumbnails of files, as far as OpenCV can read them, in another process; a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Thumbnails:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, path: str) -> str | None:
        """Return the thumbnail of a file as a ``data:`` URL; None if OpenCV cannot read anything of it."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        answer = ""
        questions, answers = self._pipes(self._process)
        with contextlib.suppress(OSError):
            questions.write(json.dumps(path) + "\n")
            questions.flush()
            answer = answers.readline()
        if answer:
            picture: str | None = json.loads(answer)
            return picture
        self._end()  # the decoder crashed
        return None

    @staticmethod
    def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
        assert process.stdin is not None  # __call__ has asked for both
        assert process.stdout is not None
        return process.stdin, process.stdout

    def _end(self) -> None:
        if self._process is not None:
            questions, answers = self._pipes(self._process)
            with contextlib.suppress(OSError):
                questions.close()
            answers.close()
            self._process.wait()
            self._process = None
