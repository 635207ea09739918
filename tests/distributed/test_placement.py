"""Which process of a job this is, from made-up environments of every launcher."""

from __future__ import annotations

import json
import os

import pytest

from src.base.errors import UserError
from src.distributed.placement import (
    CLUSTER,
    MPIRUN,
    RANK_TABLE,
    SINGLE,
    Placement,
    has_rank_table,
    job_identity,
    place,
    read_rank_table,
)
from src.utils import local_adapter


def mpi(rank: int, size: int, local_rank: int, local_size: int) -> dict[str, str]:
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    return {f"OMPI_COMM_WORLD_{n}": str(v) for n, v in zip(names, (rank, size, local_rank, local_size))}


def cluster(**more: object) -> dict[str, str]:
    return {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "4", **{name: str(value) for name, value in more.items()}}


def table(path, servers) -> str:
    """Write a rank table with the given ranks for each server."""
    listed = [
        {
            "server_id": f"10.0.0.{i}",
            "device": [{"device_id": str(d), "rank_id": str(rank)} for d, rank in enumerate(ranks)],
        }
        for i, ranks in enumerate(servers)
    ]
    path.write_text(json.dumps({"version": "1.0", "server_list": listed, "status": "completed"}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Placement(SINGLE)),
        ({"RANK_SIZE": "1", "RANK_ID": "0"}, Placement(SINGLE)),
        ({"RANK_SIZE": "", "DEVICE_ID": "5"}, Placement(SINGLE)),
        (mpi(0, 1, 0, 1), Placement(MPIRUN)),
        (mpi(5, 16, 5, 8), Placement(MPIRUN, 5, 16, 5, 8)),
        # as MindSpore itself sets them once it is imported under mpirun
        ({**mpi(9, 16, 1, 8), "RANK_ID": "9", "RANK_SIZE": "16", "DEVICE_ID": "1"}, Placement(MPIRUN, 9, 16, 1, 8)),
        # mpirun on the CPU, after the ranks have met
        ({**mpi(1, 2, 1, 2), **cluster(MS_NODE_ID=1), "MS_WORKER_NUM": "2"}, Placement(CLUSTER, 1, 2, 1, 2)),
        # msrun on one machine, and on the second of two with two devices each
        (cluster(MS_NODE_ID=3, RANK_ID=3, DEVICE_ID=3, RANK_SIZE=4), Placement(CLUSTER, 3, 4, 3, 4)),
        (cluster(MS_NODE_ID=3, RANK_ID=3, DEVICE_ID=1, LOCAL_RANK_SIZE=2), Placement(CLUSTER, 3, 4, 1, 2)),
        (cluster(RANK_ID=2, LOCAL_RANK_SIZE=2), Placement(CLUSTER, 2, 4, 0, 2)),
        # ModelArts with msrun: the platform says how many cards a host has
        (cluster(RANK_ID=2, DEVICE_ID=0, MA_NUM_GPUS=2), Placement(CLUSTER, 2, 4, 0, 2)),
        ({"MS_ROLE": "MS_SCHED", "MS_WORKER_NUM": "4", "RANK_ID": "0"}, Placement(CLUSTER)),
    ],
)
def test_launchers(environment, expected):
    assert place(environment) == expected


def test_rank_table(tmp_path):
    path = table(tmp_path / "table.json", [[0, 1], [2, 3]])
    assert read_rank_table(tmp_path / "table.json") == [{0: 0, 1: 1}, {2: 0, 3: 1}]
    # as ModelArts starts each card: RANK_TABLE_FILE, RANK_ID, RANK_SIZE, ASCEND_DEVICE_ID
    environment = {"RANK_TABLE_FILE": path, "RANK_SIZE": "4", "ASCEND_DEVICE_ID": "1"}
    assert place({**environment, "RANK_ID": "3"}) == Placement(RANK_TABLE, 3, 4, 1, 2, 1)
    with pytest.raises(UserError, match="RANK_SIZE=8 but RANK_TABLE_FILE=.* lists 4 devices"):
        place({**environment, "RANK_SIZE": "8", "RANK_ID": "3"})
    with pytest.raises(UserError, match="lists 4 devices but RANK_ID is not set"):
        place(environment)
    with pytest.raises(UserError, match="RANK_ID=7 is not in RANK_TABLE_FILE"):
        place({**environment, "RANK_ID": "7"})
    single = table(tmp_path / "single.json", [[0]])
    assert place({"RANK_TABLE_FILE": single}) == Placement(RANK_TABLE, device_id=0)


def platform(**more: object) -> dict[str, str]:
    """What ModelArts sets for every container, besides what says which rank it is."""
    common = {"MA_NUM_HOSTS": 1, "MA_NUM_GPUS": 8, "VC_TASK_INDEX": 0, "VC_WORKER_NUM": 1, "MA_JOB_DIR": "/job"}
    return {name: str(value) for name, value in {**common, **more}.items()}


def by_table(ranks: int, rank: int, **more: object) -> dict[str, str]:
    return platform(RANK_SIZE=ranks, RANK_ID=rank, ASCEND_DEVICE_ID=rank % 8, **more)


def by_msrun(ranks: int, local_rank: int, **more: object) -> dict[str, str]:
    names = {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": ranks, "RANK_SIZE": ranks, "DEVICE_ID": local_rank}
    return platform(MA_RUN_METHOD="msrun", MS_SCHED_HOST="worker-0", MS_SCHED_PORT=8118, **names, **more)


@pytest.mark.parametrize(
    ("servers", "environment", "expected", "device"),
    [
        # a single card: by rank table, and without one
        ([[0]], by_table(1, 0, MA_NUM_GPUS=1), Placement(RANK_TABLE, 0, 1, 0, 1, 0), 0),
        (None, by_table(1, 0, MA_NUM_GPUS=1), Placement(SINGLE), 0),
        # 8 cards by rank table; a custom image's launcher sets DEVICE_ID and JOB_ID, too
        ([range(8)], by_table(8, 0), Placement(RANK_TABLE, 0, 8, 0, 8, 0), 0),
        ([range(8)], by_table(8, 5), Placement(RANK_TABLE, 5, 8, 5, 8, 5), 5),
        ([range(8)], by_table(8, 7, DEVICE_ID=7, JOB_ID="j"), Placement(RANK_TABLE, 7, 8, 7, 8, 7), 7),
        # 2 nodes with 8 cards each by rank table
        ([range(8), range(8, 16)], by_table(16, 3, MA_NUM_HOSTS=2), Placement(RANK_TABLE, 3, 16, 3, 8, 3), 3),
        ([range(8), range(8, 16)], by_table(16, 13, VC_TASK_INDEX=1), Placement(RANK_TABLE, 13, 16, 5, 8, 5), 5),
        # 8 cards by msrun
        (None, by_msrun(8, 6, MS_NODE_ID=6, RANK_ID=6), Placement(CLUSTER, 6, 8, 6, 8), 6),
        # 2 nodes with 8 cards each by msrun, which is told the number of its node, or is not
        (None, by_msrun(16, 5, MS_NODE_ID=13, RANK_ID=13, VC_TASK_INDEX=1), Placement(CLUSTER, 13, 16, 5, 8), 5),
        (None, by_msrun(16, 5, VC_TASK_INDEX=1), Placement(CLUSTER, 13, 16, 5, 8), 5),
        (None, by_msrun(16, 0, VC_TASK_INDEX=0), Placement(CLUSTER, 0, 16, 0, 8), 0),
        (None, {**by_msrun(16, 0), "MS_ROLE": "MS_SCHED", "RANK_ID": "0"}, Placement(CLUSTER), 0),
    ],
)
def test_modelarts(tmp_path, monkeypatch, servers, environment, expected, device):
    if servers is not None:
        environment = {**environment, "RANK_TABLE_FILE": table(tmp_path / "table.json", servers)}
    assert place(environment) == expected
    for name in [name for name in os.environ if name.startswith(("DEVICE_ID", "RANK_", "MS_", "OMPI_"))]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert local_adapter.choose_device("CPU", None, local_adapter.discover_rank()) == ("CPU", device)
    assert job_identity(environment) == local_adapter.job_identity()


def test_the_device_of_a_rank_table_is_known_without_a_variable(tmp_path, monkeypatch):
    """A table of the second half of a host's cards."""
    devices = [{"device_id": str(number), "rank_id": str(number - 4)} for number in range(4, 8)]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"server_list": [{"server_id": "10.0.0.1", "device": devices}]}), encoding="utf-8")
    placement = place({"RANK_TABLE_FILE": str(path), "RANK_ID": "2"})
    assert placement == Placement(RANK_TABLE, 2, 4, 2, 4, 6)
    for name in ("DEVICE_ID", "ASCEND_DEVICE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert local_adapter.choose_device("CPU", None, placement) == ("CPU", 6)


def test_jobs_on_one_host_are_told_apart():
    one = cluster(RANK_ID=0, MS_SCHED_PORT=8118)
    assert job_identity(one) == job_identity(cluster(RANK_ID=1, MS_SCHED_PORT=8118))
    assert job_identity(one) != job_identity(cluster(RANK_ID=0, MS_SCHED_PORT=8119))
    assert job_identity({"JOB_ID": "a"}) != job_identity({"JOB_ID": "b"})


def test_a_launcher_that_knows_more_comes_first(tmp_path):
    path = table(tmp_path / "table.json", [[0, 1]])
    assert place({**mpi(1, 2, 1, 2), "RANK_TABLE_FILE": path}).launcher == MPIRUN


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({**mpi(1, 2, 1, 2), "RANK_ID": "0"}, "contradict each other: OMPI_COMM_WORLD_RANK=1, RANK_ID=0; unset"),
        ({**mpi(1, 2, 1, 2), "RANK_SIZE": "8"}, "contradict each other: OMPI_COMM_WORLD_SIZE=2, RANK_SIZE=8"),
        (cluster(MS_NODE_ID=1, RANK_ID=2), "contradict each other: MS_NODE_ID=1, RANK_ID=2"),
        ({**cluster(MS_NODE_ID=1), **mpi(1, 2, 1, 2)}, "OMPI_COMM_WORLD_SIZE=2, MS_WORKER_NUM=4"),
        ({"RANK_SIZE": "8"}, "RANK_SIZE=8 but no launcher: set RANK_TABLE_FILE and RANK_ID, or start the job with"),
        ({"MS_ROLE": "MS_WORKER"}, "MS_ROLE is set but MS_WORKER_NUM is not"),
        (cluster(), "neither MS_NODE_ID nor RANK_ID is; give msrun --node_rank on every machine"),
        (cluster(RANK_ID=4), "rank 4 does not exist in a job of 4 processes"),
        (cluster(RANK_ID="first"), "RANK_ID must be a non-negative integer, got 'first'"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE is set but its RANK, LOCAL_RANK or LOCAL_SIZE is not"),
        ({"RANK_TABLE_FILE": "/none.json"}, "RANK_TABLE_FILE: cannot read /none.json: No such file"),
    ],
)
def test_contradictions_are_named(environment, message):
    with pytest.raises(UserError, match=message):
        place(environment)


def test_a_file_that_is_no_rank_table(tmp_path):
    for text in ("no json", "[]", '{"server_list": [{}]}'):
        (tmp_path / "table.json").write_text(text)
        with pytest.raises(UserError, match="table.json is not a rank table"):
            read_rank_table(tmp_path / "table.json")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"RANK_TABLE_FILE": ""}, False),
        ({"RANK_TABLE_FILE": "t.json"}, True),
        ({"MINDSPORE_HCCL_CONFIG_PATH": "t.json"}, True),
        ({**mpi(0, 2, 0, 2), "RANK_TABLE_FILE": "t.json"}, True),
        ({**cluster(RANK_ID=0), "RANK_TABLE_FILE": "t.json"}, False),  # MindSpore has a scheduler then
    ],
)
def test_a_rank_table_counts_without_a_scheduler_alone(environment, expected):
    assert has_rank_table(environment) == expected
