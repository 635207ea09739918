"""A whole run of the benchmark in miniature, once and not with every MindSpore: it is no part of the product."""

from __future__ import annotations

import json

import pytest

from src.base.cores import usable_cores
from src.utils import local_adapter
from tests.run_helpers import run_script
from tests.runner_helpers import build_environment
from tools.benchmark import report, runtimes


@pytest.mark.slow
def test_a_whole_run_in_miniature(tmp_path):
    path = tmp_path / "results.json"
    options = ["--quick", "--rounds", "2", "--profile", "--json", path, "--device_target", "CPU"]
    done = run_script("scripts/benchmark.py", *options, env=build_environment())  # without MindSpore Lite
    results = json.loads(path.read_text(encoding="utf-8"))
    settings = results["settings"]
    assert settings["quick"] is True
    assert settings["runtimes"] == list(runtimes.available({}))
    assert [row["framework"] for row in results["steps"] if row["framework"] != "MindSpore"] == settings["runtimes"]
    assert results["machine"]["MindSpore"] == ".".join(map(str, local_adapter.mindspore_version()))
    assert [(row["kind"], row["variant"], row["shape"]) for row in results["steps"]] == [
        ("forward", "logits", [1, 3, 64, 128]),
        ("forward", "class map", [1, 3, 64, 128]),
        ("exported", "class map, folded", [1, 3, 64, 128]),
        ("exported", "class map", [1, 3, 64, 128]),
        ("exported", "logits, folded", [1, 3, 64, 128]),
        ("exported", "logits", [1, 3, 64, 128]),
        ("exported", report.FORMER, [1, 3, 64, 128]),
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
    titles = (
        "QUICK",
        "Reading training",
        "Forward pass",
        "Exported",
        "Training step",
        "Evaluation",
        "Start-up",
        "Peak",
        "Model",
    )
    assert all(f"\n{title}" in done.stdout for title in titles)
    assert "round 2 of 2" in done.stderr
