"""Read safetensors files, with the package safetensors and without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import ConfigError, UserError, one_line
from src.convert.torch_files import pick

INSTALL = "python -m pip install -r requirements/safetensors.txt"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def read(path: Path, weights: str | None = None) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the tensors of a safetensors file by name, floating-point numbers as float32, and notes for the log.

    Args:
        path: the file.
        weights: which of several networks in it: "model", "ema" or the prefix of its names.

    Raises:
        ConfigError: the package is not installed.
        UserError: the file is damaged, or holds no weights, or several without a choice.
    """
    try:
        import safetensors
    except ImportError as err:
        raise ConfigError(f"{path}: needs the package safetensors: {INSTALL}") from err
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as err:
        raise UserError(f"{path}: damaged or truncated, or no safetensors file: {one_line(err)}") from err
    try:
        return pick({name: _array(name, entry) for name, entry in entries}, weights)
    except ValueError as err:
        raise UserError(f"{path}: {err}") from err


def _array(name: str, entry: dict[str, Any]) -> np.ndarray:
    kind, data = entry["dtype"], bytes(entry["data"])
    if kind == "BF16":  # the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _DTYPES:
        values = np.frombuffer(data, _DTYPES[kind])
    else:
        raise ValueError(f"{name} has the type {kind}, which is not read; save it as F32")
    return values.reshape(entry["shape"])
