"""Headers of archives that make no sense, written by hand: one line, and nothing unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from src.base.errors import UserError
from src.cloud import archives
from tests.cloud_helpers import zipped

pytestmark = pytest.mark.once


def record(key: str, value: str) -> bytes:
    """Return a record of a PAX header, which begins with its own length: POSIX.1-2001, pax, Extended Header."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def with_header(path: Path, header: bytes) -> Path:
    """Write a tar of a good file, and of one that has this PAX header."""
    blocks = b""
    for name, data, kind in (("a", b"1", b"0"), ("header", header, b"x"), ("b", b"2" * 600, b"0")):
        member = tarfile.TarInfo(name)
        member.size, member.type = len(data), kind
        blocks += member.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % 512)
    path.write_bytes(blocks + b"\0" * 1024)
    return path


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (record("path", "a\0b"), r"'a\\x00b': holds a NUL byte, which no file name can; nothing was unpacked"),
        (record("path", "x" * 5000), "a name is too long: file systems take 255 bytes; nothing was unpacked"),
        (record("path", "../b"), "leads out of the folder to unpack to; nothing was unpacked"),
        (record("size", "-5"), "damaged, or not an archive"),
        (record("GNU.sparse.map", "a,b"), "damaged, or not an archive"),
        (record("GNU.sparse.size", "x"), "damaged, or not an archive"),
        (record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0"), "damaged, or not an archive"),
    ],
    ids=["NUL", "long", "out", "negative", "map", "size", "sparse"],
)
def test_a_pax_header(tmp_path, header, reason):
    path = with_header(tmp_path / "d.tar", header)
    with pytest.raises(UserError, match=f"^{path}: .*{reason}" if "unpacked" in reason else f"^{path}: {reason}"):
        archives.unpack(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_good_pax_header(tmp_path):
    """The oracle's own: what the tests above write is read as what it says."""
    archives.unpack(with_header(tmp_path / "d.tar", record("path", "c/d")), tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"a", "c/d"}


def test_a_long_name_in_a_zip(tmp_path):
    path = zipped(tmp_path / "d.zip", {"good": b"1", "x" * 5000: b"2"})
    with pytest.raises(UserError, match="a name is too long: file systems take 255 bytes; nothing was unpacked"):
        archives.unpack(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_zip_whose_extra_field_ends_too_early(tmp_path):
    """Of the sizes that a ZIP64 field has to give there are none."""
    path = zipped(tmp_path / "d.zip", {"good": b"1"})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + 20 : entry + 28] = b"\xff" * 8  # both sizes: see the extra field
    data[entry + 30 : entry + 32] = (4).to_bytes(2, "little")
    at = entry + 46 + len("good")
    data[at:at] = b"\1\0\0\0"
    end = data.index(b"PK\5\6")
    data[end + 12 : end + 16] = (end - entry).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged, or not an archive"):
        archives.unpack(path, tmp_path / "out")
