"""Read the folder of a run or of an evaluation for the report; does not import MindSpore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.base.errors import DataError, UserError
from src.base.json_lines import read_json_lines
from src.report import environment
from src.report.checking import (
    COUNT,
    MAPPING,
    NUMBER,
    NUMBERS,
    TEXT,
    TEXTS,
    check_fields,
    is_count,
    is_mapping,
    list_of,
    read_object,
)
from src.report.pictures import count_pictures
from src.report.settings import read_settings
from src.state.checkpoint_names import FOLDER as CHECKPOINTS

LATEST = "latest_evaluation.json"  # in a training run: scores of its latest evaluation
_RESULT_FILES = ("metrics.jsonl", "eval.json", LATEST, "config.yml")
_SCORES = {
    "name": TEXT,
    "miou": NUMBER,
    "pixel_accuracy": NUMBER,
    "iou": NUMBERS,
    "protocol": MAPPING,
    "confusion_matrix": ("a matrix of whole numbers", list_of(list_of(is_count))),
}
_EVALUATION = {
    **_SCORES,
    "protocols": ("a list of mappings", list_of(is_mapping)),
    "class_names": TEXTS,
    "class_colors": TEXTS,
    "images": COUNT,
    "step": COUNT,
    "checkpoint": TEXT,
    "weights": TEXT,
}


@dataclass(frozen=True)
class Run:
    """A training or an evaluation; missing parts are empty.

    Args:
        name: its name in the report.
        folder: its folder.
        metrics: lines of ``metrics.jsonl``, by step.
        evaluations: lines of ``evaluations.jsonl``, by step.
        scores: content of ``eval.json``, or of the latest evaluation of a training.
        settings: its configuration by dotted path; None if unknown.
        environment: content of ``environment.json``.
        pictures: number of pictures for the report; None if it was run without a report.
    """

    name: str
    folder: Path
    metrics: list[dict]
    evaluations: list[dict]
    scores: dict | None
    settings: dict[str, Any] | None
    environment: dict
    pictures: int | None


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Read the runs in `folders`; for a folder without results, those directly below it.

    Raises:
        UserError: a folder has no results, or they cannot be read.
    """
    found = []
    for folder in folders:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        places = [path for path in ([folder] if holds_results(folder) else inner) if holds_results(path)]
        if not places:
            raise UserError(f"{folder}: no results of train.py or eval.py there, nor in a folder directly below it")
        found += places
    return [read_run(path, name) for path, name in zip(found, short_names(found))]


def holds_results(folder: Path) -> bool:
    """Return whether a folder has results of a training or an evaluation."""
    return any((folder / name).is_file() for name in _RESULT_FILES)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return a distinct name for each folder: its own, preceded by as few parent folders as needed."""
    parts = [path.resolve().parts for path in folders]
    for length in range(1, max(map(len, parts), default=1)):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(path) for path in folders]


def read_run(folder: Path, name: str | None = None) -> Run:
    """Read the results in `folder`.

    Raises:
        UserError: a file of them cannot be read.
    """
    try:
        metrics, evaluations = (read_json_lines(folder / f"{each}.jsonl") for each in ("metrics", "evaluations"))
        scores = _read_scores(folder / "eval.json") or _read_scores(folder / LATEST)
        return Run(
            name or folder.resolve().name,
            folder,
            metrics,
            evaluations,
            scores,
            read_settings(folder),
            read_object(folder / environment.NAME, {}) or {},
            count_pictures(folder),
        )
    except OSError as err:
        raise UserError(f"cannot read the results in {err.filename or folder}: {err.strerror or err}") from err


def run_of_checkpoint(path: str | Path) -> Path | None:
    """Return the folder of the run that contains a checkpoint; None if there is none."""
    folder = Path(path).resolve().parent
    return folder.parent if folder.name == CHECKPOINTS and (folder.parent / "metrics.jsonl").is_file() else None


def _read_scores(path: Path) -> dict | None:
    record = read_object(path, _EVALUATION)
    for each in [record or {}, *((record or {}).get("protocols") or ())]:
        check_fields(each, _SCORES, path)
        matrix, size = each.get("confusion_matrix") or [], len(each.get("iou") or [])
        if len(matrix) not in (0, size) or any(len(row) != size for row in matrix):
            raise DataError(
                f"{path}: confusion_matrix is not a matrix for {size} classes; remove the file, or evaluate again"
            )
    return record
