"""Evaluation of a network over a data set: one evaluator for eval.py and for training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.base.errors import EvaluationInterruptedError
from src.base.progress import Progress
from src.data.eval_samples import EvalSample, EvalSamples, restore_class_map
from src.distributed.communicator import Communicator
from src.evaluation.inference import describe
from src.utils.metrics import ConfusionMatrix, Evaluation, evaluation_lines, iou, mean_iou, pixel_accuracy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unscored:
    """Result of a pass over images without labels."""

    images: int
    images_per_second: float


def log_scores(result: Evaluation, protocol: dict) -> None:
    """Log a result as the published code does, and the settings that it depends on."""
    for line in evaluation_lines(result.images, result.iou):
        logger.info("%s", line)
    log_protocol(protocol)


def log_protocol(protocol: dict, name: str = "") -> None:
    """Log the settings that a result depends on, with the protocol's name if it has one."""
    label = f"protocol {name}" if name else "protocol"
    size = "{}x{}".format(*protocol["image_size"])
    logger.info("%s: image size %s (height x width), %s", label, size, describe(protocol))


def evaluate(
    infer: nn.Cell,
    samples: EvalSamples,
    *,
    num_classes: int,
    ignore_label: int,
    on_prediction: Callable[[EvalSample, np.ndarray], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    communicator: Communicator | None = None,
) -> Evaluation:
    """Run `infer` over `samples` and score it; the arguments are those of `evaluate_all`."""
    (result,) = evaluate_all(
        [infer],
        samples,
        num_classes=num_classes,
        ignore_label=ignore_label,
        on_prediction=on_prediction,
        should_stop=should_stop,
        communicator=communicator,
    )
    return result


def evaluate_all(
    infers: Sequence[nn.Cell],
    samples: EvalSamples,
    *,
    num_classes: int,
    ignore_label: int,
    on_prediction: Callable[[EvalSample, np.ndarray], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    communicator: Communicator | None = None,
) -> list[Evaluation]:
    """Run each of `infers` over `samples` and score it, each image at the size of its label.

    Every image is read once. With N ranks, each takes every N-th image; their confusion matrices are summed once at the
    end, as integers.

    Args:
        infers: each maps image (1, 3, H, W) to class map (1, H, W), e.g. `MultiScaleInfer`.
        samples: the samples to evaluate, with labels.
        num_classes: number of classes.
        ignore_label: label of pixels that do not count.
        on_prediction: called with each sample and the class map (h, w) uint8 of the first of `infers`, at the label's
            size.
        should_stop: called before each image; returns whether to stop.
        communicator: the ranks to share the images with; None evaluates all images here.

    Raises:
        EvaluationInterruptedError: `should_stop` returned True.
    """
    communicator = communicator or Communicator()
    matrices = [ConfusionMatrix(num_classes, ignore_label) for _ in infers]

    def count(sample: EvalSample, predictions: Sequence[np.ndarray]) -> None:
        assert sample.label is not None  # there is nothing to score otherwise
        for matrix, prediction in zip(matrices, predictions):
            matrix.update(sample.label, prediction)
        if on_prediction:
            on_prediction(sample, predictions[0])

    images, rates = _predict(infers, samples, count, "evaluated", should_stop=should_stop, communicator=communicator)
    return [_scored(images, communicator.sum_integers(matrix.counts), rate) for matrix, rate in zip(matrices, rates)]


def _scored(images: int, counts: np.ndarray, rate: float) -> Evaluation:
    scores = iou(counts)
    return Evaluation(images, mean_iou(scores), scores, pixel_accuracy(counts), rate, counts)


def predict_unlabelled(
    infer: nn.Cell,
    samples: EvalSamples,
    on_prediction: Callable[[EvalSample, np.ndarray], None],
    communicator: Communicator | None = None,
) -> Unscored:
    """Run `infer` over `samples` without labels.

    With N ranks, each takes every N-th image, as in `evaluate`.

    Args:
        infer: maps image (1, 3, H, W) to class map (1, H, W), e.g. `MultiScaleInfer`.
        samples: the samples to predict.
        on_prediction: called with each sample and its class map (h, w) uint8 at the image's size.
        communicator: the ranks to share the images with; None: this process takes them all.
    """
    images, (rate,) = _predict(
        [infer],
        samples,
        lambda sample, predictions: on_prediction(sample, predictions[0]),
        "predicted",
        should_stop=lambda: False,
        communicator=communicator or Communicator(),
    )
    return Unscored(images, rate)


def _predict(
    infers: Sequence[nn.Cell],
    samples: EvalSamples,
    on_predictions: Callable[[EvalSample, list[np.ndarray]], None],
    what: str,
    *,
    should_stop: Callable[[], bool],
    communicator: Communicator,
) -> tuple[int, list[float]]:
    """Predict this rank's share of the samples with each of `infers`.

    Returns:
        The number of images, and the images per second of each of `infers`, summed over the ranks. A single one is
        timed including reading; of several each is timed separately, without the first image if there are more.
    """
    own = range(communicator.rank, len(samples), communicator.rank_size)
    progress, stopped = Progress(len(own), what), False
    seconds: list[list[float]] = [[] for _ in infers]
    with progress:
        for sample in samples.read_ahead(own):
            if stopped := should_stop():
                break
            image, predictions = Tensor(sample.image[None], ms.float32), []
            for infer, times in zip(infers, seconds):
                begun = time.monotonic()
                class_map = infer(image).asnumpy()[0]
                times.append(time.monotonic() - begun)
                predictions.append(restore_class_map(class_map, sample.fitted, sample.original))
            on_predictions(sample, predictions)
            progress.advance()
    if communicator.largest(int(stopped)):  # on any rank
        raise EvaluationInterruptedError
    rates = [progress.rate()] if len(infers) == 1 else [_rate(times) for times in seconds]
    return int(communicator.sum_integers(progress.done)), [float(communicator.sum_floats(rate)) for rate in rates]


def _rate(seconds: Sequence[float]) -> float:
    """Return images per second, without the first image if there are more, because it includes compilation."""
    counted = seconds[1:] or seconds
    return len(counted) / max(sum(counted), 1e-9)
