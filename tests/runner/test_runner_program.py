"""The C++ runner as a whole, over a stand-in for libmindspore.so: memory, threads, failures.

The program is the same whatever MindSpore computes behind the stand-in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.offline_helpers import SIZE, export_for_runner, read_results, write_runner_inputs
from tests.runner_helpers import build_runner, common, error_of, run_runner

VERBOSE = "(--verbose shows what the runtime itself says)"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export_for_runner(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs(tmp_path) -> Path:
    return write_runner_inputs(tmp_path / "inputs")


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_the_whole_program_is_clean_under_sanitizers(stand_in, model, inputs, tmp_path, sanitizer):
    program = build_runner(tmp_path / "build", stand_in.runtime, f"-DSANITIZE={sanitizer}")
    done = run_runner(program, *common(model, inputs, tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert len(read_results(tmp_path / "results", SIZE)) == 5
    done = run_runner(program, *common(model, inputs, tmp_path / "results2"), STAND_IN_FAIL_AT=3)
    assert error_of(done) == f"error: Predict failed: asked to fail here {VERBOSE}"


def test_a_failure_in_the_middle_leaves_whole_results_only(stand_in, model, inputs, tmp_path):
    results = tmp_path / "results"
    done = run_runner(stand_in.runner, *common(model, inputs, results), STAND_IN_FAIL_AT=4)
    assert error_of(done) == f"error: Predict failed: asked to fail here {VERBOSE}"
    assert set(read_results(results, SIZE)) <= {"a", "b"}
    assert not [path for path in results.iterdir() if path.name.startswith(".")]
    assert not (tmp_path / "time_Result").exists()


def test_bad_input_is_one_line(stand_in, model, inputs, tmp_path):
    program, results = stand_in.runner, tmp_path / "results"
    empty = tmp_path / "empty"
    empty.mkdir()
    missing, cut = tmp_path / "missing.mindir", tmp_path / "cut.mindir"
    cut.write_bytes(model.read_bytes()[:-1000])
    occupied = tmp_path / "occupied"
    occupied.touch()
    cases = [
        (common(missing, inputs, results), f"cannot open {missing}: No such file or directory"),
        (common(cut, inputs, results), f"{cut}: truncated, or not a MindIR"),
        (common(model, empty, results), f"{empty}: holds no *.bin file; preprocess.py writes them"),
        (common(model, inputs, occupied), f"{occupied}: is not a folder"),
        (
            [*common(model, inputs, results), "--device_type", "TPU"],
            "--device_type: must be Ascend, GPU or CPU, got 'TPU'",
        ),
        ([*common(model, inputs, results), "--precision_mode", "x"], "--precision_mode: must be one of force_fp32"),
    ]
    for arguments, message in cases:
        assert message in error_of(run_runner(program, *arguments))
    short = inputs / "f.bin"
    short.write_bytes(short.read_bytes()[:-1])
    done = run_runner(program, *common(model, inputs, results))
    assert error_of(done) == f"error: {short}: has 18431 bytes, the model input takes 18432"
    assert not list(results.rglob("*"))
