"""The benchmark's section memory: the table, what is left out, and what a worker tells of itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.run_helpers import ROOT
from tests.runner_helpers import torch_python
from tools.benchmark import report, sections, training_memory
from tools.benchmark.worker import ChildError, Worker

SHAPES = ((2, 1024, 1024), (2, 500, 500), (4, 500, 500))  # 2.097152, 0.5 and 1 megapixels
BASE, COMPILED, SLOPE, CARD = 600.0, 500.0, 8000.0, 2000.0  # MB before the first step, then, and a megapixel


class Child:
    """Stands in for a process of the benchmark that takes all its memory from its third step on."""

    target = "CPU"
    deadly = 10.0  # megapixels for which the system kills it

    def __init__(self, settings: sections.Settings, step: sections.Step) -> None:
        images, channels, height, width = step.shape
        assert channels == 3
        self.megapixels, self.steps = images * height * width / 1e6, 0
        self.built = {"device_target": self.target} if step.framework == "MindSpore" else {}

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, command: str, times: int = 0) -> dict:
        if command == "run":
            if self.megapixels >= self.deadly:
                raise ChildError(command, self.code, "")
            self.steps += times
            return {"ms": times * [1.0]}
        grown = self.megapixels if self.steps >= 3 else 0
        return {
            "peak": {"peak_mb": BASE + COMPILED * (self.steps >= 3) + SLOPE * grown},
            "device_peak": {"device_mb": 50.0 + CARD * grown if self.target == "GPU" else None},
        }[command]

    code = -signal.SIGKILL


@pytest.fixture
def child(monkeypatch):
    """The class of the children, to be altered."""
    kind = type("Altered", (Child,), {})
    monkeypatch.setattr(training_memory, "start", kind)
    monkeypatch.setattr(training_memory, "free_memory_mb", lambda: 100_000.0)
    return kind


def measure(torch: str | None = None) -> list[dict]:
    return list(training_memory.measure_memory(sections.Settings(memory_shapes=SHAPES, torch_python=torch)))


def cells(rows: list[dict]) -> list[list[str]]:
    lines = report.training_memory_table(rows).splitlines()[3:]
    split = [line.partition("float32") for line in lines if "float32" in line]
    return [[" ".join(first.split()), *figures.split()] for first, _, figures in split]


@pytest.mark.usefixtures("child")
def test_every_shape_has_its_figures_the_smaller_ones_first():
    rows = measure("python")
    assert [(row["framework"], row["variant"]) for row in rows[::3]] == [
        ("MindSpore", None),
        ("PyTorch", None),
        ("PyTorch", "channels last"),
    ]
    expected = [
        ["2 of 500x500", "5100", "600", "4500", "9000"],
        ["4 of 500x500", "9100", "600", "8500", "8500", "8000"],
        ["2 of 1024x1024", "17877", "600", "17277", "8238", "8000"],
    ]
    names = ("MindSpore", "PyTorch", "PyTorch channels last")
    assert cells(rows) == [[f"{name} {first}", *rest] for name in names for first, *rest in expected]
    assert all(len(row["ms"]) == 3 for row in rows)


def test_what_would_not_fit_is_left_out_and_said_once(child, monkeypatch, caplog):
    """The last shape takes 9100 MB and 8000 MB for each of 1.097152 further megapixels, as the others tell."""
    caplog.set_level("INFO")
    monkeypatch.setattr(training_memory, "free_memory_mb", lambda: 17_877.0)
    rows = measure()
    assert [bool(row.get("skipped")) for row in rows] == [False, False, True]
    reason = "it would take about 17877 MB, 17877 MB are free"
    assert report.training_memory_table(rows).splitlines()[-1] == (f"not measured: MindSpore, 2 of 1024x1024: {reason}")
    name = "skipping the memory of MindSpore train 2x3x1024x1024"
    assert [line for line in caplog.messages if line.startswith("skipping")] == [f"{name}: {reason}"]
    monkeypatch.setattr(training_memory, "free_memory_mb", lambda: 17_878.0)
    assert not any(row.get("skipped") for row in measure())
    monkeypatch.setattr(training_memory, "free_memory_mb", lambda: 9_599.0)
    assert measure()[1]["skipped"] == "it would take about 9600 MB, 9599 MB are free"  # by the first alone: 2 x 4500
    for unknown in ({"target": "GPU"}, {}):  # what a card has is not known here, and not every system tells what it has
        monkeypatch.setattr(training_memory, "free_memory_mb", lambda unknown=unknown: 1.0 if unknown else None)
        monkeypatch.setattr(child, "target", unknown.get("target", "CPU"))
        assert not any(row.get("skipped") for row in measure())


def test_a_process_that_the_system_kills_is_a_row_and_larger_shapes_are_not_tried(child, monkeypatch):
    monkeypatch.setattr(child, "deadly", 0.9)
    reasons = [row.get("skipped") for row in measure()]
    killed = "the system killed the process of 4 of 500x500, probably for lack of memory"
    assert reasons == [None, killed, killed]
    monkeypatch.setattr(child, "code", 1)
    with pytest.raises(ChildError, match="'run' failed in a child process, exit code 1"):
        measure()


def test_a_card_tells_its_own_memory_or_that_is_said(child, monkeypatch):
    monkeypatch.setattr(child, "target", "GPU")
    found, lines = cells(measure()), report.training_memory_table(measure()).splitlines()
    assert found[1] == ["MindSpore, of the device 2 of 500x500", "1050", "50", "1000", "2000"]
    assert found[3] == ["MindSpore, of the device 4 of 500x500", "2050", "50", "2000", "2000", "2000"]
    assert not any("does not report" in line for line in lines)
    monkeypatch.setattr(child, "target", "Ascend")  # of a version that does not report it
    lines = report.training_memory_table(measure()).splitlines()
    assert lines[-1] == "MindSpore, 2 of 1024x1024: this version does not report the device's memory"
    assert not any("of the device" in line for line in lines)


def test_the_code_of_a_child_that_was_killed_is_known():
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from tools.benchmark.worker import serve
serve(lambda: ({{}}, {{"run": lambda: os.kill(os.getpid(), signal.SIGKILL)}}))
"""
    with Worker([sys.executable, "-c", code], {}) as worker, pytest.raises(ChildError) as caught:
        worker.ask("run")
    assert caught.value.code == -signal.SIGKILL


LAYOUTS = """
import json
from tools.benchmark import torch_work
from torch_network import BiSeNetV2

class Watched(BiSeNetV2):
    def forward(self, image):
        tensors = (image, self.detail.S1[0].conv.weight)
        lasting.append([tensor.is_contiguous(memory_format=torch_work.torch.channels_last) for tensor in tensors])
        return super().forward(image)

torch_work.BiSeNetV2, torch_work.step_commands = Watched, lambda step: {"step": step}
lasting, losses = [], []
training = {"class_weights": [1.0] * 19, "loss_weight": [1.0] * 5, "sgd": {"lr": 0.1}}
for variant in (None, "channels last"):
    spec = {"kind": "train", "threads": 1, "network": {"inner_upsample": "bilinear", "bn_epsilon": 1e-3}}
    losses.append(torch_work.build(**spec, shape=[2, 3, 64, 64], training=training, variant=variant)[1]["step"]())
print(json.dumps([lasting, losses]))
"""


def test_pytorch_trains_in_either_layout():
    """The first loss of the same weights and images is the same, whichever way they lie in memory."""
    done = subprocess.run([torch_python(), "-c", LAYOUTS], cwd=ROOT, capture_output=True, text=True, check=True)
    lasting, losses = json.loads(done.stdout)
    assert lasting == [[False, False], [True, True]]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > 5
