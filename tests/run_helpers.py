"""Run the entry scripts as a user would, on tiny data and a tiny crop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS_OF_RANKS = 12
# Of the jobs of two ranks, whose graphs are compiled once, see `two_rank_graphs` in conftest.py.
SETTINGS_OF_RANKS = ["--total_step", STEPS_OF_RANKS, "--log_interval", 1, "--checkpoint_interval", 4]


def tiny_options(dataset_dir: Path) -> list[str]:
    """Return overrides that make a run small: 64x64 crops, batches of 2, evaluation at 64x96."""
    transforms = "data.train_transforms.item_transforms"
    return [
        "device_target=CPU",
        "batch_size=2",
        "warmup_step=2",
        f"data.dataset_dir={dataset_dir}",
        f"{transforms}.RandomResizeCrop.crop_size=[64,64]",
        f"{transforms}.RandomResizeCrop.base_size=96",
        "data.eval_transforms.item_transforms.Resize.target_size=[64,96]",
        "data.eval_transforms.img_ratios=[0.75,1.0]",
    ]


def command(script: str, *arguments: object) -> list[str]:
    """Return the command line of an entry script."""
    return [sys.executable, str(ROOT / script), *map(str, arguments)]


def keep_graphs(folder: Path) -> dict[str, str]:
    """Return the variables that let MindSpore keep its compiled graphs in `folder`, and take them from there.

    Only for runs with equal options: a graph is found by its number within the process, whatever it was made for.
    """
    return {"MS_COMPILER_CACHE_ENABLE": "1", "MS_COMPILER_CACHE_PATH": str(folder)}


def run_script(
    script: str, *arguments: object, check: bool = True, strict: bool = False, **options
) -> subprocess.CompletedProcess:
    """Run an entry script to its end and return what it printed; a failure shows its last lines.

    If it is run `strict`, every warning of Python's is an error.
    """
    python, *words = command(script, *arguments)
    words = [python, *(["-W", "error"] if strict else []), *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done


def read_metrics(save_dir: Path) -> dict[int, dict]:
    """Return the records of metrics.jsonl by step."""
    lines = (save_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["step"]: record for record in map(json.loads, lines)}
