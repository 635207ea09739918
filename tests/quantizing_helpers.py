"""What the tests of quantization share: packages, an exported .onnx with its description, and a run of the script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from scripts import quantize_onnx
from src.offline import onnx_model
from tests.offline_helpers import export, write_checkpoint
from tests.runner_helpers import missing


def require_packages() -> None:
    """Skip where onnx or onnxruntime is missing, but never in continuous integration."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            missing(f"no {name}: {onnx_model.INSTALL}")


def write_model(path: Path, *, taken: str, output: str) -> Path:
    """Export the seeded network as ``{taken}.onnx``; it takes uint8 or float32 at `SIZE`."""
    checkpoint = path.parent / "seeded.ckpt"
    if not checkpoint.exists():
        write_checkpoint(checkpoint)
    return export(checkpoint, path.with_suffix(""), "--file_format", "ONNX", "--input", taken, "--output", output)


def copy(path: Path, folder: Path) -> Path:
    """Copy a model to ``m.onnx`` in `folder`."""
    target = folder / "m.onnx"
    target.write_bytes(path.read_bytes())
    return target


def quantize(model: Path, data: Path, *options: object) -> Path:
    """Run the script in this process on three pictures, for a model of `copy`; return the result."""
    quantize_onnx.main(["--model", str(model), "--data", str(data), "--images", "3", *map(str, options)])
    return model.with_name("m_int8.onnx")
