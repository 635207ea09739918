"""What the tests of export and offline inference share: a checkpoint, models, and one run of the chain."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np

import export as export_script
from src.modules.bisenetv2 import BiSeNetV2
from src.state import checkpoint
from tests.golden_weights import load_seeded
from tests.runner_helpers import Programs, convert_to_lite

SIZE = (64, 96)  # of the network's input


def write_checkpoint(path: Path, *, num_classes: int = 19, seed: int = 0, **net_args: object) -> Path:
    """Write a checkpoint with the seeded weights and statistics of the golden values, auxiliary heads included."""
    network = BiSeNetV2(num_classes, aux_heads=True, **net_args)
    load_seeded(network, seed)
    checkpoint.write_atomically({p.name: p.asnumpy() for p in network.get_parameters()}, path)
    return path


def export(checkpoint_file: Path, target: Path, *options: object) -> Path:
    """Run export.py, within this process, on the CPU at `SIZE`; return the model."""
    words = ["--device_target", "CPU", "--checkpoint_file", checkpoint_file, "--file_name", target]
    mode = ms.get_context("mode")
    try:
        export_script.main([str(word) for word in (*words, "--image_size", *SIZE, *options)])
    finally:
        ms.set_context(mode=mode)
    suffix = ".onnx" if "ONNX" in options else ".mindir"
    return target.with_name(f"{target.name}{suffix}")


def export_for_runner(folder: Path) -> Path:
    """Export a model for the C++ runner: images in, class maps out."""
    return export(write_checkpoint(folder / "seeded.ckpt"), folder / "model", "--input", "uint8")


def write_runner_inputs(folder: Path) -> Path:
    """Write five random pictures as inputs of that model, one with dots in its name, to a new folder."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for stem in ("a", "b", "c.d.e", "f", "g"):
        rng.integers(0, 256, (*SIZE, 3), np.uint8).tofile(folder / f"{stem}.bin")
    return folder


def read_results(folder: Path, shape: tuple[int, ...], dtype: type = np.int32) -> dict[str, np.ndarray]:
    """Return the arrays of ``<stem>_0.bin`` by stem."""
    files = sorted(folder.glob("*.bin"))
    return {path.stem[: -len("_0")]: np.fromfile(path, dtype).reshape(shape) for path in files}


def export_for_lite(checkpoint_file: Path, target: Path, lite: Programs, *options: object) -> Path:
    """Export a model that Lite 2.0.0 runs: the MindIR of MindSpore 2.0.0, of later ones an ONNX file, converted."""
    if ms.__version__.startswith("2.0."):
        return export(checkpoint_file, target, *options)
    model = export(checkpoint_file, target, "--file_format", "ONNX", *options)
    return convert_to_lite(model, target, Path(lite.runtime["MS_LITE_HOME"]))
