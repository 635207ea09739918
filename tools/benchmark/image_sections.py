"""The sections of the benchmark that read images: training batches, and evaluation."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.config.schema_base import TRAIN
from src.data.cityscapes import list_samples
from src.utils.config import parse_config
from tools.benchmark.pipeline import write_list, write_pairs
from tools.benchmark.sections import Settings, start_mindspore

logger = logging.getLogger(__name__)

PAIRS = 12  # synthetic images to read


def check_pipeline(settings: Settings) -> None:
    """Load the configuration and list the data set of the pipeline early, so that errors appear at the start.

    Raises:
        UserError: one of them cannot be used.
    """
    if "pipeline" not in settings.only:
        return
    config = parse_config(pipeline_options(settings), TRAIN)
    if settings.dataset_dir:
        list_samples(config.data.dataset_dir, "train", config.data.name)


@contextlib.contextmanager
def made_up_images(settings: Settings) -> Iterator[Path | None]:
    """Provide a folder of synthetic pairs as a data set; splits 'single' and 'multi' are for evaluation.

    None if only a data set of the user is read.
    """
    if settings.dataset_dir and "evaluation" not in settings.only:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        height, width = settings.eval_size
        logger.info("writing %d image pairs of %dx%d", PAIRS, height, width)
        root = write_pairs(Path(folder), PAIRS, settings.eval_size)
        for split, count in (("single", settings.eval_images), ("multi", settings.multi_scale_images)):
            write_list(root, split, min(PAIRS, count + 1))  # the first one includes compilation and is not counted
        yield root


def pipeline_options(settings: Settings, made_up: Path | None = None) -> list[str]:
    """Return the command line of train.py for the pipeline, which reads `made_up` if no other data set is configured.

    Without a configuration of the user, scale 1 is the width of the synthetic images.
    """
    transform = "data.train_transforms.item_transforms.RandomResizeCrop"
    folder = settings.dataset_dir or made_up
    values = {"--config": settings.config, "--dataset_dir": folder, "--batch_size": settings.batch_size}
    options = [word for name, value in values.items() if value for word in (name, str(value))]
    if settings.crop_size:
        options.append(f"{transform}.crop_size=[{','.join(map(str, settings.crop_size))}]")
    if not (settings.config or settings.dataset_dir):
        options.append(f"{transform}.base_size={settings.eval_size[1]}")
    return [*options, "--device_target", "CPU"]  # reading does not need another device, which may be busy


def measure_pipeline(settings: Settings, made_up: Path | None) -> Iterator[dict]:
    """Measure reading training batches with each number of threads in turn; yield each row when it is complete."""
    for workers in settings.workers:
        options = [*pipeline_options(settings, made_up), f"data.num_parallel_workers={workers}"]
        config = parse_config(options, TRAIN)
        with start_mindspore(settings, options, kind="pipeline") as worker:
            row: dict[str, Any] = {"workers": workers, "pipeline": [], "decoding": []}
            for number in range(settings.rounds):
                logger.info("data pipeline, %d workers: round %d of %d", workers, number + 1, settings.rounds)
                for name in ("pipeline", "decoding"):
                    row[name].append(worker.ask(name, batches=settings.batches))
            yield {
                **row,
                "batch_size": config.batch_size,
                "crop_size": config.data.train_transforms.crop_size,
                "image_size": None if settings.dataset_dir else settings.eval_size,
                **worker.ask("peak"),
            }


def evaluation_options(settings: Settings, root: Path) -> list[str]:
    """Return the overrides of the configuration for evaluating the synthetic pairs in `root`."""
    scales = [f"data.eval_transforms.img_ratios={list(settings.scales)}"] if settings.scales else []
    target = ",".join(map(str, settings.eval_size))
    resize = f"data.eval_transforms.item_transforms.Resize.target_size=[{target}]"
    return [*scales, f"data.dataset_dir={root}", resize]


def measure_evaluation(settings: Settings, root: Path) -> list[dict]:
    """Measure evaluation including reading, and the same passes of the network alone."""
    rows = []
    for split, multi_scale in (("single", False), ("multi", True)):
        spec: dict[str, Any] = {"kind": "evaluation", "split": split, "multi_scale": multi_scale}
        with start_mindspore(settings, evaluation_options(settings, root), **spec) as worker:
            logger.info("evaluation, %s", "several scales and flip" if multi_scale else "single scale")
            row = {**worker.ask("run"), **worker.ask("peak"), "precision": settings.precision}
            logger.info("the network alone, at each scale")
            rows.append({**row, "alone": worker.ask("alone", times=2 if multi_scale else 3)})
    return rows
