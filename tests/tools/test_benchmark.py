"""The benchmark's options, tables and complaints, and a whole run in miniature."""

from __future__ import annotations

import ast
import stat
import subprocess
import sys

import pytest

from scripts import benchmark
from src.utils import local_adapter
from tests.run_helpers import ROOT, run_script
from tools.benchmark import machine, report, sections

SCRIPT = "scripts/benchmark.py"


def step_row(framework: str, variant: str | None, milliseconds: list[float], **more: object) -> dict:
    return {
        "framework": framework,
        "kind": "forward",
        "variant": variant,
        "shape": [1, 3, 64, 128],
        "precision": "float32",
        "device_target": "CPU",
        "ms": milliseconds,
        "peak_mb": 321.4,
        **more,
    }


def test_ratios_compare_the_same_work():
    rows = [
        step_row("MindSpore", "logits", [400.0, 500.0, 600.0]),
        step_row("PyTorch", "logits", [250.0, 200.0, 251.0]),
        step_row("PyTorch", "channels last", [1000.0]),
        step_row("MindSpore", "class map", [300.0]),
        step_row("PyTorch", "class map", [100.0]),
    ]
    lines = report.steps_table(rows, "some network").splitlines()[3:]
    assert [line.split()[-1] for line in lines] == ["321", "2.00", "0.50", "321", "3.00"]
    assert " ".join(lines[0].split()) == "MindSpore logits 1 of 64x128 float32 500 (400 .. 600) 3 321"


def test_training_steps_of_both_layouts_compare_with_mindspores():
    rows = [
        {**step_row(framework, variant, [milliseconds]), "kind": "train"}
        for framework, variant, milliseconds in (
            ("MindSpore", None, 300.0),
            ("PyTorch", None, 200.0),
            ("PyTorch", "channels last", 100.0),
        )
    ]
    lines = report.steps_table(rows, "some step").splitlines()[3:]
    assert [line.split()[-1] for line in lines] == ["321", "1.50", "3.00"]


def test_an_exported_model_is_compared_with_what_returns_the_same():
    rows = [
        step_row("MindSpore", "class map, folded", [300.0]),
        step_row("MindSpore", "logits", [100.0]),
        step_row("PyTorch", "class map", [200.0]),
        step_row("PyTorch", "logits", [400.0]),
    ]
    lines = report.exported_table(rows).splitlines()[3:]
    assert [line.split()[-1] for line in lines] == ["1.50", "0.25", "1", "1"]


def test_runtimes_are_compared_with_the_model_exported_before():
    rows = [
        step_row("MindSpore", "class map, folded", [300.0]),
        step_row("MindSpore", report.FORMER, [400.0]),
        step_row("MindSpore", "logits", [100.0]),
        step_row("ONNX Runtime", "class map, folded", [200.0]),
        {**step_row("ONNX Runtime int8", "class map, folded", [80.0]), "precision": "int8 convolutions"},
        {**step_row("MindSpore Lite", "class map, folded", [1.0]), "shape": [1, 3, 32, 32]},
        step_row("PyTorch", "class map", [1000.0]),
    ]
    lines = report.exported_table(rows).splitlines()[3:]
    ends = [line.split()[-3:] for line in lines[: len(rows)]]
    assert ends[0] == ["1", "0.30", "0.75"]
    assert ends[1][1:] == ["1", "0.40"]  # the base itself
    assert ends[2][2] == "1"  # logits compare with nothing here
    assert [end[1:] for end in ends[3:5]] == [["0.20", "0.50"], ["0.08", "0.20"]]
    assert ends[5][2] == "1"  # nothing of that size
    assert ends[6][1:] == ["1", "2.50"]
    assert lines[len(rows) :] == [report.INTERPOLATED_NOTE, report.INT8_NOTE]


def test_an_evaluated_image_is_compared_with_all_its_passes():
    protocol = {"img_ratios": [0.5, 1.0], "flip": True, "image_size": [64, 128]}
    row = {"ms": [90.0, 120.0, 150.0], "protocol": protocol, "alone": {"ms": [[10.0, 10.0], [30.0, 50.0]]}}
    line = report.evaluation_table([{**row, "precision": "float32"}]).splitlines()[-1].split()
    assert line[-5:] == ["8.33", "3", "4", "100", "1.20"]  # 2 * (10 + 40) ms alone


def test_the_first_call_less_the_median_is_compilation():
    row = step_row("MindSpore", "logits", [400.0, 600.0, 500.0], first_ms=3700.0, start_seconds=2.04)
    line = report.startup_table([row]).splitlines()[3]
    assert line.split()[-2:] == ["2.0", "3.2"]


def test_a_silent_onednn_is_said_to_be_silent():
    row = step_row("MindSpore", "logits", [], steps=[{"ms": 5.0, "kinds": {}}])
    assert report.profile_table(row).count("\n") == 0
    assert report.SILENT in report.profile_table(row)


def test_the_cap_of_mindspores_onednn_does_not_slow_pytorch_down(monkeypatch):
    monkeypatch.setattr(local_adapter, "_notes", [])
    assert machine.torch_environment() == {}  # none, or the user's own
    monkeypatch.setattr(local_adapter, "_notes", [f"{local_adapter.ONEDNN_ISA}=AVX2 set: why"])
    assert machine.torch_environment() == {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}


def test_frameworks_take_turns_on_the_same_work():
    settings = sections.Settings(only=("train",), train_shape=(2, 64, 96), torch_python="python")
    assert sections.plan_steps(settings) == [
        [
            *(sections.Step(name, "train", (2, 3, 64, 96)) for name in ("MindSpore", "PyTorch")),
            sections.Step("PyTorch", "train", (2, 3, 64, 96), "channels last"),
        ]
    ]
    assert sections.plan_steps(sections.Settings(only=("model", "pipeline", "evaluation"))) == []
    kinds = [{step.kind for step in group} for group in sections.plan_steps(sections.Settings(only=("memory",)))]
    assert kinds == [{"forward"}, {"forward"}]  # training steps have processes of their own there


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "speed"], "invalid choice: 'speed'"),
        (["--rounds", "0"], "whole number above 0, got '0'"),
        (["--num_threads", "two"], "whole number above 0, got 'two'"),
        (["--sizes", "512"], "HEIGHTxWIDTH of at least 32 pixels, got '512'"),
        (["--sizes", "64x16"], "at least 32 pixels, got '64x16'"),
        (["--train_shape", "512x512"], "IMAGESxHEIGHTxWIDTH"),
        (["--train_shape", "0x64x64"], "IMAGESxHEIGHTxWIDTH"),
        (["--memory_shapes", "2x64x64", "2x64"], "IMAGESxHEIGHTxWIDTH of at least 32 pixels, got '2x64'"),
        (["--memory_shapes", "2x64x64", "--only", "train"], "--memory_shapes: needs memory among --only"),
        (["--torch", "--mix"], "--mix: "),
        (["--profile", "--only", "model"], "--profile: needs forward or train"),
        (["--json", "/nowhere/at/all.json"], "no such folder: /nowhere/at"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--torch", "--torch_python", "/nowhere/python"], "--torch_python /nowhere/python: No such file"),
    ],
)
def test_a_bad_option_gives_one_line_and_2(options, message, capsys):
    assert benchmark.main(options) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


def test_an_interpreter_without_pytorch_gives_one_line_and_2(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Traceback ... No module named torch' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    done = run_script(SCRIPT, "--quick", "--torch", "--torch_python", python, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install -r requirements/torch.txt" in done.stderr


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("precious", encoding="utf-8")
    done = run_script(SCRIPT, "--quick", "--only", "model", "--json", path, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(path) in done.stderr
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_device_that_is_not_there_gives_one_error_and_2():
    done = run_script(SCRIPT, "--quick", "--only", "model", "--device_target", "Ascend", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr


def test_what_was_measured_before_a_failure_is_printed(monkeypatch, capsys):
    def fail(*_: object) -> list[dict]:
        raise RuntimeError("out of memory")

    counts = [{"framework": "MindSpore", "aux_heads": False, "size": [64, 128], "parameters": 1234, "macs": 5_000_000}]
    monkeypatch.setattr(sections, "count_model", lambda settings: counts)
    monkeypatch.setattr(sections, "measure_group", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        benchmark.main(["--quick", "--only", "model", "train"])
    assert "1,234" in capsys.readouterr().out


def test_the_script_itself_loads_no_framework():
    code = "import sys, scripts.benchmark; assert not {'mindspore', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_tool_imports_an_entry_script():
    """But for a rank of the device check, which is train.py with an exchange at its end."""
    scripts = {path.stem for path in ROOT.glob("*.py")}
    assert "train" in scripts
    for path in {*ROOT.glob("tools/**/*.py"), ROOT / SCRIPT} - {ROOT / "tools/device_check/rank.py"}:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not names & scripts, path


def test_sizes_of_the_command_line_win_over_quick():
    args = benchmark.parse_args(["--quick", "--sizes", "32x64", "64x32", "--rounds", "7"])
    settings = benchmark.make_settings(args)
    assert (settings.sizes, settings.rounds, settings.train_shape) == (((32, 64), (64, 32)), 7, (2, 64, 64))
    assert settings.torch_python is None
