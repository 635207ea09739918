"""What a checkpoint says of the training that its weights come from: an entry beside its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import CheckpointError
from src.base.json_text import parse_json

ORIGIN = "train_state.origin"  # uint8: UTF-8 JSON; what begins so is no weight to earlier versions of this project


@dataclass(frozen=True)
class Origin:
    """What weights were trained as; what is not known is None.

    Attributes:
        net: the network.
        variant: the keys of `net_args` that change what weights mean.
        num_classes: number of classes.
        class_names: their names by train id.
        normalize: arguments of the transform Normalize.
    """

    net: str | None = None
    variant: Mapping[str, Any] | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    normalize: Mapping[str, Any] | None = None

    def entry(self) -> dict[str, np.ndarray]:
        """Return the entry of a checkpoint."""
        return {ORIGIN: np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)}


def take_origin(values: dict[str, np.ndarray], path: str | Path) -> Origin | None:
    """Take the entry out of a checkpoint's tensors and return what it says; None for a checkpoint without one.

    Raises:
        CheckpointError: it is damaged.
    """
    entry = values.pop(ORIGIN, None)
    if entry is None:
        return None
    try:
        record = parse_json(entry.tobytes())
        names = record.get("class_names")
        known = {name: record.get(name) for name in ("net", "variant", "num_classes", "normalize")}
        return Origin(**known, class_names=tuple(names) if names else None)
    except (ValueError, AttributeError, TypeError) as err:
        raise CheckpointError(f"{path}: damaged: {ORIGIN} holds no description of a training") from err


class Tensors(dict[str, np.ndarray]):
    """The tensors of a checkpoint by name, and the training that they come from, if that is known."""

    origin: Origin | None = None
