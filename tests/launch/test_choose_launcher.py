"""Which launcher starts a job, from made-up machines; nothing is started."""

from __future__ import annotations

import pytest

from src.base.errors import UserError
from src.launch import launchers
from src.launch.job import Job
from src.utils import local_adapter


@pytest.mark.parametrize(
    ("environment", "programs", "node_num", "expected"),
    [
        ({}, ("mpirun", "msrun"), 1, "mpirun"),
        ({}, ("msrun",), 1, "msrun"),
        ({}, ("mpirun", "msrun"), 2, "msrun"),
        ({}, (), 1, "cluster"),
        ({"RANK_TABLE_FILE": "t.json"}, ("mpirun", "msrun"), 1, "ranktable"),
        ({"RANK_TABLE_FILE": "t.json", "LAUNCHER": "msrun"}, ("mpirun", "msrun"), 1, "msrun"),
        ({"LAUNCHER": "cluster"}, ("mpirun", "msrun"), 1, "cluster"),
        ({"LAUNCHER": "mpirun"}, ("msrun",), 1, "LAUNCHER=mpirun: there is no mpirun on PATH"),
        ({"LAUNCHER": "msrun"}, ("mpirun",), 1, "LAUNCHER=msrun: there is no msrun; MindSpore has it since 2.3"),
        ({"LAUNCHER": "ranktable"}, (), 1, "LAUNCHER=ranktable needs RANK_TABLE_FILE"),
        ({"LAUNCHER": "slurm"}, (), 1, "LAUNCHER must be one of mpirun, msrun, ranktable, cluster, got 'slurm'"),
    ],
)
def test_the_launcher(monkeypatch, environment, programs, node_num, expected):
    monkeypatch.setattr(launchers, "find_program", lambda name: name if name in programs else None)
    monkeypatch.setattr(launchers, "ascend_found", lambda: False)
    job = Job(2, 2, "out", node_num=node_num)
    if expected in launchers.LAUNCHERS:
        assert launchers.choose_launcher(environment, job) == expected
    else:
        with pytest.raises(UserError, match=expected):
            launchers.choose_launcher(environment, job)


ASCEND, CPU = ("--device_target", "Ascend"), ("device_target=CPU",)
MISSING = "MindSpore 2.0 on Ascend needs a rank table or mpirun: set RANK_TABLE_FILE, or install Open MPI"


@pytest.mark.parametrize(
    ("version", "programs", "found", "job", "expected"),
    [
        ((2, 3, 0), ("mpirun", "msrun"), True, Job(2, 2, "o"), "msrun"),
        ((2, 8, 0), ("mpirun", "msrun"), False, Job(2, 2, "o", options=ASCEND), "msrun"),
        ((2, 8, 0), ("mpirun", "msrun"), True, Job(2, 2, "o", options=CPU), "mpirun"),
        ((2, 8, 0), ("mpirun", "msrun"), True, Job(2, 2, "o", hosts="a:1,b:1"), "mpirun"),
        ((2, 8, 0), ("mpirun", "msrun"), True, Job(2, 2, "o", hostfile="hosts"), "mpirun"),
        ((2, 2, 0), ("mpirun",), True, Job(2, 2, "o"), "mpirun"),
        ((2, 1, 0), (), True, Job(2, 2, "o"), "cluster"),
        ((2, 0, 0), ("mpirun",), True, Job(2, 2, "o"), "mpirun"),
        ((2, 0, 0), (), True, Job(2, 2, "o"), MISSING),
        ((2, 0, 0), (), False, Job(2, 2, "o", options=ASCEND), MISSING),
        ((2, 0, 0), ("mpirun",), True, Job(2, 2, "o", node_num=2), MISSING),  # which it would not reach so
        ((2, 0, 0), (), True, Job(2, 2, "o", options=CPU), "cluster"),
        ((2, 0, 0), (), False, Job(2, 2, "o"), "cluster"),
    ],
)
def test_the_launcher_on_ascend(monkeypatch, version, programs, found, job, expected):
    monkeypatch.setattr(launchers, "find_program", lambda name: name if name in programs else None)
    monkeypatch.setattr(launchers, "ascend_found", lambda: found)
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    if expected is not MISSING:
        assert launchers.choose_launcher({}, job) == expected
        return
    with pytest.raises(UserError, match=MISSING):
        launchers.choose_launcher({}, job)
    assert launchers.choose_launcher({"RANK_TABLE_FILE": "t.json"}, job) == "ranktable"


def test_a_file_of_hosts_is_for_mpirun(monkeypatch):
    monkeypatch.setattr(launchers, "find_program", lambda name: name)
    monkeypatch.setattr(launchers, "ascend_found", lambda: True)
    assert launchers.choose_launcher({"HOSTFILE": "hosts"}, Job(2, 2, "o")) == "mpirun"
