"""Commands that write to one place at the same time: one does, the others are refused before they write anything."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import time
from pathlib import Path

import pytest

from src.base.claim_files import InUseError, Owner
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import command, read_metrics, run_script, tiny_options

pytestmark = pytest.mark.once

LEFT = ".BiSeNetV2_1_rank0.77-0123456789abcdef.partial.ckpt"  # by a run that was killed


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Wait until there is a file, as long as the process lives."""
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


def test_two_trainings_in_one_folder(tmp_path):
    dataset, run, mine = write_cityscapes(tmp_path / "data"), tmp_path / "run", tmp_path / "mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / LEFT).write_bytes(b"half")
    mine.write_bytes(b"mine")
    for name in (".BiSeNetV2_1_rank0.partial.ckpt", ".BiSeNetV2_1_rank0.partial.tmp"):  # as they were called before
        (run / "checkpoints" / name).symlink_to(mine)
    options = ["--save_dir", run, "--ms_mode", 1, "--total_step", 1, "--run_eval", False, *tiny_options(dataset)]
    words = command("train.py", "--seed", 1, *options)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        wait_for(run / ".claim", first)
        second = run_script("train.py", "--seed", 2, *options, check=False)
        output, errors = first.communicate()
    assert (second.returncode, first.returncode) == (2, 0), output + errors
    assert second.stderr.startswith(f"error: {run} is in use by another training (host ")
    assert f", process {first.pid}, since " in second.stderr
    assert second.stderr.endswith("); take another --save_dir\n")
    assert list(read_metrics(run)) == [1]
    assert len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    written = {"checkpoints", "config.yml", "curves.png", "environment.json", "logs", "metrics.jsonl"}
    assert {path.name for path in run.iterdir()} == written | {"report.html", "report_files"}
    left = {path.name for path in (run / "checkpoints").iterdir() if not path.is_symlink()}
    assert left == {"BiSeNetV2_1_rank0.ckpt"}
    assert mine.read_bytes() == b"mine"


COMMANDS = {
    "eval": (["--checkpoint_path", "x.ckpt", "--save_dir", "out"], "out/.claim"),
    "eval ": (["--checkpoint_path", "x.ckpt", "--save_dir", "new", "--save_predictions", "out"], "out/.claim"),
    "export": (["--checkpoint_file", "x.ckpt", "--file_name", "out"], ".out.mindir.claim"),
    "preprocess": (["--data_path", "data", "--output_path", "out"], "out/.claim"),
    "scripts.predict": (["--checkpoint_path", "x.ckpt", "--input", "x.png", "--output", "out"], "out/.claim"),
    "scripts.infer_model": (["--model_path", "x.onnx", "--dataset_path", "x", "--result_path", "out"], "out/.claim"),
    "scripts.quantize_onnx": (["--model", "x.onnx", "--output", "y.onnx"], ".y.onnx.claim"),
    "scripts.convert_torch_checkpoint": (["--torch_file", "x.pth", "--output", "y.ckpt"], ".y.ckpt.claim"),
    "scripts.check_dataset": (["--json", "y.json"], ".y.json.claim"),
    "scripts.launch_ranks": (["2", "1", "out", "--device_target", "CPU"], "out/logs/.launcher_0.claim"),
    "scripts.make_tiny_dataset": (["--output", "out"], "out/.claim"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_in_use_is_refused(tmp_path, monkeypatch, name):
    """By a process of another machine that gave a sign of life a moment ago."""
    write_cityscapes(tmp_path / "data", {"train": 1, "val": 1})
    arguments, place = COMMANDS[name]
    owner = dataclasses.replace(Owner.this_process("run", "--x"), host="far", machine="another", pid=77)
    for path, text in (
        (place, json.dumps(dataclasses.asdict(owner))),
        ("x.ckpt", "\x01"),
        ("x.png", ""),
        ("x.onnx", "\x01"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InUseError, match=r"is in use by another run \(host far, process 77, .*; take another \S+$"):
        importlib.import_module(name.strip()).main(arguments)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "new").exists()
