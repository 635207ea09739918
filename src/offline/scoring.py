"""Steps of postprocess.py: score the results of an offline inference against the labels."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np

from src.base.errors import ConfigError, DataError
from src.base.files import make_folder
from src.base.progress import Progress
from src.data.eval_samples import restore_class_map
from src.data.image_files import read_bytes, read_image
from src.data.picture_sizes import stored_size
from src.offline.manifest import Manifest, ManifestSample, input_name, result_name
from src.utils.metrics import ConfusionMatrix, mean_iou
from src.visual.class_names import PALETTE_FILE, names_by_id, write_palette
from src.visual.visualize import comparison, write_png

logger = logging.getLogger(__name__)

SHOWN_PROBLEMS = 10


def check_results(manifest: Manifest, results: Path, labels: Path) -> dict[ManifestSample, Path]:
    """Return the result file of every sample, after checking that all results and labels are complete.

    Raises:
        DataError: files are missing or of the wrong size; the message is one line and names them.
    """
    if not manifest.complete:
        raise DataError(f"{labels.parent}: preprocessing did not finish there; run preprocess.py again")
    found = {sample: results / result_name(sample.stem) for sample in manifest.samples}
    height, width = manifest.image_size
    sizes = {4 * height * width: "a class map", 4 * height * width * manifest.num_classes: "logits"}
    wanted = " or ".join(f"{size} ({kind})" for size, kind in sizes.items())
    problems = []
    for sample, path in found.items():
        label = labels / input_name(sample.stem)
        problems += _problem(path, tuple(sizes), wanted)
        pixels = math.prod(sample.label_size)
        problems += _problem(label, (pixels,), f"{pixels}")
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise DataError("; ".join(problems[:SHOWN_PROBLEMS]) + more)
    return found


def _problem(path: Path, sizes: tuple[int, ...], wanted: str) -> list[str]:
    if not path.is_file():
        return [f"missing: {path}"]
    size = path.stat().st_size
    return [] if size in sizes else [f"{path} has {size} bytes, expected {wanted}"]


def prepare_images(manifest: Manifest, images: Path) -> None:
    """Create the folder of the overlays, after checking that they replace only overlays; hidden files stay.

    Raises:
        ConfigError: it holds other files, or the evaluated pictures themselves.
        UserError: it cannot be created.
    """
    own = {f"{sample.stem}.png": sample for sample in manifest.samples}
    found = [path for path in images.iterdir() if not path.name.startswith(".")] if images.is_dir() else []
    for path in sorted(path for path in found if path.name != PALETTE_FILE):
        sample = own.get(path.name)
        if sample is None or path.resolve() == Path(sample.image).resolve():
            raise ConfigError(
                f"{images}: holds {path.name}, which is not an overlay of this run; give another --images_path"
            )
    make_folder(images)
    if names_by_id(manifest.class_names):
        write_palette(images, np.array(manifest.palette), manifest.class_names)


def count(
    manifest: Manifest, results: dict[ManifestSample, Path], labels: Path, images: Path | None
) -> ConfusionMatrix:
    """Return the confusion matrix of all results, each at the size of its label.

    Args:
        manifest: manifest of the inputs.
        results: the result file of every sample.
        labels: folder of the labels.
        images: folder for overlays of photograph, label and prediction, or None.

    Raises:
        DataError: a result contains a value that is not a class, or cannot be read.
    """
    matrix = ConfusionMatrix(manifest.num_classes, manifest.ignore_label)
    with Progress(len(results), "scored", say=logger.debug) as progress:
        for sample, path in results.items():
            label = np.frombuffer(_read(labels / input_name(sample.stem)), np.uint8).reshape(sample.label_size)
            class_map = read_class_map(path, manifest)
            prediction = restore_class_map(class_map, sample.fitted, sample.label_size)
            matrix.update(label, prediction)
            if images is not None:
                palette = np.array(manifest.palette, np.uint8)
                image = _read_photograph(sample)
                sheet = comparison(image, label, prediction, palette, manifest.class_names, manifest.ignore_label)
                write_png(images / f"{sample.stem}.png", sheet)
            progress.advance()
    return matrix


def _read_photograph(sample: ManifestSample) -> np.ndarray:
    """Read the picture of a sample, (H, W, 3) uint8 RGB of its label's size.

    Raises:
        DataError: it cannot be read, or was changed since preprocessing; a larger one is not decoded.
    """
    size = tuple(sample.label_size)
    stored = stored_size(read_bytes(sample.image)) or size
    if sorted(stored) == sorted(size):
        for turned in (True, False):  # not turned: stored the same way as its label, see `read_aligned`
            image = read_image(sample.image, turned=turned, max_pixels=size[0] * size[1])
            if image.shape[:2] == size:
                return image
    shown = "{}x{} pixels (height x width), its label {}x{}".format(*stored, *size)
    raise DataError(f"{sample.image}: has {shown}; it was changed since, run preprocess.py again")


def read_class_map(path: Path, manifest: Manifest) -> np.ndarray:
    """Read a result as classes (H, W), whether the model returned a class map or logits.

    Raises:
        DataError: it contains a value that is not a class.
    """
    data, (height, width) = _read(path), manifest.image_size
    if len(data) == 4 * height * width:
        class_map = np.frombuffer(data, np.int32).reshape(height, width)
    else:
        logits = np.frombuffer(data, np.float32).reshape(manifest.num_classes, height, width)
        if not np.isfinite(logits).all():
            raise DataError(f"{path}: holds logits that are not finite")
        class_map = logits.argmax(axis=0)
    low, high = class_map.min(), class_map.max()
    if low < 0 or high >= manifest.num_classes:
        raise DataError(f"{path}: holds values {low}..{high}, classes are 0..{manifest.num_classes - 1}")
    return class_map


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err.strerror}") from err


def result_block(images: int, scores: np.ndarray) -> str:
    """Return the published result of offline inference, character for character."""
    return (
        f"Total number of images:  {images}\n"
        "=========== 310 Inference Result ===========\n"
        f"miou: {mean_iou(scores)!r}\n"
        f"iou array: \n {scores}\n"
        "============================================\n"
    )
