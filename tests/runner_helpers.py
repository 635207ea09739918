"""What the tests of the C++ runner need: a compiler, MindSpore Lite, MindSpore's C++ API and a stand-in behind it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.run_helpers import ROOT

CPP = ROOT / "tests" / "cpp"
RUNNER = ROOT / "ascend310_infer"
CACHE = ROOT / ".cache" / "mindspore-2.0.0"
WHEEL_PLATFORMS = {"x86_64": "manylinux1_x86_64", "aarch64": "manylinux2014_aarch64"}
RUNTIMES = ("MS_LITE_HOME", "LITE_HOME", "MINDSPORE_PATH", "GLOG_v")  # variables that a test sets itself
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
    finds = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"  # loading takes seconds
    if not path.exists() or subprocess.run([path, "-c", finds], check=False).returncode:
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
    with locked("lock"):
        _fetch_api(target)
    return target


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep the other test processes out, those of all MindSpore versions."""
    CACHE.parent.mkdir(exist_ok=True)
    with (CACHE.parent / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_lite() -> Path:
    """Return the home of the real MindSpore Lite, which scripts/get_mindspore_lite.sh fetches once."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        missing("no MindSpore Lite: its only package that can be fetched is for x86-64")
    target = CACHE.parent / "mindspore-lite-2.0.0"
    with locked("lite.lock"):
        if not target.is_dir():
            subprocess.run(["bash", ROOT / "scripts" / "get_mindspore_lite.sh", target], check=True)
    return target


def convert_to_lite(model: Path, out: Path, home: Path) -> Path:
    """Convert an ONNX file by scripts/convert_to_lite.sh and return the MindIR, if there is a Python 3.7."""
    with locked("lite.lock"):  # it may make .venv-lite
        done = run_bash("scripts/convert_to_lite.sh", model, out, MS_LITE_HOME=home)
    if "takes Python 3.7: none found" in done.stderr:
        missing("no Python 3.7: the converter of MindSpore Lite's wheel needs one")
    assert done.returncode == 0, done.stderr
    return out.with_name(f"{out.name}.mindir")


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
    environment = {k: v for k, v in os.environ.items() if k not in RUNTIMES}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return {**environment, **{name: str(value) for name, value in variables.items()}}


def build_stand_in(api: Path, home: Path) -> dict[str, str]:
    """Build the stand-in for libmindspore.so in `home`, laid out like MindSpore; return the variable that names it."""
    (home / "lib").mkdir(parents=True)
    (home / "include").symlink_to(api / "include")
    # MindSpore's own library is built with the old C++ ABI.
    headers = ["-D_GLIBCXX_USE_CXX11_ABI=0", "-isystem", str(home), "-isystem", str(home / "include")]
    command = [require_compiler(), *FLAGS, *headers, "-fPIC", "-shared", str(CPP / "stand_in.cc")]
    subprocess.run([*command, "-o", str(home / "lib" / "libmindspore.so")], check=True)
    return {"MINDSPORE_PATH": str(home)}


def build_runner(folder: Path, runtime: dict[str, str], *options: str) -> Path:
    """Build the runner with build.sh for the runtime that the variables `runtime` name; return the program."""
    require_compiler()
    command = ["bash", str(RUNNER / "src" / "build.sh"), str(folder), *options]
    done = subprocess.run(command, env=build_environment(**runtime), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder / "main"


@dataclass(frozen=True)
class Programs:
    """A runner, and the variables that name the runtime it was built for to build.sh and run.sh."""

    runtime: dict[str, str]
    runner: Path


def build_stand_in_programs(api: Path) -> Programs:
    """Return the stand-in and a runner for it, which are built once for all test processes and MindSpore versions."""

    name = "elite"  # which must not be taken for Lite

    def build(folder: Path) -> None:
        build_runner(folder / "runner", build_stand_in(api, folder / name))

    folder = _build_once(api, build)
    return Programs({"MINDSPORE_PATH": str(folder / name)}, folder / "runner" / "main")


def build_lite_programs(home: Path) -> Programs:
    """Return the real MindSpore Lite at `home` and a runner for it, built once."""
    runtime = {"MS_LITE_HOME": str(home)}
    folder = _build_once(home, lambda folder: build_runner(folder / "runner", runtime))
    return Programs(runtime, folder / "runner" / "main")


def _build_once(runtime: Path, build: Callable[[Path], object]) -> Path:
    code = hashlib.sha256(str(runtime).encode() + Path(__file__).read_bytes())
    for folder in (CPP, RUNNER / "src", RUNNER / "inc"):
        for path in sorted(filter(Path.is_file, folder.iterdir())):
            code.update(path.read_bytes())
    code.update(subprocess.run([require_compiler(), "--version"], capture_output=True, check=True).stdout)
    folder = CACHE.parent / f"runner-{code.hexdigest()[:16]}"
    with locked("runner.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            (folder / "complete").touch()
    return folder


def run_bash(script: str | Path, *arguments: object, **variables: object) -> subprocess.CompletedProcess:
    """Run a script of the repository to its end, with these variables for the runtime."""
    command = ["bash", str(ROOT / script), *map(str, arguments)]
    environment = build_environment(**variables)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def run_on_lite(programs: Programs, *arguments: object, **variables: object) -> subprocess.CompletedProcess:
    """Run the runner for MindSpore Lite on the CPU."""
    words = [programs.runner.parent, *arguments, "--device_type", "CPU"]
    return run_bash("ascend310_infer/src/run.sh", *words, **{**programs.runtime, **variables})


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
    """Return the one line of a failed run."""
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
