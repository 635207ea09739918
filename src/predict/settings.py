"""The configuration of a prediction: that of the model, wherever it stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from src.base.errors import ConfigError
from src.base.special_files import special_kind
from src.config import schema
from src.config.schema_base import EVAL
from src.offline.models import SUFFIXES
from src.utils.config import DEFAULT_CONFIG, parse_config
from src.utils.local_adapter import discover_rank

logger = logging.getLogger(__name__)


def require_model_file(model: Path) -> None:
    """Raise a ConfigError unless there is such a checkpoint or exported model."""
    if model.is_dir():
        raise ConfigError(f"{model}: is a folder; name the checkpoint or the model in it")
    if not model.is_file():
        kind, what = special_kind(model), "model" if model.suffix in SUFFIXES else "checkpoint"
        raise ConfigError(f"{model}: is {kind}, no {what}" if kind else f"no such {what}: {model}")


def configuration_beside(model: Path) -> Path | None:
    """Return ``<stem>.yml`` beside a checkpoint or an exported model, if it is there."""
    beside = model.with_suffix(".yml")
    if not beside.is_file():
        return None
    logger.info("configuration: %s, which lies beside the model", beside)
    return beside


def load_settings(
    model: Path, given: Path | None, *, multi_scale: bool, flip: bool, device_target: str | None, keys: Sequence[str]
) -> schema.Config:
    """Return the configuration of a model.

    Args:
        model: checkpoint or exported model; ``<stem>.yml`` beside it is its configuration, if it is there.
        given: the configuration that the user names instead.
        multi_scale: average over the configured scales.
        flip: average with the mirrored image.
        device_target: "Ascend", "GPU", "CPU" or None for the best one.
        keys: more of eval.py's command line, such as ``section.key=value``, which win.

    Raises:
        ConfigError: something in it is wrong, or this is one of several processes.
    """
    if discover_rank().rank_size > 1:
        raise ConfigError("scripts/predict.py runs in one process; start it without mpirun or msrun")
    require_model_file(model)
    file = given or configuration_beside(model) or DEFAULT_CONFIG
    words = ["--config", str(file), "--multi_scale", str(multi_scale), "--flip", str(flip)]
    words += ["--device_target", device_target] if device_target else []
    return parse_config([*words, *keys], EVAL)
