"""Integrity of checkpoints: checksums, and tensors without NaN and infinity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from src.base.errors import CheckpointError, first_names

# A checkpoint is a protobuf message, to which fields can be appended. MindSpore, like every reader of protobuf, skips
# fields that it does not know. This one has number 4000 and 48 bytes, the last 32 of which are the SHA-256 of all bytes
# before the field.
_HEAD = b"\x82\xfa\x01\x30" + b"BiSeNetV2 sha256"
_LENGTH = len(_HEAD) + hashlib.sha256().digest_size
_NEARLY = 16  # wrong bits up to which the end of a file is taken for a damaged checksum field


def append_checksum(path: Path) -> None:
    """Append its checksum to a checkpoint file.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size)
        file.seek(0, 2)
        file.write(_HEAD + digest)


def verify_checksum(path: str | Path) -> None:
    """Compare a checkpoint with the checksum at its end; older files without one are accepted.

    Raises:
        CheckpointError: the checksum differs, or the file cannot be read.
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
