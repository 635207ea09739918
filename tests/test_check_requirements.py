"""Which requirements an interpreter meets."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "check_requirements.py"
spec = importlib.util.spec_from_file_location("check_requirements", SCRIPT)
check_requirements = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_requirements)


@pytest.fixture
def unmet(monkeypatch, tmp_path):
    """Return a function from installed packages and the lines of a file to the unmet lines."""

    def check(installed: dict[str, str], *lines: str) -> list[str]:
        def version(name: str) -> str:
            if name not in installed:
                raise importlib.metadata.PackageNotFoundError(name)
            return installed[name]

        monkeypatch.setattr(importlib.metadata, "version", version)
        path = tmp_path / "requirements.txt"
        path.write_text("# a comment\n\n" + "\n".join(lines), encoding="utf-8")
        return list(check_requirements.unmet(path))

    return check


@pytest.mark.parametrize("version", ["2.0.0", "2.3.1", "2.8.0", "2.10.0", "2.10.0rc1"])
def test_a_mindspore_of_the_machine_is_kept(unmet, version):
    assert unmet({"mindspore": version}, "mindspore==2.8.0") == []


@pytest.mark.parametrize("installed", [{}, {"mindspore": "1.10.1"}, {"mindspore": "2.11.0"}])
def test_any_other_mindspore_is_replaced_by_the_pinned_one(unmet, installed):
    assert unmet(installed, "mindspore==2.8.0") == ["mindspore==2.8.0"]


def test_another_build_of_opencv_serves(unmet):
    assert unmet({"opencv-python": "4.8.0.76"}, "opencv-python-headless>=4.5") == []
    assert unmet({"opencv-python": "4.4.0"}, "opencv-python-headless>=4.5") == ["opencv-python-headless>=4.5"]


def test_ranges(unmet):
    assert unmet({"pytest": "8.0.0"}, "pytest>=8.0,<10") == []
    assert unmet({"pytest": "10.0"}, "pytest>=8.0,<10") == ["pytest>=8.0,<10"]
    assert unmet({"ruff": "0.17.6"}, "ruff==0.17.6") == []
