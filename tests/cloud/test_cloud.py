"""The parts of a cloud job by themselves: object store, archives, one download a host."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from src.base.errors import UserError
from src.cloud import archives, object_store, once_per_host
from tests.cloud_helpers import calls, fill, rules, tarred, zipped


class TestObjectStore:
    """Downloads arrive whole or not at all."""

    def test_a_folder_arrives(self, bucket, tmp_path):
        fill(bucket / "data", {"a/x": b"12", "a/b/y": b"345", "z": b""})
        (bucket / "data" / "empty").mkdir()
        object_store.ObjectStore("obs://b/data").download("obs://b/data/", tmp_path / "here")
        there = {
            str(p.relative_to(tmp_path / "here")): p.read_bytes() for p in (tmp_path / "here").rglob("*") if p.is_file()
        }
        assert there == {"a/x": b"12", "a/b/y": b"345", "z": b""}

    @pytest.mark.parametrize(
        ("call", "how"), [("copy_parallel", "fail"), ("copy_parallel", "partial"), ("copy_parallel", "truncate")]
    )
    def test_what_goes_wrong_for_a_while_is_tried_again(self, bucket, tmp_path, monkeypatch, call, how):
        fill(bucket / "data", {"a": b"12", "b": b"345"})
        rules(monkeypatch, {"call": call, "how": how, "times": 3})
        object_store.ObjectStore("obs://b").download("obs://b/data", tmp_path / "here")
        assert (tmp_path / "here" / "b").read_bytes() == b"345"
        assert calls(tmp_path, call) == 4

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("fail", "cannot download s3://b/data: the network said no"),
            ("partial", "1 files did not arrive, the first one b"),
            ("truncate", "2 of 5 bytes arrived"),
        ],
    )
    def test_what_goes_wrong_for_good_has_a_reason(self, bucket, tmp_path, monkeypatch, how, reason):
        fill(bucket / "data", {"a": b"12", "b": b"345"})
        rules(monkeypatch, {"call": "copy_parallel", "how": how})
        with pytest.raises(UserError, match=reason):
            object_store.ObjectStore("s3://b").download("s3://b/data", tmp_path / "here")
        assert calls(tmp_path, "copy_parallel") == 4

    def test_a_file_arrives_whole(self, bucket, tmp_path, monkeypatch):
        fill(bucket, {"x.ckpt": b"123456"})
        rules(monkeypatch, {"call": "copy", "how": "truncate", "times": 1})
        object_store.ObjectStore("obs://b").download("obs://b/x.ckpt", tmp_path / "new" / "x.ckpt")
        assert (tmp_path / "new" / "x.ckpt").read_bytes() == b"123456"

    def test_nothing_there_is_told_at_once(self, bucket, tmp_path):
        with pytest.raises(UserError, match="obs://b/none: nothing there"):
            object_store.ObjectStore("obs://b").download("obs://b/none", tmp_path / "here")

    def test_a_full_disk_is_told_before(self, bucket, tmp_path, monkeypatch):
        fill(bucket / "data", {"a": b"12"})
        monkeypatch.setattr(object_store, "SPARE_BYTES", 10**18)
        with pytest.raises(UserError, match=r"obs://b/data: needs 0.000 GB in .*, where [\d.]+ GB are free"):
            object_store.ObjectStore("obs://b").download("obs://b/data", tmp_path / "here")
        assert not (tmp_path / "here").exists()

    def test_without_moxing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "moxing", None)
        with pytest.raises(UserError, match="obs://b/x: needs moxing, which the platform's images bring along"):
            object_store.ObjectStore("obs://b/x")

    def test_what_takes_too_long_is_given_up(self):
        with pytest.raises(UserError, match="the input: not done after 0.1 s"):
            object_store.within(0.1, "the input", lambda: time.sleep(5))
        assert object_store.within(5, "the input", lambda: 7) == 7
        with pytest.raises(KeyError):
            object_store.within(5, "the input", lambda: {}["x"])


class TestArchives:
    """Everything inside the folder, nothing outside it."""

    @pytest.mark.parametrize("name", ["d.zip", "d.tar", "d.tar.gz", "D.TGZ"])
    def test_unpacked(self, tmp_path, name):
        make = zipped if name.endswith("zip") else tarred
        path = make(tmp_path / name, {"leftImg8bit/train/a.png": b"1" * 1000, "./readme": b"x"})
        assert archives.archives_in(tmp_path) == [path]
        archives.unpack(path, tmp_path / "out")
        assert (tmp_path / "out" / "leftImg8bit" / "train" / "a.png").read_bytes() == b"1" * 1000
        assert (tmp_path / "out" / "readme").read_bytes() == b"x"

    @pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "out/../../evil"])
    @pytest.mark.parametrize("kind", ["d.zip", "d.tar"])
    def test_names_that_lead_out_are_refused(self, tmp_path, kind, name):
        path = (zipped if kind.endswith("zip") else tarred)(tmp_path / kind, {"good": b"1", name: b"2"})
        with pytest.raises(UserError, match="leads out of the folder to unpack to; nothing was unpacked"):
            archives.unpack(path, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []
        assert not (tmp_path / "evil").exists()

    def test_links_are_refused(self, tmp_path):
        path = tarred(tmp_path / "d.tar", {"a": b"1"}, link="/etc/passwd")
        with pytest.raises(UserError, match="link is a link or a device"):
            archives.unpack(path, tmp_path / "out")

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
    def test_members_of_a_zip_that_are_marked_as_no_files_are_refused(self, tmp_path, kind):
        path = zipped(tmp_path / "d.zip", {"a": b"1"})
        with zipfile.ZipFile(path, "a") as archive:
            for name, mode in (("plain", stat.S_IFREG | 0o644), ("folder", stat.S_IFDIR | 0o755), ("odd", kind)):
                member = zipfile.ZipInfo(name)
                member.create_system, member.external_attr = 3, mode << 16  # 3: made on Unix
                archive.writestr(member, b"")
        with pytest.raises(UserError, match="odd is a link or a device; a data set has files only"):
            archives.unpack(path, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []

    @pytest.mark.parametrize("name", ["d.zip", "d.tar.gz", "d.tar"])
    def test_a_damaged_archive_is_named(self, tmp_path, name):
        path = (zipped if name.endswith("zip") else tarred)(tmp_path / name, {"a": os.urandom(50_000)})
        path.write_bytes(path.read_bytes()[:20_000])
        with pytest.raises(UserError, match=f"{name}: damaged, or not an archive"):
            archives.unpack(path, tmp_path / "out")

    @pytest.mark.parametrize(("mode", "suffix"), [("w:gz", "tgz"), ("w:bz2", "tar.bz2"), ("w:xz", "tar.xz")])
    @pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
    def test_a_flipped_bit_in_a_compressed_archive_is_noticed(self, tmp_path, mode, suffix, place):
        path = tmp_path / f"d.{suffix}"
        with tarfile.open(path, mode) as archive:
            member = tarfile.TarInfo("a")
            member.size = 50_000
            archive.addfile(member, io.BytesIO(os.urandom(member.size)))
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= 1
        path.write_bytes(data)
        with pytest.raises(UserError, match=f"d.{suffix}: damaged"):
            archives.unpack(path, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []

    def test_links_in_a_zip_are_refused(self, tmp_path):
        path = tmp_path / "d.zip"
        with zipfile.ZipFile(path, "w") as archive:
            member = zipfile.ZipInfo("link")
            member.external_attr = 0o120777 << 16
            archive.writestr(member, "/etc/passwd")
        with pytest.raises(UserError, match="link is a link or a device"):
            archives.unpack(path, tmp_path / "out")

    def test_a_full_disk_is_told_before(self, tmp_path, monkeypatch):
        monkeypatch.setattr(object_store, "SPARE_BYTES", 10**18)
        with pytest.raises(UserError, match="unpacking .*d.zip needs"):
            archives.unpack(zipped(tmp_path / "d.zip", {"a": b"1"}), tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


OTHER_RANK = """
import sys, time
from pathlib import Path
from src.cloud.once_per_host import once_per_host
from src.base.errors import UserError
folder, rank, size, what, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5])
def work():
    time.sleep(0.5)
    if what == "die":
        import os
        os._exit(9)
    if what == "fail":
        raise UserError("the bucket is gone")
    if what == "sleep":
        time.sleep(3)
    return {"data": f"by {rank}"}
try:
    print(once_per_host(folder, (rank, size), work, limit)["data"])
except UserError as err:
    sys.exit(str(err))
time.sleep(2)  # it trains
"""


class TestOncePerHost:
    """One process works, the others learn what became of it; stale files say nothing."""

    def run(self, folder: Path, what: str, limit: float = 30) -> list[subprocess.Popen]:
        words = [sys.executable, "-c", OTHER_RANK, str(folder)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[2]}
        processes = [subprocess.Popen([*words, str(rank), "3", what, str(limit)], **options) for rank in (2, 1, 0)]
        return [(*process.communicate(timeout=60), process.returncode) for process in processes]

    @pytest.mark.parametrize("stale", ["", "999999999:5", "1:77"])  # gone; alive, but begun at another time
    def test_all_get_the_result(self, tmp_path, stale):
        if stale:
            tmp_path.joinpath("state.json").write_text(json.dumps({"owner": stale, "state": "done", "data": "old"}))
        assert self.run(tmp_path, "succeed") == [("by 0\n", "", 0)] * 3

    @pytest.mark.parametrize("stale", ["", "done", "failed"])
    def test_all_fail_with_the_reason(self, tmp_path, stale):
        if stale:
            state = {"owner": "999999999:5", "state": stale, "reason": "old", "data": "old"}
            tmp_path.joinpath("state.json").write_text(json.dumps(state))
        begin = time.monotonic()
        assert self.run(tmp_path, "fail") == [("", "the bucket is gone\n", 1)] * 3
        assert time.monotonic() - begin < once_per_host.FAILURE_READ_SECONDS

    def test_the_others_notice_that_the_first_is_gone(self, tmp_path):
        *others, first = self.run(tmp_path, "die")
        assert first[2] == 9
        for _, error, code in others:
            assert code == 1
            assert "the first process of this host (" in error
            assert "ended while the others waited" in error

    def test_the_others_have_a_time_limit(self, tmp_path):
        *others, first = self.run(tmp_path, "sleep", limit=1)
        assert first[0] == "by 0\n"
        assert all("not done after 1 s (transfer_timeout), given up" in error for _, error, _ in others)

    def test_a_folder_in_use_is_not_shared(self, tmp_path):
        assert once_per_host.once_per_host(tmp_path, (0, 1), lambda: {"a": "b"}, 1) == {"a": "b"}
        parent = once_per_host.process_identity(os.getppid())
        (tmp_path / "state.json").write_text(json.dumps({"owner": parent, "state": "done"}), encoding="utf-8")
        with pytest.raises(UserError, match=f"process {os.getppid()} of this machine runs the same job already"):
            once_per_host.once_per_host(tmp_path, (0, 1), lambda: {"a": "b"}, 1)

    def test_the_others_wait_for_the_upload(self, tmp_path):
        once_per_host.once_per_host(tmp_path, (0, 1), lambda: {"a": "b"}, 1)
        once_per_host.publish_state(tmp_path, "uploading")
        assert once_per_host.once_per_host(tmp_path, (1, 2), dict, 1) == {"a": "b"}  # one that comes late
        waiting = threading.Thread(target=once_per_host.wait_for_upload, args=(tmp_path, 60))
        waiting.start()
        time.sleep(0.5)
        assert waiting.is_alive()
        once_per_host.publish_state(tmp_path, "uploaded")
        waiting.join(5)
        assert not waiting.is_alive()

    def test_nobody_waits_for_a_process_that_is_gone_or_stuck(self, tmp_path, monkeypatch):
        monkeypatch.setattr(once_per_host, "UPLOAD_START_SECONDS", 0.5)
        begin = time.monotonic()
        once_per_host.once_per_host(tmp_path, (0, 1), dict, 1)  # stays at "done"
        once_per_host.wait_for_upload(tmp_path, 60)
        (tmp_path / "state.json").write_text(json.dumps({"owner": "999999999:5", "state": "uploading"}))
        once_per_host.wait_for_upload(tmp_path, 60)
        assert time.monotonic() - begin < 5
