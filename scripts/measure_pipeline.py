"""Measure how fast the training pipeline delivers images, beside decoding alone in the same run.

Without --dataset_dir it makes up PNG pairs of 2048x1024 pixels, as hard to decode as Cityscapes' (about 2.3 MB).
Other work on the machine changes images a second but hardly CPU time an image.

Usage: python scripts/measure_pipeline.py [--dataset_dir DIR] [--config YAML] [--workers 1 2] [--batches 30]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base.cores import usable_cores
from src.config import schema
from src.config.schema_base import TRAIN
from src.utils.config import load_config
from tools.benchmark.pipeline import measure_decoding, measure_pipeline, write_pairs


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
    return load_config([*options, "--batch_size", str(args.batch_size), *overrides], TRAIN)


if __name__ == "__main__":
    main()
