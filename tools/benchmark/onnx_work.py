"""ONNX Runtime's side of the benchmark: a child process without MindSpore, see `tools/benchmark/worker.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from src.offline import onnx_model, quantizing
from src.offline.onnx_model import OnnxModel
from tools.benchmark.worker import Commands, random_image, serve, step_commands

CALIBRATION = 2  # pictures


class RandomPictures:
    """Samples of noise for calibration: the time does not depend on the scales; the classes are meaningless.

    Args:
        shape: shape of an input, (1, 3, H, W).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def __len__(self) -> int:
        return CALIBRATION

    def read_ahead(self, indices: Iterable[int]) -> Iterator[SimpleNamespace]:
        """Yield the samples at `indices`."""
        for index in indices:
            image = np.random.default_rng(index).standard_normal(self.shape[1:], dtype=np.float32)
            yield SimpleNamespace(image=image)


def build(*, kind: str, path: str, threads: int, shape: Sequence[int]) -> tuple[dict, Commands]:
    """Make the commands for an ONNX file.

    Args:
        kind: 'float' or 'int8'; the latter quantizes the file first.
        path: the file.
        threads: threads of the CPU kernels.
        shape: shape of the input, (1, 3, H, W).
    """
    if kind == "float":
        model = OnnxModel(path, num_threads=threads)
    else:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "int8.onnx"
            quantizing.quantize(
                onnx_model.load(Path(path)),
                target,
                RandomPictures(shape),
                images=CALIBRATION,
                all_operators=False,
                reduce_range=quantizing.needs_reduced_range(),
            )
            model = OnnxModel(target, num_threads=threads)
    image = random_image(shape)
    return {}, step_commands(lambda: model(image))


if __name__ == "__main__":
    serve(build)
