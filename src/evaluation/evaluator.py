"""Evaluation of a network over a data set: one evaluator for eval.py and for training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.base.errors import EvaluationInterruptedError
from src.base.progress import Progress
from src.config import schema
from src.data.eval_samples import EvalSample, EvalSamples, restore_class_map
from src.distributed.communicator import Communicator
from src.utils.metrics import ConfusionMatrix, Evaluation, evaluation_lines, iou, mean_iou, pixel_accuracy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unscored:
    """What is known of a pass over images without labels."""

    images: int
    images_per_second: float


def evaluation_protocol(transforms: schema.EvalTransforms) -> dict:
    """Return the settings that the result depends on: scales, flip, and (height, width) fed to the network."""
    return {
        "multi_scale": transforms.multi_scale,
        "img_ratios": list(transforms.img_ratios) if transforms.multi_scale else [1.0],
        "flip": transforms.flip,
        "image_size": list(transforms.item_transforms[0].target_size),
    }


def log_scores(result: Evaluation, protocol: dict) -> None:
    """Log the published lines of a result and the settings that it depends on."""
    for line in evaluation_lines(result.images, result.iou):
        logger.info("%s", line)
    log_protocol(protocol)


def log_protocol(protocol: dict) -> None:
    """Log the settings next to a result."""
    logger.info(
        "protocol: image size %dx%d (height x width), scales %s, flip %s",
        *protocol["image_size"], ", ".join(map(str, protocol["img_ratios"])), protocol["flip"],
    )  # fmt: skip


def evaluate(
    infer: nn.Cell,
    samples: EvalSamples,
    *,
    num_classes: int,
    ignore_label: int,
    on_prediction: Callable[[EvalSample, np.ndarray], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    others: Communicator | None = None,
) -> Evaluation:
    """Run `infer` over `samples` and count one confusion matrix, each image at its label's own size.

    Several ranks take every so-many-th image each; their matrices are added once at the end, in whole numbers.

    Args:
        infer: maps image (1, 3, H, W) to class map (1, H, W), e.g. `MultiScaleInfer`.
        samples: what to evaluate, with labels.
        num_classes: number of classes.
        ignore_label: label of pixels that do not count.
        on_prediction: called with each sample and its class map (h, w) uint8 at the label's size.
        should_stop: asked before each image.
        others: the ranks to share the images with; None for none.

    Raises:
        EvaluationInterruptedError: `should_stop` said so.
    """
    others, matrix = others or Communicator(), ConfusionMatrix(num_classes, ignore_label)

    def count(sample: EvalSample, prediction: np.ndarray) -> None:
        matrix.update(sample.label, prediction)
        if on_prediction:
            on_prediction(sample, prediction)

    images, rate = _predict(infer, samples, count, "evaluated", should_stop=should_stop, others=others)
    counts = others.sum_integers(matrix.counts)
    scores = iou(counts)
    return Evaluation(images, mean_iou(scores), scores, pixel_accuracy(counts), rate)


def predict_unlabelled(
    infer: nn.Cell,
    samples: EvalSamples,
    on_prediction: Callable[[EvalSample, np.ndarray], None],
    others: Communicator,
) -> Unscored:
    """Run `infer` over `samples` without labels.

    Several ranks take every so-many-th image each, as in `evaluate`.

    Args:
        infer: maps image (1, 3, H, W) to class map (1, H, W), e.g. `MultiScaleInfer`.
        samples: what to predict.
        on_prediction: called with each sample and its class map (h, w) uint8 at the image's own size.
        others: the ranks to share the images with.
    """
    return Unscored(*_predict(infer, samples, on_prediction, "predicted", should_stop=lambda: False, others=others))


def _predict(
    infer: nn.Cell, samples: EvalSamples, on_prediction: Callable[[EvalSample, np.ndarray], None], what: str, *,
    should_stop: Callable[[], bool], others: Communicator,
) -> tuple[int, float]:  # fmt: skip
    """Predict this rank's share of the samples; return the images, and images a second, of all ranks."""
    own = range(others.rank, len(samples), others.rank_size)
    progress, stopped = Progress(len(own), what), False
    for sample in samples.read_ahead(own):
        if stopped := should_stop():
            break
        class_map = infer(Tensor(sample.image[None], ms.float32)).asnumpy()[0]
        on_prediction(sample, restore_class_map(class_map, sample.fitted, sample.original))
        progress.advance()
    if others.largest(int(stopped)):  # on any rank
        raise EvaluationInterruptedError
    return int(others.sum_integers(progress.done)), float(others.sum_floats(progress.rate()))
