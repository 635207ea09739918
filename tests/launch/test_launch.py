"""The command lines of the launchers, what is refused, and processes that end together; no MindSpore runs here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from scripts import launch_ranks
from src.base.errors import ConfigError, UserError
from src.distributed import scheduler
from src.launch import job as job_module
from src.launch import launchers
from src.launch.job import Job, check_job
from src.launch.processes import run_together
from tests.run_helpers import ROOT

SCRIPT = ROOT / "scripts" / "run_distribute_train.sh"


def test_the_command_line():
    job = launch_ranks.parse_args(["8", "2", "out", "--node_num", "2", "--mix", "True", "data.dataset_dir=/d"])
    assert (job.device_num, job.batch_size, job.local_num, job.node_num) == (8, 2, 4, 2)
    assert job.options == ("--mix", "True", "data.dataset_dir=/d")
    assert job.train_command()[:3] == ["train.py", "--batch_size", "2"]
    assert job.train_command()[4].endswith("/out")
    for words, target in (
        (["--device_target", "CPU"], "CPU"),
        (["--device_target=Ascend"], "Ascend"),
        (["device_target=CPU"], "CPU"),
        (["--mix", "True"], None),
    ):
        assert Job(2, 2, "out", options=tuple(words)).device_target == target


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "1 machine"),
        (["--node_num", "2"], "2 machines"),
        (["--hosts", "10.0.0.1:4,10.0.0.2:2,10.0.0.2:2"], "2 machines"),
        (["--hostfile", "/shared/hosts"], "the machines of /shared/hosts"),
    ],
)
def test_how_many_machines_there_are(words, text):
    assert launch_ranks.machines_text(launch_ranks.parse_args(["8", "2", "out", *words])) == text


def test_restarts_and_hangs_on_the_command_line():
    job = launch_ranks.parse_args(["8", "2", "out", "--restarts", "3", "--hang_minutes", "30", "--mix", "True"])
    assert (job.restarts, job.hang_minutes, job.options) == (3, 30, ("--mix", "True"))
    assert launchers.rank_command(job)[2:4] == ["--hang_minutes", "30.0"]
    assert "--hang_minutes" not in launchers.rank_command(Job(8, 2, "out"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hang_minutes", "0"], "--hang_minutes: must be a positive number of minutes, got '0'"),
        (["--hang_minutes", "nan"], "--hang_minutes: must be a positive number of minutes, got 'nan'"),
        (["--hang_minutes", "soon"], "--hang_minutes: must be a positive number of minutes, got 'soon'"),
        (["--restarts", "-1"], "--restarts: expected a whole number from 0 on, got '-1'"),
        (["--restarts", "1.5"], "--restarts: expected a whole number from 0 on, got '1.5'"),
    ],
)
def test_restarts_and_hangs_that_make_no_sense(words, message):
    """A ConfigError is one line and exit code 2."""
    with pytest.raises(ConfigError, match=message):
        launch_ranks.parse_args(["8", "2", "out", *words])


def fake_program(folder, text: str):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("merges", [True, False])
def test_mpirun_gets_the_options_it_has(monkeypatch, tmp_path, merges):
    refuse = "" if merges else 'case "$*" in *merge*) exit 1;; esac\n'
    program = fake_program(tmp_path, f'{refuse}echo "mpirun (Open MPI) 4.1.4"')
    monkeypatch.setattr(launchers, "find_program", lambda name: str(program))
    job = Job(16, 2, "out", hosts="a:8,b:8", options=("--mix", "True"))
    words = launchers.mpirun_command(job, {"PATH": "/bin", "OMP_NUM_THREADS": "2", "SECRET": "x"})
    assert words[:4] == [str(program), "--allow-run-as-root", "-n", "16"]
    assert ("--merge-stderr-to-stdout" in words) == merges
    assert words[words.index("--host") + 1] == "a:8,b:8"
    assert [after for word, after in zip(words, words[1:]) if word == "-x"] == ["PATH", "OMP_NUM_THREADS"]
    assert "SECRET" not in words
    assert words[-2:] == ["--mix", "True"]
    words = launchers.mpirun_command(Job(16, 2, "out", hostfile="hosts"), {})
    assert words[words.index("--hostfile") + 1] == "hosts"
    fake_program(tmp_path, "echo HYDRA build details")
    with pytest.raises(UserError, match="mpirun is not Open MPI but .*HYDRA.*; use LAUNCHER=msrun"):
        launchers.mpirun_command(job, {})


def test_msrun_gets_both_numbers_of_workers_and_waits(monkeypatch, tmp_path):
    program = tmp_path / "msrun.py"
    program.write_text("print('usage: msrun [--tail_worker_log X]')")
    monkeypatch.setattr(launchers, "find_program", lambda name: str(program))
    job = Job(16, 2, "out", node_num=2, node_rank=1, master_addr="10.0.0.1", master_port=9000)
    words = launchers.msrun_command(job, tmp_path)
    for option in (
        "worker_num=16",
        "local_worker_num=8",
        "master_addr=10.0.0.1",
        "master_port=9000",
        "node_rank=1",
        "join=True",
        f"log_dir={tmp_path}",
        "tail_worker_log=-2",
    ):
        assert f"--{option}" in words
    assert words[-5].endswith("train.py") or "train.py" in " ".join(words)
    program.write_text("print('usage: msrun')")
    assert not [word for word in launchers.msrun_command(job, tmp_path) if "tail" in word]


@pytest.fixture
def rank_table(tmp_path):
    devices = [{"device_id": "0", "rank_id": "0"}, {"device_id": "1", "rank_id": "1"}]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"server_list": [{"server_id": "a", "device": devices}]}))
    return path


def test_what_cannot_work_is_refused(monkeypatch, tmp_path, rank_table):
    monkeypatch.setattr(job_module, "usable_cores", lambda: 4)
    monkeypatch.setattr(job_module, "ascend_cards", lambda: 8)
    cpu = ("--device_target", "CPU")
    cases = [
        (Job(8, 2, "o", options=cpu), "mpirun", "DEVICE_NUM asks for 8 devices on this machine, which has 4 CPU cores"),
        (Job(16, 2, "o"), "mpirun", "DEVICE_NUM asks for 16 devices on this machine, which has 8 Ascend devices"),
        (Job(9, 2, "o", node_num=2), "msrun", "DEVICE_NUM 9 cannot be divided evenly among 2 machines"),
        (Job(16, 2, "o", node_num=2, node_rank=2), "msrun", r"--node_rank 2: machines are numbered 0\.\.1"),
        (Job(16, 2, "o", node_num=2), "msrun", "--master_addr: required with several machines"),
        (Job(2, 2, "o", master_addr="no.such.host.invalid"), "msrun", "--master_addr: the address of 'no.such.host"),
        (Job(2, 2, "o", hosts="no.such.host.invalid:2"), "mpirun", "--hosts: the address of 'no.such.host.invalid'"),
        (Job(2, 2, "o", hosts="a", hostfile="b"), "mpirun", "--hosts and --hostfile exclude each other"),
        (Job(2, 2, "o", hostfile=str(tmp_path / "none")), "mpirun", "--hostfile: no such file"),
        (Job(2, 2, "o", master_addr="localhost"), "mpirun", "--node_num and --master_addr are for msrun"),
        (Job(2, 2, "o", hosts="a:2"), "msrun", "--hosts and --hostfile are for LAUNCHER=mpirun, this is msrun"),
        (Job(4, 2, "o"), "ranktable", "DEVICE_NUM is 4 but RANK_TABLE_FILE lists 2 devices"),
    ]
    for job, launcher, message in cases:
        with pytest.raises(UserError, match=message):
            check_job(job, launcher, {"RANK_TABLE_FILE": str(rank_table)})
    check_job(Job(4, 2, "o", options=cpu), "mpirun", {})
    check_job(Job(2, 2, "o"), "ranktable", {"RANK_TABLE_FILE": str(rank_table)})


def test_each_device_of_the_rank_table_gets_a_process(monkeypatch, tmp_path):
    devices = [{"device_id": "6", "rank_id": "2"}, {"device_id": "7", "rank_id": "3"}]
    other = [{"device_id": "0", "rank_id": "0"}, {"device_id": "1", "rank_id": "1"}]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"server_list": [{"device": other}, {"device": devices}]}))
    started = {}
    monkeypatch.setattr(
        launchers,
        "run_together",
        lambda commands, variables, logs: (
            started.update(commands=commands, variables=variables, logs=[log.name for log in logs]) or 0
        ),
    )
    job = Job(4, 2, str(tmp_path / "out"), node_rank=1, options=("--mix", "True"))
    assert launchers.run_with_rank_table(job, {"RANK_TABLE_FILE": str(path)}) == 0
    names = ("RANK_ID", "DEVICE_ID", "RANK_SIZE")
    assert [[values[name] for name in names] for values in started["variables"]] == [["2", "6", "4"], ["3", "7", "4"]]
    assert started["logs"] == ["output_2.log", "output_3.log"]
    assert all(command[-2:] == ["--mix", "True"] for command in started["commands"])
    with pytest.raises(UserError, match="--node_rank 2: RANK_TABLE_FILE lists 2 machines"):
        launchers.run_with_rank_table(Job(4, 2, "out", node_rank=2), {"RANK_TABLE_FILE": str(path)})


def test_a_port_in_use_is_one_line(monkeypatch):
    monkeypatch.setattr(job_module, "usable_cores", lambda: 4)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        job = Job(2, 2, "o", master_port=port, options=("--device_target", "CPU"))
        with pytest.raises(UserError, match=f"port {port}: Address already in use; give another --master_port"):
            check_job(job, "msrun", {})
    check_job(job, "msrun", {})


def test_mistakes_of_the_script(tmp_path):
    usage = (
        "Usage: bash scripts/run_distribute_train.sh [DEVICE_NUM] [BATCH_SIZE] [SAVE_DIR] [options] [train.py options]"
    )
    cases = [
        (["2", "2"], f"error: {usage}"),
        (["x", "2", "out"], "expected a whole number from 0 on, got 'x'"),
        (["0", "2", "out"], "must be at least 1, got 0"),
        (["2", "2", "out", "--hosts"], "expected one argument"),
    ]
    for arguments, message in cases:
        done = subprocess.run(
            ["bash", str(SCRIPT), *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert message in line
    assert not list(tmp_path.iterdir())


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_when_one_fails_the_others_end_too(tmp_path):
    waiting = python("import time, signal; time.sleep(100)")
    start = time.monotonic()
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    code = run_together([waiting, python("print('gone'); raise SystemExit(7)")], [os.environ] * 2, logs=logs)
    assert code == 7
    assert time.monotonic() - start < 30
    assert logs[1].read_text() == "gone\n"
    assert run_together([python("import os; os.kill(os.getpid(), 9)")], [os.environ]) == 128 + 9
    assert run_together([python("pass")] * 2, [os.environ] * 2) == 0


def test_who_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr("src.launch.processes.PATIENCE_SECONDS", 0.5)
    stubborn = python("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)")
    start = time.monotonic()
    assert run_together([stubborn, python("import time; time.sleep(1); raise SystemExit(3)")], [os.environ] * 2) == 3
    assert time.monotonic() - start < 30


def rank(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "run_rank.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_rank_that_dies_is_told_of(tmp_path):
    log = tmp_path / "out" / "logs" / "rank_0.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {i}\n" for i in range(10)))
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    script = tmp_path / "dies.py"
    script.write_text(code)
    done = rank(script, "--save_dir", tmp_path / "out")
    assert done.returncode == 128 + 9
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: rank 0 of 1 on ")
    assert first.endswith(f"ended by signal 9 (SIGKILL); the end of {log}:")
    assert rest == [f"line {i}" for i in range(5, 10)]
    script.write_text("raise SystemExit(143)")  # told to stop, and did
    done = rank(script)
    assert (done.returncode, done.stderr) == (143, "")


def test_a_rank_never_outlives_its_supervisor(tmp_path):
    script = tmp_path / "waits.py"
    script.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)\n")
    supervisor = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "run_rank.py"), str(script)], stdout=subprocess.PIPE, text=True
    )
    child = int(supervisor.stdout.readline())
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{child}") and time.monotonic() < end:  # noqa: PTH110 - no path of ours
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{child}")  # noqa: PTH110


def test_a_scheduler_that_does_not_start_is_one_line(monkeypatch):
    monkeypatch.setattr(scheduler.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="the scheduler of the job did not start on 127.0.0.1, port 1; is the port"):
        scheduler.start_scheduler("127.0.0.1", 1, 2, {})


def test_a_scheduler_is_there_when_it_listens():
    """Whoever asks makes no connection: the first that comes is a rank's."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        assert not scheduler._listens(*address)
        listener.listen()
        listener.settimeout(0.2)
        assert scheduler._listens(*address)
        with pytest.raises(OSError, match="timed out"):
            listener.accept()
    assert not scheduler._listens(*address)
