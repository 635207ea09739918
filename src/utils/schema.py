"""Every configuration key: its type, default, meaning and the values it accepts.

One frozen dataclass per section. `src/utils/config.py` fills them from YAML and the command line; nothing else makes
a default. `Optional[...]` instead of `X | None`: the annotations are evaluated at run time, on Python 3.9 too.
"""

from dataclasses import dataclass
from typing import Optional, Union

from src.utils.schema_base import (
    EVAL,
    TRAIN,
    Section,
    at_least,
    between,
    key,
    not_empty,
    ordered_range,
    positive,
    require,
)


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


@dataclass(frozen=True)
class Optimizer(Section):
    """Optimizer and learning-rate schedule."""

    type: str = key("sgd", "the optimizer", choices=("sgd",))
    momentum: float = key(0.9, "momentum, as PyTorch's SGD defines it", check=between(0, 0.9999))
    weight_decay: float = key(0.0005, "L2 penalty added to the gradient", check=at_least(0))
    nesterov: bool = key(False, "Nesterov momentum")
    filter_bias_and_bn: bool = key(False, "exempt 1-D parameters (biases, batch normalisation) from weight decay")
    lr_init: float = key(0.05, "learning rate at step 0, for a total batch of 16", check=positive)
    lr_end: float = key(0.0, "learning rate at total_step", check=at_least(0))
    lr_power: float = key(0.9, "exponent of the polynomial decay", check=at_least(0))

    def problems(self) -> list[str]:
        return require(
            self.lr_end <= self.lr_init, "lr_end", f"must not exceed lr_init = {self.lr_init}, got {self.lr_end}"
        ) + require(self.momentum > 0 or not self.nesterov, "nesterov", "needs a momentum above 0")


@dataclass(frozen=True)
class NetArgs(Section):
    """Variants of the network."""

    inner_upsample: str = key(
        "bilinear", "upsampling inside aggregation and auxiliary heads", choices=("bilinear", "nearest")
    )
    bn_epsilon: float = key(
        1.0e-3, "epsilon of batch normalisation; 1e-5 in the other published variant", check=positive
    )
    bga_pointwise_bias: bool = key(
        False, "bias in the aggregation layer's pointwise convolutions (mmsegmentation has it)"
    )
    dropout: float = key(
        0.0,
        "dropout before the classifiers while training; its state is not in a checkpoint: a resumed run differs",
        check=between(0, 0.99),
    )
    depthwise_expand: str = key(
        "grouped",
        "expanding depthwise convolutions: grouped, or repeat the channels and convolve depthwise (same result)",
        choices=("grouped", "repeat"),
    )
    freeze_bn: bool = key(False, "train with the running statistics of batch normalisation, unchanged")


@dataclass(frozen=True)
class Config(Section):
    """Everything a run depends on; a top-level key that is no section doubles as a command-line option."""

    data: Data = key(help="data set")
    optimizer: Optimizer = key(Optimizer(), "optimizer and schedule")
    net_args: NetArgs = key(NetArgs(), "variants of the network")
    net: str = key("BiSeNetV2", "the network", choices=("BiSeNetV2",))
    num_classes: int = key(19, "number of classes, without the ignored one", check=between(2, 255))
    loss_weight: tuple[float, float, float, float, float] = key(
        (1.0,) * 5, "weights of the five heads' losses: main, aux2, aux3, aux4, aux5_4", check=at_least(0)
    )
    total_step: int = key(160000, "number of training steps", scripts=(TRAIN,), check=at_least(1))
    warmup_step: int = key(1000, "steps of linear warm-up", scripts=(TRAIN,), check=at_least(0))
    batch_size: int = key(4, "training images a step and device", scripts=(TRAIN,), check=at_least(1))
    seed: int = key(1, "seed of initialisation, order and augmentation", scripts=(TRAIN,), check=between(0, 2**32 - 1))
    device_target: Optional[str] = key(
        None, "device to run on; default: Ascend where MindSpore finds one, else CPU", choices=("Ascend", "GPU", "CPU")
    )
    device_id: Optional[int] = key(
        None, "device number; default: DEVICE_ID, then ASCEND_DEVICE_ID, then 0", check=at_least(0)
    )
    ms_mode: int = key(0, "0: graph mode, 1: PyNative mode (for debugging)", choices=(0, 1))
    num_threads: Optional[int] = key(None, "threads of the CPU kernels; default: all cores", check=at_least(1))
    save_dir: Optional[str] = key(
        None, "folder of the results; default a dated one below runs or eval", check=not_empty
    )
    mix: bool = key(False, "mixed precision: convolutions in float16, all else in float32")
    ms_loss_scaler: Optional[str] = key(
        None,
        "loss scale; default: dynamic with --mix True, else none",
        scripts=(TRAIN,),
        choices=("static", "dynamic", "none"),
    )
    ms_loss_scaler_value: float = key(
        1024.0, "static loss scale, or the first one of a dynamic scale", scripts=(TRAIN,), check=at_least(1)
    )
    ms_loss_scaler_window: int = key(
        2000, "steps without overflow before a dynamic loss scale doubles", scripts=(TRAIN,), check=at_least(1)
    )
    clip_grad_norm: Optional[float] = key(
        None, "clip gradients to this global norm; default: no clipping", scripts=(TRAIN,), check=positive
    )
    force_update: bool = key(False, "update the weights even when gradients are not finite", scripts=(TRAIN,))
    log_interval: int = key(10, "steps between two log lines", scripts=(TRAIN,), check=at_least(1))
    checkpoint_interval: int = key(2000, "steps between two checkpoints", scripts=(TRAIN,), check=at_least(1))
    keep_checkpoint_max: int = key(
        5, "newest checkpoints kept; the best and the last one always stay", scripts=(TRAIN,), check=at_least(1)
    )
    run_eval: bool = key(False, "evaluate at every checkpoint (single scale) and keep the best", scripts=(TRAIN,))
    resume_ckpt: Optional[str] = key(None, "checkpoint to continue exactly from", scripts=(TRAIN,), check=not_empty)
    finetune_ckpt: Optional[str] = key(
        None, "checkpoint whose weights to start from", scripts=(TRAIN,), check=not_empty
    )
    checkpoint_path: Optional[str] = key(None, "checkpoint to evaluate", scripts=(EVAL,), check=not_empty)
    single_scale: bool = key(False, "quick protocol: sets multi_scale and flip off", scripts=(EVAL,))
    save_images: bool = key(False, "write colour overlays to {save_dir}/images", scripts=(EVAL,))
    save_predictions: Optional[str] = key(
        None,
        "folder for predicted label-id PNGs, named as the Cityscapes evaluation expects",
        scripts=(EVAL,),
        check=not_empty,
    )

    def problems(self) -> list[str]:
        data, classes = self.data, self.num_classes
        problems = require(
            data.ignore_label >= classes,
            "data.ignore_label",
            f"{data.ignore_label} is one of the {classes} classes; take a value outside 0..{classes - 1}, e.g. 255",
        )
        if data.name == "cityscapes":
            problems += require(
                classes == 19, "num_classes", f"Cityscapes has 19, got {classes}; other data: data.name=generic"
            )
        for name in ("map_label", "class_names"):
            values = getattr(data, name)
            problems += require(
                values is None or len(values) == classes, f"data.{name}", f"needs num_classes = {classes} entries"
            )
        problems += require(
            self.batch_size >= 2 or self.net_args.freeze_bn,
            "batch_size",
            "must be at least 2: the context embedding normalises over one value an image and channel; got 1",
        )
        return problems + require(
            not (self.resume_ckpt and self.finetune_ckpt),
            "resume_ckpt",
            "excludes finetune_ckpt: continue or start anew",
        )
