"""The graph of an ONNX message: rewrite it before quantization, and list what stayed in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import one_line
from src.offline import onnx_model
from src.offline.onnx_model import EXPORT_AGAIN, OnnxError, import_extra

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_CONSTANT = ("Constant", "Identity")


def is_quantized(model: Any) -> bool:
    """Return whether a message contains 8-bit operators."""
    return any(
        node.op_type in (_QUANTIZE, _DEQUANTIZE) or node.op_type.startswith("QLinear") for node in model.graph.node
    )


def prepare(model: Any, opset: int, source: str | Path = "the model") -> list[str]:
    """Convert a message to an opset and to a form for which 8-bit kernels are fast, in place.

    Args:
        model: the message.
        opset: the version.
        source: name of the model in error messages.

    Returns:
        The names of nodes that should stay in float whatever else is quantized.

    Raises:
        OnnxError: it cannot be converted.
    """
    onnx = import_extra("onnx")
    if (onnx_model.opset(model) or 0) < opset:
        converter = import_extra("onnx.version_converter")
        try:
            converted = converter.convert_version(model, opset)
        except onnx_model.graph_errors() as err:
            raise OnnxError(f"{source}: onnx cannot convert it: {one_line(err)}; {EXPORT_AGAIN}") from err
        model.CopyFrom(converted)
    _repeat_channels(model, onnx)
    return _merge_normalization(model, onnx)


def _repeat_channels(model: Any, onnx: Any) -> None:
    """Replace each convolution with one input and several outputs per group by repeated channels and a depthwise one.

    ONNX Runtime's 8-bit kernels run the former group by group and take tens of times as long as for the latter.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        group = next((entry for entry in node.attribute if entry.name == "group"), None)
        if node.op_type == "Conv" and group is not None and node.input[1] in weights:
            outputs, inputs = weights[node.input[1]][:2]
            if inputs == 1 and outputs > group.i > 1:
                name = f"{node.name or node.output[0]}_repeated"
                indices = np.repeat(np.arange(group.i), outputs // group.i)
                model.graph.initializer.append(onnx.numpy_helper.from_array(indices, f"{name}_indices"))
                repeated = [node.input[0], f"{name}_indices"]
                nodes.append(onnx.helper.make_node("Gather", repeated, [name], name=name, axis=1))
                node.input[0], group.i = name, outputs
        nodes.append(node)
    _replace_nodes(model, nodes)


def _merge_normalization(model: Any, onnx: Any) -> list[str]:
    """Merge (image - mean) * factor of an RGB image into one operator; return a list of its name, or an empty one.

    ONNX Runtime would move separate operators before an 8-bit convolution behind the transpose, where they are slow.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    sources = {node.output[0]: node for node in model.graph.node}
    for factor in model.graph.node:
        shift = sources.get(factor.input[0]) if factor.op_type == "Mul" else None
        if shift is None or shift.op_type != "Sub" or not {factor.input[1], shift.input[1]} <= constants.keys():
            continue
        mean, scale = (onnx.numpy_helper.to_array(constants[node.input[1]]) for node in (shift, factor))
        if mean.shape != (1, 3, 1, 1) or scale.shape != (1, 3, 1, 1):
            continue
        name = f"{factor.name or factor.output[0]}_normalized"
        values = {"scale": scale.ravel(), "shift": np.zeros(3), "mean": mean.ravel(), "variance": np.ones(3)}
        for key, value in values.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), f"{name}_{key}"))
        inputs = [shift.input[0], *(f"{name}_{key}" for key in values)]
        node = onnx.helper.make_node("BatchNormalization", inputs, [factor.output[0]], name=name, epsilon=0.0)
        _replace_nodes(model, [node if other is shift else other for other in model.graph.node if other is not factor])
        for entry in (constants[shift.input[1]], constants[factor.input[1]]):
            model.graph.initializer.remove(entry)
        return [name]
    return []


def _replace_nodes(model: Any, nodes: list) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]  # before the originals are deleted
    del model.graph.node[:]
    model.graph.node.extend(copies)


def nodes_in_float(model: Any) -> list:
    """Return the nodes of a quantized message that compute in float: those without 8-bit input and output.

    A ReLU before a quantization only limits the range, and is left out.
    """
    users: dict[str, list] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def ends_in_8_bits(node: Any) -> bool:
        found = users.get(node.output[0], [])
        return bool(found) and all(
            user.op_type == _QUANTIZE or (user.op_type == "Relu" and ends_in_8_bits(user)) for user in found
        )

    dequantized = {node.output[0] for node in model.graph.node if node.op_type == _DEQUANTIZE}
    left = []
    for node in model.graph.node:
        if node.op_type in (_QUANTIZE, _DEQUANTIZE, *_CONSTANT):
            continue
        is_range = node.op_type == "Relu"
        if not (ends_in_8_bits(node) and (is_range or node.input[0] in dequantized)):
            left.append(node)
    return left
