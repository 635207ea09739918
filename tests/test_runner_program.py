"""The C++ runner as a whole, over a stand-in for MindSpore's library: memory, threads, failures.

The program is the same whatever MindSpore computes behind the stand-in.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.offline_helpers import SIZE, export_for_runner, read_results, write_runner_inputs
from tests.runner_helpers import build_runner, build_stand_in, common, error_of, run_runner, stand_in_variables


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export_for_runner(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs(tmp_path) -> Path:
    return write_runner_inputs(tmp_path / "inputs")


def test_a_path_that_looks_like_lite_is_not_taken_for_it(mindspore_api, model, inputs, tmp_path):
    home = tmp_path / "elite"
    variables = build_stand_in(mindspore_api, home, lite=False)
    program = build_runner(tmp_path / "build", variables)
    done = run_runner(program, *common(model, inputs, tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "runtime: libmindspore.so\n" in done.stdout


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_the_whole_program_is_clean_under_sanitizers(stand_ins, model, inputs, tmp_path, sanitizer):
    program = build_runner(tmp_path / "build", stand_ins["libmindspore.so"], f"-DSANITIZE={sanitizer}")
    done = run_runner(program, *common(model, inputs, tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert len(read_results(tmp_path / "results", SIZE)) == 5
    done = run_runner(program, *common(model, inputs, tmp_path / "results2"), STAND_IN_FAIL_AT=3)
    assert error_of(done) == "error: Predict failed: asked to fail here"


def test_a_failure_in_the_middle_leaves_whole_results_only(runners, model, inputs, tmp_path):
    results = tmp_path / "results"
    done = run_runner(runners["MindSpore Lite"], *common(model, inputs, results), STAND_IN_FAIL_AT=4)
    assert error_of(done) == "error: Predict failed: asked to fail here"
    assert set(read_results(results, SIZE)) <= {"a", "b"}
    assert not [path for path in results.iterdir() if path.name.startswith(".")]
    assert not (tmp_path / "time_Result").exists()


def test_a_full_disk_leaves_no_part_of_a_result(runners, model, inputs, tmp_path):
    """A limit on the size of files stands for the disk: SIGXFSZ ignored, writing fails in the middle of a file."""
    results = tmp_path / "results"
    command = ["bash", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "limited", str(runners["MindSpore Lite"])]
    arguments = [*map(str, common(model, inputs, results))]
    environment = stand_in_variables()
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert error_of(done) == f"error: cannot write {results}/a_0.bin: File too large"
    assert not list(results.iterdir())


def test_bad_input_is_one_line(runners, model, inputs, tmp_path):
    program, results = runners["libmindspore.so"], tmp_path / "results"
    empty = tmp_path / "empty"
    empty.mkdir()
    missing, cut = tmp_path / "missing.mindir", tmp_path / "cut.mindir"
    cut.write_bytes(model.read_bytes()[:-1000])
    occupied = tmp_path / "occupied"
    occupied.touch()
    cases = [
        (common(missing, inputs, results), f"cannot open {missing}: No such file or directory"),
        (common(cut, inputs, results), f"{cut}: truncated, or no MindIR"),
        (common(model, empty, results), f"{empty}: holds no *.bin file; preprocess.py writes them"),
        (common(model, inputs, occupied), f"{occupied}: is no folder"),
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
