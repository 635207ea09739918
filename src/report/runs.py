"""What the folder of a run or of an evaluation holds, for the report; needs no MindSpore."""

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

LATEST = "latest_evaluation.json"  # of a training run: scores of its latest evaluation
_MARKS = ("metrics.jsonl", "eval.json", LATEST, "config.yml")
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
    """A training, or an evaluation; what it does not have is empty.

    Args:
        name: what the report calls it.
        folder: where it is.
        metrics: lines of ``metrics.jsonl``, by step.
        evaluations: lines of ``evaluations.jsonl``, by step.
        scores: content of ``eval.json``, or of the latest evaluation of a training.
        settings: its configuration by dotted path; None where it is not known.
        environment: what it ran on.
        pictures: how many pictures it has for the report; None where none was asked for.
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
    """Read each of `folders`; for one that holds no results itself, those right in it that do.

    Raises:
        UserError: there are none, or they cannot be read.
    """
    found = []
    for folder in folders:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        places = [path for path in ([folder] if holds_results(folder) else inner) if holds_results(path)]
        if not places:
            raise UserError(f"{folder}: no results of train.py or eval.py there, nor in a folder right in it")
        found += places
    return [read_run(path, name) for path, name in zip(found, short_names(found))]


def holds_results(folder: Path) -> bool:
    """Return whether a training or an evaluation has left results in a folder."""
    return any((folder / name).is_file() for name in _MARKS)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each folder: its own, with as many of those above it as tell the folders apart."""
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
    """Return the folder of the run that a checkpoint is still in; None if it is in none."""
    folder = Path(path).resolve().parent
    return folder.parent if folder.name == CHECKPOINTS and (folder.parent / "metrics.jsonl").is_file() else None


def _read_scores(path: Path) -> dict | None:
    record = read_object(path, _EVALUATION)
    for each in [record or {}, *((record or {}).get("protocols") or ())]:
        check_fields(each, _SCORES, path)
        matrix, size = each.get("confusion_matrix") or [], len(each.get("iou") or [])
        if len(matrix) not in (0, size) or any(len(row) != size for row in matrix):
            raise DataError(
                f"{path}: confusion_matrix is no matrix for {size} classes; remove the file, or evaluate again"
            )
    return record
