"""The exported graph: the network, optionally with normalisation before it and the argmax after it."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.base_modules import MultiScaleInfer
from src.modules.tensor_ops import ResizeByProducts, TrainableResize

OUTPUTS = ("argmax", "logits")


class NormalizeRGB(nn.Cell):
    """Normalise decoded pictures for the network: (N, H, W, 3) uint8 RGB to (N, 3, H, W) float32.

    The formula of the transform `Normalize` in float32, equal to it up to the last bits.

    Args:
        mean: RGB mean of x / 255, or of x without `is_scale`.
        std: RGB standard deviation, likewise.
        is_scale: divide by 255 first.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], is_scale: bool = True) -> None:
        super().__init__()
        levels = 255.0 if is_scale else 1.0
        self.mean = Tensor(np.reshape(mean, (1, 3, 1, 1)) * levels, ms.float32)
        self.factor = Tensor(1 / (np.reshape(std, (1, 3, 1, 1)) * levels), ms.float32)

    def construct(self, picture: Tensor) -> Tensor:
        image = ops.cast(ops.transpose(picture, (0, 3, 1, 2)), ms.float32)  # to (N, 3, H, W)
        return (image - self.mean) * self.factor


def resize_by_products(network: nn.Cell, dtype: ms.Type = ms.float32) -> int:
    """Replace every `TrainableResize` of `network` by its form for exported models, in place; return their number.

    Args:
        network: a network for inference.
        dtype: data type of the products.
    """
    count = 0
    for _, cell in list(network.cells_and_names()):
        for name, child in list(cell.name_cells().items()):
            if isinstance(child, TrainableResize):
                setattr(cell, name, ResizeByProducts(child.mode, dtype))
                count += 1
    return count


class InferenceGraph(nn.Cell):
    """The computation of a deployed model, single-scale.

    Inputs: image (N, 3, H, W) float32, normalised; with `normalize` (N, H, W, 3) uint8 RGB. Output: logits
    (N, num_classes, H, W) float32, or the class map (N, H, W) int32 of `MultiScaleInfer` at one scale.

    Args:
        network: returns logits in evaluation mode.
        output: 'argmax' or 'logits'.
        normalize: converts the model's input to the network's; None if they are the same.
    """

    def __init__(self, network: nn.Cell, *, output: str = "argmax", normalize: NormalizeRGB | None = None) -> None:
        super().__init__(auto_prefix=False)
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}")
        self.infer = network if output == "logits" else MultiScaleInfer(network)
        self.normalize = normalize or nn.Identity()
        self.set_train(False)

    def construct(self, image: Tensor) -> Tensor:
        return self.infer(self.normalize(image))
