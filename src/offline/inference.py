"""Run a model over a folder of network inputs in Python, with the same files as the C++ runner."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from src.base.errors import DataError
from src.base.files import make_folder, write_whole
from src.base.progress import Progress
from src.base.special_files import is_hidden
from src.data.prefetch import map_ahead
from src.offline.manifest import result_name
from src.offline.tensors import Model, TensorInfo
from src.offline.timing import Timings

logger = logging.getLogger(__name__)

WAITING_RESULTS = 2  # results that may wait to be written


def list_inputs(folder: Path, wanted: TensorInfo) -> list[Path]:
    """Return the ``*.bin`` files of a folder, sorted by name, after checking their sizes.

    Raises:
        DataError: there are none, or one does not have the size of the model's input.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder of inputs: {folder}")
    paths = sorted(path for path in folder.glob("*.bin") if not is_hidden(path.relative_to(folder)))
    if not paths:
        raise DataError(f"{folder}: holds no *.bin file; preprocess.py writes them")
    for path in paths:
        _check_size(path, path.stat().st_size, wanted)
    return paths


def _check_size(path: Path, size: int, wanted: TensorInfo) -> None:
    if size != wanted.num_bytes:
        shape = "x".join(map(str, wanted.shape))
        raise DataError(f"{path}: has {size} bytes, the model takes {wanted.num_bytes} ({wanted.dtype} {shape})")


def read_input(path: Path, wanted: TensorInfo) -> np.ndarray:
    """Read one input as an array of the model's shape and type."""
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err.strerror}") from err
    _check_size(path, len(data), wanted)
    return np.frombuffer(data, wanted.dtype).reshape(wanted.shape)


def infer_folder(model: Model, paths: list[Path], results: Path, *, warmup: int) -> Timings:
    """Run `model` over the input files `paths` and write ``{results}/<stem>_0.bin`` for each.

    Reading the next input and writing the last result overlap with inference.

    Args:
        model: the model.
        paths: the files that `list_inputs` returned.
        results: folder of the results, created if missing.
        warmup: untimed runs of the first input.

    Raises:
        UserError: a file cannot be read or written; no partial result is left.
    """
    make_folder(results)
    first = read_input(paths[0], model.input)
    for _ in range(warmup):
        model(first)
    timings, progress, begun = Timings(), Progress(len(paths), "inferred"), time.perf_counter()

    def read(path: Path) -> tuple[Path, float, np.ndarray]:
        start = time.perf_counter()
        return path, start, read_input(path, model.input)

    def write(path: Path, start: float, result: np.ndarray) -> None:
        write_whole(results / result_name(path.stem), result.tobytes(), "the result ")
        timings.pipeline_ms.append(1000 * (time.perf_counter() - start))
        progress.advance()

    with progress, Writer() as writer:
        for path, start, array in map_ahead(read, paths, 1):
            before = time.perf_counter()
            result = model(array)
            timings.inference_ms.append(1000 * (time.perf_counter() - before))
            writer.submit(write, path, start, result)
    timings.seconds = time.perf_counter() - begun
    return timings


class Writer:
    """A thread that writes results in order while the caller goes on; failures are raised in the caller."""

    def __enter__(self) -> Writer:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self.pending: deque[Future] = deque()
        return self

    def submit(self, function: Callable, *arguments: object) -> None:
        """Let the thread call ``function(*arguments)``; block while too many calls are pending."""
        self.pending.append(self.executor.submit(function, *arguments))
        if len(self.pending) > WAITING_RESULTS:
            self.pending.popleft().result()

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.executor.shutdown()
        while self.pending and kind is None:
            self.pending.popleft().result()
