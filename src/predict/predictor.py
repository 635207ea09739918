"""From a photograph of any size to its class map of the same size: by a checkpoint, or by an exported model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.config import schema
from src.config.builder import with_image_size
from src.data.arrays import require_image
from src.data.eval_samples import restore_class_map
from src.data.picture_sizes import size_of
from src.data.transforms.resize import pad
from src.data.transforms_factory import Compose, create_transforms
from src.evaluation.inference import create_infer, describe, evaluation_protocol
from src.modules.loading import load_network
from src.offline.models import load_model
from src.offline.preparing import match_file
from src.offline.tensors import ModelError, input_size

logger = logging.getLogger(__name__)

MULTIPLE = 32  # of the network's coarsest feature map, and the smallest input
MANY_SIZES = 4  # different ones after which a hint is due


class PadToMultiple:
    """Pad an image right and bottom with black to the next multiple of `multiple` each; the place of `Resize`."""

    def __init__(self, multiple: int = MULTIPLE) -> None:
        self.multiple = multiple

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the part of the result that is picture: all of the image."""
        return height, width

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        height, width = (-(-length // self.multiple) * self.multiple for length in image.shape[:2])
        return pad(image, (height, width), 0), label


class Predictor:
    """Predict the classes of an image.

    Args:
        transforms: steps from the image to the network's input; the first one knows which part of it is picture.
        classify: maps an input with a batch axis of 1 to its classes (H, W), or to logits (C, H, W).
        num_classes: number of classes.
        config: the configuration it was made with, which tells the names and colours of the classes.
    """

    def __init__(
        self,
        transforms: Compose,
        classify: Callable[[np.ndarray], np.ndarray],
        *,
        num_classes: int,
        config: schema.Config | None = None,
    ) -> None:
        self.transforms, self.classify, self.num_classes, self.config = transforms, classify, num_classes, config

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the train ids (H, W) uint8 of an image (H, W, 3) uint8 RGB.

        Raises:
            DataError: it is not such an array.
            ModelError: the model cannot be run, or returns values that are not classes.
        """
        image = require_image(image)
        resize: Any = self.transforms.transforms[0]
        fitted = resize.fitted_size(*image.shape[:2])
        array, _ = self.transforms(image, None)
        result = self.classify(array[None])
        class_map = result.argmax(axis=0) if result.ndim == 3 else result
        low, high = int(class_map.min()), int(class_map.max())
        if low < 0 or high >= self.num_classes:
            raise ModelError(f"the model returns classes {low}..{high}, expected 0..{self.num_classes - 1}")
        return restore_class_map(class_map, fitted, size_of(image))


class RunNetwork:
    """Runs a network whose graph is compiled once for every size, and tells when there are many.

    Args:
        infer: maps image (1, 3, H, W) float32 to class map (1, H, W).
        in_windows: the network itself sees windows of one size only.
    """

    def __init__(self, infer: nn.Cell, *, in_windows: bool = False) -> None:
        self.infer, self.in_windows = infer, in_windows
        self.sizes: set[tuple[int, ...]] = set()

    def __call__(self, array: np.ndarray) -> np.ndarray:
        if not self.in_windows:
            self._note(array.shape[2:])
        return self.infer(Tensor(array, ms.float32)).asnumpy()[0]

    def _note(self, size: tuple[int, ...]) -> None:
        if size in self.sizes:
            return
        self.sizes.add(size)
        if len(self.sizes) <= MANY_SIZES:
            logger.info("input %dx%d (height x width): compiled once, for all images of this size", *size)
        elif len(self.sizes) == MANY_SIZES + 1:
            logger.info("the sizes vary, and each is compiled once; --image_size H W runs all images at one size")


def checkpoint_predictor(config: schema.Config, path: str | Path, image_size: tuple[int, int] | None) -> Predictor:
    """Make a predictor of the configured network with the weights of a checkpoint.

    Args:
        config: network, which weights of the checkpoint, normalisation, scales and mirroring.
        path: the checkpoint.
        image_size: height and width to run at, to which images are fitted as in evaluation; None: each at its own.

    Raises:
        CheckpointError: the checkpoint cannot be read, belongs to another network or lacks those weights.
    """
    network = load_network(config, path)
    if image_size is not None:
        config = with_image_size(config, image_size)
    transforms = create_transforms(config.data.eval_transforms.item_transforms, config.data.ignore_label)
    protocol = evaluation_protocol(config.data.eval_transforms)
    in_windows = "crop_size" in protocol
    if image_size is None:
        padding = PadToMultiple(1 if in_windows else MULTIPLE)
        transforms = Compose([padding, *transforms.transforms[1:]])
    size = "each image's own" if image_size is None else "{}x{}".format(*image_size)
    logger.info("%s: image size %s, %s", path, size, describe(protocol))
    run = RunNetwork(create_infer(network, config.data.eval_transforms), in_windows=in_windows)
    return Predictor(transforms, run, num_classes=config.num_classes, config=config)


def model_predictor(config: schema.Config, path: Path) -> Predictor:
    """Make a predictor of an exported model, which fits images to its input as the offline path does.

    Args:
        config: classes, and the normalisation of a float32 input; both must agree with what the model says of itself.
            Its device is that of a .onnx, by default the CPU; a .mindir runs on the one MindSpore is set to.
        path: the model, .mindir or .onnx.

    Raises:
        ModelError: the model cannot be used.
        ConfigError: the configuration does not fit it.
    """
    config = match_file(config, path)
    device, number = config.device_target or "CPU", config.device_id or 0
    model = load_model(path, device_type=device, device_id=number, num_threads=config.num_threads)
    size = input_size(path, model.input)
    config = with_image_size(config, size)
    transforms = create_transforms(config.data.eval_transforms.item_transforms, config.data.ignore_label)
    if model.input.dtype == "uint8":
        transforms = Compose(transforms.transforms[:1])
    logger.info("%s: input %s %dx%d (height x width)", path, model.input.dtype, *size)
    if config.data.eval_transforms.crop_size is not None:
        logger.info("crop_size is not used: an exported model runs whole pictures")
    return Predictor(transforms, lambda array: model(array)[0], num_classes=config.num_classes, config=config)
