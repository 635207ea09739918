"""Inputs and outputs of a deployed model, independent of its runtime. Does not import MindSpore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from src.base.errors import UserError
from src.base.file_kinds import HEAD, MINDIR, ONNX, Kind, kind_of, misfit
from src.base.special_files import special_kind


class ModelError(UserError):
    """A model file is missing, damaged, too new or of the wrong kind.

    Attributes:
        kinds: accepted kinds of files, by their content.
        wanted: the same in words.
    """

    kinds: tuple[Kind, ...] = (MINDIR, ONNX)
    wanted = "a model"


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape and data type of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def num_bytes(self) -> int:
        """Size of the content in bytes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def shown_shape(self) -> str:
        """The shape as text, e.g. '1x3x1024x2048'."""
        return "x".join(map(str, self.shape))


class Model(Protocol):
    """A model with one input and one output, ready to run on an array of the input's shape and type."""

    path: Path
    runtime: str  # name and version of the runtime
    input: TensorInfo
    output: TensorInfo

    def __call__(self, array: np.ndarray) -> np.ndarray: ...


def read_model(path: Path, error: type[ModelError]) -> bytes:
    """Return the content of a model file; raise `error` if it cannot be read or is of another kind."""
    special = special_kind(path)
    if special:
        raise error(f"cannot read the model {path}: is {special}, not a regular file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as err:
        raise error(f"no such model: {path}") from err
    except OSError as err:
        raise error(f"cannot read the model {path}: {err.strerror}") from err
    kind = kind_of(data[:HEAD])
    if kind is not None and kind not in error.kinds:
        raise error(misfit(path, kind, error.wanted))
    return data


def input_size(path: str | Path, tensor: TensorInfo) -> tuple[int, int]:
    """Return height and width of a model's input.

    Raises:
        ModelError: the input is not one image.
    """
    shape = tensor.shape
    if tensor.dtype == "float32" and len(shape) == 4 and shape[:2] == (1, 3):
        return shape[2], shape[3]
    if tensor.dtype == "uint8" and len(shape) == 4 and shape[0] == 1 and shape[3] == 3:
        return shape[1], shape[2]
    raise ModelError(f"{path}: takes {tensor.dtype} {tensor.shown_shape}, not one image; export it with export.py")


def check_output(path: str | Path, taken: TensorInfo, given: TensorInfo) -> None:
    """Check that a model returns classes or logits for every pixel of its input.

    Raises:
        ModelError: it does not, or its height and width differ, for example because the runtime drops an operator.
    """
    size = input_size(path, taken)
    is_class_map = given.dtype == "int32" and len(given.shape) == 3
    is_logits = given.dtype == "float32" and len(given.shape) == 4
    if not (is_class_map or is_logits) or given.shape[0] != 1:
        what = f"returns {given.dtype} {given.shown_shape}"
        raise ModelError(f"{path}: {what}, neither a class map (int32) nor logits (float32) of one image")
    if given.shape[-2:] != size:
        raise ModelError(
            "{}: takes {}x{} pixels (height x width) but returns {}x{}".format(path, *size, *given.shape[-2:])
        )
