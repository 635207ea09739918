"""The tabs of a report of runs and evaluations; does not import MindSpore."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.config.registry import DATASETS
from src.evaluation.score_records import largest_confusions
from src.report.page import Section, write_page
from src.report.pictures import page_pictures, page_records
from src.report.runs import Run
from src.report.settings import default_settings

INLINE_BELOW = 500  # a page with fewer pictures contains them


def write_report(path: Path, runs: Sequence[Run], *, live: dict | None = None) -> None:
    """Write the report of runs and evaluations to `path`, replacing an earlier report; see `write_page`."""
    title = runs[0].name if len(runs) == 1 else " · ".join(run.name for run in runs[:4])
    more = f" · and {len(runs) - 4} more" if len(runs) > 4 else ""
    state = " · goes on, this page follows" if live else ""
    subtitle = f"BiSeNetV2 report · written {time.strftime('%Y-%m-%d %H:%M')}{state}"
    write_page(path, title + more, run_sections(path, runs), subtitle=subtitle, live=live)


def run_sections(page: Path, runs: Sequence[Run]) -> list[Section]:
    """Return the tabs for `runs`; empty ones are left out, except the overview and the configuration."""
    scores = [entry for number, run in enumerate(runs) for entry in score_entries(number, run)]
    curves = [curve_entry(number, run) for number, run in enumerate(runs) if run.metrics or run.evaluations]
    names = [run.name for run in runs]
    ends = [curve_ends(entry) for entry in curves]
    sections = [Section("overview", "Overview", {"runs": names, "scores": scores, "curves": ends})]
    if any(entry["iou"] for entry in scores):
        sections.append(Section("classes", "Classes", {"scores": scores}))
    matrices = [entry for entry in scores if entry["confusion_matrix"]]
    if matrices:
        sections.append(Section("confusion", "Confusion", {"scores": matrices}))
    if any(run.pictures is not None for run in runs):
        sections.append(picture_section(page, runs))
    if curves:
        sections.append(Section("curves", "Curves", {"runs": curves}))
    environments = [run.environment for run in runs]
    settings = {"runs": names, "settings": [run.settings for run in runs], "default": default_settings()}
    return [*sections, Section("settings", "Configuration", {**settings, "environments": environments})]


def score_entries(number: int, run: Run) -> list[dict]:
    """Return the scores of a run, one entry for each protocol, with the classes."""
    record = run.scores
    if record is None or "miou" not in record:
        return []
    several = record.get("protocols") or [record]
    common = {"run": number, "images": record.get("images"), "source": _source(record)}
    common |= _classes(run)
    return [{**common, "name": _entry_name(run, each, several), **_scores(each)} for each in several]


def _classes(run: Run) -> dict[str, list[str]]:
    """Return names and colours of the classes, as recorded, or those of the configured data set."""
    record, settings = run.scores or {}, run.settings or {}
    known = getattr(DATASETS.get(settings.get("data.name", "")), "classes", ())
    names = record.get("class_names") or settings.get("data.class_names") or [cls.name for cls in known]
    colors = record.get("class_colors") or ["#{:02x}{:02x}{:02x}".format(*cls.color) for cls in known]
    return {"classes": [str(name) for name in names], "colors": [str(color) for color in colors]}


def _entry_name(run: Run, each: dict, several: list) -> str:
    return f"{run.name} ({each.get('name')})" if len(several) > 1 else run.name


def _source(record: dict) -> dict[str, Any]:
    return {name: record[name] for name in ("checkpoint", "weights", "step") if record.get(name) is not None}


def _scores(record: dict) -> dict:
    matrix = record.get("confusion_matrix")
    worst = [each._asdict() for each in largest_confusions(np.array(matrix, np.int64))] if matrix else []
    names = ("miou", "iou", "pixel_accuracy", "protocol", "confusion_matrix")
    return {**{name: record.get(name) for name in names}, "largest_confusions": worst}


def curve_entry(number: int, run: Run) -> dict:
    """Return metrics and evaluations of a run by column, and its total number of steps."""
    columns = {"metrics": _columns(run.metrics), "evaluations": _columns(run.evaluations)}
    return {"run": number, "name": run.name, "total_step": (run.settings or {}).get("total_step"), **columns}


def _columns(records: Sequence[dict]) -> dict[str, list]:
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return {name: values for name, values in columns.items() if not any(isinstance(value, str) for value in values)}


def curve_ends(curve: dict) -> dict:
    """Return the last value of each column and the best mIoU, for the overview."""
    last = {name: values[-1] for name, values in curve["metrics"].items()}
    evaluations = curve["evaluations"]
    pairs = zip(evaluations.get("step", ()), evaluations.get("miou", ()))
    best = max((pair for pair in pairs if isinstance(pair[1], float)), key=lambda pair: pair[1], default=None)
    return {"name": curve["name"], "total_step": curve["total_step"], "last": last, "best": best}


def picture_section(page: Path, runs: Sequence[Run]) -> Section:
    """Return the tab of the pictures: inlined if there are fewer than `INLINE_BELOW`, else in files beside the page."""
    shown = [(number, run) for number, run in enumerate(runs) if run.pictures is not None]
    inline = sum(run.pictures or 0 for _, run in shown) < INLINE_BELOW
    data = [_picture_head(number, run) for number, run in shown]
    records = itertools.chain.from_iterable(page_records(run.folder, page, n, inline=inline) for n, run in shown)
    inlined = itertools.chain.from_iterable(page_pictures(run.folder, n) for n, run in shown if inline)
    return Section("pictures", "Pictures", {"runs": data}, records, inlined)


def _picture_head(number: int, run: Run) -> dict:
    return {"run": number, "name": run.name, **_classes(run)}
