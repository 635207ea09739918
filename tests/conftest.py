"""Settings for all tests."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import src  # noqa: E402, F401 - prepares the environment before any test imports MindSpore
from src.cloud import object_store  # noqa: E402
from tests import cloud_helpers, runner_helpers  # noqa: E402


@pytest.fixture(autouse=True)
def _remove_log_handlers():
    """Leave no handler of `setup_logging` to the next test."""
    yield
    root = logging.getLogger()
    for handler in [h for h in root.handlers if (h.get_name() or "").startswith("bisenetv2")]:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def mindspore_api() -> Path:
    """A folder with headers and libraries of MindSpore 2.0.0's C++ API."""
    runner_helpers.require_compiler()
    return runner_helpers.fetch_api()


@pytest.fixture(scope="session")
def stand_ins(mindspore_api, tmp_path_factory) -> dict[str, dict[str, str]]:
    """The stand-ins for both runtimes: the variable that names each to build.sh."""
    folder = tmp_path_factory.mktemp("stand-ins")
    return {
        "MindSpore Lite": runner_helpers.build_stand_in(mindspore_api, folder / "lite", lite=True),
        "libmindspore.so": runner_helpers.build_stand_in(mindspore_api, folder / "mindspore", lite=False),
    }


@pytest.fixture(scope="session")
def runners(stand_ins, tmp_path_factory) -> dict[str, Path]:
    """The C++ runner built for each stand-in, by runtime."""
    folder = tmp_path_factory.mktemp("runners")
    return {name: runner_helpers.build_runner(folder / name.split()[-1], stand_ins[name]) for name in stand_ins}


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """Make ``obs://b`` a folder, and its `moxing` importable; retries do not wait."""
    monkeypatch.syspath_prepend(str(cloud_helpers.REPLACEMENT))
    for name in ("moxing", "moxing.file"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("FAKE_BUCKETS", str(tmp_path / "buckets"))
    monkeypatch.setenv("FAKE_MOXING_LOG", str(tmp_path / "moxing.log"))
    monkeypatch.setattr(object_store, "WAITS", (0, 0, 0))
    folder = tmp_path / "buckets" / "b"
    folder.mkdir(parents=True)
    return folder
