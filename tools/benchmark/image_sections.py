"""The sections of the benchmark that read images: reading training batches, and evaluation."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.base.cores import usable_cores
from src.config.schema_base import TRAIN
from src.utils.config import load_config
from tools.benchmark.pipeline import write_list, write_pairs
from tools.benchmark.sections import Settings, start_mindspore

logger = logging.getLogger(__name__)

PAIRS = 12  # made-up images to read


@contextlib.contextmanager
def made_up_images(settings: Settings) -> Iterator[Path]:
    """Provide a folder of made-up pairs as a data set; split 'single' and 'multi' hold what is evaluated."""
    with tempfile.TemporaryDirectory() as folder:
        height, width = settings.eval_size
        logger.info("writing %d image pairs of %dx%d", PAIRS, height, width)
        root = write_pairs(Path(folder), PAIRS, settings.eval_size)
        for split, count in (("single", settings.eval_images), ("multi", settings.multi_scale_images)):
            write_list(root, split, min(PAIRS, count + 1))  # the first one includes compilation and is left out
        yield root


def data_overrides(settings: Settings, root: Path) -> list[str]:
    """Return the overrides of the configuration for made-up pairs in `root`."""
    crop, target = (",".join(map(str, size)) for size in (settings.crop_size, settings.eval_size))
    scales = [f"data.eval_transforms.img_ratios={list(settings.scales)}"] if settings.scales else []
    return [
        *scales,
        f"data.dataset_dir={root}",
        f"data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[{crop}]",
        f"data.train_transforms.item_transforms.RandomResizeCrop.base_size={settings.eval_size[1]}",
        f"data.eval_transforms.item_transforms.Resize.target_size=[{target}]",
    ]


def measure_pipeline(settings: Settings, root: Path) -> list[dict]:
    """Measure reading training batches with one thread and with one for each usable core."""
    rows = []
    for workers in sorted({1, usable_cores()}):
        overrides = [*data_overrides(settings, root), f"data.num_parallel_workers={workers}"]
        with start_mindspore(settings, overrides, kind="pipeline") as worker:
            row: dict[str, Any] = {"workers": workers, "pipeline": [], "decoding": []}
            for number in range(settings.rounds):
                logger.info("data pipeline, %d workers: round %d of %d", workers, number + 1, settings.rounds)
                for name in ("pipeline", "decoding"):
                    row[name].append(worker.ask(name, batches=settings.batches))
            rows.append({**row, "batch_size": load_config([], TRAIN).batch_size, "crop_size": settings.crop_size,
                         "image_size": settings.eval_size, **worker.ask("peak")})  # fmt: skip
    return rows


def measure_evaluation(settings: Settings, root: Path) -> list[dict]:
    """Measure evaluation, reading included, and the same passes of the network alone."""
    rows = []
    for split, multi_scale in (("single", False), ("multi", True)):
        spec = {"kind": "evaluation", "split": split, "multi_scale": multi_scale}
        with start_mindspore(settings, data_overrides(settings, root), **spec) as worker:
            logger.info("evaluation, %s", "several scales and flip" if multi_scale else "single scale")
            row = {**worker.ask("run"), **worker.ask("peak"), "precision": settings.precision}
            logger.info("the network alone, at each scale")
            rows.append({**row, "alone": worker.ask("alone", times=2 if multi_scale else 3)})
    return rows
