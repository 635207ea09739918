"""A predictor for Python code, of a checkpoint or of an exported model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.base.errors import ConfigError
from src.base.file_kinds import kind_of_file
from src.base.paths import path_argument
from src.config import schema
from src.config.loading import load_config
from src.modules.device import use_device
from src.offline.models import SUFFIXES, check_suffix
from src.predict.predictor import Predictor, checkpoint_predictor, model_predictor
from src.predict.settings import configuration_beside, require_model_file


def load_predictor(
    model: str | os.PathLike[str],
    config: str | os.PathLike[str] | schema.Config | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    image_size: Sequence[int] | None = None,
    multi_scale: bool = False,
    flip: bool = False,
) -> Predictor:
    """Return what maps an image (H, W, 3) uint8 RGB of any size to its class map (H, W) uint8, as scripts/predict.py.

    MindSpore's mode stays as it is in this process, and its device unless the configuration names one.

    Args:
        model: a checkpoint, or what export.py wrote: .mindir, which MindSpore runs, or .onnx, which ONNX Runtime does.
        config: configuration or its file; None for ``<model>.yml`` beside the model if it is there, else Cityscapes'.
        overrides: changes to it as in `load_config`, such as device_target, num_threads, or weights of a checkpoint.
        image_size: of a checkpoint: height and width to run at, to which images are fitted as in evaluation; None: that
            of the configuration, or else each image's own.
        multi_scale: of a checkpoint: average over the configured scales.
        flip: of a checkpoint: average with the mirrored image.

    Raises:
        ConfigError: an argument or the configuration is wrong.
        CheckpointError: the checkpoint cannot be read, belongs to another network or lacks those weights.
        ModelError: the model cannot be used.
    """
    path = path_argument(model, "model")
    require_model_file(path)
    given: dict[str, Any] = {"data.eval_transforms.multi_scale": multi_scale, "data.eval_transforms.flip": flip}
    given |= {} if image_size is None else {"image_size": image_size}
    config = load_config(configuration_beside(path) if config is None else config, {**given, **(overrides or {})})
    if path.suffix in SUFFIXES or kind_of_file(path) in SUFFIXES.values():
        _require_nothing_of_a_checkpoint(config, path, image_size or (overrides or {}).get("image_size"))
        if check_suffix(path) != ".onnx":  # which does not run on MindSpore's device
            use_device(config)
        return model_predictor(config, path)
    use_device(config)
    return checkpoint_predictor(config, path, config.image_size)


def _require_nothing_of_a_checkpoint(config: schema.Config, path: Path, image_size: object) -> None:
    evaluation = config.data.eval_transforms
    if evaluation.multi_scale or evaluation.flip or image_size is not None or config.weights != "model":
        raise ConfigError(f"{path}: runs as it was exported; no image_size, multi_scale, flip or weights with it")
