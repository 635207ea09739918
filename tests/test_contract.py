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


def loaded(statement: str) -> set[str]:
    """Return the modules of this project and of installed packages that a statement loads."""
    code = (
        f"import sys; before = set(sys.modules); {statement}\n"
        "files = {name: str(getattr(sys.modules[name], '__file__', '')) for name in {*sys.modules} - before}\n"
        "print(*(name for name, file in files.items() if 'site-packages' in file or name.startswith('src')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_network_loads_mindspore_numpy_and_what_is_below_it_alone():
    own = loaded("import src.modules.bisenetv2") - loaded("import mindspore")
    rooms = {name.split(".")[1] for name in own if name.startswith("src.")}
    assert rooms <= {"modules", "utils", "distributed", "base"}
    assert {name.partition(".")[0] for name in own} == {"src"}


def test_who_this_process_is_can_be_asked_without_mindspore():
    names = [path.stem for path in (ROOT / "src" / "distributed").glob("*.py") if path.stem != "all_reduce"]
    statement = "import " + ", ".join(f"src.distributed.{name}".removesuffix(".__init__") for name in names)
    assert "mindspore" not in loaded(statement)


def test_configurations_are_read_without_mindspore():
    statement = "from src.utils.config import parse_config; parse_config([], 'train')"
    assert "mindspore" not in loaded(statement)
