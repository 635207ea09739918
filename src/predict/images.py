"""Image files through a predictor; one that cannot be read does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from src.base.errors import DataError
from src.base.progress import Progress
from src.data.decoder_report import DecoderReports
from src.data.image_files import read_image
from src.data.prefetch import map_ahead, usable_workers
from src.offline.inference import Writer
from src.predict.inputs import ImageFile
from src.predict.outputs import ImageWriter
from src.predict.predictor import Predictor

logger = logging.getLogger(__name__)


def predict_images(predictor: Predictor, files: Sequence[ImageFile], writer: ImageWriter, workers: int) -> int:
    """Predict all `files`; return how many could not be read, each of which is logged in a line.

    Reading the next images and writing the last ones overlap with inference.

    Args:
        predictor: maps image (H, W, 3) uint8 RGB to class map (H, W) uint8.
        files: what to predict.
        writer: writes the pictures.
        workers: threads that read.

    Raises:
        UserError: a picture cannot be written.
    """

    reports = DecoderReports()

    def read(file: ImageFile) -> tuple[ImageFile, np.ndarray | DataError]:
        try:
            reports.check(file.path)
            return file, read_image(file.path)
        except DataError as err:
            return file, err

    progress, failed = Progress(len(files), "predicted"), 0
    with reports, Writer() as background:
        for file, image in map_ahead(read, files, usable_workers(workers, len(files))):
            if isinstance(image, DataError):
                logger.error("%s", image)
                failed += 1
                progress.total -= 1
                continue
            background.submit(writer.write, file.name, image, predictor(image))
            progress.advance()
    logger.info("predicted %d of %d images, %.2f images/s", progress.done, len(files), progress.rate())
    if failed and len(files) > 1:
        logger.error("%d of %d images could not be read", failed, len(files))
    return failed
