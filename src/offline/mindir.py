"""MindIR files: read their metadata and run them with MindSpore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from google.protobuf.message import DecodeError
from mindspore import Tensor, nn
from mindspore.train import mind_ir_pb2

from src.base.file_kinds import MINDIR
from src.offline.tensors import ModelError, TensorInfo, check_output, read_model

# Numbers of mind_ir.proto's TensorProto.DataType.
_DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 10: "float16"}

DAMAGED = "damaged or truncated, or no MindIR file; copy it again, or export the model anew"


class MindIRError(ModelError):
    """A MindIR file is missing, damaged, too new or of the wrong kind."""

    kinds = (MINDIR,)
    wanted = "a MindIR"


@dataclass(frozen=True)
class MindIRInfo:
    """Versions, inputs and outputs of a MindIR file."""

    mindspore: str
    mindir_version: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def read_mindir_info(path: str | Path) -> MindIRInfo:
    """Read versions, inputs and outputs of a MindIR file without building its graph.

    Raises:
        MindIRError: it is missing, damaged, or of a format that the installed MindSpore cannot read.
    """
    try:
        return _info_of(path, _parse(Path(path)))
    except (IndexError, UnicodeDecodeError) as err:  # some builds of protobuf decode strings on access
        raise MindIRError(f"{path}: {DAMAGED}") from err


def _info_of(path: str | Path, model: mind_ir_pb2.ModelProto) -> MindIRInfo:
    newest = max(mind_ir_pb2.Version.values())
    if model.mind_ir_version > newest:
        raise MindIRError(
            f"{path}: MindIR format {model.mind_ir_version}, written by MindSpore {model.model_version}, but "
            f"MindSpore {ms.__version__} reads formats up to {newest}; export with a version no newer than this one"
        )
    inputs, outputs = (
        tuple(_tensor_info(path, value) for value in values) for values in (model.graph.input, model.graph.output)
    )
    return MindIRInfo(model.model_version, model.mind_ir_version, inputs, outputs)


def _parse(path: Path) -> mind_ir_pb2.ModelProto:
    data = read_model(path, MindIRError)
    model = mind_ir_pb2.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as err:
        raise MindIRError(f"{path}: {DAMAGED}") from err
    # The version is written last: without it the file is truncated.
    if not model.HasField("mind_ir_version") or not model.graph.node:
        raise MindIRError(f"{path}: truncated, or no MindIR of MindSpore 2.0 or later")
    return model


def _tensor_info(path: str | Path, value: mind_ir_pb2.ValueInfoProto) -> TensorInfo:
    tensor = value.tensor[0]
    if tensor.data_type not in _DTYPES or min(tensor.dims, default=1) < 1:
        what = f"data type {tensor.data_type}, shape {list(tensor.dims)}"
        raise MindIRError(f"{path}: {value.name} has {what}; export the model with export.py")
    return TensorInfo(value.name, tuple(tensor.dims), _DTYPES[tensor.data_type])


class MindIRModel:
    """A MindIR file with one input and one output, ready to run on the current device of MindSpore.

    Args:
        path: the file.

    Raises:
        MindIRError: see `read_mindir_info`; or it has several inputs or outputs, or MindSpore cannot load it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.info = Path(path), read_mindir_info(path)
        self.input, self.output = (self._only(path, which) for which in ("inputs", "outputs"))
        check_output(path, self.input, self.output)
        self.runtime = f"MindSpore {ms.__version__}"
        try:
            self.cell = nn.GraphCell(ms.load(str(path)))
        except (RuntimeError, TypeError, ValueError) as err:
            reason = str(err).strip().splitlines()[0][:200]
            raise MindIRError(f"{path}: MindSpore {ms.__version__} cannot load it: {reason}") from err

    def _only(self, path: str | Path, which: str) -> TensorInfo:
        tensors: Sequence[TensorInfo] = getattr(self.info, which)
        if len(tensors) != 1:
            raise MindIRError(f"{path}: has {len(tensors)} {which}, expected one; export it with export.py")
        return tensors[0]

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Run the model on an array of the input's shape and type.

        Raises:
            MindIRError: MindSpore cannot run it, for example because an older version wrote an operator differently.
        """
        try:
            return self.cell(Tensor(array)).asnumpy()
        except RuntimeError as err:
            reason = str(err).strip().splitlines()[0][:200]
            hint = ""
            if self.info.mindir_version == 1 and self.input.dtype == "uint8":
                hint = "; later versions do not run what MindSpore 2.0 writes for uint8 input: export with this one"
            raise MindIRError(f"{self.path}: MindSpore {ms.__version__} cannot run it: {reason}{hint}") from err
