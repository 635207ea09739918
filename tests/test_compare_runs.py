"""tests/compare_runs.py and the arguments of tests/aarch64.sh: what does not agree is named, and nothing is deleted."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compare_runs import main
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
EXPORTED = {"mindspore": "2.8.0", "input": "uint8", "output": "logits", "image_size": [64, 96], "num_classes": 2}


def write_run(folder: Path) -> Path:
    for name in ("train", "eval", "export", "data"):
        (folder / name).mkdir(parents=True)
    steps = [{"step": step, "loss": 5.25 / step, "loss_main": 1.0, "lr": 0.02, "ms_per_step": 7.0} for step in (1, 2)]
    (folder / "train" / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in steps))
    (folder / "eval" / "eval.json").write_text(json.dumps({"miou": 0.5, "iou": [0.5, None], "images": 8}))
    description = {**EXPORTED, "check": {"largest_difference": 1e-6}}
    (folder / "export" / "BiSeNetV2.json").write_text(json.dumps(description))
    (folder / "data" / "a.png").write_bytes(b"picture")
    return folder


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    return write_run(tmp_path / "one"), write_run(tmp_path / "other")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("train/metrics.jsonl", "5.25", "5.2502", "step 1 loss"),
        ("train/metrics.jsonl", "2.625", "NaN", "step 2 loss"),
        ("train/metrics.jsonl", '"loss_main": 1.0, ', "", "step 1 loss_main"),
        ("eval/eval.json", '"miou": 0.5', '"miou": 0.4998', "mIoU"),
        ("eval/eval.json", "null", "0.1", "IoU of class 1"),
        ("eval/eval.json", '"images": 8', '"images": 7', "pictures scored"),
        ("export/BiSeNetV2.json", "2.8.0", "2.7.0", "exported mindspore"),
        ("export/BiSeNetV2.json", "1e-06", "0.01", "exported logits off by"),
        ("data/a.png", "picture", "painting", "1 files of the data set"),
    ],
)
def test_what_does_not_agree_is_named(runs, capsys, file, old, new, named):
    change(runs[1] / file, old, new)
    assert main(*runs) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"apart by 0.0001 at most: all but {named}"
    assert [line.split("  ")[0] for line in lines if line.endswith("DIFFERS")] == [named]


def test_the_last_digit_and_times_may_differ(runs, capsys):
    change(runs[1] / "train/metrics.jsonl", "5.25", "5.25009")
    change(runs[1] / "train/metrics.jsonl", "7.0", "700.0")
    assert main(*runs) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "apart by 0.0001 at most: all"


def test_runs_that_broke_off_do_not_agree(runs):
    for run in runs:
        lines = (run / "train/metrics.jsonl").read_text().splitlines(keepends=True)
        (run / "train/metrics.jsonl").write_text(lines[0])
    with pytest.raises(ValueError, match="not 2 steps"):
        main(*runs)


def run_script(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run aarch64.sh with stand-ins that end at once for what it would call."""
    programs = tmp_path / "bin"
    if not programs.exists():
        programs.mkdir()
        for name in ("bash", "dirname", "sed", "ls"):
            (programs / name).symlink_to(shutil.which(name))
        for name, text in {"uname": "[ $1 = -s ] && echo Linux || echo x86_64", "debootstrap": "exit 3"}.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
    words = [programs / "bash", ROOT / "tests" / "aarch64.sh", *map(str, arguments)]
    return subprocess.run(words, env={"PATH": str(programs)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["one", "two"], ["-x"]])
def test_wrong_arguments_get_the_usage(tmp_path, arguments):
    done = run_script(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (2, "error: Usage: bash tests/aarch64.sh [FOLDER]\n")


def test_what_is_missing_is_one_line(tmp_path):
    done = run_script(tmp_path)
    packages = "debootstrap qemu-user-static g++-aarch64-linux-gnu"
    assert (done.returncode, done.stderr) == (2, f"error: no qemu-aarch64-static: apt-get install {packages}\n")


def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("keep")
    done = run_script(tmp_path, tmp_path / "mine")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tmp_path / 'mine'}: neither new, nor empty, nor of this script\n",
    )
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]
