"""The runtimes that the benchmark measures beside MindSpore: which, what they run, and how their times are read."""

from __future__ import annotations

import contextlib
import importlib.util
import sys

import numpy as np
import pytest

from scripts import benchmark
from src.base.errors import UserError
from src.modules.tensor_ops import ResizeByProducts, TrainableResize
from src.offline import exporting
from src.utils import local_adapter
from src.utils.config import parse_config
from tests.quantizing_helpers import require_packages, write_model
from tools.benchmark import lite_work, mindspore_work, onnx_work, runtimes, sections

SHAPE = (1, 3, 64, 96)


@pytest.fixture
def packages(monkeypatch):
    """Let the packages in a set be installed, and no others."""
    installed = {"onnx", "onnxruntime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in installed or None)
    return installed


def test_what_is_here_has_rows_and_what_is_not_is_said_once(packages, caplog):
    caplog.set_level("INFO")
    assert runtimes.available({"MS_LITE_HOME": "x"}) == ("ONNX Runtime", "ONNX Runtime int8", "MindSpore Lite")
    assert runtimes.available({"LITE_HOME": "x"})[2:] == ("MindSpore Lite",)
    assert caplog.messages == []
    packages.remove("onnx")
    assert runtimes.available({}) == ()
    assert len(caplog.messages) == 2
    assert "requirements/onnx.txt" in caplog.messages[0]
    assert "set MS_LITE_HOME" in caplog.messages[1]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 3),
        (["--only", "train"], 0),
        (["--mix"], 0),
        (["--device_target", "Ascend"], 0),
        (["--device_target", "CPU"], 3),
    ],
)
def test_runtimes_of_the_cpu_run_beside_mindspore_on_the_cpu(monkeypatch, options, count):
    monkeypatch.setenv("MS_LITE_HOME", "x")
    settings = benchmark.make_settings(benchmark.parse_args(options))
    assert len(benchmark.find_runtimes(settings)) == count


def test_they_take_turns_with_what_was_exported_before_and_pytorch():
    names = (runtimes.ONNX, runtimes.LITE)
    settings = sections.Settings(only=("exported",), sizes=((64, 96),), runtimes=names, torch_python="python")
    ((*mindspore, onnx, lite, eager, last, logits),) = sections.plan_steps(settings)
    assert [step.variant for step in mindspore][-1] == "class map, folded, interpolated"
    assert [(step.framework, step.variant) for step in (onnx, lite)] == [(name, "class map, folded") for name in names]
    assert [step.variant for step in (eager, last, logits)] == ["class map", "class map, channels last", "logits"]


@pytest.mark.parametrize(
    ("version", "names", "expected"),
    [
        ((2, 8, 0), (), ()),
        ((2, 8, 0), (runtimes.ONNX, runtimes.ONNX_INT8), ("ONNX",)),
        ((2, 8, 0), (runtimes.LITE,), ("ONNX",)),
        ((2, 0, 0), (runtimes.LITE,), ("MINDIR",)),
        ((2, 0, 0), (runtimes.ONNX, runtimes.LITE), ("MINDIR", "ONNX")),
    ],
)
def test_lite_runs_a_mindir_of_its_own_version_and_else_what_came_by_onnx(monkeypatch, version, names, expected):
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    assert runtimes.formats(names) == expected


def write_script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_runner_or_a_model_for_it_the_row_is_left_out(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: (2, 8, 0))
    monkeypatch.setattr(sections, "start_mindspore", lambda *_, **spec: contextlib.nullcontext())
    monkeypatch.setattr(runtimes, "RUNNER", tmp_path)
    monkeypatch.setattr(runtimes, "ROOT", tmp_path)
    settings = sections.Settings(runtimes=(runtimes.LITE,))
    group = [sections.Step(name, "exported", SHAPE, "class map, folded") for name in ("MindSpore", runtimes.LITE)]
    build = write_script(tmp_path / "build.sh", "echo 'error: no cmake' >&2; exit 2")
    convert = write_script(tmp_path / "scripts" / "convert_to_lite.sh", "echo 'error: no converter' >&2; exit 2")
    for message in ("build.sh: error: no cmake", "convert_to_lite.sh: error: no converter"):
        assert sections.deployed_files(settings, group, tmp_path) == group[:1]
        assert caplog.messages[-1] == f"no row for MindSpore Lite: {message}"
        build.write_text("", encoding="utf-8")
    convert.write_text("", encoding="utf-8")
    assert sections.deployed_files(settings, group, tmp_path) == group


RUNNER = """
import sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert options["--mindir_path"] == "the.mindir"
assert options["--device_type"] == "CPU"
(image,) = Path(options["--dataset_path"]).glob("*.bin")
assert image.stat().st_size == 4 * 3 * 64 * 96
assert not Path(options["--result_path"]).exists()
Path(options["--result_path"]).mkdir()
print("runtime: MindSpore Lite")
print(f"NN inference cost average time: {options['--warmup']}{options['--num_threads']}.5 ms of infer_count 1")
"""


def test_a_sample_of_the_runner_is_the_time_that_it_prints(tmp_path):
    runner = [sys.executable, str(write_script(tmp_path / "runner.py", RUNNER))]
    _, commands = lite_work.build(runner=runner, path="the.mindir", threads=7, shape=SHAPE)
    assert commands["run"](times=2) == {"ms": [27.5, 27.5]}
    assert commands["peak"]()["peak_mb"] > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('first\\nerror: no such model')", "exit code 1: error: no such model"),
        ("print('done')", "exit code 0: done"),
        ("print('NN inference cost average time: 1.0 ms'); raise SystemExit(3)", "exit code 3: NN inference .* 1.0 ms"),
    ],
)
def test_a_runner_that_fails_gives_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=f"^the runner of MindSpore Lite failed with {message}$"):
        lite_work.run_once([sys.executable, str(write_script(tmp_path / "runner.py", text))])


def test_every_exported_form_returns_and_folds_what_its_name_says():
    config = parse_config(["--device_target", "CPU"], "train")
    found = [mindspore_work.deployed_config(config, SHAPE, variant) for variant in sections.EXPORTED]
    forms = [("argmax", True), ("argmax", False), ("logits", True), ("logits", False), ("argmax", True)]
    assert [(form.output, form.fold_bn) for form in found] == forms
    assert {exporting.image_size(form) for form in found} == {SHAPE[2:]}


def test_what_was_exported_before_resizes_by_operators():
    config = parse_config(["--device_target", "CPU"], "train")
    for variant, by_products in (("class map, folded", True), ("class map, folded, interpolated", False)):
        configured = mindspore_work.deployed_config(config, SHAPE, variant)
        assert (configured.output, configured.fold_bn) == ("argmax", True)
        cells = [cell for _, cell in mindspore_work.deployed_network(configured, variant).cells_and_names()]
        assert any(isinstance(cell, ResizeByProducts) for cell in cells) is by_products
        assert any(type(cell) is TrainableResize for cell in cells) is not by_products
        assert not any("BatchNorm" in type(cell).__name__ for cell in cells)


def test_onnx_runtime_runs_a_file_in_float_and_in_8_bits(tmp_path, monkeypatch):
    require_packages()
    path = write_model(tmp_path / "float32.onnx", taken="float32", output="argmax")
    opened = []

    class Opened(onnx_work.OnnxModel):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            opened.append(self)

    monkeypatch.setattr(onnx_work, "OnnxModel", Opened)
    for kind in ("float", "int8"):
        _, commands = onnx_work.build(kind=kind, path=str(path), threads=1, shape=SHAPE)
        (sample,) = commands["run"](times=1)["ms"]
        assert sample > 0
    floating, quantized = opened
    assert floating.path == path
    assert quantized.path.name == "int8.onnx"
    assert quantized.session.get_session_options().intra_op_num_threads == 1
    image = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    assert (floating(image) == quantized(image)).mean() > 0.8
