"""What the tests of quantization share: packages, an exported .onnx with its description, and a run of the script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor

from scripts import quantize_onnx
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.folding import fold_batch_norm
from src.modules.inference_graph import InferenceGraph, NormalizeRGB, resize_by_products
from src.offline import onnx_model
from tests.dataset_helpers import MEAN, STD
from tests.golden_weights import load_seeded
from tests.offline_helpers import SIZE
from tests.runner_helpers import missing

NORMALIZE = {"mean": list(MEAN), "std": list(STD), "is_scale": True, "norm_type": "mean_std"}


def require_packages() -> None:
    """Skip where onnx or onnxruntime is missing, but never in continuous integration."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            missing(f"no {name}: {onnx_model.INSTALL}")


def write_model(path: Path, *, taken: str, output: str) -> Path:
    """Write the seeded network with a description as ``{taken}.onnx``; it takes uint8 or float32 at `SIZE`."""
    network = BiSeNetV2(19, aux_heads=False).set_train(False)
    load_seeded(network)
    fold_batch_norm(network)
    resize_by_products(network)
    normalize = NormalizeRGB(MEAN, STD) if taken == "uint8" else None
    shape = (1, *SIZE, 3) if taken == "uint8" else (1, 3, *SIZE)
    graph = InferenceGraph(network, output=output, normalize=normalize)
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        ms.export(graph, Tensor(np.zeros(shape, taken)), file_name=str(path), file_format="ONNX")
    finally:
        ms.set_context(mode=mode)
    message = onnx_model.load(path)
    told = {"input": taken, "output": output, "num_classes": 19, "normalize": NORMALIZE, "class_names": ["a", "b"]}
    onnx_model.set_metadata(message, told)
    path.chmod(0o644)
    path.write_bytes(message.SerializeToString())
    return path


def copy(path: Path, folder: Path) -> Path:
    """Copy a model to ``m.onnx`` in `folder`."""
    target = folder / "m.onnx"
    target.write_bytes(path.read_bytes())
    return target


def quantize(model: Path, data: Path, *options: object) -> Path:
    """Run the script in this process on three pictures, for a model of `copy`; return the result."""
    quantize_onnx.main(["--model", str(model), "--data", str(data), "--images", "3", *map(str, options)])
    return model.with_name("m_int8.onnx")
