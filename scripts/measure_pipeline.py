"""Measure how fast the training pipeline delivers images, compared with decoding alone.

This is the section pipeline of scripts/benchmark.py. Without --dataset_dir it makes PNG pairs of 2048x1024 pixels that
are as expensive to decode as those of Cityscapes (about 2.3 MB). Other work on the machine changes images per second,
but hardly CPU time per image.

Usage: python scripts/measure_pipeline.py [--dataset_dir DIR] [--config YAML] [--workers 1 2] [--batch_size 4]
    [--crop_size 1024 1024] [--batches 30]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benchmark import add_pipeline_options
from src.base.cores import usable_cores
from src.utils.config import Parser
from src.utils.entry import run_entry
from tools.benchmark.image_sections import check_pipeline, made_up_images, measure_pipeline
from tools.benchmark.sections import Settings

DEFAULTS = {"workers": [1, 2], "batch_size": 4, "crop_size": [1024, 1024], "batches": 30}


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each number of workers; return 0."""
    parser = Parser("scripts/measure_pipeline.py", description=__doc__)
    add_pipeline_options(parser)
    parser.set_defaults(**DEFAULTS)
    settings = Settings(only=("pipeline",), rounds=1, **vars(parser.parse_args(argv)))
    check_pipeline(settings)
    assert settings.crop_size is not None  # DEFAULTS has one
    with made_up_images(settings) as made_up:
        print(f"{usable_cores()} cores; batch {settings.batch_size}, crop {'x'.join(map(str, settings.crop_size))}")
        print("workers  pipeline images/s  (CPU ms/image)  decoding alone images/s  (CPU ms/image)")
        for row in measure_pipeline(settings, made_up):
            (pipeline,), (decoding,) = row["pipeline"], row["decoding"]
            print(f"{row['workers']:7d}  {pipeline['rate']:17.1f}  {pipeline['cpu_ms']:14.1f}", end="  ")
            print(f"{decoding['rate']:23.1f}  {decoding['cpu_ms']:14.1f}", flush=True)
    return 0


if __name__ == "__main__":
    run_entry(main)
