"""The C++ runner without the installed MindSpore: its own parts, and built for MindSpore 2.0.0's real library."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from tests.run_helpers import ROOT
from tests.runner_helpers import (
    CPP,
    FLAGS,
    RUNNER,
    build_environment,
    build_runner,
    common,
    error_of,
    libpython_folder,
    missing,
    require_compiler,
    run_runner,
)

VERBOSE = "(--verbose shows what the runtime itself says)"
TINY = ROOT / "tests" / "golden" / "tiny_2_0_0.mindir"


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_parts_that_need_no_mindspore(tmp_path, sanitizer):
    parts = ("utils", "options", "pipeline", "tensors")
    sources = [CPP / "test_utils.cc", *(RUNNER / "src" / f"{name}.cc" for name in parts)]
    flags = [*FLAGS, f"-fsanitize={sanitizer}", f"-I{RUNNER}"]
    program = tmp_path / "test_utils"
    command = [require_compiler(), *flags, *map(str, sources), "-o", str(program), "-pthread"]
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
    assert error_of(done) == f"error: {TINY}: Build for CPU failed: Common error code. {VERBOSE}"
    assert not list((tmp_path / "results").iterdir())
    # a format this library cannot read is refused before it has a chance to
    newer = tmp_path / "newer.mindir"
    newer.write_bytes(re.sub(rb"\x68\x01\Z", b"\x68\x03", TINY.read_bytes()))  # field 13, the last one
    done = run_runner(program, *common(newer, folder, tmp_path / "results"), LD_LIBRARY_PATH=python)
    assert error_of(done) == (
        f"error: {newer}: MindIR format 3, written by MindSpore 2.0.0, but this runtime reads formats up to 1; "
        "export with MindSpore 2.0.0"
    )


NO_LITE = (
    "MS_LITE_HOME (or LITE_HOME) is not a MindSpore Lite: /none has neither runtime/lib/libmindspore-lite.so, "
    "as a package, nor mindspore_lite/lib/libmindspore-extendrt_python.so, as a wheel; scripts/get_mindspore_lite.sh "
    "gets one"
)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MS_LITE_HOME": "/none"}, NO_LITE),
        ({"LITE_HOME": "/none"}, NO_LITE),
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
