"""A whole run of the benchmark in miniature, once and not with every MindSpore: it is no part of the product."""

from __future__ import annotations

import json

import pytest

from scripts import benchmark
from src.base.cores import usable_cores
from src.utils import local_adapter
from tests.runner_helpers import RUNTIMES
from tools.benchmark import image_sections, report, runtimes, sections, training_memory

EXPORTED = ("class map, folded", "logits", report.FORMER)  # what each exports, test_benchmark_runtimes.py tells


@pytest.fixture
def little_compiled(monkeypatch) -> None:
    """Let what is timed be compiled, as it is for a user, and each network once.

    What runs a network once more (profile, memory) or at many sizes (evaluation) does so in PyNative mode, and where
    several steps are for the figures' sake alone there is one.
    """
    start = sections.start_mindspore

    def start_mindspore(settings, overrides=(), environment=None, **spec):
        eager = ["ms_mode=1"] if environment or spec["kind"] == "evaluation" else []
        return start(settings, [*eager, *overrides], environment, **spec)

    for module in (sections, image_sections):
        monkeypatch.setattr(module, "start_mindspore", start_mindspore)
    monkeypatch.setattr(training_memory, "start", lambda *words: sections.start(*words, environment={"ONCE_MORE": "1"}))
    monkeypatch.setattr(training_memory, "STEPS", 1)
    monkeypatch.setattr(sections, "PROFILED_STEPS", 1)
    monkeypatch.setattr(sections, "EXPORTED", EXPORTED)
    for name in RUNTIMES:  # MindSpore Lite would be one more to measure
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("little_compiled")
def test_a_whole_run_in_miniature(tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "results.json"
    options = ["--quick", "--rounds", "2", "--profile", "--json", str(path), "--device_target", "CPU"]
    assert benchmark.main(options) == 0
    output = capsys.readouterr().out
    results = json.loads(path.read_text(encoding="utf-8"))
    settings = results["settings"]
    assert settings["quick"] is True
    assert settings["runtimes"] == list(runtimes.available({}))
    assert [row["framework"] for row in results["steps"] if row["framework"] != "MindSpore"] == settings["runtimes"]
    assert results["machine"]["MindSpore"] == ".".join(map(str, local_adapter.mindspore_version()))
    assert [(row["kind"], row["variant"], row["shape"]) for row in results["steps"]] == [
        ("forward", "logits", [1, 3, 64, 128]),
        ("forward", "class map", [1, 3, 64, 128]),
        *(("exported", variant, [1, 3, 64, 128]) for variant in EXPORTED),
        *(("exported", "class map, folded", [1, 3, 64, 128]) for _ in settings["runtimes"]),
        ("train", None, [2, 3, 64, 64]),
    ]
    for row in results["steps"]:
        assert len(row["ms"]) == 2
        assert min(row["ms"]) > 0
        assert row["peak_mb"] > 100
        if row["framework"] == "MindSpore":  # which compiles at the first call
            assert row["first_ms"] > min(row["ms"])
    assert [row["workers"] for row in results["pipeline"]] == sorted({1, usable_cores()})
    assert [row["protocol"]["flip"] for row in results["evaluation"]] == [False, True]
    assert [len(row["alone"]["ms"]) for row in results["evaluation"]] == [1, 2]
    assert [row["parameters"] for row in results["model"]] == [3_358_627, 5_231_487]
    assert [row["kind"] for row in results["profile"]] == ["forward", "train"]
    assert all("dense convolution, forward" in step["kinds"] for row in results["profile"] for step in row["steps"])
    (memory,) = results["memory"]
    before, peak = memory["host"]
    assert 100 < before < peak < 10_000
    assert (memory["shape"], memory["device"], len(memory["ms"])) == ([2, 3, 64, 64], None, 1)
    titles = (
        "QUICK",
        "Reading training",
        "Forward pass",
        "Exported",
        "Training step",
        "Evaluation",
        "Start-up",
        "Peak",
        "Memory of a training step",
        "Model",
    )
    assert all(f"\n{title}" in output for title in titles)
    assert "round 2 of 2" in caplog.text
