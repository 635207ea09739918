"""The C++ runner: its own parts, built for MindSpore's real library, and whole over a stand-in for that library."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from src.offline.timing import Timings
from tests.offline_helpers import SIZE, export, read_results, write_checkpoint
from tests.run_helpers import ROOT, run_script
from tests.runner_helpers import (
    CPP,
    FLAGS,
    RUNNER,
    build_environment,
    build_runner,
    build_stand_in,
    libpython_folder,
    missing,
    require_compiler,
    run_runner,
    stand_in_variables,
)

TINY = ROOT / "tests" / "golden" / "tiny_2_0_0.mindir"
RUNTIMES = ("MindSpore Lite", "libmindspore.so")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return export(write_checkpoint(folder / "seeded.ckpt"), folder / "model", "--input", "uint8")


@pytest.fixture
def inputs(tmp_path) -> Path:
    """Five random pictures as network inputs, one with dots in its name."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for stem in ("a", "b", "c.d.e", "f", "g"):
        rng.integers(0, 256, (*SIZE, 3), np.uint8).tofile(folder / f"{stem}.bin")
    return folder


def common(model: Path, inputs: Path, results: Path) -> list[object]:
    return ["--mindir_path", model, "--dataset_path", inputs, "--result_path", results]


def error_of(done: subprocess.CompletedProcess) -> str:
    """Return the one line of a failed run; MindSpore's own log lines, which begin with [, stand beside it."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("sanitizer", ["", "address,undefined", "thread"])
def test_parts_that_need_no_mindspore(tmp_path, sanitizer):
    sources = [CPP / "test_utils.cc", *(RUNNER / "src" / f"{name}.cc" for name in ("utils", "options", "pipeline"))]
    flags = [*FLAGS, *([f"-fsanitize={sanitizer}"] if sanitizer else [])]
    program = tmp_path / "test_utils"
    command = [require_compiler(), *flags, f"-I{RUNNER}", *map(str, sources), "-o", str(program), "-pthread"]
    subprocess.run(command, check=True)
    (tmp_path / "work").mkdir()
    done = subprocess.run([program, tmp_path / "work", TINY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "all passed\n"), done.stdout + done.stderr


def test_it_is_written_for_old_compilers():
    """GCC 7 has no std::filesystem, and the only headers of MindSpore are in model.cc."""
    for path in (*(RUNNER / "inc").glob("*.h"), *(RUNNER / "src").glob("*.cc")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"#include <(filesystem|charconv|execution|gflags)", text), path
        assert ("include/api" in text) == (path.name == "model.cc"), path


def test_a_path_that_looks_like_lite_is_not_taken_for_it(mindspore_api, model, inputs, tmp_path):
    home = tmp_path / "elite"
    variables = build_stand_in(mindspore_api, home, lite=False)
    program = build_runner(tmp_path / "build", variables)
    done = run_runner(program, *common(model, inputs, tmp_path / "results"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "runtime: libmindspore.so\n" in done.stdout


def test_built_for_the_real_library_it_fails_cleanly_without_an_ascend(mindspore_api, tmp_path):
    program = build_runner(tmp_path / "build", {"MINDSPORE_PATH": str(mindspore_api)})
    needed = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    assert "[libmindspore.so]" in needed
    symbols = subprocess.run(["nm", "-DC", program], capture_output=True, text=True, check=True).stdout
    assert "U mindspore::Model::Predict" in symbols

    python = libpython_folder()
    if python is None:
        missing("built and linked; to run it takes libpython3.9, which this machine has not")
    folder = tmp_path / "inputs"
    folder.mkdir()
    np.zeros((1, 3, 8, 8), np.float32).tofile(folder / "a.bin")
    arguments = [*common(TINY, folder, tmp_path / "results"), "--device_type", "CPU"]
    done = run_runner(program, *arguments, LD_LIBRARY_PATH=python)
    assert error_of(done) == f"error: {TINY}: Build for CPU failed: Common error code."
    assert not list((tmp_path / "results").iterdir())
    # a format this library cannot read is refused before it has a chance to
    newer = tmp_path / "newer.mindir"
    newer.write_bytes(re.sub(rb"\x68\x01\Z", b"\x68\x03", TINY.read_bytes()))  # field 13, the last one
    done = run_runner(program, *common(newer, folder, tmp_path / "results"), LD_LIBRARY_PATH=python)
    assert "MindIR format 3, written by MindSpore 2.0.0, but this runtime reads formats up to 1" in error_of(done)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_writes_what_the_python_path_writes(runners, model, inputs, tmp_path, runtime):
    log = tmp_path / "device.log"
    results = tmp_path / "a" / "result_Files"
    options = ["--device_id", 3, "--warmup", 2]
    done = run_runner(runners[runtime], *common(model, inputs, results), *options, STAND_IN_LOG=log)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    precision = {"MindSpore Lite": "preferred_fp32", "libmindspore.so": "allow_fp32_to_fp16"}[runtime]
    assert log.read_text().splitlines() == ["Ascend 3", f"precision {precision}"]
    assert f"runtime: {runtime}\n" in done.stdout
    assert re.search(r"^input: \S+image, uint8 1x64x96x3\noutput: \S+, int32 1x64x96$", done.stdout, re.MULTILINE)

    other = tmp_path / "b" / "result_Files"
    python = run_script("scripts/infer_mindir.py", *common(model, inputs, other), "--device_type", "CPU")
    names = [f"{stem}_0.bin" for stem in ("a", "b", "c.d.e", "f", "g")]
    for folder in (results, other):
        assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (results / name).read_bytes() == (other / name).read_bytes()
    assert len(np.unique(np.fromfile(results / names[0], np.int32))) > 1

    shape = re.sub(r"[\d.]+", "#", Timings([1.0] * 5, [1.0] * 5, 1.0).report())
    for folder, printed in ((results, done.stdout), (other, python.stdout)):
        text = (folder.parent / "time_Result" / "test_perform_static.txt").read_text()
        assert re.sub(r"[\d.]+", "#", text) == shape
        assert text.startswith("NN inference cost average time: ")
        assert " ms of infer_count 5\n" in text
        assert printed.endswith(text)


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


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MS_LITE_HOME": "/none"}, "no runtime/lib/libmindspore-lite.so in MS_LITE_HOME (or LITE_HOME): /none"),
        ({"LITE_HOME": "/none"}, "no runtime/lib/libmindspore-lite.so in MS_LITE_HOME (or LITE_HOME): /none"),
        ({"MINDSPORE_PATH": "/none"}, "/none has no C++ API (include/api); set MS_LITE_HOME to a MindSpore Lite"),
    ],
)
def test_a_runtime_that_is_not_there_is_named(tmp_path, variables, message):
    command = ["bash", str(RUNNER / "src" / "build.sh"), str(tmp_path / "build")]
    done = subprocess.run(command, env=build_environment(**variables), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (tmp_path / "build").exists()


def test_a_runtime_without_its_library_is_named(tmp_path):
    (tmp_path / "include" / "api").mkdir(parents=True)
    (tmp_path / "include" / "api" / "model.h").touch()
    command = ["bash", str(RUNNER / "src" / "build.sh"), str(tmp_path / "build")]
    environment = build_environment(MINDSPORE_PATH=tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no libmindspore.so, as MindSpore's packages since 2.2; set MS_LITE_HOME" in done.stderr
