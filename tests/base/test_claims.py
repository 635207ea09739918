"""Claims: one process at a time, free again however it ends, and never taken from one that lives."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from src.base import claims
from src.base.claim_files import InUseError, Owner
from src.base.errors import UserError
from src.base.files import holds_anything, write_whole
from tests.claim_helpers import dead_process, start, started, started_is_refused, stranger
from tests.run_helpers import ROOT


@pytest.fixture(autouse=True)
def _nothing_stays_claimed():
    yield
    claims.release_all()


@pytest.mark.parametrize("left", ["nothing", "the claim of a process that was killed", "half a claim, long ago"])
def test_of_many_processes_one_gets_the_folder(tmp_path, left):
    folder = tmp_path / "run"
    if left != "nothing":
        folder.mkdir()
    if left.startswith("the claim"):
        pid, process = dead_process()
        owner = dataclasses.replace(Owner.this_process("training", "--save_dir"), pid=pid, process=process)
        (folder / ".claim").write_text(json.dumps(dataclasses.asdict(owner)), encoding="utf-8")
    elif left.startswith("half"):
        (folder / ".claim").write_text('{"what": "tr', encoding="utf-8")
        os.utime(folder / ".claim", (time.time() - 400,) * 2)
    processes = [start(folder, "sys.stdin.read()", stdin=subprocess.PIPE) for _ in range(5)]
    said = [process.stdout.readline().strip() for process in processes]
    (holder,) = [process for process, line in zip(processes, said) if line == "held"]
    in_use = f"{folder} is in use by another training (host {os.uname().nodename}, process {holder.pid}, since "
    refused = [line for line in said if line != "held"]
    assert len(refused) == 4
    assert all(line.startswith(in_use) and line.endswith("); take another --save_dir") for line in refused)
    for process in processes:
        process.communicate("")
    assert sorted(process.returncode for process in processes) == [0, 2, 2, 2, 2]
    assert not folder.exists() or list(folder.iterdir()) == []  # made for the claim, it went with it


COMMAND = "from src.base import stops; stops.end_by_signals(); claims.releasing(lambda _: exec({!r}))(None)"


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("raise UserError('no')", 1),
        ("import os; os.kill(os.getpid(), 15); time.sleep(60)", -signal.SIGTERM),
        (COMMAND.format("import os; os.kill(os.getpid(), 15); time.sleep(60)"), 128 + signal.SIGTERM),
        ("from src.distributed.job_end import end_at_once; end_at_once(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_it_is_free_again_however_its_holder_ends(tmp_path, then, code):
    process = start(tmp_path / "run", then, stderr=subprocess.DEVNULL)
    assert process.wait() == code
    assert (tmp_path / "run" / ".claim").exists() == (code < 0)
    claims.hold_folder(tmp_path / "run", "training", "--save_dir")
    assert json.loads((tmp_path / "run" / ".claim").read_text(encoding="utf-8"))["pid"] == os.getpid()


def test_a_child_that_lives_on_does_not_keep_the_claim_of_a_killed_process(tmp_path):
    """A fork keeps the lock of its parent; so the process counts, not the lock."""
    then = "import os\nif os.fork() == 0: time.sleep(60)\nelse: os.kill(os.getpid(), 9)"
    process = start(tmp_path, then, start_new_session=True)
    try:
        process.wait()
        claims.hold_folder(tmp_path, "training", "--save_dir")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_another_process_of_the_same_number_is_not_the_holder(tmp_path):
    owner = dataclasses.replace(Owner.this_process("training", "--save_dir"), pid=os.getppid(), process="1:1")
    (tmp_path / ".claim").write_text(json.dumps(dataclasses.asdict(owner)), encoding="utf-8")
    claims.hold_folder(tmp_path, "training", "--save_dir")


@pytest.mark.parametrize(("age", "locked", "free"), [(299, False, False), (302, False, True), (302, True, True)])
def test_a_claim_from_elsewhere_is_free_after_five_minutes(tmp_path, age, locked, free):
    stranger(tmp_path / ".claim", age, locked=locked)
    if free:
        claims.hold_folder(tmp_path, "training", "--save_dir")
        assert json.loads((tmp_path / ".claim").read_text(encoding="utf-8"))["host"] == os.uname().nodename
    else:
        with pytest.raises(InUseError, match=r"in use by another training \(host far, process \d+, since "):
            claims.hold_folder(tmp_path, "training", "--save_dir")
    assert {path.name for path in tmp_path.iterdir()} == {".claim"}


def test_the_file_systems_clock_counts(tmp_path, monkeypatch):
    stranger(tmp_path / ".claim", 0)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(InUseError):
        claims.hold_folder(tmp_path, "training", "--save_dir")


def test_a_locked_claim_is_never_stale(tmp_path):
    claim = stranger(tmp_path / ".claim", 4000, locked=True)
    lock = f"import fcntl, sys; f = open({str(claim)!r}); fcntl.flock(f, 2); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(InUseError):
            claims.hold_folder(tmp_path, "training", "--save_dir")
        process.communicate("\n")
    claims.hold_folder(tmp_path, "training", "--save_dir")


def test_containers_of_one_machine_go_by_the_lock(tmp_path):
    """They do not see each other's processes; a lock that is gone tells that its holder is, too."""
    here = Owner.this_process("training", "--save_dir")
    for locked, free in ((False, False), (True, True)):
        other = dataclasses.replace(here, space="pid:[1]", host="box", locked=locked)
        (tmp_path / ".claim").write_text(json.dumps(dataclasses.asdict(other)), encoding="utf-8")
        if free:
            claims.hold_folder(tmp_path, "training", "--save_dir")
        else:
            with pytest.raises(InUseError):
                claims.hold_folder(tmp_path, "training", "--save_dir")


@pytest.mark.parametrize("missing", ["os.link", "fcntl.flock"])
def test_file_systems_without_links_or_locks(tmp_path, monkeypatch, missing):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(missing, refuse)
    stranger(tmp_path / ".claim", 400)
    claims.hold_folder(tmp_path, "training", "--save_dir")
    assert started_is_refused(tmp_path)
    claims.release_all()
    assert list(tmp_path.iterdir()) == []
    claims.hold_folder(tmp_path, "training", "--save_dir")
    assert started_is_refused(tmp_path)
    claims.require_held()


def test_a_holder_whose_claim_was_taken_writes_nothing_more(tmp_path):
    claims.hold_folder(tmp_path, "training", "--save_dir")
    write_whole(tmp_path / "a", b"1")
    replaced = stranger(tmp_path / "new", 0)
    replaced.replace(tmp_path / ".claim")
    with pytest.raises(UserError, match=f"{tmp_path}: taken over by another process"):
        write_whole(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    claims.release_all()
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".claim"}  # the other one's stays
    assert json.loads((tmp_path / ".claim").read_text(encoding="utf-8"))["host"] == "far"


def test_a_holder_whose_claim_was_taken_while_it_wrote_leaves_nothing(tmp_path, monkeypatch):
    claims.hold_folder(tmp_path, "training", "--save_dir")
    real = Path.write_bytes

    def write_slowly(path: Path, data: bytes) -> None:
        real(path, data)
        (tmp_path / ".claim").unlink()

    monkeypatch.setattr(Path, "write_bytes", write_slowly)
    with pytest.raises(UserError, match="taken over"):
        write_whole(tmp_path / "a", b"2")
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_touched_as_long_as_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.01)
    claims.hold_folder(tmp_path, "training", "--save_dir")
    os.utime(tmp_path / ".claim", (1, 1))
    deadline = time.monotonic() + 60
    while (tmp_path / ".claim").stat().st_mtime < 1e9:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_waiting_for_a_claim(tmp_path, capfd):
    """A job that is restarted elsewhere goes on when the other one is stale or gone, and says once that it waits."""
    process = started(tmp_path, "time.sleep(1)")
    claims.hold_folder(tmp_path, "training", "--save_dir", wait=True)
    assert process.wait() == 0
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith(f"waiting up to 6 minutes: {tmp_path} is in use by another training (host ")
    assert len(said) == 1


def test_waiting_ends_where_the_other_one_lives(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(claims, "STALE_SECONDS", -2 * claims.BEAT_SECONDS)
    process = started(tmp_path, "sys.stdin.read()")
    try:
        with pytest.raises(InUseError):
            claims.hold_folder(tmp_path, "training", "--save_dir", wait=True)
    finally:
        process.kill()
        process.communicate()


def test_the_names_of_files_are_claimed_one_by_one(tmp_path):
    claims.hold_file(tmp_path / "a.onnx", "export", "--file_name", tmp_path / "a.onnx.json")
    claims.hold_file(tmp_path / "b.onnx", "export", "--file_name")
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from src.base import claims
        for name in ("c.onnx", "a.onnx"):
            claims.hold_file(f"{tmp_path}/{{name}}", "export", "--file_name")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert f"{tmp_path}/a.onnx is in use by another export (host " in done.stderr
    assert done.stderr.strip().endswith("; take another --file_name")
    claims.release_all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_something_else_under_the_name_of_the_claim_is_left_alone(tmp_path, kind):
    target = tmp_path / "target"
    target.write_text("mine", encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".claim").symlink_to(target) if kind == "link" else (folder / ".claim").mkdir()
    with pytest.raises(UserError, match=r"\.claim: is .* not a claim of this program; remove it"):
        claims.hold_folder(folder, "training", "--save_dir")
    assert target.read_text(encoding="utf-8") == "mine"
    assert [path.name for path in folder.iterdir()] == [".claim"]


def test_a_claim_is_no_content(tmp_path):
    claims.hold_folder(tmp_path / "run", "prediction", "--output")
    assert not holds_anything(tmp_path / "run")
    (tmp_path / "run" / "a.png").touch()
    assert holds_anything(tmp_path / "run")
    assert not holds_anything(tmp_path / "none")


def test_a_process_that_goes_to_another_folder_keeps_its_claim(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    claims.hold_folder("run", "training", "--save_dir")
    claims.hold_file("m.onnx", "export", "--file_name")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    claims.require_held()
    claims.release_all()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_file_system_that_numbers_its_files_anew(tmp_path):
    """As those of object stores do: the same content under another number is the same claim."""
    claims.hold_folder(tmp_path, "training", "--save_dir")
    (tmp_path / "copy").write_bytes((tmp_path / ".claim").read_bytes())
    (tmp_path / "copy").replace(tmp_path / ".claim")
    claims.require_held()
    claims.release_all()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("os.write", lambda *_: 7)
    with pytest.raises(UserError, match=f"^cannot write to {tmp_path}/run: No space left on device$"):
        claims.hold_folder(tmp_path / "run", "training", "--save_dir")
    assert list(tmp_path.iterdir()) == []
