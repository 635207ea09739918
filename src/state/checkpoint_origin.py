"""The description of their training that checkpoints carry, as an entry beside the tensors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.base.errors import CheckpointError
from src.base.json_text import parse_json
from src.base.json_values import optional, typed

ORIGIN = "train_state.origin"  # uint8: UTF-8 JSON; earlier versions of this project ignore names with this prefix

_ORIGIN = {"net": str, "variant": dict, "num_classes": int, "class_names": tuple[str, ...], "normalize": dict}
_NORMALIZE = {"mean": tuple[float, float, float], "std": tuple[float, float, float], "is_scale": bool}


@dataclass(frozen=True)
class Origin:
    """The settings that weights were trained with; None where unknown.

    Attributes:
        net: the network.
        variant: the keys of `net_args` that change the meaning of weights.
        num_classes: number of classes.
        class_names: their names by train id.
        normalize: arguments of the transform Normalize.
    """

    net: str | None = None
    variant: dict | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    normalize: dict | None = None

    def entry(self) -> dict[str, np.ndarray]:
        """Return the entry to add to a checkpoint."""
        return {ORIGIN: np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)}


def pop_origin(values: dict[str, np.ndarray], path: str | Path) -> Origin | None:
    """Remove the entry from a checkpoint's tensors and return it parsed; None if there is none.

    Raises:
        CheckpointError: the entry is damaged.
    """
    entry = values.pop(ORIGIN, None)
    if entry is None:
        return None
    try:
        record = typed(parse_json(entry.tobytes()), dict)
        known = {name: optional(record.get(name), hint, name) for name, hint in _ORIGIN.items()}
        require_normalize(known["normalize"])
        return Origin(**{**known, "class_names": known["class_names"] or None})
    except ValueError as err:
        raise CheckpointError(f"{path}: damaged: {ORIGIN} holds no description of a training") from err


def require_normalize(values: dict | None) -> None:
    """Check the arguments of Normalize as recorded by a training; those of other transforms are not checked.

    Raises:
        ValueError: an argument has another type, or no picture can be normalised with it.
    """
    if values is None or not values.keys() >= _NORMALIZE.keys():
        return
    known = {name: typed(values[name], hint, f"normalize.{name}") for name, hint in _NORMALIZE.items()}
    if min(known["std"]) <= 0:
        raise ValueError("normalize.std: expected numbers above 0")


class Tensors(dict[str, np.ndarray]):
    """The tensors of a checkpoint by name, and their origin, if it is known."""

    origin: Origin | None = None
