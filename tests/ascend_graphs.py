"""The graphs as an Ascend gets them, built on the CPU: training step and exports, as MindIR messages to look into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import mindspore as ms
import numpy as np
from mindspore import Tensor
from mindspore.nn.layer import normalization
from mindspore.train import mind_ir_pb2

from src.modules import convolutions, heads, overflow, tensor_ops
from src.modules.factory import create_network, create_train_cell
from src.modules.inference_graph import InferenceGraph, NormalizeRGB
from src.utils.config import parse_config

# Nodes of the compiler: control flow, tuples, order, copies. They are no operators of a device.
COMPILER = {
    "Constant",
    "Depend",
    "Load",
    "MakeTuple",
    "Partial",
    "Return",
    "Switch",
    "TensorMove",
    "TupleGetItem",
    "UpdateState",
    "make_list",
    "make_tuple",
    "tuple_getitem",
    "return",
    "partial",
    "switch",
    "DictGetItem",
}
DTYPES = {value: name.lower() for name, value in mind_ir_pb2.TensorProto.DataType.items()}


class Node:
    """One node of a graph: primitive, where in the network it comes from, (dtype, shape) of its outputs.

    `constant` is whether its inputs are known before the graph runs, and with them its outputs.
    """

    def __init__(self, primitive: str, proto: mind_ir_pb2.NodeProto, *, constant: bool) -> None:
        self.primitive, self.scope, self.constant = primitive, proto.domain, constant
        self.outputs = [
            (DTYPES[tensor.data_type], tuple(tensor.dims))
            for attribute in proto.attribute
            if attribute.name == "shape"
            for tensor in _tensors(attribute)
        ]


def _tensors(attribute: mind_ir_pb2.AttributeProto) -> Iterator[mind_ir_pb2.TensorProto]:
    yield from attribute.tensors
    for value in attribute.values:
        yield from _tensors(value)


def nodes_of(model: mind_ir_pb2.ModelProto) -> list[Node]:
    """Return all operators of a model, without the compiler's own nodes and calls of other graphs."""
    found, known = [], set()
    for graph in (model.graph, *model.functions):
        for proto in graph.node:
            name, constant = proto.op_type, known.issuperset(proto.input)
            if constant:
                known.update(proto.output)
            if name.startswith("REF::"):  # "REF::<primitive>:<number>", or a call of a graph
                name = name[len("REF::") :].split(":")[0]
            if name not in COMPILER and name.isidentifier():  # a graph's name begins with a number
                found.append(Node(name, proto, constant=constant))
    return found


@contextlib.contextmanager
def on_ascend() -> Iterator[None]:
    """Let networks made meanwhile take the forms they have on an Ascend that saturates, on two devices."""
    settings = SimpleNamespace(**vars(ms.context))
    settings.get_context = lambda name: "Ascend" if name == "device_target" else ms.get_context(name)
    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (tensor_ops, "on_cpu", lambda: False),
            (convolutions, "on_cpu", lambda: False),
            (heads, "on_cpu", lambda: False),
            (overflow, "saturates", lambda: True),
            (normalization, "context", settings),
            (normalization, "get_rank", lambda: 0),
            (normalization, "get_group_size", lambda: 2),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        yield


def training_model(
    folder: Path, *options: str, sync_bn: bool = False, network: ms.nn.Cell | None = None
) -> mind_ir_pb2.ModelProto:
    """Return the whole training step, gradients and update included, of the configured network or another one."""
    config = parse_config(list(options), "train")
    network = network or create_network(config, aux_heads=True, sync_bn=sync_bn)
    cell = create_train_cell(network, config)
    return _model(cell, folder, Tensor(np.zeros((2, 3, 64, 64)), ms.float32), Tensor(np.zeros((2, 64, 64)), ms.int32))


def exported_model(folder: Path, output: str, dtype: str, *options: str) -> mind_ir_pb2.ModelProto:
    """Return what export.py writes, before folding: folding changes weights only."""
    config = parse_config(list(options), "export")
    network = create_network(config, aux_heads=False).set_train(False)
    stage = NormalizeRGB((0.3, 0.3, 0.3), (0.2, 0.2, 0.2), True) if dtype == "uint8" else None
    shape = (1, 64, 96, 3) if dtype == "uint8" else (1, 3, 64, 96)
    return _model(InferenceGraph(network, output=output, normalize=stage), folder, Tensor(np.zeros(shape, dtype)))


def _model(cell: ms.nn.Cell, folder: Path, *inputs: Tensor) -> mind_ir_pb2.ModelProto:
    path = folder / "graph.mindir"
    ms.export(cell, *inputs, file_name=str(path), file_format="MINDIR")
    model = mind_ir_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    path.unlink()
    return model
