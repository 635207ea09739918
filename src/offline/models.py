"""One way to run a deployed model: by its suffix."""

from __future__ import annotations

from pathlib import Path

from src.base.errors import ConfigError
from src.offline.tensors import Model

SUFFIXES = (".mindir", ".onnx")


def check_suffix(path: Path) -> str:
    """Return the suffix of a model's file.

    Raises:
        ConfigError: nothing here runs such a file.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: neither .mindir nor .onnx; export.py writes them")
    return path.suffix


def load_model(
    path: Path, *, device_type: str = "CPU", device_id: int = 0, num_threads: int | None = None, verbose: bool = False
) -> Model:
    """Load a model to run in this process.

    Args:
        path: a .mindir, which MindSpore runs on the device it is set to, or a .onnx.
        device_type: "Ascend", "GPU" or "CPU", for a .onnx.
        device_id: number of the device, for a .onnx.
        num_threads: threads on the CPU, for a .onnx; None: all usable cores.
        verbose: let ONNX Runtime log.

    Raises:
        ModelError: the file cannot be used.
        ConfigError: it does not run on the device, or a package is missing.
    """
    if check_suffix(path) == ".onnx":
        from src.offline.onnx_model import OnnxModel

        device = {"device_type": device_type, "device_id": device_id}
        return OnnxModel(path, **device, num_threads=num_threads, verbose=verbose)
    from src.offline.mindir import MindIRModel  # imports MindSpore

    return MindIRModel(path)
