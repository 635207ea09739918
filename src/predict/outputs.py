"""The pictures of a prediction: class ids, colours, and colours over the photograph with a legend."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.base.files import make_folder
from src.visual.class_names import write_palette
from src.visual.visualize import colorize, overlay, with_legend, write_png

CLASS_IDS, COLOR, OVERLAY = KINDS = "class_ids", "color", "overlay"


class ImageWriter:
    """Write the pictures of images to three folders below `folder`, each named as its image.

    Args:
        folder: of the results.
        palette: RGB colours (num_classes, 3) uint8.
        names: the classes' names.
    """

    def __init__(self, folder: Path, palette: np.ndarray, names: tuple[str, ...]) -> None:
        self.folder, self.palette, self.names = folder, palette, names
        make_folder(folder)
        write_palette(folder, palette, names)

    def write(self, name: str, image: np.ndarray, class_map: np.ndarray) -> None:
        """Write all pictures of one image.

        Args:
            name: relative path of the results, ending in .png.
            image: photograph (H, W, 3) uint8 RGB.
            class_map: train ids (H, W) uint8.

        Raises:
            UserError: one cannot be written.
        """
        mixed = overlay(image, class_map, self.palette)
        pictures = {
            CLASS_IDS: class_map,
            COLOR: colorize(class_map, self.palette, None),
            OVERLAY: with_legend(mixed, np.unique(class_map), self.palette, self.names),
        }
        for kind, picture in pictures.items():
            path = self.folder / kind / name
            make_folder(path.parent)
            write_png(path, picture)
