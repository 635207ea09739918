"""Which package imports which: the contract in pyproject.toml, as .ci/run checks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_helpers import ROOT


def lint(folder: Path) -> subprocess.CompletedProcess:
    """Check the packages in `folder` against the contract there, which leaves no cache behind."""
    words = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_contract_is_kept():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("imported", ["src.training.loop", "tools.streets.scene"])
def test_an_upward_import_breaks_the_contract(tmp_path, imported):
    for name in ("src", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    line = f"src.base.errors -> {imported}"
    assert line not in lint(tmp_path).stdout
    with (tmp_path / "src" / "base" / "errors.py").open("a", encoding="utf-8") as file:
        file.write(f"import {imported}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stderr
    assert line in done.stdout
