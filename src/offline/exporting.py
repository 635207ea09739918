"""Steps of export.py: build the deployed network, write its file, check the file and describe it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.base import claims
from src.base.errors import ConfigError, UserError, one_line
from src.base.paths import user_path
from src.config import schema
from src.data.classes import class_names, class_palette
from src.data.transforms_factory import create_transforms
from src.modules.base_modules import to_mixed_precision
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.factory import create_network
from src.modules.folding import fold_batch_norm
from src.modules.inference_graph import NormalizeRGB, resize_by_products
from src.offline import onnx_export, onnx_model
from src.offline.descriptions import description_path
from src.offline.mindir import MindIRModel
from src.offline.models import load_model
from src.offline.preparing import normalization
from src.offline.tensors import Model
from src.state import checkpoint
from src.state.checkpoint_names import exported_names
from src.utils.runtime import Runtime

logger = logging.getLogger(__name__)

# Largest accepted difference of a logit, relative to the largest logit: for float32 with batch normalisation folded,
# and for float16 convolutions (mixed precision, and Ascend's default).
FLOAT32_TOLERANCE, FLOAT16_TOLERANCE = 1e-4, 2e-2
AIR, MINDIR, ONNX = "AIR", "MINDIR", "ONNX"


def claim_target(config: schema.Config) -> Path:
    """Return the file to write, see `check_target`, and claim its name for this process.

    Raises:
        InUseError: another process writes it.
        ConfigError: see `check_target`.
    """
    target = check_target(config)
    claims.hold_file(target, "export", "--file_name", description_path(target))
    return check_target(config)  # again: another process may just have written it


def check_target(config: schema.Config) -> Path:
    """Return the file to write, after checking that nothing would be overwritten.

    Raises:
        ConfigError: the model or the description beside it exists already, or a package is missing.
    """
    target, description = map(user_path, exported_names(config.file_name, config.file_format))
    for path in (target, description):
        if path.exists():
            raise ConfigError(f"{path} exists already; take another --file_name")
    if config.file_format == ONNX:
        onnx_export.check_packages()
    return target


def check_device(config: schema.Config, runtime: Runtime) -> None:
    """Raise a ConfigError if MindSpore cannot export the format on this device."""
    if config.file_format == AIR and runtime.device_target != "Ascend":
        raise ConfigError(f"--file_format AIR needs an Ascend, this is {runtime.device_target}; use MINDIR")


def deployed_network(config: schema.Config, values: dict[str, np.ndarray]) -> BiSeNetV2:
    """Make the network for deployment with the weights of a checkpoint, batch normalisation folded if configured."""
    network = create_network(dataclasses.replace(config, mix=False), aux_heads=False).set_train(False)
    checkpoint.restore_network(network, values, config.checkpoint_file or "the checkpoint")
    if config.fold_bn:
        logger.info("folded %d batch normalisations into convolutions", fold_batch_norm(network))
    resize_by_products(network, ms.float16 if config.mix else ms.float32)
    if config.mix:
        to_mixed_precision(network)
    return network


def input_type(config: schema.Config) -> str:
    """Return the data type of the model's input."""
    return config.input or "float32"


def input_stage(config: schema.Config) -> NormalizeRGB | None:
    """Return the cell that converts the model's input to the network's; None if they are the same."""
    if input_type(config) == "float32":
        return None
    transform = normalization(config)
    return NormalizeRGB(transform.mean, transform.std, transform.is_scale)


def image_size(config: schema.Config) -> tuple[int, int]:
    """Return the height and width of the model's input."""
    return config.data.eval_transforms.target_size


@contextlib.contextmanager
def written_model(graph: nn.Cell, config: schema.Config, target: Path) -> Iterator[Path]:
    """Write the model to a temporary folder, which is removed at the end, because MindSpore rejects names with spaces.

    Raises:
        UserError: it cannot be written, or MindSpore cannot export it.
    """
    height, width = image_size(config)
    zeros = np.zeros((1, 3, height, width), np.float32)
    if input_type(config) == "uint8":
        zeros = np.zeros((1, height, width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"model{target.suffix}"
        try:
            if config.file_format == ONNX:
                onnx_export.write(graph, Tensor(zeros), model)
            else:
                ms.export(graph, Tensor(zeros), file_name=str(model), file_format=config.file_format)
        except (OSError, RuntimeError, ValueError) as err:
            raise UserError(f"cannot export {target}: {one_line(err)}") from err
        yield model


def describe(config: schema.Config) -> dict:
    """Return the part of an exported model's description that does not depend on its file."""
    return {
        "format": config.file_format,
        "mindspore": ms.__version__,
        "checkpoint": str(config.checkpoint_file),
        "weights": config.weights,
        "net_args": dataclasses.asdict(config.net_args),
        "num_classes": config.num_classes,
        "fold_bn": config.fold_bn,
        "mix": config.mix,
        "input": input_type(config),
        "output": config.output,
        "image_size": list(image_size(config)),
        "normalize": dataclasses.asdict(normalization(config)),
        "class_names": list(class_names(config)),
        "palette": class_palette(config).tolist(),
    }


def check_model(model: Path, reference: nn.Cell, config: schema.Config, device_target: str) -> dict:
    """Load the written model, run it on a random picture and compare it with the network of the checkpoint.

    Returns:
        The description of the file, and under "check" its distance from the network: "largest_difference" of the
        logits, relative to the largest logit (for a class map: between the largest logit and that of the chosen class),
        and "differing_pixels".

    Raises:
        UserError: the difference is too large.
    """
    picture = np.random.default_rng(config.seed).integers(0, 256, (*image_size(config), 3), np.uint8)
    steps = create_transforms(config.data.eval_transforms.item_transforms[1:], config.data.ignore_label)
    image, _ = steps(picture, None)
    loaded = load_model(model, num_threads=config.num_threads)
    result = loaded(picture[None] if input_type(config) == "uint8" else image[None])[0]
    logits = reference(Tensor(image[None])).asnumpy()[0]
    difference, classes = _compare(result, logits)
    tolerance = FLOAT32_TOLERANCE if device_target == "CPU" and not config.mix else FLOAT16_TOLERANCE
    if not difference <= tolerance:
        raise UserError(
            f"the exported model differs from the network by {difference:.2g} of the largest logit "
            f"(accepted: {tolerance:g}); nothing was written"
        )
    differing = int((classes != logits.argmax(axis=0)).sum())
    check = {"largest_difference": difference, "differing_pixels": differing, "pixels": classes.size}
    tensors = {"inputs": [dataclasses.asdict(loaded.input)], "outputs": [dataclasses.asdict(loaded.output)]}
    return {**file_version(loaded), **tensors, "check": check}


def file_version(loaded: Model) -> dict:
    """Return the version of a loaded model's format."""
    if isinstance(loaded, MindIRModel):
        return {"mindir_version": loaded.info.mindir_version}
    return {"opset": onnx_model.opset(onnx_model.load(loaded.path))}


def _compare(result: np.ndarray, logits: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the distance of a result, logits (C, H, W) or class map (H, W), from `logits`, and its classes (H, W)."""
    largest = float(np.abs(logits).max()) or 1.0
    if result.ndim == 3:
        return float(np.abs(result - logits).max()) / largest, result.argmax(axis=0)
    chosen = np.take_along_axis(logits, result[None].astype(np.int64), axis=0)[0]
    return float((logits.max(axis=0) - chosen).max()) / largest, result


def summary(record: dict) -> list[str]:
    """Return the lines to log about an exported model."""
    lines = [
        f"{record['file']}: {record['bytes']} bytes, {record['format']}, written by MindSpore {record['mindspore']}"
    ]
    for which in ("inputs", "outputs"):
        for tensor in record.get(which, ()):
            shape = "x".join(map(str, tensor["shape"]))
            lines.append(f"{which[:-1]}: {tensor['name']}, {tensor['dtype']} {shape}")
    if "check" in record:
        check = record["check"]
        lines.append(
            f"loaded again, on a random picture: {check['largest_difference']:.2g} of the largest logit from the "
            f"network, {check['differing_pixels']} of {check['pixels']} pixels another class"
        )
    return lines
