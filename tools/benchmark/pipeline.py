"""Measure the speed of the training pipeline and of decoding alone, and write synthetic images to read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from src.base.cores import usable_cores
from src.config import schema
from src.data.cityscapes import CLASSES, list_samples
from src.data.image_files import read_image, read_label
from src.data.label_maps import label_coding
from src.data.prefetch import map_ahead
from src.visual.visualize import write_png

WARM_UP_BATCHES = 6  # batches that may be in queues when timing starts
SIZE = (1024, 2048)


class Speed(NamedTuple):
    """Images per second, and milliseconds of CPU time per image over all threads."""

    rate: float
    cpu_ms: float


def measure_pipeline(config: schema.Config, batches: int) -> Speed:
    """Measure the speed of batches as training gets them.

    Raises:
        DataError: an image or label turned out to be unusable.
    """
    # These import MindSpore, which writing pairs does not need.
    from src.data.dataset_factory import create_train_dataset, data_error_from

    dataset = create_train_dataset(
        config.data,
        num_classes=config.num_classes,
        batch_size=config.batch_size,
        total_step=2 * WARM_UP_BATCHES + batches,
        seed=config.seed,
    )
    try:
        return timed(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True), batches, config.batch_size)
    except RuntimeError as err:
        if data_error := data_error_from(err):
            raise data_error from err
        raise


def measure_decoding(config: schema.Config, batches: int) -> Speed:
    """Measure the speed of only reading image and label files with the same threads."""
    samples = list_samples(config.data.dataset_dir, "train", config.data.name)
    coding, limit = label_coding(config.data, config.num_classes), config.data.max_pixels
    items = range((2 * WARM_UP_BATCHES + batches) * config.batch_size)

    def read(item: int) -> None:
        image_path, label_path = samples[item % len(samples)]
        assert label_path is not None  # no training picture is without
        read_image(image_path, max_pixels=limit), read_label(label_path, coding.decode, limit)

    images = map_ahead(read, items, min(config.data.num_parallel_workers, usable_cores()))
    return timed(zip(*[images] * config.batch_size), batches, config.batch_size)


def timed(source: Iterable, batches: int, batch_size: int) -> Speed:
    """Measure the speed of `batches` batches of `source` after the warm-up, well before its end."""
    iterator = iter(source)
    for _ in range(WARM_UP_BATCHES):
        next(iterator)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    for _ in iterator:  # let the threads finish, so that they do not disturb the next measurement
        pass
    return Speed(batches * batch_size / seconds, cpu / (batches * batch_size) * 1000)


def write_pairs(root: Path, count: int, size: tuple[int, int] = SIZE) -> Path:
    """Write synthetic pairs of `size` (height, width) and their ``train.lst``.

    An image has smooth shapes at every scale and camera noise, so that it is as expensive to decode as those of
    Cityscapes: about 2.3 MB at 2048x1024 pixels.
    """
    rng = np.random.default_rng(0)
    ids = np.array([cls.label_id for cls in CLASSES], np.uint8)
    for index in range(count):
        image = 100 + 50 * sum(smooth_noise(rng, 2**octave, size) / 2**octave for octave in range(1, 8))
        image += rng.normal(0, 1.2, (*size, 1))
        label = smooth_noise(rng, 4, size)[..., 0] * 2 + 9
        write_png(root / f"image_{index}.png", np.clip(image, 0, 255).astype(np.uint8))
        write_png(root / f"label_{index}.png", ids[np.clip(label, 0, 18).astype(np.uint8)])
    return write_list(root, "train", count)


def write_list(root: Path, split: str, count: int) -> Path:
    """Write ``{split}.lst`` with the first `count` synthetic pairs; return `root`."""
    lines = (f"image_{index}.png\tlabel_{index}.png\n" for index in range(count))
    (root / f"{split}.lst").write_text("".join(lines), encoding="utf-8")
    return root


def smooth_noise(rng: np.random.Generator, cells: int, size: tuple[int, int]) -> np.ndarray:
    """Return a random field (*size, 3) with `cells` bumps from top to bottom."""
    coarse = rng.normal(0, 1, (cells + 1, 2 * cells + 1, 3)).astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
