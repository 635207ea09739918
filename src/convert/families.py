"""The two families of public PyTorch weights: their parameter names and other differences.

`bisenet` is CoinCheung/BiSeNet, whose names are those of this network; `mmseg` is open-mmlab/mmsegmentation. Names and
shapes of both were taken from released weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

TORCH_LAST = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

# (start or middle of a name here, its counterpart in mmsegmentation); the first match counts.
_STARTS = (
    (r"detail\.S(\d)\.", lambda match: f"backbone.detail.detail_branch.{int(match[1]) - 1}."),
    (r"segment\.S1S2\.conv\.", "backbone.semantic.stage1.conv_first."),
    (r"segment\.S1S2\.left\.", "backbone.semantic.stage1.convs."),
    (r"segment\.S1S2\.fuse\.", "backbone.semantic.stage1.fuse_last."),
    (r"segment\.S5_5\.bn\.", "backbone.semantic.stage4_CEBlock.gap.1."),
    (r"segment\.S5_5\.", "backbone.semantic.stage4_CEBlock."),
    (r"segment\.S5_4\.", "backbone.semantic.stage4."),
    (r"segment\.S(\d)\.", lambda match: f"backbone.semantic.stage{int(match[1]) - 1}."),
    (r"bga\.left1\.", "backbone.bga.detail_dwconv.0."),
    (r"bga\.left2\.", "backbone.bga.detail_down.0."),
    (r"bga\.right1\.", "backbone.bga.semantic_conv.0."),
    (r"bga\.right2\.", "backbone.bga.semantic_dwconv.0."),
    (r"bga\.conv\.", "backbone.bga.conv."),
    (r"head\.conv_out\.1\.", "decode_head.conv_seg."),
    (r"head\.conv\.", "decode_head.convs.0."),
)
_PARTS = (
    (r"(stage\d\.\d)\.dwconv\.", r"\1.dwconv.0."),
    (r"(stage\d\.\d)\.dwconv1\.", r"\1.dwconv.0."),
    (r"(stage\d\.\d)\.dwconv2\.", r"\1.dwconv.1."),
    (r"(stage\d\.\d)\.conv2\.", r"\1.conv2.0."),
    (r"(stage\d\.\d)\.shortcut\.", r"\1.shortcut.0."),
)
# After these a number selects the layer.
_SEPARABLE = re.compile(r"(.*(?:shortcut\.0|detail_dwconv\.0|semantic_dwconv\.0))\.([0-3])\.(\w+)")
_PLAIN = re.compile(
    r"(.*(?:stage\d\.\d\.dwconv\.\d|stage\d\.\d\.conv2\.0|_down\.0|semantic_conv\.0|bga\.conv))\.([01])\.(\w+)"
)
_LAYERS = ("depthwise_conv.conv", "depthwise_conv.bn", "pointwise_conv.conv", "pointwise_conv.bn")


def bisenet_name(name: str) -> str:
    """Return the name in `bisenet` weights of a parameter of this network; only batch normalisation differs."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{TORCH_LAST.get(last, last)}"


def mmseg_name(name: str) -> str:
    """Return the name in `mmseg` weights of a parameter of this network, which has no auxiliary heads."""
    name = bisenet_name(name)
    for rules, anchored in ((_STARTS, True), (_PARTS, False)):
        for pattern, there in rules:
            changed, count = re.subn("^" + pattern if anchored else pattern, there, name)
            if count:
                name = changed
                break
    if match := _SEPARABLE.fullmatch(name):
        return f"{match[1]}.{_LAYERS[int(match[2])]}.{match[3]}"
    if match := _PLAIN.fullmatch(name):
        return f"{match[1]}.{('conv', 'bn')[int(match[2])]}.{match[3]}"
    return name


@dataclass(frozen=True)
class Family:
    """Weights of one public implementation.

    Attributes:
        name: its name for `--source`.
        marker: a tensor that all its weights have and those of other families lack.
        classifier: the tensor whose first dimension is the number of classes.
        torch_name: maps names of this network to its own.
        auxiliary: whether its auxiliary heads are those of this network.
        ignored: start and end of the names of tensors that are left out on purpose, with the reason.
        inner_upsample: option of the network, see `BiSeNetV2`.
        bn_epsilon: option of the network.
        pointwise_bias: option of the network, `bga_pointwise_bias`.
        mean: mean of RGB values / 255 that its training subtracted.
        std: standard deviation that its training divided by.
    """

    name: str
    marker: str
    classifier: str
    torch_name: Callable[[str], str]
    auxiliary: bool
    ignored: tuple[tuple[str, str, str], ...]
    inner_upsample: str
    bn_epsilon: float
    pointwise_bias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def ignored_pattern(self, name: str) -> str | None:
        """Return the pattern, with its reason, by which a tensor is left out; None if it is not."""
        for start, end, reason in self.ignored:
            if name.startswith(start) and name.endswith(end):
                return f"{start}*{end} ({reason})"
        return None


_COUNTERS = ("", ".num_batches_tracked", "counts of batches, which the running averages do not need")
BISENET = Family(
    "bisenet",
    "detail.S1.0.conv.weight",
    "head.conv_out.1.weight",
    bisenet_name,
    auxiliary=True,
    ignored=(_COUNTERS,),
    inner_upsample="nearest",
    bn_epsilon=1e-5,
    pointwise_bias=False,
    mean=(0.3257, 0.3690, 0.3223),
    std=(0.2112, 0.2148, 0.2115),
)
MMSEG = Family(
    "mmseg",
    "backbone.detail.detail_branch.0.0.conv.weight",
    "decode_head.conv_seg.weight",
    mmseg_name,
    auxiliary=False,
    ignored=(_COUNTERS, ("auxiliary_head.", "", "auxiliary heads of another shape")),
    inner_upsample="bilinear",
    bn_epsilon=1e-3,
    pointwise_bias=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
FAMILIES = {family.name: family for family in (BISENET, MMSEG)}


def recognise(names: Iterable[str]) -> Family | None:
    """Return the family that has tensors of these names."""
    names = set(names)
    return next((family for family in FAMILIES.values() if family.marker in names), None)
