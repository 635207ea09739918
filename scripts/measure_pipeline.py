"""Measure how fast the training pipeline delivers images, beside decoding alone in the same run.

Without --dataset_dir it makes up PNG pairs of 2048x1024 pixels, as hard to decode as Cityscapes' (about 2.3 MB).
Other work on the machine changes images a second but hardly CPU time an image.

Usage: python scripts/measure_pipeline.py [--dataset_dir DIR] [--config YAML] [--workers 1 2] [--batches 30]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from src.data.cityscapes import CLASSES, list_samples
from src.data.dataset_factory import create_train_dataset
from src.data.image_files import read_image, read_label
from src.data.prefetch import map_ahead
from src.utils import schema
from src.utils.config import load_config
from src.utils.local_adapter import usable_cores

WARM_UP_BATCHES = 6  # what may lie ready in queues when the clock starts
SIZE = (1024, 2048)


class Speed(NamedTuple):
    """Images a second, and milliseconds of CPU time an image over all threads."""

    rate: float
    cpu_ms: float


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each number of workers."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        dataset_dir = args.dataset_dir or write_pairs(Path(folder), count=12)
        print(f"{usable_cores()} cores; batch {args.batch_size}, crop {args.crop_size[0]}x{args.crop_size[1]}")
        print("workers  pipeline images/s  (CPU ms/image)  decoding alone images/s  (CPU ms/image)")
        for workers in args.workers:
            config = make_config(args, dataset_dir, workers)
            pipeline, decoding = measure_pipeline(config, args.batches), measure_decoding(config, args.batches)
            print(f"{workers:7d}  {pipeline.rate:17.1f}  {pipeline.cpu_ms:14.1f}", end="  ")
            print(f"{decoding.rate:23.1f}  {decoding.cpu_ms:14.1f}", flush=True)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=None, help="configuration whose training transforms to run")
    parser.add_argument("--dataset_dir", default=None, help="data set to read; default: made-up PNG pairs")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of reading threads to measure")
    parser.add_argument("--batch_size", type=int, default=4, help="images a batch")
    parser.add_argument("--crop_size", type=int, nargs=2, default=[1024, 1024], help="height and width of the crop")
    parser.add_argument("--batches", type=int, default=30, help="batches to measure")
    return parser.parse_args(argv)


def make_config(args: argparse.Namespace, dataset_dir: str | Path, workers: int) -> schema.Config:
    """Load the configuration with the tool's own values in place."""
    crop = ",".join(map(str, args.crop_size))
    overrides = [
        f"data.dataset_dir={dataset_dir}",
        f"data.num_parallel_workers={workers}",
        f"data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[{crop}]",
    ]
    options = ["--config", args.config] if args.config else []
    return load_config([*options, "--batch_size", str(args.batch_size), *overrides], schema.TRAIN)


def measure_pipeline(config: schema.Config, batches: int) -> Speed:
    """Time the batches as training gets them."""
    dataset = create_train_dataset(
        config.data,
        num_classes=config.num_classes,
        batch_size=config.batch_size,
        total_step=2 * WARM_UP_BATCHES + batches,
        seed=config.seed,
    )
    return timed(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True), batches, config.batch_size)


def measure_decoding(config: schema.Config, batches: int) -> Speed:
    """Time reading image and label files with the same threads and doing nothing with them."""
    samples = list_samples(config.data.dataset_dir, "train", config.data.name)
    items = range((2 * WARM_UP_BATCHES + batches) * config.batch_size)

    def read(item: int) -> None:
        image_path, label_path = samples[item % len(samples)]
        read_image(image_path), read_label(label_path)

    images = map_ahead(read, items, min(config.data.num_parallel_workers, usable_cores()))
    return timed(zip(*[images] * config.batch_size), batches, config.batch_size)


def timed(source: Iterable, batches: int, batch_size: int) -> Speed:
    """Time `batches` batches of `source` after the warm-up, before its end comes in sight."""
    iterator = iter(source)
    for _ in range(WARM_UP_BATCHES):
        next(iterator)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    for _ in iterator:  # let the threads finish, so that they do not run into the next measurement
        pass
    return Speed(batches * batch_size / seconds, cpu / (batches * batch_size) * 1000)


def write_pairs(root: Path, count: int) -> Path:
    """Write made-up pairs and their ``train.lst``: smooth shapes at every scale, and the noise of a camera."""
    rng = np.random.default_rng(0)
    lines = []
    for index in range(count):
        image = 100 + 50 * sum(smooth_noise(rng, 2**octave) / 2**octave for octave in range(1, 8))
        image += rng.normal(0, 1.2, (*SIZE, 1))
        label = smooth_noise(rng, 4)[..., 0] * 2 + 9
        ids = np.array([cls.label_id for cls in CLASSES], np.uint8)
        write_png(root / f"image_{index}.png", np.clip(image, 0, 255).astype(np.uint8))
        write_png(root / f"label_{index}.png", ids[np.clip(label, 0, 18).astype(np.uint8)])
        lines.append(f"image_{index}.png\tlabel_{index}.png\n")
    (root / "train.lst").write_text("".join(lines), encoding="utf-8")
    return root


def smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Draw a random (H, W, 3) field with `cells` bumps from top to bottom."""
    coarse = rng.normal(0, 1, (cells + 1, 2 * cells + 1, 3)).astype(np.float32)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def write_png(path: Path, array: np.ndarray) -> None:
    """Write a PNG with OpenCV's usual compression."""
    path.write_bytes(cv2.imencode(".png", array)[1].tobytes())


if __name__ == "__main__":
    main()
