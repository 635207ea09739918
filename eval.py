"""Evaluate a checkpoint: ``python eval.py --checkpoint_path X.ckpt data.dataset_dir=/path``; ``--help`` lists options."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.cityscapes import CITYSCAPES, map_label, train_id_to_label_id
from src.data.eval_samples import EvalSample, EvalSamples
from src.data.image_files import read_image
from src.data.preflight import preflight
from src.modules.base_modules import MultiScaleInfer
from src.utils import checkpoint, schema
from src.utils.common import class_names, class_palette, create_network, dated_folder, run_entry, start, write_config
from src.utils.config import load_config
from src.utils.errors import ConfigError
from src.utils.evaluation import Evaluation, evaluate
from src.utils.metrics import class_table, evaluation_lines
from src.utils.visualize import comparison, write_png

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; return 0."""
    config = load_config(argv, schema.EVAL)
    save_dir = check_outputs(config)
    values = checkpoint.read_checkpoint(config.checkpoint_path)
    config, _ = start(config, save_dir)
    preflight(config.data, num_classes=config.num_classes, splits=("val",), seed=config.seed)

    network = create_network(config, aux_heads=False)
    checkpoint.restore_network(network, values, config.checkpoint_path)
    write_config(config, save_dir, "config")
    protocol = evaluation_protocol(config)
    infer = MultiScaleInfer(network, protocol["img_ratios"], protocol["flip"])
    result = evaluate(
        infer,
        EvalSamples(config.data, num_classes=config.num_classes),
        num_classes=config.num_classes,
        ignore_label=config.data.ignore_label,
        on_prediction=PredictionWriter(config),
    )
    report(result, protocol, config)
    return 0


def check_outputs(config: schema.Config) -> Path:
    """Return the folder of the results, after a check that nothing would be overwritten.

    Raises:
        ConfigError: there is no checkpoint to evaluate, or results are there already.
    """
    if not config.checkpoint_path:
        raise ConfigError("--checkpoint_path: required")
    save_dir = Path(config.save_dir) if config.save_dir else dated_folder("eval")
    if (save_dir / "eval.json").exists():
        raise ConfigError(f"{save_dir} holds an evaluation already; take another --save_dir")
    if (
        config.save_predictions
        and Path(config.save_predictions).is_dir()
        and any(Path(config.save_predictions).iterdir())
    ):
        raise ConfigError(f"--save_predictions {config.save_predictions}: not empty; take an empty or a new folder")
    return save_dir


def evaluation_protocol(config: schema.Config) -> dict:
    """Return the settings that the result depends on: scales, flip, and (height, width) fed to the network."""
    transforms = config.data.eval_transforms
    return {
        "multi_scale": transforms.multi_scale,
        "img_ratios": list(transforms.img_ratios) if transforms.multi_scale else [1.0],
        "flip": transforms.flip,
        "image_size": list(transforms.item_transforms[0].target_size),
    }


class PredictionWriter:
    """Write what `save_images` and `save_predictions` ask for, image by image."""

    def __init__(self, config: schema.Config) -> None:
        self.images = Path(config.save_dir) / "images" if config.save_images else None
        self.predictions = Path(config.save_predictions) if config.save_predictions else None
        self.names, self.palette = class_names(config), class_palette(config)
        self.ignore_label = config.data.ignore_label
        self.to_file_values = (
            train_id_to_label_id() if config.data.name == CITYSCAPES else np.arange(256, dtype=np.uint8)
        )

    def __call__(self, sample: EvalSample, prediction: np.ndarray) -> None:
        """Write the pictures of one sample; `prediction` (H, W) uint8 has the label's size."""
        if self.predictions:
            name = sample.stem.replace("_leftImg8bit", "") + "_pred_labelIds.png"
            write_png(self.predictions / name, map_label(prediction, self.to_file_values))
        if self.images:
            picture = comparison(
                read_image(sample.image_path), sample.label, prediction, self.palette, self.names, self.ignore_label
            )
            write_png(self.images / f"{sample.stem}.png", picture)


def report(result: Evaluation, protocol: dict, config: schema.Config) -> None:
    """Log the scores with their protocol and write ``{save_dir}/eval.json``."""
    for line in evaluation_lines(result.images, result.iou):
        logger.info("%s", line)
    logger.info(
        "protocol: image size %dx%d (height x width), scales %s, flip %s",
        *protocol["image_size"], ", ".join(map(str, protocol["img_ratios"])), protocol["flip"],
    )  # fmt: skip
    logger.info("\n%s", class_table(result.iou, class_names(config)))
    logger.info("pixel accuracy: %.6f, %.2f images/s", result.pixel_accuracy, result.images_per_second)
    record = {
        "miou": _number(result.miou),
        "iou": [_number(score) for score in result.iou.tolist()],
        "pixel_accuracy": _number(result.pixel_accuracy),
        "images": result.images,
        "protocol": protocol,
        "checkpoint": config.checkpoint_path,
    }
    path = Path(config.save_dir) / "eval.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    logger.info("results: %s", path)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    run_entry(main)
