"""A PyTorch file with several weights: which there are is said, and one is chosen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from scripts import convert_torch_checkpoint
from src.convert import converting
from src.convert.torch_files import choose
from src.state import checkpoint
from tests import runner_helpers
from tests.golden.seeded import seeded_parameter
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
TWO = ["state_dict", "state_dict_ema"]
MAKE = """
import json, sys, torch
sys.path[:0] = [sys.argv[1] + "/tests", sys.argv[1]]
from torch_work import fill, network
from pathlib import Path
from src.convert.torch_files import find_weights, read
model, ema = ({n: v.clone() for n, v in fill(network("bisenet", 3), seed).state_dict().items()} for seed in (5, 6))
wrapped = {**{"module." + n: v for n, v in ema.items()}, "n_averaged": torch.tensor(3)}
plain = {"w": torch.zeros(2)}
files = {
    "two": {"state_dict": model, "state_dict_ema": ema, "optimizer": {"state": {0: plain}}, "scaler": plain},
    "nested": {"model": model, "ema": {"module": ema, "updates": 3}},
    "one": {"epoch": 3, "state_dict": model},
    "averaged": wrapped,
    "unknown": {"net": plain, "other": plain},
    "nothing": {"epoch": 3},
}
torch.save(files["two"], sys.argv[2])
try:
    read(Path(sys.argv[2]), Path(sys.argv[3]))
except SystemExit as err:
    print(err)
read(Path(sys.argv[2]), Path(sys.argv[3]), "ema")
print(json.dumps({name: {k: len(v) for k, v in find_weights(content).items()} for name, content in files.items()}))
"""


@pytest.mark.parametrize(
    ("names", "wanted", "swapped", "chosen"),
    [
        (["state_dict"], None, False, "state_dict"),
        (["state_dict_ema"], None, False, "state_dict_ema"),
        (TWO, "model", False, "state_dict"),
        (TWO, "ema", False, "state_dict_ema"),
        (["model", "teacher"], "ema", False, "teacher"),
        (["a", "b"], "b", False, "b"),
        (["state_dict", "ema_state_dict"], "ema", True, "state_dict"),  # as MMEngine saves
        (["state_dict", "ema_state_dict"], "model", True, "ema_state_dict"),
        ([""], "model", False, ""),
    ],
)
def test_one_is_chosen(names, wanted, swapped, chosen):
    assert choose(names, wanted, swapped=swapped) == chosen


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (
            TWO,
            None,
            "holds several weights: state_dict (not averaged), state_dict_ema (averaged); choose with --weights",
        ),
        (["a", "b"], "model", "holds several weights: a (not averaged), b (not averaged); choose with --weights"),
        (["state_dict"], "ema", "--weights ema: there are only state_dict (not averaged)"),
        (TWO, "best", "--weights best: there are only state_dict (not averaged), state_dict_ema (averaged)"),
    ],
)
def test_else_what_there_is_is_named(names, wanted, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        choose(names, wanted)


@pytest.mark.slow
def test_conversion_asks_and_takes_the_chosen_ones(tmp_path, monkeypatch):
    python = runner_helpers.torch_python()
    two, output = tmp_path / "two.pth", tmp_path / "a.ckpt"
    command = [python, "-c", MAKE, ROOT, two, tmp_path / "ema.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    refusal, found = done.stdout.splitlines()
    assert refusal.startswith(f"{two}: holds several weights: state_dict (not averaged), state_dict_ema (averaged); ")
    tensors = 321 + 62  # weights and statistics, and PyTorch's counts of batches
    assert json.loads(found) == {
        "two": {"state_dict": tensors, "state_dict_ema": tensors},
        "nested": {"model": tensors, "ema": tensors},
        "one": {"state_dict": tensors},
        "averaged": {"": tensors},
        "unknown": {"net": 1},
        "nothing": {},
    }
    asked = []

    def run_torch(python: str, *words: object) -> None:  # one start of PyTorch is enough
        asked.append((words[0], words[3]))
        shutil.copy(tmp_path / "ema.npz", words[2])

    monkeypatch.setattr(converting, "_run_torch", run_torch)
    words = ["--torch_file", two, "--output", output, "--torch_python", python, "--weights", "ema"]
    assert convert_torch_checkpoint.main(list(map(str, words))) == 0
    name = "head.conv.conv.weight"
    value = checkpoint.read_checkpoint(output)[name]
    np.testing.assert_array_equal(value, seeded_parameter(name, value.shape, 6))
    assert asked == [("read", "ema")]
