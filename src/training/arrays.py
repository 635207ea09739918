"""Training on arrays, for Python code that has its images elsewhere than in the files of a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor

from src.base.errors import DataError, TrainingError
from src.base.paths import path_argument
from src.config import schema
from src.config.loading import head_problems, require_config
from src.config.schema_base import refuse
from src.data.arrays import require_image
from src.data.transforms_factory import create_transforms
from src.modules.device import use_device
from src.modules.factory import create_network, create_train_cell
from src.modules.loading import start_from
from src.modules.origin import origin_of
from src.state import checkpoint


class ArrayTrainer:
    """Train the configured network in this process, a batch at a time.

    The configuration tells network, loss, optimizer, schedule, augmentation and the checkpoint to fine-tune from; what
    it says of files, intervals and the batch is for train.py. MindSpore's mode stays as it is in this process, and its
    device unless the configuration names one.

    Args:
        config: the configuration; the run ends after its total_step.

    Attributes:
        network: the network, with auxiliary heads.
        step: steps that are done.

    Raises:
        ConfigError: it is not a configuration, not every head has a weight, or accumulate_steps is not 1.
        CheckpointError: the checkpoint to fine-tune from cannot be used.
    """

    def __init__(self, config: schema.Config) -> None:
        require_config(config)
        several = ["accumulate_steps: must be 1 here: a batch is a step"] if config.accumulate_steps > 1 else []
        refuse(head_problems(config) + several)
        use_device(config)
        self.config, self.step, self.batch_size = config, 0, 0
        self.network = create_network(config, aux_heads=True)
        if config.finetune_ckpt:
            start_from(self.network, config, config.finetune_ckpt)
        self.train_cell = create_train_cell(self.network, config)
        self.transforms = create_transforms(config.data.train_transforms.item_transforms, config.data.ignore_label)

    def train_step(self, images: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
        """Augment a batch, train a step on it and return its loss, before the update, summed over the heads.

        A step whose gradients are not finite changes no weight.

        Args:
            images: at least two (H, W, 3) uint8 RGB, each of a size of its own.
            labels: train ids (H, W) of each, integers: classes, or data.ignore_label.

        Raises:
            DataError: an array is not so.
            TrainingError: all steps of the schedule are done.
        """
        if self.step == self.config.total_step:
            raise TrainingError(f"all total_step = {self.step} steps are done; the learning rate is planned for these")
        images = require_batch(images, labels, self.config)
        if not self.network.training:  # a prediction in between has set it so
            self.train_cell.set_train(True)
        pairs = [
            self.transforms(image, label.astype(np.uint8), np.random.default_rng((self.config.seed, self.step, place)))
            for place, (image, label) in enumerate(zip(images, labels))
        ]
        image, label = (np.stack(arrays) for arrays in zip(*pairs))  # (N, 3, H, W) and (N, H, W)
        loss, *_ = self.train_cell(Tensor(image, ms.float32), Tensor(label, ms.int32))
        self.step, self.batch_size = self.step + 1, len(pairs)
        return float(loss.asnumpy())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint for evaluation, prediction, export and fine-tuning.

        Raises:
            ConfigError: `path` is not a path.
            CheckpointError: its name does not end in .ckpt, or it cannot be written.
        """
        target = path_argument(path, "path")
        seed, last = self.config.seed, self.config.total_step
        info = checkpoint.RunInfo(self.step, last, self.batch_size, seed, origin_of(self.config))
        checkpoint.write_atomically(checkpoint.training_parameters(self.train_cell, info), target)


def require_batch(
    images: Sequence[np.ndarray], labels: Sequence[np.ndarray], config: schema.Config
) -> list[np.ndarray]:
    """Return the images of a batch, at least two unless freeze_bn, once they and their labels (H, W) are right.

    Raises:
        DataError: it is something else; the line says which array, and why.
    """
    least = 1 if config.net_args.freeze_bn else 2
    for name, arrays in (("images", images), ("labels", labels)):
        if not isinstance(arrays, (Sequence, np.ndarray)):
            raise DataError(f"{name}: expected a list of arrays, got {type(arrays).__name__}")
    if len(images) != len(labels) or len(images) < least:
        raise DataError(f"{len(images)} images and {len(labels)} labels: a batch has as many of both, at least {least}")
    checked = [require_image(image, f"image {place}: ") for place, image in enumerate(images)]
    for place, (image, label) in enumerate(zip(checked, labels)):
        has_numbers = isinstance(label, np.ndarray) and np.issubdtype(label.dtype, np.integer)
        if not has_numbers or label.shape != image.shape[:2]:
            raise DataError(
                f"label {place}: expected integers {image.shape[:2]}, as its image, got {_described(label)}"
            )
        is_class = (label >= 0) & (label < config.num_classes)
        unknown = label[~is_class & (label != config.data.ignore_label)]
        if unknown.size:
            classes = f"a class (0..{config.num_classes - 1}) nor data.ignore_label = {config.data.ignore_label}"
            raise DataError(f"label {place}: holds {unknown[0]}, which is neither {classes}")
    return checked


def _described(value: object) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
