"""Pictures of predictions, by the classes of the configuration; needs no MindSpore."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.config import schema
from src.data.cityscapes import CITYSCAPES, CLASSES, map_label, train_id_to_label_id
from src.data.eval_samples import EvalSample
from src.data.image_files import read_image
from src.visual.visualize import comparison, generic_palette, write_png


def class_names(config: schema.Config) -> tuple[str, ...]:
    """Return the names of the classes, by train id."""
    if config.data.class_names:
        return config.data.class_names
    if config.data.name == CITYSCAPES:
        return tuple(cls.name for cls in CLASSES)
    return tuple(f"class {number}" for number in range(config.num_classes))


def class_palette(config: schema.Config) -> np.ndarray:
    """Return the RGB colour of each class, (num_classes, 3) uint8."""
    if config.data.name == CITYSCAPES:
        return np.array([cls.color for cls in CLASSES], np.uint8)
    return generic_palette(config.num_classes)


class PredictionWriter:
    """Write what `save_images` and `save_predictions` ask for, image by image."""

    def __init__(self, config: schema.Config) -> None:
        self.images = Path(config.save_dir) / "images" if config.save_images else None
        self.predictions = Path(config.save_predictions) if config.save_predictions else None
        for folder in filter(None, (self.images, self.predictions)):
            folder.mkdir(parents=True, exist_ok=True)
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
