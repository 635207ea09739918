"""Temporary files: never through a link, gone at once after a failure or a signal, or at the claim after a kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from src.base import claims, files
from src.base.errors import UserError
from src.base.temporary import is_temporary, remove_remains, remove_remains_of, replacing
from tests.run_helpers import ROOT

NAME = re.compile(r"\.curves\.\d+-[0-9a-f]{16}\.partial\.png")


@pytest.fixture(autouse=True)
def _nothing_stays_claimed():
    yield
    claims.release_all()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_name_is_a_new_file_of_its_own_each_time(tmp_path):
    seen = set()
    for _ in range(3):
        with replacing(tmp_path / "curves.png") as temporary:
            assert NAME.fullmatch(temporary.name)
            assert temporary.stat().st_size == 0
            seen.add(temporary)
            temporary.write_bytes(b"x")
    assert len(seen) == 3
    assert names(tmp_path) == {"curves.png"}
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "curves.png").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_under_the_name_is_not_followed(tmp_path, monkeypatch):
    """Even if somebody could foresee the name."""
    mine = tmp_path / "mine"
    mine.write_text("mine", encoding="utf-8")
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    link = tmp_path / f".curves.{os.getpid()}-{'0' * 16}.partial.png"
    link.symlink_to(mine)
    with pytest.raises(UserError, match=r"cannot write the picture .*curves\.png: File exists"):
        files.write_whole(tmp_path / "curves.png", b"x", "the picture ")
    link.unlink()
    link.symlink_to(tmp_path / "none")  # a link that leads nowhere would have made a file there
    with pytest.raises(UserError, match="File exists"):
        files.write_whole(tmp_path / "curves.png", b"x")
    assert mine.read_text(encoding="utf-8") == "mine"
    assert names(tmp_path) == {"mine", link.name}


def test_a_link_that_a_library_put_there_is_not_published(tmp_path):
    def write() -> None:
        with replacing(tmp_path / "a.ckpt") as temporary:
            temporary.unlink()
            temporary.symlink_to(tmp_path / "mine")

    (tmp_path / "mine").touch()
    with pytest.raises(OSError, match="symbolic link"):
        write()
    assert not (tmp_path / "a.ckpt").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    (tmp_path / "a.ckpt").write_bytes(b"before")

    def write() -> None:
        with replacing(tmp_path / "a.ckpt") as temporary:
            temporary.write_bytes(b"half")
            temporary.with_suffix(".tmp").write_bytes(b"half")  # MindSpore's own
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == {"a.ckpt"}
    assert (tmp_path / "a.ckpt").read_bytes() == b"before"


WRITER = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from src.base import claims, stops
    from src.base.temporary import replacing
    stops.end_by_signals()
    @claims.releasing
    def main(argv):
        folder = Path(sys.argv[1])
        claims.hold_folder(folder, "training", "--save_dir")
        with replacing(folder / "n300.mp4") as temporary:
            temporary.write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_in_the_middle(tmp_path, number):
    code = textwrap.dedent(WRITER).format(root=str(ROOT))
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **options) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
    if number == signal.SIGKILL:
        assert {name.split("-")[0] for name in names(tmp_path)} == {".claim", f".n300.{process.pid}"}
        claims.hold_folder(tmp_path, "training", "--save_dir")
        assert names(tmp_path) == {".claim"}
    else:
        assert names(tmp_path) == set()


def test_only_files_of_the_exact_pattern_are_remains(tmp_path):
    mark = f"77-{'0123456789abcdef'}.partial"
    remains = {f".a.{mark}.ckpt", f".b.c.{mark}", f".d.{mark}.tmp"}
    kept = {
        f"a.{mark}.ckpt",
        f".a.{mark}.tar.gz",
        f".a.{mark[:-1]}",
        ".a.partial.ckpt",
        ".a.77.tmp",
        f"..{mark}",
        ".a.77-0123456789ABCDEF.partial",
        ".a.77-0123456789abcde.partial.ckpt",
    }
    for folder in (tmp_path, tmp_path / "checkpoints", tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        for name in remains | kept:
            (folder / name).touch()
        (folder / f".link.{mark}").symlink_to(tmp_path)
        (folder / f".folder.{mark}").mkdir()
    assert {name for name in remains | kept if is_temporary(name)} == remains
    remove_remains(tmp_path, ["checkpoints", "none"])
    always = kept | {f".link.{mark}", f".folder.{mark}"}
    assert names(tmp_path) == always | {"checkpoints", "other"}
    assert names(tmp_path / "checkpoints") == always
    assert names(tmp_path / "other") == always | remains


def test_the_remains_of_one_file_alone(tmp_path):
    mark = "77-0123456789abcdef.partial"
    for name in (f".m.{mark}.onnx", f".m.{mark}.mindir", f".mm.{mark}.onnx", f".m.{mark}.tmp", f".w.{mark}.tmp"):
        (tmp_path / name).touch()
    remove_remains_of(tmp_path / "m.onnx")
    assert names(tmp_path) == {f".m.{mark}.mindir", f".mm.{mark}.onnx", f".m.{mark}.tmp", f".w.{mark}.tmp"}
    remove_remains_of(tmp_path / "w.ckpt")
    assert names(tmp_path) == {f".m.{mark}.mindir", f".mm.{mark}.onnx", f".m.{mark}.tmp"}


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 200 + "." + "y" * 54, "a b.png", ".hidden", "noname"])
def test_any_name_can_be_written(tmp_path, name):
    files.write_whole(tmp_path / name, b"1")
    assert names(tmp_path) == {name}
    with replacing(tmp_path / name) as temporary:
        assert is_temporary(temporary.name)
        assert temporary.suffix == (".partial" if len(Path(name).suffix) > 12 else Path(name).suffix or ".partial")
