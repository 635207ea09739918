"""Cross entropy of one head over its hardest pixels: online hard example mining (OHEM)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import mindspore as ms
from mindspore import Tensor, ops

from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.tensor_ops import NarrowToLargest

_BELOW_ALL = -1.0  # less than any loss


class OhemCrossEntropy(CrossEntropy):
    """Cross entropy averaged over the hard pixels of a head.

    A pixel is hard if its loss exceeds -ln(thresh), that is, if the network gives its class a probability below
    `thresh`. If fewer than `min_kept` are hard, the `min_kept` pixels with the largest loss are kept instead; pixels
    tied at that border share the remaining places, so that each counts in part. Gradients flow through kept pixels
    only, and not through the selection.

    Without class weights the result is the mean of the kept losses. Class weights do not change the selection, because
    the threshold is a probability: it uses the unweighted loss. The result is then the weighted mean over the kept
    pixels, sum(weight * loss) / sum(weight); with all pixels kept, the loss of `CrossEntropy`.

    Ignored pixels, and those of a class with weight 0, are never kept. If there are fewer valid pixels than `min_kept`,
    all of them are kept; if there are none, the loss is 0. (PyTorch code that sorts the ignored pixels in with a loss
    of 0 divides by `min_kept` in that case.)

    With several ranks, each selects among its own pixels and divides by their weights, as in PyTorch's distributed
    training; the total loss is the mean over the ranks. It therefore differs slightly from the loss of one rank with
    all images.

    Source: Shrivastava, Gupta, Girshick, "Training region-based object detectors with online hard example mining",
    CVPR 2016; the paper of BiSeNetV2 trains with it.

    Inputs: logits (N, C, H, W), label (N, H, W) int32 train ids. Output: scalar float32.

    Args:
        num_classes: number of classes C.
        class_weights: weight of each class, None for 1.
        ignore_label: label of the pixels that do not count.
        thresh: probability of the right class below which a pixel is hard, between 0 and 1.
        min_kept: minimum number of pixels to keep, of all N*H*W of the batch; None for a sixteenth, rounded down.
        one_hot: as for `CrossEntropy`.

    Raises:
        ValueError: `thresh` or `min_kept` is out of range, or there is not one class weight per class.
    """

    settings: ClassVar[dict[str, str]] = {"thresh": "ohem_thresh", "min_kept": "ohem_min_kept"}
    over_ranks = False

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] | None = None,
        ignore_label: int = 255,
        *,
        thresh: float = 0.7,
        min_kept: int | None = None,
        one_hot: bool | None = None,
    ) -> None:
        super().__init__(num_classes, class_weights, ignore_label, one_hot=one_hot)
        if not 0 < thresh < 1:
            raise ValueError(f"thresh must lie between 0 and 1, got {thresh}")
        if min_kept is not None and min_kept < 1:
            raise ValueError(f"min_kept must be at least 1, got {min_kept}")
        self.hard = Tensor(-math.log(thresh), ms.float32)
        self.lowest = Tensor(_BELOW_ALL, ms.float32)
        self.min_kept = min_kept
        self.narrow = NarrowToLargest()

    def pixel_factors(self, pixel_loss: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return the factor of each pixel's loss, (N, H, W) float32, 0 if it is not kept; `total` is not used."""
        kept = weight * ops.stop_gradient(self.kept(pixel_loss, weight > 0))
        norm = self.sum(kept, (0, 1, 2))
        return kept * ops.reciprocal(ops.select(norm > 0, norm, ops.ones_like(norm)))

    def kept(self, pixel_loss: Tensor, valid: Tensor) -> Tensor:
        """Return how much each pixel counts, (N, H, W) float32 from 0 to 1; pixels that are not valid may count too."""
        batch, height, width = pixel_loss.shape
        pixels = batch * height * width
        min_kept = max(1, pixels // 16) if self.min_kept is None else min(self.min_kept, pixels)
        loss = ops.select(valid, pixel_loss, ops.ones_like(pixel_loss) * _BELOW_ALL)
        low, high = self.narrow(loss, min_kept, self.lowest, self.hard)
        above = ops.cast(loss > high, ms.float32)
        border = ops.cast(loss >= low, ms.float32) - above
        room = ops.maximum(min_kept - self.sum(above, (0, 1, 2)), 0.0)
        return above + border * ops.minimum(room / ops.maximum(self.sum(border, (0, 1, 2)), 1.0), 1.0)
