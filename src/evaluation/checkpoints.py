"""Evaluating a checkpoint in one call, for Python code; eval.py also writes, logs and shares the work."""

from __future__ import annotations

import os

from src.base.paths import path_argument
from src.config import schema
from src.config.loading import require_config
from src.data.eval_samples import EvalSamples
from src.evaluation.evaluator import evaluate
from src.evaluation.inference import create_infer
from src.modules.device import use_device
from src.modules.loading import load_network
from src.utils.metrics import Evaluation


def evaluate_checkpoint(config: schema.Config, path: str | os.PathLike[str]) -> Evaluation:
    """Return the scores of a checkpoint on the validation images of the configured data set, by its eval_transforms.

    MindSpore's mode stays as it is in this process, and its device unless the configuration names one.

    Raises:
        ConfigError: an argument is of the wrong type.
        CheckpointError: the checkpoint cannot be read, belongs to another network or lacks those weights.
        DataError: the data set is not there, or a file of it is damaged.
    """
    require_config(config)
    checkpoint = path_argument(path, "path")
    use_device(config)
    infer = create_infer(load_network(config, checkpoint), config.data.eval_transforms)
    samples = EvalSamples(config.data, num_classes=config.num_classes)
    return evaluate(infer, samples, num_classes=config.num_classes, ignore_label=config.data.ignore_label)
