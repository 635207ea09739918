"""A network of one's own: two classifiers of single pixels, which begin at zero."""

from __future__ import annotations

from mindspore import Tensor, nn

from src.modules.base_modules import Network


class TwoHeads(Network):
    """One convolution a head; see `Network`."""

    head_names = ("main", "extra")

    def __init__(
        self, num_classes: int, *, aux_heads: bool = True, seed: int = 1, sync_bn: bool = False, **variants: object
    ) -> None:
        super().__init__()
        self.aux_heads = aux_heads
        self.main = nn.Conv2d(3, num_classes, 1, has_bias=True, weight_init="zeros", bias_init="zeros")
        if aux_heads:
            self.extra = nn.Conv2d(3, num_classes, 1, has_bias=True, weight_init="zeros", bias_init="zeros")

    def construct(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        logits = self.main(image)
        if not (self.training and self.aux_heads):
            return logits
        return logits, self.extra(image)
