"""Pictures of a report, in files beside it: photograph, ground truth and prediction; does not import MindSpore.

``report_files`` has for image number N ``N.js``, which the page loads to show it, and ``N.jpg``, its thumbnail; and for
each rank ``records-RANK.jsonl``, with a line of scores for each image. Class maps are stored as compressed class
numbers, so that the page can colour them and name the class below the pointer.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from src.base.errors import DataError, UserError, one_line
from src.base.files import make_folder, write_whole
from src.base.json_text import LONGEST_TEXT, parse_json, read_whole
from src.base.special_files import require_regular
from src.config import schema
from src.data.classes import class_palette
from src.data.eval_samples import EvalSample, EvalSamples
from src.data.label_maps import label_coding
from src.data.orientations import read_aligned
from src.distributed.communicator import Communicator
from src.evaluation.predictions import PredictionWriter
from src.evaluation.score_records import number_or_none
from src.report.checking import COUNT, NUMBER, NUMBERS, TEXT, check_fields
from src.report.page import to_json
from src.utils.metrics import ConfusionMatrix, iou, mean_iou, pixel_accuracy
from src.visual.visualize import error_map, overlay

FOLDER = "report_files"
LARGEST = 1024  # longest side of a picture in the report, pixels
THUMBNAIL = 256  # longest side of a thumbnail, pixels
_QUALITY, _THUMBNAIL_QUALITY = 85, 78
_CALL = ("bisenetReport.arrived(", ");\n")
_ADVICE = "evaluate again with --report True"
_JPEG = b"\xff\xd8\xff"  # first bytes of a JPEG
_LONGEST = 50_000_000  # limit for the file of a picture, bytes
_FIELDS = {
    "index": COUNT,
    "name": TEXT,
    "width": COUNT,
    "height": COUNT,
    "miou": NUMBER,
    "accuracy": NUMBER,
    "iou": NUMBERS,
}


class ReportPictures:
    """Write the pictures and scores of each sample; call it with the sample and its prediction.

    Args:
        config: all settings.
        stems: names of the samples of all ranks.
        rank: number of this process.
    """

    def __init__(self, config: schema.Config, stems: Sequence[str], rank: int = 0) -> None:
        self.numbers = {stem: number for number, stem in enumerate(stems)}
        self.folder = config.folder / FOLDER
        make_folder(self.folder)
        self.records = self.folder / f"records-{rank}.jsonl"
        write_whole(self.records, b"", "the records ")
        self.num_classes, self.ignore_label = config.num_classes, config.data.ignore_label
        self.coding = label_coding(config.data, config.num_classes)
        self.palette = class_palette(config)

    def __call__(self, sample: EvalSample, prediction: np.ndarray) -> None:
        """Write the pictures and scores of one sample; `prediction` (H, W) uint8 has the label's size.

        Raises:
            UserError: it cannot be written.
        """
        image, _ = read_aligned(sample.image_path, sample.label_path, self.coding.decode)
        photo, shown = reduced(image, LARGEST), reduced(prediction, LARGEST)
        label = None if sample.label is None else reduced(sample.label, LARGEST)
        payload = picture_payload(photo, label, shown, self.ignore_label)
        name = file_name(self.numbers[sample.stem])
        write_whole(self.folder / f"{name}.js", payload.join(_CALL).encode(), "the picture ")
        thumbnail = self._thumbnail(photo, label, shown)
        write_whole(self.folder / f"{name}.jpg", _jpeg(thumbnail, _THUMBNAIL_QUALITY), "the thumbnail ")
        _append(self.records, self._record(sample, prediction))

    def _record(self, sample: EvalSample, prediction: np.ndarray) -> dict:
        height, width = prediction.shape
        index = self.numbers[sample.stem]
        record = {"index": index, "name": sample.stem, "width": width, "height": height}
        if sample.label is None:
            return record
        matrix = ConfusionMatrix(self.num_classes, self.ignore_label)
        matrix.update(sample.label, prediction)
        scores = iou(matrix.counts)
        values = {"miou": mean_iou(scores), "accuracy": pixel_accuracy(matrix.counts)}
        record |= {name: number_or_none(value) for name, value in values.items()}
        return {**record, "iou": [number_or_none(score) for score in scores.tolist()]}

    def _thumbnail(self, photo: np.ndarray, label: np.ndarray | None, prediction: np.ndarray) -> np.ndarray:
        """Return the photograph beside its errors, or beside the prediction if there is no label."""
        if label is None:
            second = overlay(photo, prediction, self.palette, 0.7)
        else:
            second = error_map(photo, label, prediction, self.ignore_label)
        return np.hstack([reduced(photo, THUMBNAIL), reduced(second, THUMBNAIL)])


def picture_writers(
    config: schema.Config, samples: EvalSamples, communicator: Communicator | None
) -> Callable[[EvalSample, np.ndarray], None]:
    """Return a function that writes the configured pictures of a sample and its prediction."""
    writers: list[Callable[[EvalSample, np.ndarray], None]] = [PredictionWriter(config)]
    if config.report:
        writers.append(ReportPictures(config, samples.stems, communicator.rank if communicator else 0))

    def write(sample: EvalSample, prediction: np.ndarray) -> None:
        for each in writers:
            each(sample, prediction)

    return write


def file_name(index: int) -> str:
    """Return the name of the files of an image, without suffix."""
    return f"{index:06d}"


def reduced(array: np.ndarray, largest: int) -> np.ndarray:
    """Scale a picture (H, W, 3) or a class map (H, W) down to at most `largest` pixels on its longest side."""
    height, width = array.shape[:2]
    factor = largest / max(height, width)
    if factor >= 1:
        return array
    size = (max(1, round(width * factor)), max(1, round(height * factor)))  # (width, height), as OpenCV has it
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA if array.ndim == 3 else cv2.INTER_NEAREST)


def picture_payload(photo: np.ndarray, label: np.ndarray | None, prediction: np.ndarray | None, ignored: int) -> str:
    """Return the input of the page's viewer as JSON: a photograph (H, W, 3), and class maps (H, W) of its size.

    Args:
        photo: uint8 RGB.
        label: uint8 train ids, or None.
        prediction: uint8 train ids, or None.
        ignored: value of ignored pixels in `label`.
    """
    height, width = photo.shape[:2]
    maps = {"truth": label, "prediction": prediction}
    packed = {name: None if array is None else _packed(array) for name, array in maps.items()}
    return to_json({"width": width, "height": height, "photo": jpeg_url(photo), "ignored": ignored, **packed})


def jpeg_url(picture: np.ndarray, quality: int = _QUALITY) -> str:
    """Return a picture (H, W, 3), uint8 RGB, as a ``data:`` URL."""
    return _data_url(_jpeg(picture, quality))


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _packed(class_map: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(class_map, np.uint8).tobytes(), 6)).decode()


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    done, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise UserError("cannot encode a picture of the report")
    return encoded.tobytes()


def _append(path: Path, record: dict) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
    except OSError as err:
        raise UserError(f"cannot write the records {path}: {err.strerror or err}") from err


def remove_records(save_dir: Path) -> None:
    """Remove the records of an unfinished evaluation, which may have had more ranks."""
    for path in (save_dir / FOLDER).glob("records-*.jsonl"):
        path.unlink(missing_ok=True)


def count_pictures(save_dir: Path) -> int | None:
    """Return the number of pictures of an evaluation for its report; None if it was run without a report."""
    if not any((save_dir / FOLDER).glob("records-*.jsonl")):
        return None
    return sum(1 for _ in read_records(save_dir))


def read_records(save_dir: Path) -> Iterator[dict]:
    """Yield the records of all images, rank by rank, one at a time.

    Raises:
        DataError: a line cannot be read.
    """
    for path in sorted((save_dir / FOLDER).glob("records-*.jsonl")):
        require_regular(path)
        with path.open("rb") as stream:
            lines = iter(partial(stream.readline, LONGEST_TEXT + 1), b"")
            for line_number, line in enumerate(lines, 1):
                yield _parsed(line, f"{path}: line {line_number} is not a record")


def _parsed(line: bytes, where: str) -> dict:
    """Return the record in a line, with the known fields only."""
    try:
        if len(line) > LONGEST_TEXT:
            raise ValueError(f"longer than {LONGEST_TEXT / 1e6:g} MB")
        record = parse_json(line)
    except ValueError as err:
        raise DataError(f"{where}: {one_line(err)}; {_ADVICE}") from err
    check_fields(record, _FIELDS, where)
    if record.get("index") is None or record.get("name") is None:
        raise DataError(f"{where}: it lacks index or name; {_ADVICE}")
    return {name: record[name] for name in _FIELDS if name in record}


def page_records(save_dir: Path, page: Path, run: int, *, inline: bool) -> Iterator[dict]:
    """Yield the records for the list of a page, with the thumbnail and the place of the picture.

    Args:
        save_dir: folder of the evaluation.
        page: path of the page.
        run: number of the evaluation within the page.
        inline: whether the page contains the pictures.
    """
    files = save_dir / FOLDER
    place = relative_url(files, page)
    for record in read_records(save_dir):
        name = file_name(record["index"])
        if inline:
            urls = {"thumbnail": _data_url(_read_jpeg(files / f"{name}.jpg"))}
            urls["element"] = f"picture-{run}-{record['index']}"
        else:
            urls = {"thumbnail": f"{place}/{name}.jpg", "script": f"{place}/{name}.js"}
        yield {**record, "run": run, **urls}


def page_pictures(save_dir: Path, run: int) -> Iterator[tuple[str, str]]:
    """Yield (id, JSON) of each picture for a page that contains the pictures, one at a time."""
    for record in read_records(save_dir):
        path = save_dir / FOLDER / f"{file_name(record['index'])}.js"
        text = _read(path).decode(errors="replace")
        if not (text.startswith(_CALL[0]) and text.endswith(_CALL[1])) or "<" in text:
            raise DataError(f"{path}: is not a picture of a report; {_ADVICE}")
        yield f"picture-{run}-{record['index']}", text[len(_CALL[0]) : -len(_CALL[1])]


def _read(path: Path) -> bytes:
    require_regular(path)
    try:
        return read_whole(path, _LONGEST)
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: cannot be read: {getattr(err, 'strerror', None) or err}; {_ADVICE}") from err


def _read_jpeg(path: Path) -> bytes:
    data = _read(path)
    if not data.startswith(_JPEG):
        raise DataError(f"{path}: is not a JPEG; {_ADVICE}")
    return data


def relative_url(path: Path, page: Path) -> str:
    """Return the URL of a file, relative to the page that names it."""
    return quote(os.fsencode(os.path.relpath(path.resolve(), page.resolve().parent)))
