"""Folders of runs and evaluations as train.py and eval.py leave them, of generated pictures and values."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.config import schema
from src.config.saved import write_config
from src.data.eval_samples import EvalSample
from src.evaluation.score_records import classes_of, json_bytes, scores_of
from src.report.pictures import FOLDER, ReportPictures
from src.utils.config import DEFAULT_CONFIG, parse_config
from src.utils.metrics import ConfusionMatrix, Evaluation, iou, mean_iou, pixel_accuracy
from tests.dataset_helpers import write_png

IGNORED = 255
ATTACK = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
HOSTILE = (
    "\"'><svg onload=window.hacked=1>",
    f"{ATTACK}",
    "汽车 \u2028 &lt;b&gt;",
    "javascript:window.hacked=1//%0a#?",
)


@dataclass(frozen=True)
class Pictures:
    """What an evaluation was made of: (N, H, W) train ids, and the photographs (N, H, W, 3)."""

    names: Sequence[str]
    labels: np.ndarray
    predictions: np.ndarray
    photos: np.ndarray


def make_pictures(
    names: Sequence[str], size: tuple[int, int] = (24, 40), num_classes: int = 4, seed: int = 0
) -> Pictures:
    """Draw pictures whose predictions are wrong in shares of their own; the last class is in every other one alone."""
    rng = np.random.default_rng(seed)
    shape, last = (len(names), *size), 3
    labels = rng.integers(0, last, (len(names), size[0] // 8, size[1] // 8), np.uint8)
    labels = labels.repeat(8, axis=1).repeat(8, axis=2)
    labels[::2, :8, :8] = last
    labels[:, -3:] = IGNORED
    wrong = rng.random(shape) < rng.random(len(names))[:, None, None]
    predictions = np.where(wrong | (labels == IGNORED), rng.integers(0, last, shape), labels).astype(np.uint8)
    return Pictures(names, labels, predictions, rng.integers(0, 256, (*shape, 3), np.uint8))


def make_config(folder: Path, **values: object) -> schema.Config:
    """Return a configuration of four classes with hostile names, for an evaluation into `folder`."""
    tree = {"__BASE__": str(DEFAULT_CONFIG), "num_classes": 4, "save_dir": str(folder), "log_interval": 7, **values}
    tree["data"] = {"name": "generic", "map_label": None, "class_names": list(HOSTILE), "dataset_dir": ATTACK}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "given.yml").write_text(json.dumps(tree), encoding="utf-8")
    return parse_config(["--config", str(folder / "given.yml")], "eval")


def write_evaluation(folder: Path, pictures: Pictures, **further: object) -> dict:
    """Write what ``eval.py --report True`` leaves but for the report itself; return the content of eval.json."""
    config = make_config(folder)
    write = ReportPictures(config, pictures.names)
    total = ConfusionMatrix(4, IGNORED)
    for name, label, prediction, photo in zip(*vars(pictures).values()):
        path = write_png(folder.parent / "photo.png", photo)
        size = label.shape
        write(EvalSample(None, label, size, size, str(path), None, name), prediction)
        total.update(label, prediction)
    scores = iou(total.counts)
    result = Evaluation(len(pictures.names), mean_iou(scores), scores, pixel_accuracy(total.counts), 1.0, total.counts)
    protocol = {"multi_scale": False, "img_ratios": [1.0], "flip": False, "image_size": [64, 96]}
    record = {**scores_of(result), **classes_of(config), "images": result.images, "protocol": protocol}
    record |= {"checkpoint": f"{ATTACK}/x.ckpt", "weights": "model", **further}
    (folder / "eval.json").write_bytes(json_bytes(record))
    write_config(config, folder)
    return json.loads((folder / "eval.json").read_text(encoding="utf-8"))


def repeat_pictures(folder: Path, count: int) -> None:
    """Let the pictures of an evaluation come again and again, by other numbers and names, until there are `count`."""
    files = folder / FOLDER
    lines = (files / "records-0.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for index in range(len(records), count):
        origin = records[index % len(lines)]
        records.append({**origin, "index": index, "name": f"p{index:04d}"})
        for suffix in (".js", ".jpg"):
            os.link(
                files / f"{origin['index']:06d}{suffix}", files / f"{index:06d}{suffix}"
            )  # Python 3.9 lacks hardlink_to
    text = "".join(json.dumps(record) + "\n" for record in records)
    (files / "records-0.jsonl").write_text(text, encoding="utf-8")


def write_training(folder: Path, steps: int = 40, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """Write what train.py leaves but for the report; return the lines of its metrics and of its evaluations."""
    rng = np.random.default_rng(seed)
    write_config(make_config(folder, total_step=steps, warmup_step=0), folder)
    metrics = []
    for step in range(1, steps + 1):
        loss = None if step == 5 else 14 * 0.9**step + rng.random()
        heads = {f"loss_{name}": rng.random() for name in ("main", "aux2")}
        record = {"step": step, "loss": loss, **heads, "lr": 0.05 * (1 - step / (steps + 1)) ** 0.9}
        metrics.append({**record, "ms_per_step": 100 + rng.random(), "images_per_s": rng.random(), "loss_scale": 1.0})
    evaluations = [{"step": s, "miou": rng.random(), "pixel_accuracy": rng.random()} for s in range(10, steps + 1, 10)]
    for name, records in (("metrics", metrics), ("evaluations", evaluations)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps({"Python": "3.11", "system": ATTACK}), encoding="utf-8")
    return metrics, evaluations


def iou_by_sets(label: np.ndarray, prediction: np.ndarray, cls: int) -> float | None:
    """Return the IoU of a class in one picture by counting sets of pixels; None where it is in neither."""
    valid = np.flatnonzero(label.ravel() != IGNORED).tolist()
    truth = {i for i in valid if label.flat[i] == cls}
    guess = {i for i in valid if prediction.flat[i] == cls}
    return len(truth & guess) / len(truth | guess) if truth | guess else None
