"""Pictures of predictions in the colours of the configured classes; does not import MindSpore."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.base.files import make_folder
from src.config import schema
from src.data.cityscapes import map_label
from src.data.classes import class_names, class_palette
from src.data.eval_samples import EvalSample
from src.data.label_maps import file_values, label_coding
from src.data.orientations import read_aligned
from src.visual.class_names import names_by_id, write_palette
from src.visual.visualize import comparison, write_png


class PredictionWriter:
    """Write the pictures of `save_images` and `save_predictions`, sample by sample."""

    def __init__(self, config: schema.Config) -> None:
        self.images = config.folder / "images" if config.save_images else None
        self.predictions = Path(config.save_predictions) if config.save_predictions else None
        for folder in filter(None, (self.images, self.predictions)):
            make_folder(folder)
        self.names, self.palette = class_names(config), class_palette(config)
        self.ignore_label, self.max_pixels = config.data.ignore_label, config.data.max_pixels
        if self.images and names_by_id(self.names):
            write_palette(self.images, self.palette, self.names)
        self.to_file_values = file_values(config)
        self.coding = label_coding(config.data, config.num_classes)

    def __call__(self, sample: EvalSample, prediction: np.ndarray) -> None:
        """Write the pictures of one sample; `prediction` (H, W) uint8 has the label's size."""
        if self.predictions:
            name = sample.stem.replace("_leftImg8bit", "") + "_pred_labelIds.png"
            write_png(self.predictions / name, map_label(prediction, self.to_file_values))
        if self.images:
            image, _ = read_aligned(sample.image_path, sample.label_path, self.coding.decode, self.max_pixels)
            picture = comparison(image, sample.label, prediction, self.palette, self.names, self.ignore_label)
            write_png(self.images / f"{sample.stem}.png", picture)
