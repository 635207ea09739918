"""Load a deployed model by its suffix."""

from __future__ import annotations

from pathlib import Path

from src.base.errors import ConfigError
from src.base.file_kinds import MINDIR, ONNX, TEXT, kind_of_file, misfit
from src.offline.tensors import Model, ModelError

SUFFIXES = {".mindir": MINDIR, ".onnx": ONNX}


def check_suffix(path: Path) -> str:
    """Return the suffix of a model's file.

    Raises:
        ConfigError: such a file cannot be run.
        ModelError: the content of the file does not match its suffix.
    """
    kind = kind_of_file(path)
    if path.suffix not in SUFFIXES:
        if kind is None or kind == TEXT:
            raise ConfigError(f"{path}: neither .mindir nor .onnx; export.py writes them")
        raise ConfigError(f"{path}: is {kind.name}, and its name ends in neither .mindir nor .onnx; {kind.advice}")
    if kind is not None and kind != SUFFIXES[path.suffix]:
        raise ModelError(misfit(path, kind, SUFFIXES[path.suffix].name))
    return path.suffix


def load_model(
    path: Path, *, device_type: str = "CPU", device_id: int = 0, num_threads: int | None = None, verbose: bool = False
) -> Model:
    """Load a model to run in this process.

    Args:
        path: a .mindir, which runs on MindSpore's current device, or a .onnx.
        device_type: "Ascend", "GPU" or "CPU", for a .onnx.
        device_id: number of the device, for a .onnx.
        num_threads: threads on the CPU, for a .onnx; None uses all usable cores.
        verbose: let ONNX Runtime log.

    Raises:
        ModelError: the file cannot be used.
        ConfigError: it does not run on the device, or a package is missing.
    """
    if check_suffix(path) == ".onnx":
        from src.offline.onnx_model import OnnxModel

        return OnnxModel(path, device_type=device_type, device_id=device_id, num_threads=num_threads, verbose=verbose)
    from src.offline.mindir import MindIRModel  # imports MindSpore

    return MindIRModel(path)
