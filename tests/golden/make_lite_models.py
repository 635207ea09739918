"""Write tests/golden/tiny.onnx and lite_*.mindir, tiny models for MindSpore Lite; takes the package onnx.

``MS_LITE_HOME=... python tests/golden/make_lite_models.py``: scripts/convert_to_lite.sh makes the MindIR files of ONNX
files. Each takes (1, 3, 64, 96) float32 and returns a class map, of another size or of one known only after the first
inference. That of tiny.onnx has the size of its input, (1, 3, 8, 8) float32.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

GOLDEN = Path(__file__).resolve().parent
SIZES = {"lite_small": (8, 12), "lite_late": (64, 96), "lite_late_small": (32, 48)}


def constant(name: str, values: object) -> TensorProto:
    """Make an integer constant of the graph."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def make_model(height: int, width: int, *, late: bool) -> onnx.ModelProto:
    """Make a convolution to (1, 2, 8, 12) and ArgMax; `late` puts a resize between whose size no converter infers."""
    weights = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "weights"), constant("zero", [0]), constant("two", [2])]
    nodes = [helper.make_node("Conv", ["image", "weights"], ["logits"], strides=[8, 8], kernel_shape=[8, 8])]
    if late:
        constants.append(constant("size", [height, width]))
        nodes += [
            helper.make_node("Shape", ["logits"], ["shape"]),
            helper.make_node("Slice", ["shape", "zero", "two", "zero"], ["head"]),
            helper.make_node("Concat", ["head", "size"], ["sizes"], axis=0),
            helper.make_node("Resize", ["logits", "", "", "sizes"], ["resized"], mode="nearest"),
        ]
    nodes += [
        helper.make_node("ArgMax", ["resized" if late else "logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["result"], to=TensorProto.INT32),
    ]
    return finish(nodes, constants, (64, 96), (height, width))


def make_tiny() -> onnx.ModelProto:
    """Make a convolution that keeps the size, and ArgMax."""
    weights = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
    window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}  # Lite has no default for strides
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["logits"], **window),
        helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["result"], to=TensorProto.INT32),
    ]
    return finish(nodes, [numpy_helper.from_array(weights, "weights")], (8, 8), (8, 8))


def finish(
    nodes: list[NodeProto], constants: list[TensorProto], takes: tuple[int, int], gives: tuple[int, int]
) -> onnx.ModelProto:
    """Make a model that takes a picture of one height and width, and gives a class map of another."""
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *takes])
    given = helper.make_tensor_value_info("result", TensorProto.INT32, [1, *gives])
    graph = helper.make_graph(nodes, "tiny", [taken], [given], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 4  # as MindSpore's exporter writes
    return model


def main() -> None:
    """Write all of them."""
    onnx.save(make_tiny(), GOLDEN / "tiny.onnx")
    script = GOLDEN.parents[1] / "scripts" / "convert_to_lite.sh"
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            onnx.save(make_model(*size, late="late" in name), Path(folder) / "tiny.onnx")
            subprocess.run(["bash", script, Path(folder) / "tiny.onnx", GOLDEN / name], check=True)


if __name__ == "__main__":
    main()
