"""Image files through a predictor; one that cannot be read does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np

from src.base.errors import DataError
from src.base.progress import Progress
from src.config.schema_data import MAX_PIXELS
from src.data.decoder_report import DecoderReports
from src.data.image_files import read_image
from src.data.prefetch import map_ahead, usable_workers
from src.offline.inference import Writer
from src.predict.inputs import ImageFile
from src.predict.outputs import ImageWriter
from src.predict.predictor import Predictor

logger = logging.getLogger(__name__)


def predict_images(
    predictor: Predictor,
    files: Sequence[ImageFile],
    writer: ImageWriter,
    workers: int,
    max_pixels: int = MAX_PIXELS,
) -> int:
    """Predict all `files`; return how many could not be read, each of which is logged in a line.

    Reading the next images and writing the last ones overlap with inference.

    Args:
        predictor: maps image (H, W, 3) uint8 RGB to class map (H, W) uint8.
        files: what to predict.
        writer: writes the pictures.
        workers: threads that read.
        max_pixels: height times width that an image may have.

    Raises:
        UserError: a picture cannot be written.
    """
    reports = DecoderReports()
    read = partial(_read, reports=reports, max_pixels=max_pixels)
    progress, failed = Progress(len(files), "predicted"), 0
    with progress, reports, Writer() as background:
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


def _read(file: ImageFile, reports: DecoderReports, max_pixels: int) -> tuple[ImageFile, np.ndarray | DataError]:
    """Return a file and its picture (H, W, 3) uint8 RGB, or why it cannot be read."""
    try:
        reports.check(file.path, max_pixels)
        return file, read_image(file.path, max_pixels=max_pixels)
    except DataError as err:
        return file, err
    except MemoryError:
        return file, DataError(f"{file.path}: does not fit into memory; cut it into parts")
