"""What the tests of the C++ runner need: a compiler, MindSpore's C++ API, a stand-in for its library."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.run_helpers import ROOT

CPP = ROOT / "tests" / "cpp"
RUNNER = ROOT / "ascend310_infer"
CACHE = ROOT / ".cache" / "mindspore-2.0.0"
WHEEL_PLATFORMS = {"x86_64": "manylinux1_x86_64", "aarch64": "manylinux2014_aarch64"}
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]


def require_compiler() -> str:
    """Return g++; without it the test is skipped, but never in continuous integration."""
    compiler = shutil.which("g++")
    if compiler is None:
        missing("no g++: the C++ runner cannot be compiled (Debian: apt-get install g++)")
    return compiler


def missing(reason: str) -> None:
    """Skip a test for want of something, but fail it in continuous integration."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def torch_python() -> str:
    """Return the interpreter that has PyTorch."""
    path = ROOT / ".venv-torch" / "bin" / "python"
    found = path.exists() and subprocess.run([path, "-c", "import torch"], capture_output=True, check=False)
    if not found or found.returncode:
        missing("no PyTorch in .venv-torch: scripts/run_tests.sh puts it there where there is a Python 3.10 or later")
    return str(path)


def fetch_api() -> Path:
    """Return a folder with include and lib of MindSpore 2.0.0's CPU package.

    That of ``scripts/run_tests.sh --mindspore 2.0.0`` if it is there, else fetched with pip once, never installed.
    """
    installed = sorted((ROOT / ".venv-2.0.0" / "lib").glob("python3*/site-packages/mindspore"))
    if installed:
        return installed[0]
    target = CACHE / "mindspore"
    CACHE.parent.mkdir(exist_ok=True)
    with (CACHE.parent / "lock").open("w") as lock:  # several test processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch_api(target)
    return target


def _fetch_api(target: Path) -> None:
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
            options = ["--no-deps", "--only-binary=:all:", "--python-version", "3.9", "--quiet", "--dest", folder]
            wanted = ["--platform", WHEEL_PLATFORMS[platform.machine()], "mindspore==2.0.0"]
            subprocess.run([sys.executable, "-m", "pip", "download", *options, *wanted], check=True)
            (wheel,) = Path(folder).glob("*.whl")
            _extract(wheel, Path(folder) / "unpacked")
            (Path(folder) / "unpacked").rename(CACHE)


def _extract(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            parts = name.split("/")
            is_library = parts[:2] == ["mindspore", "lib"] and len(parts) == 3
            if name.startswith("mindspore/include/") or is_library or name == "mindspore/version.py":
                archive.extract(name, target)


def libpython_folder() -> Path | None:
    """Return the folder of libpython3.9, which MindSpore 2.0.0's library for Python 3.9 loads; None without one."""
    code = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    found = [shutil.which("python3.9"), *sorted(Path.home().glob(".pyenv/versions/3.9*/bin/python3.9"))]
    for python in filter(None, found):
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
        folder = Path(done.stdout.strip())
        if done.returncode == 0 and (folder / "libpython3.9.so.1.0").exists():
            return folder
    return None


def build_environment(**variables: object) -> dict[str, str]:
    """Return this process's environment, without runtimes of the user's, with cmake of this interpreter and more."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MS_LITE_HOME", "LITE_HOME", "MINDSPORE_PATH")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return {**environment, **{name: str(value) for name, value in variables.items()}}


def build_stand_in(api: Path, home: Path, *, lite: bool) -> dict[str, str]:
    """Build the stand-in below `home`, laid out like MindSpore Lite or MindSpore; return the variable that names it."""
    runtime = home / "runtime" if lite else home
    (runtime / "lib").mkdir(parents=True)
    (runtime / "include").symlink_to(api / "include")
    library = "libmindspore-lite.so" if lite else "libmindspore.so"
    # MindSpore's own library is built with the old C++ ABI; the other stand-in shows that the new one is found out.
    variant = ["-DSTAND_IN_LITE"] if lite else ["-D_GLIBCXX_USE_CXX11_ABI=0"]
    headers = ["-isystem", str(runtime), "-isystem", str(runtime / "include")]
    command = [require_compiler(), *FLAGS, *variant, *headers, "-fPIC", "-shared", str(CPP / "stand_in.cc")]
    subprocess.run([*command, "-o", str(runtime / "lib" / library)], check=True)
    return {"MS_LITE_HOME" if lite else "MINDSPORE_PATH": str(home)}


def build_runner(folder: Path, runtime: dict[str, str], *options: str) -> Path:
    """Build the runner with build.sh for the runtime that the variables `runtime` name; return the program."""
    require_compiler()
    command = ["bash", str(RUNNER / "src" / "build.sh"), str(folder), *options]
    done = subprocess.run(command, env=build_environment(**runtime), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder / "main"


@dataclass(frozen=True)
class Programs:
    """The stand-ins for both runtimes and the runner built for each, by the runtime's name."""

    stand_ins: dict[str, dict[str, str]]
    runners: dict[str, Path]


def build_programs(api: Path) -> Programs:
    """Return stand-ins and runners, which are built once for all test processes and MindSpore versions."""
    code = hashlib.sha256(str(api).encode())
    for folder in (CPP, RUNNER / "src", RUNNER / "inc"):
        for path in sorted(filter(Path.is_file, folder.iterdir())):
            code.update(path.read_bytes())
    code.update(subprocess.run([require_compiler(), "--version"], capture_output=True, check=True).stdout)
    folder = CACHE.parent / f"runner-{code.hexdigest()[:16]}"
    CACHE.parent.mkdir(exist_ok=True)
    with (CACHE.parent / "runner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            variables = build_stand_in(api, folder / "lite", lite=True)
            build_runner(folder / "lite-runner", variables)
            variables = build_stand_in(api, folder / "mindspore", lite=False)
            build_runner(folder / "mindspore-runner", variables)
            (folder / "complete").touch()
    return Programs(
        {
            "MindSpore Lite": {"MS_LITE_HOME": str(folder / "lite")},
            "libmindspore.so": {"MINDSPORE_PATH": str(folder / "mindspore")},
        },
        {
            "MindSpore Lite": folder / "lite-runner" / "main",
            "libmindspore.so": folder / "mindspore-runner" / "main",
        },
    )


def stand_in_variables(**more: object) -> dict[str, str]:
    """Return the variables that the stand-in reads."""
    return build_environment(STAND_IN_PYTHON=sys.executable, STAND_IN_SERVER=CPP / "stand_in_server.py", **more)


def run_runner(program: Path, *arguments: object, **variables: object) -> subprocess.CompletedProcess:
    """Run the program to its end."""
    command = [str(program), *map(str, arguments)]
    environment = stand_in_variables(**variables)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def common(model: Path, inputs: Path, results: Path) -> list[object]:
    """Return the arguments of a run of the runner, or of scripts/infer_mindir.py."""
    return ["--mindir_path", model, "--dataset_path", inputs, "--result_path", results]


def error_of(done: subprocess.CompletedProcess) -> str:
    """Return the one line of a failed run; MindSpore's own log lines, which begin with [, stand beside it."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
