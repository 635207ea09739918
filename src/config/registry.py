"""Networks, losses, optimizers, transforms and data sets, by the names that a configuration uses.

An entry may be an import path, which is imported on first use, so that reading a configuration or ``--help`` does not
load MindSpore. Your own code can add entries::

    from src.config.registry import NETWORKS

    NETWORKS["MyNet"] = MyNet  # or "my_package.networks:MyNet"
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any


class Registry(MutableMapping[str, Any]):
    """A dictionary whose values may be given as import paths, ``"package.module:name"``.

    Args:
        entries: values or import paths, by name.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        """Return the value of `name`, importing it on first use."""
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        return entry

    def __setitem__(self, name: str, entry: Any) -> None:
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


# Frozen dataclasses derived from `src.config.schema_data.Transform`.
TRANSFORMS = Registry(
    {
        "RandomResizeCrop": "src.data.transforms.resize:RandomResizeCrop",
        "RandomFlip": "src.data.transforms.common:RandomFlip",
        "RandomColor": "src.data.transforms.common:RandomColor",
        "Resize": "src.data.transforms.resize:Resize",
        "Normalize": "src.data.transforms.common:Normalize",
        "TransposeImage": "src.data.transforms.common:TransposeImage",
    },
)

# `Dataset` of `src/data/classes.py`, by the name in ``data.name``.
DATASETS = Registry({"cityscapes": "src.data.cityscapes:CITYSCAPES", "generic": "src.data.classes:GENERIC"})

# Classes derived from `Network`, called with the number of classes, ``aux_heads=``, ``seed=``, ``sync_bn=`` and the
# keys of `NetArgs`. Each of their `head_names` has a weight in `loss_weight`.
NETWORKS = Registry({"BiSeNetV2": "src.modules.bisenetv2:BiSeNetV2"})

# Cells like `CrossEntropy`, whose `settings` list the keys of the section `loss` that they take.
LOSSES = Registry(
    {"ce": "src.modules.loss.cross_entropy:CrossEntropy", "ohem": "src.modules.loss.ohem:OhemCrossEntropy"},
)

# Functions like `create_sgd`, called with the network, each step's learning rate and the other keys of `Optimizer`.
OPTIMIZERS = Registry({"sgd": "src.modules.optimizer:create_sgd", "adamw": "src.modules.adamw:create_adamw"})
