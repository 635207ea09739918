"""The named evaluation protocols, as in the tables of the public PyTorch implementation."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from src.config.schema_data import Data


class Protocol(NamedTuple):
    """The settings that a protocol's name stands for."""

    multi_scale: bool  # all of img_ratios, and mirror images
    windows: bool  # sliding windows of crop_size


PROTOCOLS = {
    "ss": Protocol(multi_scale=False, windows=False),
    "ssc": Protocol(multi_scale=False, windows=True),
    "msf": Protocol(multi_scale=True, windows=False),
    "mscf": Protocol(multi_scale=True, windows=True),
}
SINGLE_SCALE = tuple(name for name, protocol in PROTOCOLS.items() if not protocol.multi_scale)


def with_protocol(data: Data, name: str) -> Data:
    """Return the section with the named protocol of `PROTOCOLS` instead of its own.

    Windows have the size ``eval_transforms.crop_size`` or, if that is null, the crop size of training.
    """
    protocol, used = PROTOCOLS[name], data.eval_transforms
    size, stride = (used.crop_size, used.crop_stride) if protocol.windows else (None, None)
    if protocol.windows and size is None:
        size = data.train_transforms.crop_size
    several = protocol.multi_scale
    used = dataclasses.replace(used, multi_scale=several, flip=several, crop_size=size, crop_stride=stride)
    return dataclasses.replace(data, eval_transforms=used)
