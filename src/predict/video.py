"""A video through a predictor, frame by frame, to a video of the colours over the frames."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from src.base.errors import DataError, UserError
from src.base.file_kinds import kind_of_file, misfit
from src.base.files import make_folder
from src.base.paths import fitting
from src.base.progress import Progress
from src.base.temporary import replacing
from src.config.schema_data import MAX_PIXELS
from src.data.image_files import check_pixels
from src.predict.predictor import Predictor
from src.visual.class_names import write_palette
from src.visual.visualize import overlay, with_legend, write_png

logger = logging.getLogger(__name__)

SPARE_SECONDS, SPARE_SHARE = 0.5, 0.05  # what a whole video may announce too much, whichever is less
USUAL_RATE = 25.0  # frames/s, where a video does not tell
# An MPEG-4 tells its rate as a fraction of 16 bits. OpenCV makes it one over a power of ten, to within 0.001.
LARGEST_NUMERATOR, SMALLEST_RATE = 65535, 0.002
TOLD_SHARE = 1e-4  # another rate by more than this share is worth a word: a frame in seven minutes


class VideoReader:
    """The frames of a video, one at a time.

    Args:
        path: the file.
        max_pixels: height times width that a frame may have.

    Raises:
        DataError: it is no video that OpenCV can decode, or its frames are too large.
    """

    def __init__(self, path: Path, max_pixels: int = MAX_PIXELS) -> None:
        self.path, self.capture = path, cv2.VideoCapture(str(path))
        sides = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        height, width = (int(self.capture.get(side)) for side in sides)
        check_pixels(str(path), (height, width) if height and width else None, max_pixels)
        self.is_there, self.frame = self.capture.read()
        if not self.is_there:
            kind = kind_of_file(path)
            if kind and not kind.name.endswith("video"):
                raise DataError(misfit(path, kind, "a video"))
            raise DataError(f"{path}: damaged, or not a video OpenCV can decode")
        self.size = self.frame.shape[:2]
        rate, count = (self.capture.get(what) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.announced = max(int(count), 0)  # an estimate in some formats
        self.count, self.first, self.last = 0, 0.0, 0.0  # of the frames handed out, and when these are shown, s
        self.rate = rate if math.isfinite(rate) and rate > 0 else USUAL_RATE
        if self.rate != rate:
            logger.warning("%s: does not tell its frame rate; taken as %g frames/s", path, USUAL_RATE)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield every frame, (H, W, 3) uint8 RGB."""
        while self.is_there:
            if self.frame.shape[:2] != self.size:
                raise DataError(f"{self.path}: the frames change from {self.size} to {self.frame.shape[:2]} pixels")
            shown = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            self.first, self.last = (self.first, max(self.last, shown)) if self.count else (shown, shown)
            self.count += 1
            yield cv2.cvtColor(self.frame, cv2.COLOR_BGR2RGB)
            self.is_there, self.frame = self.capture.read()

    def is_complete(self, count: int) -> bool:
        """Return whether `count` frames are as many as the video announces, but for what a whole one may lack.

        Some formats tell a duration alone, of which the longest track is part; others announce frames that are not
        shown.
        """
        spare = max(1, int(min(SPARE_SECONDS * self.rate, SPARE_SHARE * self.announced)))
        return count + spare >= self.announced

    def is_cut_off(self) -> bool:
        """Return whether the frames ended well before what the video announces, in number and in time."""
        return not self.is_complete(max(self.count, int((self.last - self.first) * self.rate) + 1))


def mp4_rate(rate: float) -> float:
    """Return the rate nearest to `rate`, in frames/s, that an MP4 of OpenCV's can have: the larger, the coarser."""
    fitting = [decimals for decimals in (3, 2, 1, 0) if round(rate * 10**decimals) <= LARGEST_NUMERATOR]
    return max(round(rate, fitting[0]), SMALLEST_RATE) if fitting else float(LARGEST_NUMERATOR)


@contextlib.contextmanager
def written_video(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Open an MP4 and yield what writes a frame (H, W, 3) uint8 RGB to it; it appears as `path` once it is whole.

    Args:
        path: the file.
        rate: frames/s, as `mp4_rate` returns them.
        size: height and width of the frames.

    Raises:
        UserError: OpenCV cannot write it, or wrote less than it was given.
    """
    with replacing(path) as partial, _opened(partial, path, rate, size) as writer:
        frames = 0

        def write(frame: np.ndarray) -> None:
            nonlocal frames
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            frames += 1

        yield write
        writer.release()
        found = _count_frames(partial)
        if found != frames:  # the writer never complains, not even about a full disk
            raise UserError(
                f"cannot write the video {path}: {found} of {frames} frames were written; is the disk full?"
            )


@contextlib.contextmanager
def _opened(partial: Path, path: Path, rate: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    """Open the writer of a video and close it at the end, whatever happens."""
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter_fourcc(*"mp4v"), rate, size[::-1])
    try:
        if not writer.isOpened():
            raise UserError(
                f"cannot write the video {path}: OpenCV opens no MP4 (mp4v) of {size[0]}x{size[1]} pixels "
                f"(height x width) at {rate:g} frames/s there"
            )
        yield writer
    finally:
        writer.release()


def _count_frames(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()


def predict_video(
    predictor: Predictor,
    source: Path,
    folder: Path,
    palette: np.ndarray,
    names: tuple[str, ...],
    begin: Callable[[], None] = lambda: None,
    max_pixels: int = MAX_PIXELS,
) -> int:
    """Write ``<stem>.mp4``, the colours over every frame at the video's size and rate, and ``<stem>_legend.png``.

    Returns 0, or 1 if the video is cut off; the frames that could be read are written all the same.

    Args:
        predictor: maps image (H, W, 3) uint8 RGB to class map (H, W) uint8.
        source: the video; its sound is left out.
        folder: of the results.
        palette: RGB colours (num_classes, 3) uint8.
        names: the classes' names.
        begin: called before anything is written, once the video can be read.
        max_pixels: height times width that a frame may have.

    Raises:
        DataError: the video cannot be read.
        UserError: the result cannot be written, or not all of it.
    """
    reader = VideoReader(source, max_pixels)
    begin()
    make_folder(folder)
    logger.info(
        "%s: %dx%d (height x width), %g frames/s, %d frames", source, *reader.size, reader.rate, reader.announced
    )
    if any(length % 2 for length in reader.size):
        logger.warning("an MP4 has even sizes: the last row or column of an odd one is left out")
    target = folder / f"{source.stem}.mp4"
    seen = _predict_frames(predictor, reader, target, palette)
    legend = with_legend(np.empty((0, reader.size[1], 3), np.uint8), np.flatnonzero(seen), palette, names)
    write_png(folder / legend_name(source), legend)
    write_palette(folder, palette, names)
    return int(_tell_missing(reader))


def _predict_frames(predictor: Predictor, reader: VideoReader, target: Path, palette: np.ndarray) -> np.ndarray:
    """Write the video `target`; return which classes are in it, (num_classes,) bool."""
    progress, seen = Progress(reader.announced, "predicted", "frames"), np.zeros(len(palette), bool)
    rate = mp4_rate(reader.rate)
    if abs(rate - reader.rate) > TOLD_SHARE * reader.rate:
        logger.warning("%s: written at %g frames/s, the nearest rate that an MP4 can have", target, rate)
    with progress, written_video(target, rate, reader.size) as write:
        for frame in reader.frames():
            class_map = predictor(frame)
            seen[np.unique(class_map)] = True
            write(overlay(frame, class_map, palette))
            progress.total = max(progress.total, progress.done + 1)
            progress.advance()
    logger.info("%s: %d frames, %.2f images/s", target, progress.done, progress.rate())
    return seen


def _tell_missing(reader: VideoReader) -> bool:
    """Say so if there were fewer frames than announced; return whether the video is cut off."""
    if reader.count >= reader.announced:
        return False
    is_cut = reader.is_cut_off()
    line = "%s: announces %d frames, %d could be read" + ("; cut off, copy or download it again" if is_cut else "")
    logger.log(logging.ERROR if is_cut else logging.WARNING, line, reader.path, reader.announced, reader.count)
    return is_cut


def legend_name(source: Path) -> str:
    """Return the name of the legend's picture."""
    return fitting(f"{source.stem}_legend.png")


def is_done(source: Path, folder: Path) -> bool:
    """Return whether `folder` holds the whole result of `predict_video`.

    Raises:
        DataError: the video cannot be read.
    """
    target = folder / f"{source.stem}.mp4"
    if not target.is_file() or not (folder / legend_name(source)).is_file():
        return False
    return VideoReader(source).is_complete(_count_frames(target))
