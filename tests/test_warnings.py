"""Nothing that Python or MindSpore deprecates is used, whatever the version."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import ROOT, tiny_options

pytestmark = pytest.mark.slow
OWN = re.compile(r"getName\(\) is deprecated")  # MindSpore's, in what it does when the process ends


def strictly(script: str, *arguments: object) -> list[str]:
    """Run an entry script in which every warning of Python's is an error; return the lines that tell of deprecation."""
    words = [sys.executable, "-W", "error", str(ROOT / script), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if "deprecat" in line.lower() and not OWN.search(line)]


def test_train_and_eval_use_nothing_deprecated(tmp_path):
    dataset = write_cityscapes(tmp_path / "data", {"train": 4, "val": 2})
    options = ["--total_step", 10, "--log_interval", 5, "--run_eval", "True", "--save_dir", tmp_path / "run"]
    assert strictly("train.py", *options, *tiny_options(dataset)) == []
    path = tmp_path / "run" / "checkpoints" / "BiSeNetV2_10_rank0.ckpt"
    options = ["--checkpoint_path", path, "--save_dir", tmp_path / "eval", "--save_images", "True"]
    assert strictly("eval.py", *options, *tiny_options(dataset)) == []
