"""Device, rank and the oneDNN cap, from made-up environments."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import pytest

from src.base.errors import UserError
from src.distributed.placement import CLUSTER, MPIRUN, SINGLE, Placement
from src.utils import local_adapter, runtime

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER_VARIABLES = (
    "DEVICE_ID",
    "ASCEND_DEVICE_ID",
    "RANK_ID",
    "RANK_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MS_WORKER_NUM",
    "MS_ROLE",
    "RANK_TABLE_FILE",
    "MINDSPORE_HCCL_CONFIG_PATH",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in (*LAUNCHER_VARIABLES, local_adapter.ONEDNN_ISA):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local_adapter, "_notes", [])


@pytest.mark.parametrize(
    ("version", "avx512", "own", "expected"),
    [
        ((2, 8, 0), True, None, None),
        ((2, 9, 0), True, None, "AVX2"),
        ((2, 10, 0), True, None, "AVX2"),
        ((2, 10, 0), False, None, None),
        ((2, 10, 0), True, "AVX512_CORE", "AVX512_CORE"),
        ((), True, None, None),
    ],
)
def test_onednn_is_capped_where_it_is_slow(monkeypatch, version, avx512, own, expected):
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    monkeypatch.setattr(local_adapter, "cpu_has_avx512", lambda: avx512)
    if own:
        monkeypatch.setenv(local_adapter.ONEDNN_ISA, own)
    local_adapter.cap_onednn()
    assert os.environ.get(local_adapter.ONEDNN_ISA) == expected
    assert bool(local_adapter._notes) == (expected == "AVX2")
    monkeypatch.delenv(local_adapter.ONEDNN_ISA, raising=False)


def test_the_cap_comes_before_mindspore_loads():
    code = (
        "import sys, src.utils.local_adapter as a; assert 'mindspore' not in sys.modules;"
        "a.mindspore_version = lambda: (2, 10, 0); a.cpu_has_avx512 = lambda: True; a.cap_onednn();"
        "import os; print(os.environ['ONEDNN_MAX_CPU_ISA'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != local_adapter.ONEDNN_ISA}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "AVX2"


def test_a_program_of_ones_own_is_capped_with_its_device(monkeypatch):
    """The scripts are when `src` is imported."""
    done = []
    monkeypatch.setattr(runtime, "cap_onednn", lambda: done.append("cap"))
    monkeypatch.setattr(runtime, "set_device", lambda *_: done.append("device"))
    mode = ms.get_context("mode")
    runtime.init_device("CPU", None, int(mode == ms.PYNATIVE_MODE), None)
    assert done == ["cap", "device"]


def test_version_is_that_of_the_package():
    assert local_adapter.mindspore_version() == tuple(int(part) for part in ms.__version__.split(".")[:3])


@pytest.mark.parametrize(
    ("environment", "asked", "expected"),
    [
        ({}, None, 0),
        ({"ASCEND_DEVICE_ID": "5"}, None, 5),
        ({"DEVICE_ID": "3", "ASCEND_DEVICE_ID": "5"}, None, 3),
        ({"DEVICE_ID": "3"}, 7, 7),
        ({"DEVICE_ID": ""}, None, 0),
    ],
)
def test_device_id(monkeypatch, environment, asked, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert local_adapter.choose_device("CPU", asked) == ("CPU", expected)


@pytest.mark.parametrize(("found", "expected"), [("Ascend", "Ascend"), ("CPU", "CPU"), ("GPU", "CPU")])
def test_default_device_is_ascend_where_there_is_one(monkeypatch, found, expected):
    monkeypatch.setattr(ms, "get_context", lambda name: found)
    assert local_adapter.choose_device(None, None) == (expected, 0)


def test_device_id_that_is_no_number(monkeypatch):
    monkeypatch.setenv("DEVICE_ID", "first")
    with pytest.raises(UserError, match="DEVICE_ID must be a non-negative integer, got 'first'"):
        local_adapter.choose_device("CPU", None)


def test_missing_device_is_one_clear_line():
    with pytest.raises(UserError, match="finds no Ascend device 2 here; try device CPU"):
        local_adapter.set_device("Ascend", 2)
    local_adapter.set_device("CPU", 0)


def test_unknown_mindspore_is_refused(monkeypatch):
    for version, found in (((1, 9, 0), "1.9.0"), ((2, 11, 0), "2.11.0"), ((), "none")):
        monkeypatch.setattr(runtime, "mindspore_version", lambda version=version: version)
        with pytest.raises(UserError, match=f"needs MindSpore 2.0 to 2.10, found {found}"):
            runtime.init_device("CPU", None, 0, None)


def test_the_rank_is_read_from_the_environment(monkeypatch):
    assert local_adapter.discover_rank() == Placement(SINGLE)
    for name, value in (("RANK", 1), ("SIZE", 4), ("LOCAL_RANK", 1), ("LOCAL_SIZE", 2)):
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", str(value))
    assert local_adapter.discover_rank() == Placement(MPIRUN, 1, 4, 1, 2)


def test_every_process_of_a_host_has_a_device_of_its_own(monkeypatch):
    monkeypatch.setenv("DEVICE_ID", "0")  # left over from the user's shell: the same for all
    assert local_adapter.choose_device("CPU", None, Placement(MPIRUN, 5, 8, 1, 4)) == ("CPU", 1)
    monkeypatch.setenv("DEVICE_ID", "3")
    assert local_adapter.choose_device("CPU", None, Placement(CLUSTER, 7, 8, 1, 4)) == ("CPU", 3)
    with pytest.raises(UserError, match="--device_id 0: each of 4 processes takes a device of its own"):
        local_adapter.choose_device("CPU", 0, Placement(MPIRUN, 5, 8, 1, 4))


def test_the_ranks_get_time_to_meet(monkeypatch):
    seen = []
    monkeypatch.setattr("mindspore.communication.init", lambda: seen.append(os.environ["HCCL_CONNECT_TIMEOUT"]))
    monkeypatch.setattr("mindspore.communication.get_rank", lambda: 3)
    monkeypatch.delenv("HCCL_CONNECT_TIMEOUT", raising=False)
    assert local_adapter.init_cluster() == 3
    monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "1800")
    local_adapter.init_cluster()
    assert seen == ["600", "1800"]
    monkeypatch.delenv("HCCL_CONNECT_TIMEOUT")


def test_ascend_cards_are_counted(tmp_path):
    for name in ("davinci0", "davinci1", "davinci_manager", "null"):
        (tmp_path / name).touch()
    assert local_adapter.ascend_cards(tmp_path) == 2
    assert local_adapter.ascend_cards(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("cards", "package", "expected"), [(0, False, False), (8, False, True), (0, True, True), (8, True, True)]
)
def test_ascend_is_found_by_its_driver_or_by_mindspores_package(monkeypatch, cards, package, expected):
    def version(name: str) -> str:
        if name == "mindspore-ascend" and package:
            return "2.0.0"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(local_adapter, "ascend_cards", lambda: cards)
    assert local_adapter.ascend_found() == expected


@pytest.mark.parametrize(
    ("version", "chip", "preferred", "own", "table"),
    [
        ((2, 0, 0), "", "", "", False),
        ((2, 3, 1), "ascend910b", "", "", True),
        ((2, 5, 0), "ascend910b", "O2", "O0", True),
        ((2, 8, 0), "ascend910", "O2", "O2", True),
        ((2, 8, 2), "ascend910_93", "O2", "O0", True),
        ((2, 9, 0), "ascend910b", "", "O0", True),
        ((2, 10, 0), "ascend910b", "", "O0", True),
    ],
)
def test_execution_levels_by_version(monkeypatch, version, chip, preferred, own, table):
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    monkeypatch.setattr(local_adapter, "ascend_chip", lambda: chip)
    assert (local_adapter.preferred_jit_level(), local_adapter.own_jit_level()) == (preferred, own)
    assert not local_adapter.rank_table_sets_jit_level()
    monkeypatch.setenv("RANK_TABLE_FILE", "table.json")
    assert local_adapter.rank_table_sets_jit_level() == table
    assert local_adapter.convolutions_are_float16() == (version < (2, 1))
