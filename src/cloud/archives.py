"""Unpacking data sets that come as zip or tar archives."""

from __future__ import annotations

import logging
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from src.base.errors import UserError, one_line
from src.base.paths import name_problem
from src.cloud.object_store import require_space

logger = logging.getLogger(__name__)

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PLAIN_FILES = (0, stat.S_IFREG)  # file types in the mode of a zip member; 0 if the archiver stored none
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    LookupError,
    struct.error,  # from invalid headers
)


def is_archive(path: Path) -> bool:
    """Return whether a file is, by its name, an archive that `unpack` takes."""
    return path.name.lower().endswith(ZIP_SUFFIXES + TAR_SUFFIXES)


def archives_in(folder: Path) -> list[Path]:
    """Return the archives directly in `folder`, sorted by name, without hidden files."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.is_file() and is_archive(path))


def unpack(archive: Path, target: Path) -> None:
    """Write all files of an archive below `target`.

    Raises:
        UserError: the archive is damaged, holds links or names outside `target`, or the disk is too small.
    """
    target = target.resolve()
    read = _zip_members if archive.name.lower().endswith(ZIP_SUFFIXES) else _tar_members
    target.mkdir(parents=True, exist_ok=True)
    try:
        sizes = [size for _, size, _ in read(archive, target, contents=False)]
        require_space(target, sum(sizes), f"unpacking {archive}")
        for path, _, stream in read(archive, target, contents=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert stream is not None  # contents=True
            with stream, path.open("wb") as output:
                shutil.copyfileobj(stream, output, 2**20)
    except OSError as err:
        if err.errno is not None:
            raise UserError(f"cannot unpack {archive} to {target}: {err.strerror}") from err
        raise UserError(f"{archive}: damaged ({err})") from err  # wrong checksum of gzip or bzip2
    except DAMAGED as err:
        raise UserError(f"{archive}: damaged, or not an archive ({one_line(err)})") from err
    logger.info("unpacked %s: %d files, %.1f MB", archive, len(sizes), sum(sizes) / 1e6)


def _inside(target: Path, name: str, archive: Path) -> Path:
    problem = name_problem(name)
    if problem:
        raise UserError(f"{archive}: {name!r}: {problem}; nothing was unpacked")
    path = Path(os.path.normpath(target / name))
    if not path.is_relative_to(target) or path == target:
        raise UserError(f"{archive}: the name {name!r} leads out of the folder to unpack to; nothing was unpacked")
    return path


def _zip_members(archive: Path, target: Path, *, contents: bool) -> Iterator[tuple[Path, int, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir() or kind == stat.S_IFDIR:
                continue
            path = _inside(target, member.filename, archive)
            if kind not in _PLAIN_FILES:
                raise UserError(f"{archive}: {member.filename} is a link or a device; a data set has files only")
            yield path, member.file_size, opened.open(member) if contents else None


def _tar_members(archive: Path, target: Path, *, contents: bool) -> Iterator[tuple[Path, int, IO[bytes] | None]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isdir():
                continue
            path = _inside(target, member.name, archive)
            if not member.isfile():
                raise UserError(f"{archive}: {member.name} is a link or a device; a data set has files only")
            if member.size < 0:
                raise tarfile.ReadError(f"{member.name} has {member.size} bytes")
            yield path, member.size, opened.extractfile(member) if contents else None
        assert opened.fileobj is not None  # it is open
        while opened.fileobj.read(2**20):  # read on to the checksum at the end of the compressed data
            pass
