"""Whether a checkpoint is as it was written, and its numbers are numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from src.base.errors import CheckpointError, first_names

# A checkpoint is a protobuf message, and what is behind its end belongs to it. This is a field that MindSpore does not
# know and passes over, like every reader of protobuf: number 4000, 48 bytes long, of which the last 32 are the SHA-256
# of all bytes before the field.
_HEAD = b"\x82\xfa\x01\x30" + b"BiSeNetV2 sha256"
_LENGTH = len(_HEAD) + hashlib.sha256().digest_size
_NEARLY = 16  # differing bits up to which the end of a file is taken for a damaged seal


def seal(path: Path) -> None:
    """Append the checksum of a checkpoint to its file.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size)
        file.seek(0, 2)
        file.write(_HEAD + digest)


def verify(path: str | Path) -> None:
    """Compare a checkpoint with the checksum at its end; a file without one is older, and accepted.

    Raises:
        CheckpointError: it is not as it was written, or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2) - _LENGTH
            if size < 0:
                return
            file.seek(size)
            end = file.read()
            if _differing_bits(end[: len(_HEAD)], _HEAD) > _NEARLY:
                return
            file.seek(0)
            if end != _HEAD + _digest(file, size):
                raise CheckpointError(
                    f"{path}: damaged: not the checksum it was written with; copy it again, or take another one"
                )
    except OSError as err:
        raise CheckpointError(f"{path}: cannot be read: {err.strerror}") from err


def _digest(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.digest()


def _differing_bits(one: bytes, other: bytes) -> int:
    return sum(bin(a ^ b).count("1") for a, b in zip(one, other))


def require_finite(values: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Refuse tensors that hold NaN or infinity.

    Raises:
        CheckpointError: one line that names the first three of them.
    """
    bad = [
        name
        for name, value in values.items()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all()
    ]
    if bad:
        first = bad[0]
        count = int((~np.isfinite(values[first])).sum())
        raise CheckpointError(
            f"{path}: {len(bad)} of {len(values)} tensors are not finite: {first_names(bad)} "
            f"({count} of {values[first].size} numbers in the first); take an earlier checkpoint"
        )
