"""scripts/run_tests.sh --mindspore: which interpreter it takes, and what it says where there is none."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.run_helpers import ROOT


@pytest.fixture
def bare(tmp_path) -> Path:
    """A copy of the scripts, and a folder of programs without any Python."""
    (tmp_path / "repo").mkdir()
    shutil.copytree(ROOT / "scripts", tmp_path / "repo" / "scripts")
    shutil.copy(ROOT / "requirements.txt", tmp_path / "repo")
    shutil.copytree(ROOT / "requirements", tmp_path / "repo" / "requirements")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "grep", "sed", "cat", "uname"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run(bare: Path, *arguments: str) -> subprocess.CompletedProcess:
    words = ["bash", str(bare / "repo" / "scripts" / "run_tests.sh"), *arguments]
    environment = {"PATH": str(bare / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mindspore", "2.0.0"], "error: MindSpore 2.0.0 needs Python 3.9: none found on PATH, by pyenv or by uv"),
        (["--mindspore", "2.10.0"], "error: MindSpore 2.10.0 needs Python 3.11 or 3.12 or 3.10: none found on PATH"),
        (["--mindspore", "1.9.0"], "error: MindSpore 1.9.0: give a version from 2.0.0 to 2.10.x"),
        (["--mindspore"], "error: --mindspore needs a version, e.g. 2.0.0"),
    ],
)
def test_what_cannot_be_is_one_line(bare, arguments, message):
    done = run(bare, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert not list((bare / "repo").glob(".venv*"))


# What stands in for a Python of a version: it knows its version, and tells what it is asked to do.
PYTHON = """if [[ $1 == -c ]]; then [[ $2 == *"'3.9'"* ]] && exit 0 || exit 1; fi
echo "$0 $*" >&2
exit 1"""


@pytest.mark.parametrize("place", ["PATH", "pyenv", "uv"])
def test_where_the_interpreter_is_found(bare, place):
    if place == "PATH":
        program(bare / "bin" / "python3.9", PYTHON)
    elif place == "pyenv":
        program(bare / "pyenv" / "versions" / "3.9.18" / "bin" / "python", PYTHON)
        program(bare / "bin" / "pyenv", f"echo {bare / 'pyenv'}")
    else:
        program(bare / "elsewhere" / "python", PYTHON)
        program(bare / "bin" / "uv", f"[[ $* == 'python find 3.9' ]] && echo {bare / 'elsewhere' / 'python'}")
    done = run(bare, "--mindspore", "2.0.0")
    assert done.returncode == 2  # the stand-in makes no virtual environment
    where = {"PATH": "python3.9", "pyenv": "3.9.18/bin/python", "uv": "elsewhere/python"}[place]
    assert f"{where} -m venv {bare / 'repo' / '.venv-2.0.0'}" in done.stderr


# A Python of this version that has MindSpore and NumPy alone, and writes down what pip is asked to do.
WITH_NUMPY = """case "$*" in
  *check_requirements.py*--missing*) echo 'pytest>=8.0'; echo 'onnx>=1.12' ;;
  *check_requirements.py*) exit 1 ;;
  *child_process.py*) shift 2; exec "$@" ;;
  *"-m venv"*) mkdir -p "${@: -1}/bin"; cp "$0" "${@: -1}/bin/python" ;;
  *"pip install"*) while [[ $# -gt 0 && $1 != --constraint ]]; do shift; done; echo "asked: ${*:3}" >&2; cat "$2" >&2 ;;
  *"sys.version_info[:2] <= (3, 12)"*) ;;
  *) exit 1 ;;
esac"""


def test_what_is_installed_later_leaves_the_earlier_within_its_bounds(bare):
    """An environment that the demo made, and then a package of the tests' that would take NumPy 2."""
    for name in ("mkdir", "cp"):
        (bare / "bin" / name).symlink_to(shutil.which(name))
    program(bare / "bin" / "python", WITH_NUMPY)
    done = run(bare, "tests")
    lines = done.stderr.splitlines()
    assert "asked: pytest>=8.0 onnx>=1.12" in lines
    assert "numpy>=1.21,<2" in lines
    assert "ruff==0.17.6" in lines
    assert not [line for line in lines if line.startswith(("mindspore", "#"))]
