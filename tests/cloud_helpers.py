"""A bucket of an object store that is a folder, and archives to put into it."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

REPLACEMENT = Path(__file__).parent / "moxing_replacement"


def rules(monkeypatch, *entries: dict) -> None:
    monkeypatch.setenv("FAKE_MOXING", json.dumps(entries))


def fill(folder: Path, names: dict[str, bytes]) -> None:
    for name, data in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def calls(tmp_path: Path, name: str) -> int:
    return sum(line.split()[1] == name for line in (tmp_path / "moxing.log").read_text().splitlines())


def zipped(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, names: dict[str, bytes], link: str = "") -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return path
