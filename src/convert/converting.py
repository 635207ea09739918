"""Convert PyTorch's tensors to a checkpoint with its configuration, and back."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import CheckpointError, UserError, count_names
from src.base.file_kinds import PYTORCH, SAFETENSORS, kind_of_file, misfit
from src.config import yaml_files
from src.config.builder import build_config
from src.convert import safetensors_files
from src.convert.families import BISENET, FAMILIES, MMSEG, Family, recognise
from src.convert.torch_files import CLASSES, NOTES
from src.data.cityscapes import CLASSES as CITYSCAPES_CLASSES
from src.distributed.child_process import end_with_parent, module_environment
from src.modules.bisenetv2 import BiSeNetV2
from src.state import checkpoint, soundness
from src.state.checkpoint_origin import Origin, Tensors

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
BASE = "config/bisenetv2_cityscapes.yml"  # base of the written configuration, found from any folder
ADVICE = """# Sizes, crops and schedule are the base's. Another base, for small photographs, in a file beside this one:
#   __BASE__: [{}, config/bisenetv2_camvid.yml]
"""
HEADS = ("head.", "aux")  # prefixes of parameters that are not part of a backbone
PLACEHOLDER_CLASSES = 19  # for the heads of a network of which only the backbone is used
POINTWISE_BIAS = ("bga.left1.2.bias", "bga.right2.2.bias")


def read_torch_file(
    path: Path, python: str, weights: str | None = None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return the tensors of a PyTorch or safetensors file by name, without prefixes, and the names of its classes.

    Args:
        path: the file.
        python: an interpreter with PyTorch; not used for safetensors.
        weights: which of several weights in the file: "model", "ema" or the name of an entry.

    Raises:
        UserError: the file is of another kind, the interpreter cannot read it, or the weights cannot be chosen.
    """
    require_weights(path)
    if kind_of_file(path) == SAFETENSORS:
        values, notes = safetensors_files.read(path, weights)
        _log_notes(notes, path)
        return values, ()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tensors.npz"
        _run_torch(python, "read", path.resolve(), target, *([weights] if weights else []))
        with np.load(target) as archive:
            values = {name: archive[name] for name in archive.files}
    classes, notes = (json.loads(str(values.pop(name))) for name in (CLASSES, NOTES))
    _log_notes(notes, path)
    return values, tuple(classes)


def require_weights(path: Path) -> None:
    """Raise a UserError unless the file exists and its content may be PyTorch's or safetensors."""
    if path.is_dir():
        raise UserError(f"--torch_file {path}: is a folder; name the file in it that holds the weights")
    if not path.is_file():
        raise UserError(f"--torch_file {path}: no such file")
    kind = kind_of_file(path)
    if kind is not None and kind not in (PYTORCH, SAFETENSORS):
        raise UserError(f"--torch_file {misfit(path, kind, 'a PyTorch file')}")


def _log_notes(notes: Sequence[str], path: Path) -> None:
    for note in notes:
        logger.info("%s: %s", path, note)


def write_torch_file(values: Mapping[str, np.ndarray], path: Path, python: str) -> None:
    """Write tensors as a PyTorch state dict.

    Raises:
        UserError: it cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tensors.npz"
        np.savez(source, **values)
        _run_torch(python, "write", source, path.resolve())


def _run_torch(python: str, *arguments: object) -> None:
    words = [python, "-m", "src.convert.torch_files", *map(str, arguments)]
    try:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=module_environment(os.environ),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: end_with_parent(signal.SIGTERM),
        )
    except OSError as err:
        raise UserError(f"--torch_python {python}: {err.strerror}") from err
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise UserError(lines[-1] if lines else f"--torch_python {python}: ended with exit code {done.returncode}")


def choose_family(names: Mapping[str, np.ndarray], source: str, path: Path) -> Family:
    """Return the family named by `source`, or with 'auto' the family of the tensors.

    Raises:
        UserError: the tensors belong to no family, or to another one.
    """
    found = recognise(names)
    if found is None or source not in ("auto", found.name):
        kind = f"weights of {found.name}" if found else "no BiSeNetV2 of a known implementation"
        raise UserError(f"{path}: holds {kind}, e.g. {next(iter(names), None)}; known: {', '.join(FAMILIES)}")
    return found


def from_torch(values: Mapping[str, np.ndarray], family: Family, path: Path) -> dict[str, np.ndarray]:
    """Return this network's parameters from a family's tensors; every tensor is used, or ignored on purpose.

    Raises:
        UserError: a tensor is missing, unknown, of another shape or not finite.
    """
    auxiliary = family.auxiliary and any(name.startswith("aux") for name in values)
    backbone = family.classifier not in values
    num_classes = PLACEHOLDER_CLASSES if backbone else values[family.classifier].shape[0]
    shapes = _shapes(num_classes, auxiliary, family.pointwise_bias)
    if backbone:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(HEADS)}
    theirs = {family.torch_name(name): name for name in shapes}
    ignored = defaultdict(list)
    for name in values.keys() - theirs.keys():
        ignored[family.ignored_pattern(name)].append(name)
    wrong = [name for name, ours in theirs.items() if name in values and values[name].shape != shapes[ours]]
    problems = {
        "missing": [name for name in theirs if name not in values],
        "unknown": ignored.pop(None, []),
        "of another shape": wrong,
    }
    texts = [f"{len(names)} {kind}, e.g. {min(names)}" for kind, names in problems.items() if names]
    if texts:
        raise UserError(f"{path}: not the tensors of a {family.name} BiSeNetV2: {'; '.join(texts)}")
    logger.info("%s: %s weights, %d tensors used", path, family.name, len(theirs))
    for pattern, names in ignored.items():
        logger.info("ignored on purpose: %d tensors %s", len(names), pattern)
    soundness.require_finite({name: values[name] for name in theirs}, path)
    return {ours: values[name] for name, ours in theirs.items()}


def classes_in(weights: Mapping[str, np.ndarray]) -> int | None:
    """Return the number of classes of converted weights; None for a backbone, which has no classifier."""
    bias = weights.get("head.conv_out.1.bias")
    return None if bias is None else len(bias)


def origin_of(family: Family, num_classes: int | None, classes: tuple[str, ...]) -> Origin:
    """Return the origin to store in a checkpoint of a family's weights.

    Args:
        family: family of the weights.
        num_classes: number of classes; None for a backbone, whose normalisation is not known either.
        classes: names of the classes, () if unknown.
    """
    variant = {
        "inner_upsample": family.inner_upsample,
        "bn_epsilon": family.bn_epsilon,
        "bga_pointwise_bias": family.pointwise_bias,
    }
    normalize: dict[str, Any] | None = None
    if num_classes is not None:
        normalize = {"mean": family.mean, "std": family.std, "is_scale": True, "norm_type": "mean_std"}
    return Origin("BiSeNetV2", variant, num_classes, classes or None, normalize)


def to_torch(values: Tensors, source: str, path: Path) -> tuple[dict[str, np.ndarray], Family]:
    """Return a family's tensors from a checkpoint of this network, and the family.

    Args:
        values: tensors of the checkpoint.
        source: name of the family; 'auto' chooses the one with pointwise biases if the checkpoint has them.
        path: path of the checkpoint.

    Raises:
        CheckpointError: it is not a checkpoint of this network, has a bias that the family lacks, or a weight that is
            not finite.
    """
    weights = checkpoint.require_finite_weights(values, path)
    biased = POINTWISE_BIAS[0] in weights
    family = (MMSEG if biased else BISENET) if source == "auto" else FAMILIES[source]
    checkpoint.refuse_backbone(weights, path)
    if "head.conv_out.1.weight" not in weights:
        raise CheckpointError(f"{path}: not a checkpoint of BiSeNetV2")
    if biased and not family.pointwise_bias:
        raise CheckpointError(f"{path}: has a bias at {POINTWISE_BIAS[0]}, which {family.name} weights do not have")
    if family.pointwise_bias and not biased:
        logger.info("%s weights have a bias at %s: set to 0, which changes nothing", family.name, POINTWISE_BIAS)
        weights.update(dict.fromkeys(POINTWISE_BIAS, np.zeros(128, np.float32)))
    auxiliary = family.auxiliary and any(name.startswith("aux") for name in weights)
    shapes = _shapes(weights["head.conv_out.1.weight"].shape[0], auxiliary, family.pointwise_bias)
    bad = [name for name, shape in shapes.items() if name not in weights or weights[name].shape != shape]
    if bad:
        raise CheckpointError(f"{path}: {len(bad)} tensors missing or of another shape, e.g. {bad[0]}")
    ignored = sorted(values.keys() - shapes.keys())
    if values.origin and values.origin.variant:
        _warn_of_variant(values.origin.variant, family)
    if ignored:
        logger.info("ignored, not part of %s weights: %s", family.name, count_names(ignored))
    return {family.torch_name(name): weights[name] for name in shapes}, family


def _warn_of_variant(variant: Mapping[str, object], family: Family) -> None:
    """Warn if the weights were trained in another variant of the network than the family's."""
    usual = {"inner_upsample": family.inner_upsample, "bn_epsilon": family.bn_epsilon}
    other = [f"{name} {variant[name]} instead of {own}" for name, own in usual.items() if variant.get(name, own) != own]
    if other:
        logger.warning("the network of %s needs another variant for these weights: %s", family.name, ", ".join(other))


def _shapes(num_classes: int, auxiliary: bool, pointwise_bias: bool) -> dict[str, tuple[int, ...]]:
    network = BiSeNetV2(num_classes, aux_heads=auxiliary, bga_pointwise_bias=pointwise_bias)
    return {p.name: p.shape for p in network.get_parameters()}


def configuration_for(family: Family, num_classes: int | None, classes: tuple[str, ...]) -> str:
    """Return the configuration for a family's weights, as YAML over a base, which the user may replace.

    Args:
        family: family of the weights.
        num_classes: number of classes; 19 means Cityscapes, unless `classes` differ. None for a backbone, whose
            normalisation is not known either.
        classes: names of the classes, () if unknown.

    Raises:
        ConfigError: the number of classes is not supported.
    """
    values: dict[str, Any] = {yaml_files.BASE_KEY: BASE}
    if num_classes is not None:
        values["num_classes"] = num_classes
    values["net_args"] = {
        "inner_upsample": family.inner_upsample,
        "bn_epsilon": family.bn_epsilon,
        "bga_pointwise_bias": family.pointwise_bias,
    }
    if num_classes is not None:
        values["data"] = _data_for(family, num_classes, classes)
    without_base = {name: value for name, value in values.items() if name != yaml_files.BASE_KEY}
    build_config(yaml_files.merge(yaml_files.read_yaml(ROOT / BASE), without_base))
    return yaml_files.dump(values)


def _data_for(family: Family, num_classes: int, classes: tuple[str, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for part in ("train_transforms", "eval_transforms"):
        data[part] = {"item_transforms": {"Normalize": {"mean": list(family.mean), "std": list(family.std)}}}
    own = tuple(cls.name for cls in CITYSCAPES_CLASSES)
    if num_classes != len(own) or classes not in ((), own):
        data = {"name": "generic", "map_label": None, **data}
        if len(classes) == num_classes:
            data["class_names"] = list(classes)
    return data
