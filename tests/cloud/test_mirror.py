"""Uploading while a run writes: what appears is uploaded, what fails is tried again, what never arrives is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from src.base.errors import UserError
from src.cloud import mirror, object_store
from tests.cloud_helpers import calls, fill, rules


@pytest.fixture
def folder(tmp_path) -> Path:
    fill(tmp_path / "run", {"logs/rank_0.log": b"1"})
    return tmp_path / "run"


def make(folder: Path, **options) -> mirror.Mirror:
    return mirror.Mirror(object_store.ObjectStore("obs://b/out"), folder, "obs://b/out/", **options)


def test_changes_only_and_everything_at_the_end(bucket, folder, tmp_path):
    made = make(folder)
    made.scan()
    assert not (bucket / "out").exists()  # what is there at the beginning came from there
    fill(
        folder,
        {
            "metrics.jsonl": b"m",
            "checkpoints/BiSeNetV2_2_rank0.ckpt": b"w",
            ".metrics.tmp": b"?",
            "logs/rank_0.log": b"12",
        },
    )
    made.scan()
    made.scan()
    assert calls(tmp_path, "copy") == 3
    assert (bucket / "out" / "logs" / "rank_0.log").read_bytes() == b"12"
    for name in ("checkpoints/BiSeNetV2_2_rank0.ckpt", "metrics.jsonl"):
        (folder / name).unlink()
    made.scan()
    assert list((bucket / "out" / "checkpoints").iterdir()) == []
    assert (bucket / "out" / "metrics.jsonl").exists()  # only old checkpoints are removed, by keep_checkpoint_max
    made.start()
    assert made.finish(60) == ""
    assert calls(tmp_path, "copy") == 4
    assert not list((bucket / "out").glob(".*"))


def test_another_host_uploads_its_own_changes_only(bucket, folder):
    fill(folder, {"metrics.jsonl": b"old", "checkpoints/BiSeNetV2_2_rank0.ckpt": b"w"})
    made = make(folder, leads=False)
    made.start()
    fill(folder, {"logs/rank_8.log": b"8"})
    fill(bucket / "out", {"metrics.jsonl": b"newer", "checkpoints/BiSeNetV2_2_rank0.ckpt": b"w"})
    (folder / "checkpoints" / "BiSeNetV2_2_rank0.ckpt").unlink()
    assert made.finish(60) == ""
    assert (bucket / "out" / "metrics.jsonl").read_bytes() == b"newer"
    assert sorted(p.name for p in (bucket / "out" / "logs").iterdir()) == ["rank_8.log"]
    assert (bucket / "out" / "checkpoints" / "BiSeNetV2_2_rank0.ckpt").exists()


def test_what_was_only_downloaded_is_not_uploaded(bucket, folder):
    """The host that leads has an old copy of another host's log."""
    fill(folder, {"logs/rank_8.log": b"old"})
    made = make(folder)
    made.start()
    fill(folder, {"logs/rank_0.log": b"12"})
    fill(bucket / "out", {"logs/rank_8.log": b"old+new"})
    assert made.finish(60) == ""
    assert (bucket / "out" / "logs" / "rank_8.log").read_bytes() == b"old+new"
    assert (bucket / "out" / "logs" / "rank_0.log").read_bytes() == b"12"


def test_a_folder_that_is_taken_away_empties_no_bucket(bucket, folder):
    made = make(folder)
    fill(folder, {"checkpoints/BiSeNetV2_2_rank0.ckpt": b"w"})
    made.scan()
    folder.rename(folder.with_name("kept"))
    made.scan()
    folder.mkdir()
    made.scan()
    assert (bucket / "out" / "checkpoints" / "BiSeNetV2_2_rank0.ckpt").exists()


def test_one_file_that_fails_does_not_stop_the_others(bucket, folder, monkeypatch):
    rules(monkeypatch, {"call": "copy", "match": "BiSeNetV2_10", "how": "fail"})
    made = make(folder)
    names = ("checkpoints/BiSeNetV2_10_rank0.ckpt", "checkpoints/BiSeNetV2_20_rank0.ckpt", "metrics.jsonl")
    fill(folder, dict.fromkeys(names, b"1"))
    with pytest.raises(UserError, match="1 files failed, checkpoints/BiSeNetV2_10_rank0.ckpt: the network said no"):
        made.scan()
    assert (bucket / "out" / names[1]).exists()
    fill(folder, {names[2]: b"22"})
    made.start()
    problem = made.finish(60)
    assert "1 of 3 files were not uploaded: cannot upload" in problem
    assert (bucket / "out" / names[2]).read_bytes() == b"22"


def test_a_failure_in_between_holds_nothing_up(bucket, folder, monkeypatch, caplog):
    monkeypatch.setattr(mirror, "SCAN_SECONDS", 0.05)
    rules(monkeypatch, {"call": "copy", "match": "metrics", "how": "fail", "times": 3})
    made = make(folder)
    made.start()
    fill(folder, {"metrics.jsonl": b"1"})
    end = time.monotonic() + 20
    while time.monotonic() < end and not (bucket / "out" / "metrics.jsonl").exists():
        time.sleep(0.05)
    assert (bucket / "out" / "metrics.jsonl").read_bytes() == b"1"
    assert [r.levelname for r in caplog.records if "it will be tried again" in r.message] == ["WARNING"]
    assert made.finish(60) == ""


@pytest.mark.parametrize(("how", "reason"), [("fail", "the network said no"), ("stall", "not done after 0.5 s")])
def test_what_never_arrives_is_told(bucket, folder, monkeypatch, how, reason):
    rules(monkeypatch, {"call": "copy", "how": how})
    made = make(folder)
    made.start()
    fill(folder, {"metrics.jsonl": b"1"})
    problem = made.finish(0.5 if how == "stall" else 60)
    assert reason in problem
    assert problem.endswith(f"the results are in {folder}")


def test_a_stalled_upload_does_not_stall_the_process(bucket, folder, monkeypatch):
    monkeypatch.setattr(mirror, "SCAN_SECONDS", 0.05)
    rules(monkeypatch, {"call": "copy", "how": "stall"})
    made = make(folder)
    made.start()
    fill(folder, {"metrics.jsonl": b"1"})
    time.sleep(0.3)
    begin = time.monotonic()
    assert "not done after 0.5 s" in made.finish(0.5)
    assert time.monotonic() - begin < 3
