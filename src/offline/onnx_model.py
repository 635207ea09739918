"""ONNX files: read their metadata and run them with ONNX Runtime. Does not import MindSpore."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from src.base.cores import usable_threads
from src.base.errors import ConfigError, one_line
from src.base.file_kinds import ONNX
from src.base.json_text import parse_json
from src.offline.tensors import ModelError, TensorInfo, check_output, read_model

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
}
WARNINGS, FATAL_ONLY = 2, 4  # log levels of ONNX Runtime
EXPORT_AGAIN = "export it again with export.py"
INSTALL = "python -m pip install -r requirements/onnx.txt"


class OnnxError(ModelError):
    """An ONNX file is missing, damaged or of the wrong kind."""

    kinds = (ONNX,)
    wanted = "an ONNX model"


def import_extra(name: str) -> ModuleType:
    """Import `onnx`, `onnxruntime` or one of their submodules.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise ConfigError(f"ONNX needs the package {name.partition('.')[0]}: {INSTALL}") from err


def providers(device_type: str, device_id: int) -> list:
    """Return ONNX Runtime's execution providers for a device.

    Raises:
        ConfigError: ONNX Runtime, or the installed build, does not run on the device.
    """
    if device_type == "CPU":
        return ["CPUExecutionProvider"]
    if device_type == "Ascend":
        raise ConfigError(
            "a .onnx does not run on Ascend; bash scripts/convert_to_lite.sh MODEL.onnx OUT "
            "--optimize=ascend_oriented makes a MindIR that does"
        )
    found = import_extra("onnxruntime").get_available_providers()
    if "CUDAExecutionProvider" not in found:
        raise ConfigError("this ONNX Runtime has no CUDA: python -m pip install onnxruntime-gpu, or take device CPU")
    return [("CUDAExecutionProvider", {"device_id": device_id})]


@contextlib.contextmanager
def names_in_utf8(path: Path) -> Iterator[None]:
    """Raise an OnnxError if names in a file are not UTF-8, as ONNX requires.

    Older versions of ONNX Runtime then raise an error without text, because the text would contain such a name.
    """
    try:
        yield
    except _name_errors() as err:
        if str(err) and not isinstance(err, UnicodeDecodeError):
            raise
        raise OnnxError(f"{path}: damaged: holds names that are not UTF-8; copy or export it again") from err


class OnnxModel:
    """An ONNX file with one input and one output, ready to run.

    Args:
        path: the file.
        device_type: "CPU" or "GPU".
        device_id: number of the GPU.
        num_threads: threads on the CPU; None uses all usable cores.
        verbose: let ONNX Runtime log warnings and errors.

    Raises:
        OnnxError: it is missing or damaged, is not a model for one image, or ONNX Runtime lacks one of its operators.
        ConfigError: ONNX Runtime is not installed or does not run on the device.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device_type: str = "CPU",
        device_id: int = 0,
        num_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.path = Path(path)
        wanted = providers(device_type, device_id)
        self.session = self._open(wanted, num_threads or usable_threads(), WARNINGS if verbose else FATAL_ONLY)
        if device_type == "GPU" and self.session.get_providers()[0] != "CUDAExecutionProvider":
            raise ConfigError(f"ONNX Runtime cannot use GPU {device_id} here; take device CPU")
        with names_in_utf8(self.path):
            self.input = self._only("inputs", self.session.get_inputs())
            self.output = self._only("outputs", self.session.get_outputs())
        check_output(path, self.input, self.output)

    def metadata(self) -> dict:
        """Return the description in the file's metadata; values that are not JSON are left out."""
        with names_in_utf8(self.path):
            return _decode(self.session.get_modelmeta().custom_metadata_map)

    def _open(self, wanted: list, num_threads: int, severity: int) -> Any:
        runtime = import_extra("onnxruntime")
        self.runtime = f"ONNX Runtime {runtime.__version__}"
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = severity
        data = read_model(self.path, OnnxError)
        nowhere = io.StringIO()  # ONNX Runtime prints its complaints before it falls back to the CPU
        try:
            with names_in_utf8(self.path), contextlib.redirect_stdout(nowhere):
                return runtime.InferenceSession(data, options, providers=wanted)
        except _runtime_errors() as err:
            if type(err).__name__ in ("InvalidProtobuf", "NoModel"):
                raise OnnxError(f"{self.path}: damaged or truncated, or no ONNX file") from err
            unknown = type(err).__name__ in ("InvalidGraph", "NotImplemented")
            hint = "; a newer one may have the operator" if unknown else ""
            raise OnnxError(f"{self.path}: {self.runtime} cannot load it: {one_line(err)}{hint}") from err

    def _only(self, which: str, found: list) -> TensorInfo:
        if len(found) != 1:
            raise OnnxError(f"{self.path}: has {len(found)} {which}, expected one; export it with export.py")
        tensor = found[0]
        if tensor.type not in _DTYPES or not all(isinstance(n, int) and n > 0 for n in tensor.shape):
            what = f"data type {tensor.type}, shape {tensor.shape}"
            raise OnnxError(f"{self.path}: {tensor.name} has {what}; export the model with export.py, at a fixed size")
        return TensorInfo(tensor.name, tuple(tensor.shape), _DTYPES[tensor.type])

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Run the model on an array of the input's shape and type.

        Raises:
            OnnxError: ONNX Runtime cannot run it.
        """
        try:
            with names_in_utf8(self.path):
                return self.session.run(None, {self.input.name: array})[0]
        except _runtime_errors() as err:
            raise OnnxError(f"{self.path}: {self.runtime} cannot run it: {one_line(err)}") from err


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return the error classes of ONNX Runtime, which have no common base class."""
    state = import_extra("onnxruntime.capi.onnxruntime_pybind11_state")
    names = (
        "EPFail",
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _name_errors() -> tuple[type[Exception], ...]:
    return (UnicodeDecodeError, *_runtime_errors())


def graph_errors() -> tuple[type[Exception], ...]:
    """Return the error classes of ONNX and ONNX Runtime for a graph, which have no common base class."""
    return (
        RuntimeError,
        ValueError,
        import_extra("onnx.shape_inference").InferenceError,
        import_extra("onnx.version_converter").ConvertError,
        import_extra("onnx.checker").ValidationError,
        LookupError,  # of older versions, for an unknown operator
        *_runtime_errors(),
    )


def load(path: Path) -> Any:
    """Return the protobuf message of an ONNX file.

    Raises:
        OnnxError: it is missing or damaged.
        ConfigError: the package onnx is not installed.
    """
    onnx, protobuf = import_extra("onnx"), import_extra("google.protobuf.message")
    data = read_model(path, OnnxError)
    try:
        with names_in_utf8(path):
            model = onnx.load_model_from_string(data)
            _require_utf8(model)
    except protobuf.DecodeError as err:
        raise OnnxError(f"{path}: damaged or truncated, or no ONNX file") from err
    if not model.graph.node or not model.opset_import:
        raise OnnxError(f"{path}: damaged or truncated, or no ONNX file")
    if opset(model) is None:
        raise OnnxError(f"{path}: damaged: names no version of ONNX's own operators; {EXPORT_AGAIN}")
    return model


def _require_utf8(message: Any) -> None:
    """Raise a UnicodeDecodeError if a string in a message is not UTF-8; protobuf leaves such strings as bytes."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING:
            for text in filter(lambda text: isinstance(text, bytes), values):
                text.decode("utf-8")
        elif field.message_type is not None:
            for part in values:
                _require_utf8(part)


def opset(model: Any) -> int | None:
    """Return the version of ONNX's own operators that a message uses; None if it names none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def set_metadata(model: Any, record: dict) -> None:
    """Store a description in the metadata of an ONNX message, as a JSON value for each key."""
    import_extra("onnx").helper.set_model_props(model, {name: json.dumps(value) for name, value in record.items()})


def metadata(model: Any) -> dict:
    """Return the description in the metadata of an ONNX message; values that are not JSON are left out."""
    return _decode({entry.key: entry.value for entry in model.metadata_props})


def _decode(texts: dict[str, str]) -> dict:
    record = {}
    for key, text in texts.items():
        with contextlib.suppress(ValueError):
            record[key] = parse_json(text)
    return record
