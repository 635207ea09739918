"""Create the inference cell for the settings of an evaluation: whole pictures or windows, one scale or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mindspore import nn

from src.config import schema
from src.data.transforms_factory import Compose
from src.modules.base_modules import MultiScaleInfer
from src.modules.sliding_windows import SlidingMultiScaleInfer, SlidingWindows


class Windows(NamedTuple):
    """Height and width of the windows, vertical and horizontal stride, and number of windows per batch."""

    size: tuple[int, int]
    stride: tuple[int, int]
    batch_size: int


def windows_of(transforms: schema.EvalTransforms) -> Windows | None:
    """Return the configured windows; None if whole pictures are predicted."""
    size, stride, batch_size = transforms.crop_size, transforms.crop_stride, transforms.crop_batch
    if size is None:
        return None
    height, width = size
    return Windows(size, stride or (-(-2 * height // 3), -(-2 * width // 3)), batch_size)


def evaluation_protocol(transforms: schema.EvalTransforms) -> dict:
    """Return the settings that the result depends on: scales, flip, size fed to the network, and windows if any.

    Sizes and strides are (height, width), in pixels.
    """
    protocol = {
        "multi_scale": transforms.multi_scale,
        "img_ratios": list(transforms.img_ratios) if transforms.multi_scale else [1.0],
        "flip": transforms.flip,
        "image_size": list(transforms.target_size),
    }
    windows = windows_of(transforms)
    return protocol | ({"crop_size": list(windows.size), "crop_stride": list(windows.stride)} if windows else {})


def describe(protocol: dict) -> str:
    """Return scales, flip and windows of an `evaluation_protocol` as text for the log."""
    text = f"scales {', '.join(map(str, protocol['img_ratios']))}, flip {protocol['flip']}"
    if "crop_size" not in protocol:
        return text
    size, stride = ("{}x{}".format(*protocol[name]) for name in ("crop_size", "crop_stride"))
    return f"{text}, windows {size}, stride {stride}"


def create_infer(network: nn.Cell, transforms: schema.EvalTransforms) -> MultiScaleInfer:
    """Make the cell that maps a normalised image (1, 3, H, W) to its class map (1, H, W), as `transforms` configure."""
    return create_infers(network, [transforms])[0]


def create_infers(network: nn.Cell, several: Sequence[schema.EvalTransforms]) -> list[MultiScaleInfer]:
    """Make a cell as `create_infer` does for each of `several`; those with equal windows share the network's graph."""
    shared: dict[tuple, SlidingWindows] = {}
    infers = []
    for transforms in several:
        protocol, windows = evaluation_protocol(transforms), windows_of(transforms)
        if windows is None:
            infers.append(MultiScaleInfer(network, protocol["img_ratios"], protocol["flip"]))
            continue
        black = normalized_black(transforms)
        if (windows, black) not in shared:
            shared[windows, black] = SlidingWindows(network, **windows._asdict(), padding=black)
        infers.append(SlidingMultiScaleInfer(shared[windows, black], protocol["img_ratios"], protocol["flip"]))
    return infers


def normalized_black(transforms: schema.EvalTransforms) -> tuple[float, ...]:
    """Return a black pixel, which Resize pads with, after the transforms that follow Resize; one value per channel."""
    pixel, _ = Compose(transforms.item_transforms[1:])(np.zeros((1, 1, 3), np.uint8), None)
    return tuple(pixel.ravel().tolist())
