"""Finding damage in JPEGs that the decoder only mentions on standard error."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from src.base.errors import DataError
from src.config.schema_data import MAX_PIXELS
from src.data.containers import JPEG_SIGNATURE, jpeg_size
from src.data.image_files import check_pixels, read_bytes, require_complete, undecodable_reason

logger = logging.getLogger(__name__)
HARMLESS_BYTES = 16  # surplus bytes that are camera padding; a lost stretch leaves many more
_PROGRAM = Path(__file__).with_name("decoder_process.py")
_DAMAGE = re.compile(r"Corrupt JPEG data: .*|Premature end of JPEG file.*")
_SURPLUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x([0-9a-f]+)")


class DecoderReports:
    """Checks JPEGs for damage, from any number of threads; a context manager, which ends the processes it started.

    Each thread uses a decoder process of its own, as standard error is shared by the threads of a process and a warning
    could not be attributed to a picture. No process is started before the first JPEG.
    """

    def __init__(self) -> None:
        self._lock, self._has_failed = threading.Lock(), False
        self._free: list[subprocess.Popen[str]] = []
        self._all: list[subprocess.Popen[str]] = []

    def __enter__(self) -> DecoderReports:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for process in self._all:
                _end(process)
            self._all, self._free, self._has_failed = [], [], True  # late threads get none

    def check(self, path: str, max_pixels: int = MAX_PIXELS) -> None:
        """Raise a DataError that names the file if it is a truncated JPEG or the decoder reports damage.

        A JPEG of more than `max_pixels` is refused as well, before it is decoded. Missing files and other formats are
        left to `read_image`.
        """
        if not _is_jpeg(path):
            return
        data = read_bytes(path)
        require_complete(path, data)
        check_pixels(path, jpeg_size(data), max_pixels)
        process = self._take()
        if process is None:
            return
        answer = _ask(process, json.dumps(str(Path(path).absolute())))
        if not answer:
            raise DataError(f"{path}: damaged, OpenCV's decoder crashes on it; copy or download it again")
        with self._lock:
            self._free.append(process)
        said = json.loads(answer)
        if said is None:
            raise DataError(f"{path}: {undecodable_reason(read_bytes(path))}")
        damage = reported_damage(said)
        if damage:
            raise DataError(f"{path}: damaged, the decoder reports: {damage}; copy or download it again")

    def _take(self) -> subprocess.Popen[str] | None:
        """Return an idle decoder process; None if none can be started."""
        with self._lock:
            if self._free or self._has_failed:
                return self._free.pop() if self._free else None
        process = _start()
        if process is None:
            with self._lock:
                is_news, self._has_failed = not self._has_failed, True
            if is_news:
                logger.warning("cannot start %s: JPEGs that are damaged inside may go unnoticed", _PROGRAM)
            return None
        with self._lock:
            self._all.append(process)
        return process


def reported_damage(said: str) -> str:
    """Return the first line that reports damage, "" if there is none; a few surplus bytes are not damage."""
    for line in said.splitlines():
        surplus = _SURPLUS.search(line)
        is_padding = surplus and int(surplus[1]) <= HARMLESS_BYTES and not 0xD0 <= int(surplus[2], 16) <= 0xD7
        if _DAMAGE.search(line) and not is_padding:
            return line.strip()
    return ""


def _is_jpeg(path: str) -> bool:
    try:
        return read_bytes(path, len(JPEG_SIGNATURE)) == JPEG_SIGNATURE
    except DataError:
        return False


def _start() -> subprocess.Popen[str] | None:
    try:
        process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError:
        return None
    if _pipes(process)[1].readline():  # ready
        return process
    _end(process)
    return None


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None  # _start has asked for both
    assert process.stdout is not None
    return process.stdin, process.stdout


def _ask(process: subprocess.Popen[str], line: str) -> str:
    """Send a line and return the answer; "" if the process is gone."""
    questions, answers = _pipes(process)
    try:
        questions.write(line + "\n")
        questions.flush()
        return answers.readline()
    except (OSError, ValueError):
        return ""


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    questions, answers = _pipes(process)
    with contextlib.suppress(OSError):
        questions.close()
    answers.close()
