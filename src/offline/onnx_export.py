"""Steps of export.py for ONNX: write the model with MindSpore, complete and check it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mindspore import Tensor, nn

from src.base.errors import UserError, one_line
from src.offline import onnx_model
from src.utils.local_adapter import onnx_exporter

PACKAGES = ("onnx", "onnxruntime")
NAMES = {"argmax": "class_map", "logits": "logits"}  # names of the output, which MindSpore only numbers

logger = logging.getLogger(__name__)


def check_packages() -> None:
    """Raise a ConfigError if a package that the export needs is missing."""
    for name in PACKAGES:
        onnx_model.import_extra(name)


def write(graph: nn.Cell, image: Tensor, path: Path) -> None:
    """Write `graph`, whose inputs are like `image`, with MindSpore."""
    onnx_exporter()(graph, image, file_name=str(path))
    path.chmod(0o644)  # MindSpore writes it read-only


def complete(path: Path, record: dict) -> None:
    """Name the output of a model written by MindSpore, store the description in its metadata, and check it.

    Args:
        path: the model; replaced.
        record: its description; "output" is a key of `NAMES`.

    Raises:
        UserError: it is not valid ONNX.
    """
    onnx = onnx_model.import_extra("onnx")
    model = onnx_model.load(path)
    (output,) = model.graph.output
    rename_output(model, output.name, NAMES[record["output"]])
    onnx_model.set_metadata(model, record)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as err:
        raise UserError(f"MindSpore wrote invalid ONNX: {one_line(err)}") from err
    path.write_bytes(model.SerializeToString())


def rename_output(model: Any, old: str, new: str) -> None:
    """Rename the output `old` of the graph, which no node of the graph reads."""
    for node in model.graph.node:
        for number, name in enumerate(node.output):
            if name == old:
                node.output[number] = new
    model.graph.output[0].name = new
