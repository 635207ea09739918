"""The demo script, with a training that is too short to learn anything."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.browser_helpers import Opened, running_browser
from tests.run_helpers import ROOT, read_metrics
from tests.runner_helpers import CACHE

SCRIPT = ROOT / "scripts" / "run_demo.sh"


def run_demo(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize("arguments", [["--out"], ["--out", ""], ["--verbose"], ["demo"]])
def test_wrong_arguments_get_the_usage(arguments, tmp_path):
    done = run_demo(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["Usage: bash scripts/run_demo.sh [--out DIR] [key=value ...]"]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def out(tmp_path) -> Iterator[Path]:
    """The demo's folder; another run gets the pictures that the same code has rendered before."""
    folder, code = tmp_path / "out dir", hashlib.sha256()
    for path in sorted((ROOT / "tools" / "streets").glob("*.py")):
        code.update(path.read_bytes())
    kept = CACHE.parent / f"demo-{code.hexdigest()[:16]}"
    if kept.is_dir():
        shutil.copytree(kept, folder / "data")
    yield folder
    if not kept.is_dir() and len(list((folder / "data").rglob("*_leftImg8bit.png"))) == 160 + 24:
        partial = kept.with_suffix(".partial")
        shutil.copytree(folder / "data", partial, dirs_exist_ok=True)
        partial.rename(kept)


@pytest.mark.slow
def test_the_whole_demo(out, tmp_path):
    options = ["total_step=2", "warmup_step=0", "log_interval=1", "checkpoint_interval=2"]
    done = run_demo("--out", "out dir", *options, "data.eval_transforms.img_ratios=[1.0]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out dir"]
    data, run = sorted(path for path in (tmp_path / "out dir").iterdir())[::-1]
    assert data.name == "data"
    assert list(read_metrics(run / "train")) == [1, 2]
    names = ("eval_single_scale", "eval_multi_scale")
    scores = {name: json.loads((run / name / "eval.json").read_text(encoding="utf-8")) for name in names}
    assert [record["protocol"]["flip"] for record in scores.values()] == [False, True]
    for record in scores.values():
        assert record["images"] == 24
        assert record["checkpoint"].endswith("BiSeNetV2_2_rank0.ckpt")
        assert f"{record['miou']:.4f}" in done.stdout
    overlays = list((run / "eval_single_scale" / "images").glob("*.png"))
    assert len(overlays) == 24
    assert cv2.imread(str(overlays[0])).shape[1] > 2 * 512
    assert cv2.imread(str(run / "train" / "curves.png")) is not None
    models = (("offline", "BiSeNetV2.json", "MindIR:    "), ("offline_onnx", "BiSeNetV2.onnx.json", "ONNX:      "))
    for folder, description, title in models:
        exported = json.loads((run / "export" / description).read_text(encoding="utf-8"))
        assert (exported["input"], exported["output"], exported["image_size"]) == ("uint8", "argmax", [128, 256])
        lines = (run / folder / "acc.log").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "Total number of images:  24"
        offline = float(lines[2].removeprefix("miou: "))
        assert abs(offline - scores["eval_single_scale"]["miou"]) < 1e-3
        assert f"mIoU of the exported {title} {offline:.4f} single scale" in done.stdout
    for path in (overlays[0].parent, run / "train" / "curves.png", run / "train" / "checkpoints", data):
        assert str(path) in done.stdout
    assert str(run / "report.html") in done.stdout
    assert "\nPython:          /" in done.stdout  # the one to go on with
    check_report(run, scores)


def check_report(run, scores):
    """Open the report in a browser: its numbers are those of eval.json and metrics.jsonl."""
    metrics = read_metrics(run / "train")
    latest = json.loads((run / "train" / "latest_evaluation.json").read_text(encoding="utf-8"))
    evaluated = [*scores.values(), latest]
    with running_browser() as browser:
        report = Opened(browser, run / "report.html")
        shown = [record[name] for record in evaluated for name in ("miou", "pixel_accuracy")]
        assert report.values(".score .figure strong") == shown
        report.tab("Classes")
        columns = [record["iou"] for record in evaluated]
        cells = report.values(".classes tbody td.number > span:first-child")
        assert cells == [score for row in zip(*columns) for score in row]
        report.tab("Confusion")
        report.page.get_by_role("button", name="Pixels").click()
        for number, record in enumerate(evaluated):
            report.page.get_by_label("Evaluation").nth(0).select_option(str(number))
            assert report.values(".matrix tbody td") == [count for row in record["confusion_matrix"] for count in row]
        report.tab("Pictures")
        assert len(report.texts(".picture")) == 24
        report.page.locator(".picture").first.click()
        report.wait_for(".stage.errors")
        report.page.keyboard.press("Escape")
        report.tab("Curves")
        for chart in report.page.locator(".chart").all():
            if not chart.locator("h2").inner_text().startswith("mIoU"):
                check_chart(report, chart, metrics)
        assert report.problems == []


def check_chart(report, chart, metrics):
    """Go through the values of a chart by its keys."""
    chart.locator(".plot > svg").focus()
    for step in metrics:
        report.page.keyboard.press("ArrowRight")
        read = "all => all.map(each => [each.dataset.series, each.querySelector('b').dataset.value ?? null])"
        rows = chart.locator(".tip [data-series]").evaluate_all(read)
        assert rows
        for series, value in rows:
            assert (value and float(value)) == metrics[step][series.split("/", 1)[1]]
