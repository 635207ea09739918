"""Jobs that start again after a failure and end when they stand still; stand-ins of a few lines are the ranks."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import run_rank
from src.distributed import heartbeat
from src.launch import launchers, restarts
from src.launch.job import Job
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once

# A rank that notes how it was started, and does at its n-th start what the n-th entry of the plan says.
RANK = """
import json, os, pathlib, signal, sys, time
sys.path.insert(0, {root!r})
from src.distributed.heartbeat import Heartbeat, write_stacks_when_asked
folder, rank = pathlib.Path({folder!r}), int(os.environ.get("RANK_ID") or os.environ["OMPI_COMM_WORLD_RANK"])
starts = folder / f"starts_{{rank}}"
with starts.open("a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\\n")
number = len(starts.read_text().splitlines())
write_stacks_when_asked(folder, rank)
plan = json.loads((folder / "plan.json").read_text())[number - 1]
if "step" in plan:
    Heartbeat(folder, rank).beat()
def starts_of_rank_0():
    path = folder / "starts_0"
    return path.read_text().count("\\n") if path.exists() else 0
while starts_of_rank_0() < number:
    time.sleep(0.02)  # its end must not keep the other from noting its start
def stands_still():
    (folder / f"here_{{rank}}").write_text(str(os.getpid()))
    time.sleep(100)
if "ready" in plan:
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: os._exit(1))
if "ready" in plan or "hang" in plan:
    if "stopped" in plan and rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    stands_still()
if rank == 1 and "kill" in plan:
    os.kill(os.getpid(), signal.SIGKILL)
if rank == 1:
    raise SystemExit(plan.get("code", 0))
if plan.get("code") or "kill" in plan:
    time.sleep(100)
"""


@pytest.fixture
def launch(monkeypatch, tmp_path):
    """Return a function that runs a plan by a launcher with two ranks, and gives exit code and starts of rank 0."""
    monkeypatch.setattr(restarts, "PAUSE_SECONDS", 0.1)
    (tmp_path / "logs").mkdir()
    script = tmp_path / "rank.py"
    script.write_text(RANK.format(root=str(ROOT), folder=str(tmp_path)))
    monkeypatch.setattr(Job, "train_command", lambda job: [str(script), "--save_dir", job.save_dir, *job.options])
    devices = [{"device_id": "0", "rank_id": "0"}, {"device_id": "1", "rank_id": "1"}]
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"server_list": [{"server_id": "a", "device": devices}]}))

    def run(plan: list[dict], launcher: str = "ranktable", **more) -> tuple[int, list[list[str]]]:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        job = Job(2, 2, str(tmp_path), options=("--mix", "True"), **more)
        names = {"RANK_TABLE_FILE": str(table)} if launcher == "ranktable" else {}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MS_", "RANK_", "OMPI_"))}
        code = restarts.run_with_restarts(launchers.LAUNCHERS[launcher], job, {**environment, **names}, launcher)
        starts = [json.loads(line) for line in (tmp_path / "starts_0").read_text().splitlines()]
        return code, [words[words.index("--mix") :] for words in starts]

    return run


FIRST, AGAIN = ["--mix", "True"], ["--mix", "True", "--auto_resume", "True"]


@pytest.mark.parametrize("launcher", ["ranktable", "mpirun"])
def test_a_killed_rank_starts_the_job_again(launch, launcher, capfd):
    plan = [{"step": 1, "kill": 1}, {"step": 1, "kill": 1}, {}]
    code, starts = launch(plan, launcher, restarts=2)
    assert (code, starts) == (0, [FIRST, AGAIN, AGAIN])
    assert "the job ended with exit code 137; restart 2 of 2" in capfd.readouterr().err


def test_a_mistake_of_the_users_is_not_tried_again(launch):
    code, starts = launch([{"step": 1, "code": 2}], restarts=5)
    assert (code, len(starts)) == (2, 1)


class Started:
    """A launcher whose n-th start leaves the signs that the n-th entry of a plan says: code, steps, ranks' codes."""

    def __init__(self, logs: Path, plan: list[tuple[int, bool, list[int]]]) -> None:
        self.logs, self.plan, self.options = logs, plan, []

    def __call__(self, job: Job, environment: dict[str, str]) -> int:
        code, steps, ends = self.plan[len(self.options)]
        self.options.append(job.options)
        for rank, end in enumerate(ends):
            (self.logs / f"rank_{rank}.end").write_text(f"{end} 1 {len(self.options)}")
        if steps:
            (self.logs / "rank_1.beat").write_text(f"beat 1 {len(self.options)}")
        return code


@pytest.mark.parametrize(
    ("plan", "restarts_asked", "code", "started"),
    [
        ([(137, True, [143, 137])] * 4, 3, 137, 4),  # no more than asked for
        ([(137, True, [143, 137])], 0, 137, 1),
        ([(137, True, [143, 137]), (1, False, [1, 1])], 5, 1, 2),  # no step since the restart
        ([(1, False, [1, 1])], 5, 1, 1),
        ([(2, True, [2, 143])], 5, 2, 1),  # a mistake of the user's
        ([(1, True, [2])], 5, 2, 1),  # the same by msrun, which ends with 1 whatever the ranks ended with
        ([(143, True, [143, 143])], 5, 143, 1),  # asked to stop
        ([(130, True, [130, 130])], 5, 130, 1),
        ([(1, True, [143, 143])], 5, 1, 1),
        ([(1, True, [143]), (0, True, [0, 0])], 5, 0, 2),  # the other one was killed with its runner
        ([(1, True, [75]), (0, True, [0, 0])], 5, 0, 2),
        ([(1, True, [75])], 0, 75, 1),
        ([(75, True, [75, 75]), (75, True, [75, 75])], 1, 75, 2),
        ([(0, True, [0, 0])], 5, 0, 1),
    ],
)
def test_when_a_job_is_started_again(monkeypatch, tmp_path, plan, restarts_asked, code, started):
    """Two ranks; before, another job has left signs of a stop and of steps in the folder."""
    monkeypatch.setattr(restarts, "PAUSE_SECONDS", 0)
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, text in (("rank_0.end", "2 0 0"), ("rank_1.end", "143 0 0"), ("rank_1.beat", "beat 0 0")):
        (logs / name).write_text(text)
    start = Started(logs, plan)
    job = Job(2, 2, str(tmp_path), restarts=restarts_asked, options=("a.b=1",))
    assert restarts.run_with_restarts(start, job, {}, "msrun") == code
    assert start.options == [("a.b=1",), *[("a.b=1", "--auto_resume", "True")] * (started - 1)]


def test_signs_are_never_seen_in_part(tmp_path):
    """A reader meanwhile finds rank, process and time in every reading; an earlier job's end is no news."""
    logs = tmp_path / "logs"
    logs.mkdir()
    heartbeat.record_exit_code(logs, 0, 2)
    before = heartbeat.read_status_files(logs, heartbeat.ENDS)
    code = "import sys; from pathlib import Path; from src.distributed.heartbeat import record_exit_code\n"
    code += "for number in range(1000): record_exit_code(Path(sys.argv[1]), 1, 137)"
    with subprocess.Popen([sys.executable, "-c", code, str(logs)], cwd=ROOT) as writer:
        while writer.poll() is None:
            for text in heartbeat.read_status_files(logs, heartbeat.ENDS).values():
                assert len(text.split()) == 3
    assert heartbeat.new_codes(before, heartbeat.read_status_files(logs, heartbeat.ENDS)) == [137]


def state_of(number: int) -> str:
    """Return the state of a process in one letter, Z if it is gone."""
    try:
        return (Path("/proc") / str(number) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def gone(number: int) -> bool:
    return state_of(number) == "Z"


def test_a_stopped_rank_ends_the_job_with_the_stacks(launch, tmp_path, capfd):
    """Both stand still, one of them stopped by SIGSTOP; the restart goes through."""
    code, starts = launch([{"step": 1, "hang": 1, "stopped": 1}, {}], restarts=1, hang_minutes=0.02)
    assert (code, starts) == (0, [FIRST, AGAIN])
    assert "the job ended with exit code 75; restart 1 of 1" in capfd.readouterr().err
    stacks = [(tmp_path / "logs" / f"rank_{rank}.stacks").read_text() for rank in (0, 1)]
    assert "in stands_still" in stacks[0]
    assert "in <module>" in stacks[1]
    assert "in stands_still" not in stacks[1]  # it went no further than to write this
    beats = heartbeat.read_status_files(tmp_path / "logs", heartbeat.BEATS)
    assert sorted(beats) == ["rank_0.beat", "rank_1.beat"]
    assert all(gone(int(text.split()[1])) for text in beats.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_told_to_stop_is_not_started_again(launch, tmp_path, number):
    """The ranks fail when they are told to, which by itself would be a reason to start again."""

    def stop() -> None:
        while not all((tmp_path / f"here_{rank}").exists() for rank in (0, 1)):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    code, starts = launch([{"step": 1, "ready": 1}, {}], restarts=3)
    thread.join()
    assert (code, len(starts)) == (1, 1)
    assert all(gone(int((tmp_path / f"here_{rank}").read_text())) for rank in (0, 1))


def test_a_stopped_rank_ends_when_it_is_told_to(tmp_path):
    script = tmp_path / "stops.py"
    stop = "print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(100)"
    script.write_text(f"import os, signal, time; {stop}")
    words = [sys.executable, str(ROOT / "scripts" / "run_rank.py"), str(script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as runner:
        child = int(runner.stdout.readline())
        while state_of(child) != "T":
            time.sleep(0.02)
        runner.terminate()
        try:
            assert runner.wait(timeout=60) == 128 + signal.SIGTERM
        finally:
            runner.kill()
    assert gone(child)


class Rank:
    """A rank in a time of its own: beats of rank 1, an end, and what another runner finds, at given seconds."""

    def __init__(self, logs: Path, *, beats: list[float], end: float = math.inf, found: float = math.inf) -> None:
        self.logs, self.beats, self.end, self.found = logs, beats, end, found
        self.now, self.sent = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if due := [second for second in self.beats if second <= self.now]:
            (self.logs / "rank_1.beat").write_text(f"beat 3 {len(due)}")
        if self.found <= self.now:
            heartbeat.record_hang(self.logs, 1)

    def wait(self, timeout: float = 0.0) -> int:
        self.sleep(timeout)
        if self.now < self.end and self.sent[-1:] != ["kill"]:
            raise subprocess.TimeoutExpired("rank", timeout)
        return 0

    def send_signal(self, number: int) -> None:
        self.sent.append(number)

    def kill(self) -> None:
        self.sent.append("kill")


HANG = [signal.SIGUSR1, signal.SIGCONT, signal.SIGSTOP, "kill"]


@pytest.mark.parametrize(
    ("events", "code", "sent", "seconds"),
    [
        ({"beats": [], "end": 900}, 0, [], 900),  # compiles for long; what an earlier start has left says nothing
        ({"beats": [300, *range(490, 1000, 190)], "end": 1000}, 0, [], 1000),
        ({"beats": [300, 490, 680]}, 75, HANG, 880),
        ({"beats": [300, 305], "found": 305}, 75, HANG, 305),  # the sign of a rank that had to go on for its stacks
        ({"beats": [], "found": 305}, 75, HANG, 305),
    ],
)
def test_when_a_rank_stands_still(monkeypatch, tmp_path, events, code, sent, seconds):
    """200 seconds without a step are too many, but for those before the first one."""
    rank = Rank(tmp_path, **events)
    monkeypatch.setattr(run_rank, "time", SimpleNamespace(monotonic=lambda: rank.now, sleep=rank.sleep))
    (tmp_path / "rank_1.beat").write_text("beat 1 2")
    heartbeat.record_hang(tmp_path, 1)
    assert (run_rank.wait_for_rank(rank, tmp_path / "rank_0.log", 200), rank.sent) == (code, sent)
    own = run_rank.STACKS_SECONDS if sent else 0
    assert seconds <= rank.now <= seconds + own + 3 * run_rank.POLL_SECONDS
    assert (tmp_path / "rank_0.hang").exists() == bool(sent)


def test_a_heart_beats_at_most_once_a_second(monkeypatch, tmp_path):
    """And writes nothing where nobody watches."""
    (tmp_path / "logs").mkdir()
    monkeypatch.delenv(heartbeat.WATCHED, raising=False)
    heartbeat.Heartbeat(tmp_path, 3).beat()
    heartbeat.write_stacks_when_asked(tmp_path, 3)
    assert not list((tmp_path / "logs").iterdir())
    monkeypatch.setenv(heartbeat.WATCHED, "1")
    now = [10.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    heart = heartbeat.Heartbeat(tmp_path, 3)
    seen = []
    for now[0] in (10.0, 10.5, 11.2):
        heart.beat()
        seen.append(heartbeat.read_status_files(tmp_path / "logs", heartbeat.BEATS)["rank_3.beat"])
    assert seen[0] == seen[1] != seen[2]
