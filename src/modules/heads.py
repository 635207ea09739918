"""The main head and the auxiliary heads of BiSeNetV2: from feature maps to class scores."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, nn, ops
from mindspore.ops.operations.array_ops import Col2Im

from src.modules.base_modules import ConvBNReLU, NormFactory, conv2d
from src.modules.tensor_ops import TrainableResize
from src.utils.local_adapter import on_cpu


class DoubleSize(nn.Cell):
    """Upsample by two: (N, C, H, W) to (N, C, 2H, 2W)."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.resize = TrainableResize(mode)

    def construct(self, x: Tensor) -> Tensor:
        return self.resize(x, (2 * x.shape[2], 2 * x.shape[3]))


class DoubledConvBNReLU(nn.SequentialCell):
    """Upsampling by two, 3x3 convolution, batch normalisation and ReLU: (N, Cin, H, W) to (N, Cout, 2H, 2W).

    With few outputs, training on the CPU computes the nine products of the convolution before the upsampling. The
    result is equal up to rounding, for a quarter of the arithmetic, and no upsampled maps are kept for the gradient.
    """

    def __init__(self, in_channels: int, out_channels: int, *, inner_upsample: str, norm: NormFactory) -> None:
        super().__init__([DoubleSize(inner_upsample), ConvBNReLU(in_channels, out_channels, norm=norm)])
        self.products_first = on_cpu() and 9 * out_channels <= 2 * in_channels
        self.products = ops.Conv2D(9 * out_channels, 1)
        self.add_up = Col2Im(kernel_size=[3, 3], dilation=[1, 1], padding=[1, 1], stride=[1, 1])
        self.turn = ops.ReverseV2(axis=[2, 3])

    def construct(self, x: Tensor) -> Tensor:
        double, block = self.cell_list
        if not (self.products_first and self.training):
            return block(double(x))
        weight = self.turn(block.conv.weight)
        outputs, inputs = weight.shape[:2]
        weight = ops.transpose(weight.reshape(outputs, inputs, 9), (0, 2, 1)).reshape(9 * outputs, inputs, 1, 1)
        products = double(self.products(x, weight))
        batch, _, height, width = products.shape
        products = products.reshape(batch, outputs, 9, height * width)
        return ops.relu(block.bn(self.add_up(products, _size(height, width))))


@ops.constexpr
def _size(height: int, width: int) -> Tensor:
    return Tensor([height, width], ms.int32)


class SegmentHead(nn.Cell):
    """Class scores, float32.

    Inputs: feature (N, C, h, w), size (H, W) or None. Output: (N, num_classes, H, W); without a size
    (N, num_classes, h, w), or twice that height and width after `DoubledConvBNReLU`.
    """

    def __init__(
        self,
        in_channels: int,
        middle: int,
        num_classes: int,
        *,
        norm: NormFactory,
        dropout: float,
        before_classifier: nn.Cell | None = None,
        classifier_inputs: int | None = None,
    ) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, middle, norm=norm)
        self.drop = nn.Dropout(p=dropout) if dropout else nn.Identity()
        classifier = conv2d(classifier_inputs or middle, num_classes, 1, has_bias=True)
        self.conv_out = nn.SequentialCell([before_classifier or nn.Identity(), classifier])
        self.resize = TrainableResize()

    def construct(self, feature: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        logits = ops.cast(self.conv_out(self.drop(self.conv(feature))), ms.float32)
        return logits if size is None else self.resize(logits, size)
