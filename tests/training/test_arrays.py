"""Training on arrays: what a batch has to be. That it trains is told by the examples of docs/python.md."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mindspore import Tensor

from src.base.errors import ConfigError, DataError
from src.config.loading import load_config
from src.training.arrays import ArrayTrainer, require_batch

pytestmark = pytest.mark.once

CONFIG = load_config(overrides={"num_classes": 3, "data": {"name": "generic", "map_label": None}})
WANTED = r"an image is an array \(H, W, 3\) uint8 in RGB order, got"
IMAGE, LABEL = np.zeros((4, 5, 3), np.uint8), np.array([[0, 1, 2, 255, 0]] * 4)


def test_a_batch_is_two_images_with_labels_of_their_sizes():
    small = (IMAGE[:2], LABEL[:2].astype(np.uint8))
    require_batch([IMAGE, small[0]], (LABEL, small[1]), CONFIG)
    frozen = dataclasses.replace(CONFIG, net_args=dataclasses.replace(CONFIG.net_args, freeze_bn=True))
    require_batch([IMAGE], [LABEL], frozen)
    bgr = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    images = require_batch([bgr[..., ::-1], IMAGE], [LABEL] * 2, CONFIG)  # OpenCV takes no view that runs backwards
    np.testing.assert_array_equal(images[0], bgr[:, :, [2, 1, 0]])
    assert images[0].flags.c_contiguous


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([IMAGE], [LABEL], "^1 images and 1 labels: a batch has as many of both, at least 2$"),
        ([IMAGE] * 3, [LABEL] * 2, "^3 images and 2 labels: "),
        ([IMAGE, IMAGE / 255], [LABEL] * 2, rf"^image 1: {WANTED} \(4, 5, 3\) float64; give values 0\.\.255"),
        ([IMAGE, "a.png"], [LABEL] * 2, rf"^image 1: {WANTED} the path 'a\.png'; src\.data\.image_files\.read_image"),
        ([IMAGE[..., 0]] * 2, [LABEL] * 2, rf"^image 0: {WANTED} \(4, 5\) uint8; of grey, "),
        (
            [IMAGE] * 2,
            [LABEL, LABEL[:, :4]],
            r"^label 1: expected integers \(4, 5\), as its image, got \(4, 4\) int64$",
        ),
        ([IMAGE] * 2, [LABEL, LABEL / 1], r"^label 1: expected integers \(4, 5\), .*, got \(4, 5\) float64$"),
        ([IMAGE] * 2, [LABEL, None], r"^label 1: expected integers \(4, 5\), .*, got NoneType$"),
        (
            [IMAGE] * 2,
            [LABEL, LABEL + 1],
            r"^label 1: holds 3, which is neither a class \(0\.\.2\) nor data\.ignore_label = 255$",
        ),
        ([IMAGE] * 2, [LABEL - 1, LABEL], r"^label 0: holds -1, "),
        ([IMAGE] * 2, [LABEL, Tensor(LABEL)], r"^label 1: expected integers \(4, 5\), .*, got Tensor$"),
        ([IMAGE[:0]] * 2, [LABEL[:0]] * 2, rf"^image 0: {WANTED} \(0, 5, 3\) uint8$"),
        ((image for image in [IMAGE]), [LABEL], "^images: expected a list of arrays, got generator$"),
        ([IMAGE], None, "^labels: expected a list of arrays, got NoneType$"),
    ],
)
def test_every_other_batch_is_one_line(images, labels, message):
    with pytest.raises(DataError, match=message):
        require_batch(images, labels, CONFIG)


def test_a_step_after_a_prediction_trains_as_before(monkeypatch):
    trainer, labels = ArrayTrainer(CONFIG), [LABEL.astype(np.uint8)] * 2
    trainer.network.set_train(False)

    class TrainCell:
        """Notes in which mode the network is when a step is trained."""

        def set_train(self, mode: bool) -> None:
            trainer.network.set_train(mode)

        def __call__(self, *_batch: Tensor) -> tuple[Tensor]:
            return (Tensor(float(trainer.network.training)),)

    monkeypatch.setattr(trainer, "train_cell", TrainCell())
    assert trainer.train_step([IMAGE] * 2, labels) == 1.0


def test_only_a_configuration_is_one():
    with pytest.raises(ConfigError, match="^config: expected what load_config returns, got str$"):
        ArrayTrainer("config/bisenetv2_tiny.yml")


def test_what_does_not_fit_the_configuration_is_told_before_anything_is_made():
    with pytest.raises(ConfigError) as caught:
        ArrayTrainer(load_config(CONFIG, {"loss_weight": [1.0, 0.4], "accumulate_steps": 2}))
    heads = "main, aux2, aux3, aux4, aux5_4"
    assert str(caught.value).splitlines() == [
        f"loss_weight: expected 5 values, {heads}; got [1.0, 0.4]",
        "accumulate_steps: must be 1 here: a batch is a step",
    ]
