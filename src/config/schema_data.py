"""The configuration keys of the data set and its transforms; part of `src/config/schema.py`."""

from dataclasses import dataclass
from typing import Optional, Union

from src.config.schema_base import Section, at_least, between, key, ordered_range, positive, require


@dataclass(frozen=True)
class RandomResizeCrop(Section):
    """Random scale, zero/ignore padding at the right and bottom, random window."""

    crop_size: tuple[int, int] = key(help="height and width of the window, pixels", check=at_least(32))
    multi_scale: bool = key(True, "draw a scale; False keeps the image's size")
    base_size: int = key(2048, "long side at scale 1, pixels", check=at_least(1))
    scale_factor: int = key(
        16, "number of scales: long side = base_size * (0.5 + k / 10), k = 0 ... scale_factor - 1", check=at_least(1)
    )
    ignore_label: Optional[int] = key(None, "label of the padding; null = data.ignore_label")


@dataclass(frozen=True)
class RandomFlip(Section):
    """Mirror image and label left to right."""

    prob: float = key(0.5, "probability of mirroring", check=between(0, 1))


@dataclass(frozen=True)
class RandomColor(Section):
    """Photometric distortion of the uint8 image, each effect with probability one half."""

    brightness_delta: int = key(32, "brightness is shifted by up to this, grey levels", check=between(0, 255))
    contrast_range: tuple[float, float] = key((0.5, 1.5), "lowest and highest contrast factor", check=ordered_range)
    saturation_range: tuple[float, float] = key((0.5, 1.5), "lowest and highest saturation factor", check=ordered_range)
    hue_delta: int = key(18, "hue is shifted by up to this, in OpenCV's 0..179 (2 degrees each)", check=between(0, 90))


@dataclass(frozen=True)
class Resize(Section):
    """Bring the image to a fixed size."""

    target_size: tuple[int, int] = key(help="height and width, pixels", check=at_least(32))
    keep_ratio: bool = key(True, "fit inside target_size and pad right and bottom; False stretches")
    ignore_label: Optional[int] = key(
        None, "pads nothing, as labels keep their size here; null, or data.ignore_label as published"
    )


@dataclass(frozen=True)
class Normalize(Section):
    """Turn uint8 into float32: (x / 255 - mean) / std."""

    mean: tuple[float, float, float] = key((0.3257, 0.3690, 0.3223), "RGB mean, of values / 255 when is_scale")
    std: tuple[float, float, float] = key((0.2112, 0.2148, 0.2115), "RGB standard deviation", check=positive)
    is_scale: bool = key(True, "divide by 255 first")
    norm_type: str = key("mean_std", "the formula", choices=("mean_std",))


@dataclass(frozen=True)
class TransposeImage(Section):
    """Bring the image to the network's channels-first layout."""

    hwc2chw: bool = key(True, "(H, W, 3) to (3, H, W), the layout the network reads", choices=(True,))


TransformArgs = Union[RandomResizeCrop, RandomFlip, RandomColor, Resize, Normalize, TransposeImage]
TRANSFORM_ARGS = {c.__name__: c for c in (RandomResizeCrop, RandomFlip, RandomColor, Resize, Normalize, TransposeImage)}


def transform_order_problems(transforms: tuple[TransformArgs, ...], first: type, forbidden: tuple[type, ...]) -> list:
    """Check a list of item transforms: one `first` at the start, ending in Normalize and TransposeImage."""
    names = [type(t).__name__ for t in transforms]
    problems = require(
        names[-2:] == ["Normalize", "TransposeImage"], "item_transforms", "must end in Normalize, TransposeImage"
    )
    problems += require(len(set(names)) == len(names), "item_transforms", f"names a transform twice: {names}")
    problems += require(first.__name__ in names[:1], "item_transforms", f"must begin with {first.__name__}")
    for cls in forbidden:
        problems += require(cls.__name__ not in names, "item_transforms", f"{cls.__name__} has no place here")
    return problems


@dataclass(frozen=True)
class TrainTransforms(Section):
    """What happens to a training image."""

    item_transforms: tuple[TransformArgs, ...] = key(help="list of transforms, applied in order")

    def problems(self) -> list[str]:
        return transform_order_problems(self.item_transforms, RandomResizeCrop, (Resize,))


@dataclass(frozen=True)
class EvalTransforms(Section):
    """What happens to an evaluation image, and the protocol of multi-scale inference."""

    item_transforms: tuple[TransformArgs, ...] = key(help="list of transforms, applied in order")
    multi_scale: bool = key(True, "average over img_ratios; False uses ratio 1.0 only")
    img_ratios: tuple[float, ...] = key(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), "scales of multi-scale inference", check=between(0.1, 8)
    )
    flip: bool = key(True, "average with the mirrored image")

    def problems(self) -> list[str]:
        problems = require(len(self.img_ratios) > 0, "img_ratios", "needs at least one ratio")
        return problems + transform_order_problems(
            self.item_transforms, Resize, (RandomResizeCrop, RandomFlip, RandomColor)
        )


@dataclass(frozen=True)
class Data(Section):
    """The data set and what is done to it."""

    train_transforms: TrainTransforms = key(help="augmentation")
    eval_transforms: EvalTransforms = key(help="evaluation protocol")
    dataset_dir: str = key("Cityscapes", "root folder of the data set")
    name: str = key(
        "cityscapes",
        "cityscapes: labels hold Cityscapes label ids, mapped to 19 train ids; generic: labels hold train ids",
        choices=("cityscapes", "generic"),
    )
    num_parallel_workers: int = key(8, "threads that decode and augment; cut to the number of cores", check=at_least(1))
    map_label: Optional[tuple[float, ...]] = key(
        None, "weight of each class in the loss, in train-id order; null = all 1", check=at_least(0)
    )
    ignore_label: int = key(
        255, "train id of pixels that count neither in the loss nor in the evaluation, up to 255", check=between(0, 255)
    )
    class_names: Optional[tuple[str, ...]] = key(None, "names for the IoU table; null = Cityscapes' names, or numbers")

    def problems(self) -> list[str]:
        problems = []
        for part in ("train_transforms", "eval_transforms"):
            for transform in getattr(self, part).item_transforms:
                value = getattr(transform, "ignore_label", None)
                problems += require(
                    value in (None, self.ignore_label),
                    f"{part}.item_transforms.{type(transform).__name__}.ignore_label",
                    f"is {value} but data.ignore_label is {self.ignore_label}; set it to null",
                )
        return problems
