"""The real MindSpore Lite: how it is fetched and found, and the C++ runner on it with tiny models."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.run_helpers import ROOT
from tests.runner_helpers import Programs, build_environment, common, error_of, run_bash, run_on_lite

RUN = ROOT / "ascend310_infer" / "src" / "run.sh"
GOLDEN = ROOT / "tests" / "golden"
TINY = GOLDEN / "tiny_2_0_0.mindir"  # a convolution whose weights are all 1, and ReLU
SMALL, LATE, LATE_SMALL = (GOLDEN / f"lite_{name}.mindir" for name in ("small", "late", "late_small"))
LAYOUTS = ("an unpacked package", "an unpacked wheel", "the wheel's own folder", "what the script lays out")


@pytest.fixture
def inputs(tmp_path) -> Path:
    """Five inputs for the models of 64x96."""
    (tmp_path / "inputs").mkdir()
    for stem in "abcde":
        np.random.default_rng(ord(stem)).random((1, 3, 64, 96), np.float32).tofile(tmp_path / "inputs" / f"{stem}.bin")
    return tmp_path / "inputs"


@pytest.fixture
def tiny_input(tmp_path) -> np.ndarray:
    """The one input for `TINY`, in the folder ``tiny``."""
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    (tmp_path / "tiny").mkdir()
    image.tofile(tmp_path / "tiny" / "a.bin")
    return image


def lay_out(home: Path, folder: Path, layout: str) -> Path:
    """Make `folder` what the name of the layout says, with links into the real runtime; return its MS_LITE_HOME."""
    real = home / "runtime"
    if layout == LAYOUTS[0]:
        (folder / "runtime" / "lib").mkdir(parents=True)
        for path in (real / "lib").iterdir():
            (folder / "runtime" / "lib" / path.name).symlink_to(path)
        (folder / "runtime" / "include").symlink_to(real / "include")
        return folder
    if layout == LAYOUTS[3]:
        return home
    package = folder / "mindspore_lite"
    (package / "lib").mkdir(parents=True)
    for path in (real / "lib").iterdir():
        if path.name != "libmindspore-lite.so":  # a wheel has no such name
            (package / "lib" / path.name).symlink_to(path)
    (package / "include").symlink_to(real / "include")
    return folder if layout == LAYOUTS[1] else package


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whatever_folder_holds_the_runtime_is_built_for_and_run_with(lite, tiny_input, tmp_path, layout):
    """What build.sh tells cmake; the program is the same one, so that one build serves."""
    home = lay_out(Path(lite.runtime["MS_LITE_HOME"]), tmp_path / "the home", layout)
    (tmp_path / "bin").mkdir()
    cmake = tmp_path / "bin" / "cmake"
    cmake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{tmp_path}/cmake.log"\n')
    cmake.chmod(0o755)
    environment = build_environment(MS_LITE_HOME=home)
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    command = ["bash", str(ROOT / "ascend310_infer" / "src" / "build.sh"), str(lite.runner.parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = dict(word[2:].split("=", 1) for word in (tmp_path / "cmake.log").read_text().split("\n") if "=" in word)
    assert (Path(words["MINDSPORE_PATH"]) / "include" / "api" / "model.h").is_file()
    assert Path(words["RUNTIME_LIBRARY"]).parent == Path(words["MINDSPORE_PATH"]) / "lib"
    assert Path(words["RUNTIME_LIBRARY"]).resolve().name == "libmindspore-extendrt_python.so"

    shown = run_bash(RUN, show_libraries(tmp_path), MS_LITE_HOME=home)
    assert shown.stdout.split(":")[0] == f"{words['MINDSPORE_PATH']}/lib"
    arguments = common(TINY, tmp_path / "tiny", tmp_path / "results")
    done = run_on_lite(lite, *arguments, MS_LITE_HOME=home)
    assert (done.returncode, done.stderr) == (0, "")


def show_libraries(folder: Path) -> Path:
    """Make a program that shows where it looks for libraries; return the folder it is in, for run.sh."""
    (folder / "main").write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH"\n')
    (folder / "main").chmod(0o755)
    return folder


def test_mistakes_of_the_script_that_runs_the_runner(lite, tmp_path):
    no_lite = f"MS_LITE_HOME (or LITE_HOME) is not a MindSpore Lite: {tmp_path} has neither "
    for arguments, home, message in [
        ([], tmp_path, "Usage: bash ascend310_infer/src/run.sh BUILD_DIR [runner options]"),
        ([tmp_path], tmp_path, f"no program {tmp_path}/main; build it: bash ascend310_infer/src/build.sh {tmp_path}"),
        ([lite.runner.parent], tmp_path, no_lite),
    ]:
        done = run_bash(RUN, *arguments, MS_LITE_HOME=home)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {message}")
        assert done.stderr.count("\n") == 1


def test_a_mindir_of_2_0_0_computes_what_numpy_computes(lite, tiny_input, tmp_path):
    done = run_on_lite(lite, *common(TINY, tmp_path / "tiny", tmp_path / "results"), "--num_threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"^runtime: MindSpore Lite\ninput: \S+, float32 1x3x8x8\noutput: \S+, float32 1x2x8x8$",
        done.stdout,
        re.MULTILINE,
    )
    padded = np.pad(tiny_input[0].sum(0), 1)
    expected = sum(padded[y : y + 8, x : x + 8] for y in range(3) for x in range(3)).clip(0)
    result = np.fromfile(tmp_path / "results" / "a_0.bin", np.float32).reshape(2, 8, 8)
    np.testing.assert_allclose(result, np.stack([expected, expected]), atol=1e-5)


def test_an_output_of_another_size_is_refused_before_the_first_picture(lite, inputs, tmp_path):
    """The message is that of src/offline/tensors.py; pictures of a wrong size show that none was looked at."""
    (inputs / "a.bin").write_bytes(b"")
    done = run_on_lite(lite, *common(SMALL, inputs, tmp_path / "results"))
    assert error_of(done) == f"error: {SMALL}: takes 64x96 pixels (height x width) but returns 8x12"
    assert done.stdout == ""


@pytest.mark.parametrize("warmup", [0, 1])
def test_a_size_known_only_after_the_first_inference_is_checked_then(lite, inputs, tmp_path, warmup):
    done = run_on_lite(lite, *common(LATE, inputs, tmp_path / "results"), "--warmup", warmup)
    assert (done.returncode, done.stderr) == (0, "")
    assert "output: result, int32 ?\n" in done.stdout
    assert [path.stat().st_size for path in (tmp_path / "results").iterdir()] == [64 * 96 * 4] * 5
    done = run_on_lite(lite, *common(LATE_SMALL, inputs, tmp_path / "others"), "--warmup", warmup)
    assert error_of(done) == f"error: {LATE_SMALL}: takes 64x96 pixels (height x width) but returns 32x48"
    assert not list((tmp_path / "others").iterdir())


def test_a_newer_format_is_refused_with_both_named(lite, tiny_input, tmp_path):
    newer = tmp_path / "newer.mindir"
    newer.write_bytes(re.sub(rb"\x68\x01\Z", b"\x68\x03", TINY.read_bytes()))  # field 13, the last one
    done = run_on_lite(lite, *common(newer, tmp_path / "tiny", tmp_path / "results"))
    assert error_of(done) == (
        f"error: {newer}: MindIR format 3, written by MindSpore 2.0.0, but this runtime reads formats up to 1; export "
        "with MindSpore 2.0.0, or export --file_format ONNX and convert it with scripts/convert_to_lite.sh"
    )


def test_the_runtime_is_quiet_unless_asked(lite, tiny_input, tmp_path):
    broken = tmp_path / "broken.mindir"
    broken.write_bytes(TINY.read_bytes().replace(b"Conv2D", b"Konv2D"))  # no such operator
    arguments = common(broken, tmp_path / "tiny", tmp_path / "results")
    line = f"error: {broken}: Build for CPU failed: Common error code. (--verbose shows what the runtime itself says)"
    assert error_of(run_on_lite(lite, *arguments)) == line
    for loud in (run_on_lite(lite, *arguments, "--verbose"), run_on_lite(lite, *arguments, GLOG_v=2)):
        assert re.search(r"^\[ERROR\] .*Catch exception", loud.stderr, re.MULTILINE)
        assert "C++ Call Stack" in loud.stderr
        assert loud.stderr.endswith(f"{line}\n")
    assert error_of(run_on_lite(lite, *arguments, "--verbose", GLOG_v=4)) == line  # the user's own level holds


def test_the_number_of_threads_is_what_the_option_says(lite, inputs, tmp_path):
    """Lite has a thread beside the calling one for each further core, but never more than the machine has cores."""
    arguments = common(LATE, inputs, tmp_path / "results")
    cores = len(os.sched_getaffinity(0))
    assert count_kernel_threads(lite, *arguments, "--num_threads", 1) == 0
    assert count_kernel_threads(lite, *arguments, "--num_threads", 2) == (os.cpu_count() > 1)
    assert count_kernel_threads(lite, *arguments) == cores - 1
    assert count_kernel_threads(lite, *arguments, cores=1) == 0
    for value in ("0", "x", "1.5"):
        done = run_on_lite(lite, *arguments, "--num_threads", value)
        assert error_of(done) == f"error: --num_threads: expected a whole number from 1 on, got '{value}'; see --help"


def count_kernel_threads(lite: Programs, *arguments: object, cores: int = 0) -> int:
    """Start the runner on its first or all cores, and count the threads that compute when the model is loaded."""
    limited = ["taskset", "--cpu-list", min(os.sched_getaffinity(0))] if cores else []
    command = [*limited, "bash", RUN, lite.runner.parent, *arguments, "--device_type", "CPU", "--warmup", 10**8]
    environment = build_environment(**lite.runtime)
    with subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"runtime: MindSpore Lite\n"
        names = [path.read_text() for path in Path(f"/proc/{run.pid}/task").glob("*/comm")]
        run.kill()
    assert "main\n" in names
    return sum(name.startswith("KernelThread") for name in names)


def test_a_full_disk_leaves_no_part_of_a_result(lite, inputs, tmp_path):
    """A limit on the size of files stands for the disk: SIGXFSZ ignored, writing fails in the middle of a file."""
    results = tmp_path / "results"
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "limited", "bash", RUN, lite.runner.parent]
    command = list(map(str, [*limited, *common(LATE, inputs, results), "--device_type", "CPU"]))
    environment = build_environment(**lite.runtime)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert error_of(done) == f"error: cannot write {results}/a_0.bin: File too large"
    assert not list(results.iterdir())


def get_lite(*arguments: object, **variables: object) -> subprocess.CompletedProcess:
    return run_bash("scripts/get_mindspore_lite.sh", *arguments, **variables)


def test_a_runtime_that_is_there_is_not_fetched_again(lite):
    home = lite.runtime["MS_LITE_HOME"]
    done = get_lite(home, PIP_NO_INDEX=1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"MindSpore Lite 2.0.0 is there already\nMS_LITE_HOME={home}\n"
    large = [path for path in Path(home).rglob("*.so*") if path.is_file() and not path.is_symlink()]
    names = [path.name for path in large]
    assert len(names) == len(set(names))  # nothing lies there twice


def test_get_mindspore_lite_refuses_what_it_does_not_expect(tmp_path):
    wheels, tools = tmp_path / "wheels", tmp_path / "tools"
    for folder in (wheels, tools, tmp_path / "mine"):
        folder.mkdir()
    (wheels / "mindspore_lite-2.0.0-cp37-cp37m-manylinux1_x86_64.whl").write_bytes(b"another one")
    (tools / "uname").write_text('#!/bin/sh\n[ "$1" = -m ] && echo aarch64 || echo Linux\n')
    (tools / "uname").chmod(0o755)
    (tmp_path / "mine" / "notes.txt").touch()
    (tmp_path / "file").touch()
    offline = {"PIP_NO_INDEX": 1, "PIP_FIND_LINKS": wheels}
    search = f"{tools}:{build_environment()['PATH']}"
    for arguments, variables, message in [
        (
            [tmp_path / "new"],
            offline,
            "what pip fetched as mindspore-lite 2.0.0 has another SHA-256 than "
            "requirements/lite.txt says; nothing was unpacked",
        ),
        (
            [tmp_path / "new"],
            {"PIP_NO_INDEX": 1},
            "pip cannot fetch mindspore-lite 2.0.0: Could not find a version "
            "that satisfies the requirement mindspore-lite==2.0.0 (from versions: none)",
        ),
        (
            [tmp_path / "new"],
            {**offline, "PATH": search},
            "no package for Linux-aarch64 can be fetched; unpack "
            "mindspore-lite-<version> for it from https://www.mindspore.cn/lite/docs/en/master/use/downloads.html and "
            "set MS_LITE_HOME to its folder",
        ),
        (
            [tmp_path / "mine"],
            offline,
            f"{tmp_path}/mine is there and holds no MindSpore Lite 2.0.0; give another DIR, or remove it",
        ),
        ([tmp_path / "file" / "new"], offline, f"cannot make the folder {tmp_path}/file"),
        (["a", "b"], offline, "Usage: bash scripts/get_mindspore_lite.sh [DIR]"),
    ]:
        done = get_lite(*arguments, **variables)
        assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine", "tools", "wheels"]
