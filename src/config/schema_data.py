"""The configuration keys of the data set and of lists of transforms; part of `src/config/schema.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from src.base.errors import ConfigError
from src.config.label_maps import parse_colors, parse_ids
from src.config.registry import DATASETS
from src.config.schema_base import Section, at_least, between, key, not_empty, problem_unless, weights

MAX_PIXELS = 200_000_000


class Transform(Section):
    """Base of the transforms: each is the frozen dataclass that configures it, called with ``(image, label, rng)``.

    `TRANSFORMS` in `src/config/registry.py` lists them. In a field called `ignore_label` None stands for
    data.ignore_label.
    """

    __call__: ClassVar[Callable[..., Any]]
    in_training: ClassVar[bool] = True  # whether data.train_transforms may list it
    in_evaluation: ClassVar[bool] = False  # whether data.eval_transforms may list it


def transform_order_problems(transforms: tuple[Transform, ...], first: str, place: str) -> list[str]:
    """Return what is wrong with a list of item transforms: `first` begins it, Normalize and TransposeImage end it.

    Args:
        transforms: the list.
        first: name of the transform that brings pictures to one size.
        place: attribute that is true for transforms allowed here: "in_training" or "in_evaluation".
    """
    names = [type(t).__name__ for t in transforms]
    problems = problem_unless(
        names[-2:] == ["Normalize", "TransposeImage"], "item_transforms", "must end in Normalize, TransposeImage"
    )
    problems += problem_unless(len(set(names)) == len(names), "item_transforms", f"names a transform twice: {names}")
    problems += problem_unless(first in names[:1], "item_transforms", f"must begin with {first}")
    for cls in dict.fromkeys(map(type, transforms)):
        problems += problem_unless(getattr(cls, place), "item_transforms", f"{cls.__name__} has no place here")
    return problems


@dataclass(frozen=True)
class TrainTransforms(Section):
    """What happens to a training image."""

    item_transforms: tuple[Transform, ...] = key(help="list of transforms, applied in order")

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the windows that RandomResizeCrop, the first transform, cuts."""
        first: Any = self.item_transforms[0]
        size: tuple[int, int] = first.crop_size
        return size

    def problems(self) -> list[str]:
        return transform_order_problems(self.item_transforms, "RandomResizeCrop", "in_training")


@dataclass(frozen=True)
class EvalTransforms(Section):
    """What happens to an evaluation image, and the protocol of multi-scale inference."""

    item_transforms: tuple[Transform, ...] = key(help="list of transforms, applied in order")
    multi_scale: bool = key(True, "average over img_ratios; False uses ratio 1.0 only")
    img_ratios: tuple[float, ...] = key(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), "scales of multi-scale inference", check=between(0.1, 8)
    )
    flip: bool = key(True, "average with the mirrored image")
    crop_size: Optional[tuple[int, int]] = key(
        None,
        "height and width of the windows that the network sees at every scale, logits averaged where they overlap; "
        "null = whole pictures",
        check=at_least(32),
    )
    crop_stride: Optional[tuple[int, int]] = key(
        None, "rows and columns from one window to the next; null = two thirds of crop_size", check=at_least(1)
    )
    crop_batch: int = key(2, "windows that the network takes at a time", check=at_least(1))

    @property
    def target_size(self) -> tuple[int, int]:
        """Height and width that Resize, the first transform, brings pictures to."""
        first: Any = self.item_transforms[0]
        size: tuple[int, int] = first.target_size
        return size

    def problems(self) -> list[str]:
        problems = problem_unless(len(self.img_ratios) > 0, "img_ratios", "needs at least one ratio")
        size, stride = self.crop_size, self.crop_stride
        problems += problem_unless(
            size is not None or stride is None, "crop_stride", "needs crop_size, the windows' size"
        )
        if size and stride:
            problems += problem_unless(
                all(step <= length for step, length in zip(stride, size)),
                "crop_stride",
                f"must be at most crop_size {list(size)}, got {list(stride)}: pixels would lie in no window",
            )
        return problems + transform_order_problems(self.item_transforms, "Resize", "in_evaluation")


@dataclass(frozen=True)
class Data(Section):
    """The data set and what is done to it."""

    train_transforms: TrainTransforms = key(help="augmentation")
    eval_transforms: EvalTransforms = key(help="evaluation protocol", may_change=True)
    dataset_dir: str = key("Cityscapes", "root folder of the data set", check=not_empty, may_change=True)
    name: str = key(
        "cityscapes",
        "cityscapes: labels hold Cityscapes label ids, mapped to 19 train ids; generic: labels hold train ids, or what "
        "label_ids or label_colors say",
        choices=DATASETS,
    )
    num_parallel_workers: int = key(
        8, "threads that decode and augment; cut to the number of cores", check=at_least(1), may_change=True
    )
    max_pixels: int = key(
        MAX_PIXELS,
        "height times width that an image, a label or a frame may have; larger ones are refused before they are "
        "decoded",
        check=at_least(1),
        may_change=True,
    )
    map_label: Optional[tuple[float, ...]] = key(
        None, "weight of each class in the loss, in train-id order; null = all 1", check=weights
    )
    ignore_label: int = key(
        255, "train id of pixels that count neither in the loss nor in the evaluation, up to 255", check=between(0, 255)
    )
    label_ids: Optional[dict[str, str]] = key(
        None,
        "of name generic: raw id in the label files to train id, such as {0: ignore, 1-150: 0-149}, or a YAML file "
        "with that; a palette PNG holds its indices; null = they are train ids",
    )
    label_colors: Optional[dict[str, str]] = key(
        None,
        "of name generic: colour in the label files, RGB or palette, to train id, such as {128 64 128: 0, 0 0 0: "
        "ignore}, or a YAML file with that",
    )
    class_names: Optional[tuple[str, ...]] = key(
        None, "names for the IoU table; null = Cityscapes' names, or numbers", may_change=True
    )

    def problems(self) -> list[str]:
        problems = []
        for part in ("train_transforms", "eval_transforms"):
            for transform in getattr(self, part).item_transforms:
                value = getattr(transform, "ignore_label", None)
                problems += problem_unless(
                    value in (None, self.ignore_label),
                    f"{part}.item_transforms.{type(transform).__name__}.ignore_label",
                    f"is {value} but data.ignore_label is {self.ignore_label}; set it to null",
                )
        return problems

    def label_map_problems(self, num_classes: int) -> list[str]:
        """Return what is wrong with the label maps for `num_classes` classes."""
        problems = problem_unless(
            self.label_ids is None or self.label_colors is None, "data.label_colors", "excludes data.label_ids"
        )
        for name, parse in (("label_ids", parse_ids), ("label_colors", parse_colors)):
            entries = getattr(self, name)
            if entries is None:
                continue
            problems += problem_unless(not DATASETS[self.name].classes, f"data.{name}", "needs data.name=generic")
            try:
                parse(entries, num_classes, self.ignore_label)
            except ConfigError as err:
                problems += [f"data.{name}: {line}" for line in str(err).splitlines()]
        return problems
