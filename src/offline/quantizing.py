"""Steps of scripts/quantize_onnx.py: quantize an ONNX file to 8 bits, and compare its score, speed and size.

Does not import MindSpore.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from src.base.errors import one_line
from src.base.progress import Progress
from src.config import schema
from src.data.eval_samples import EvalSamples, restore_class_map
from src.data.picture_sizes import size_of
from src.offline import descriptions, onnx_graph, onnx_model
from src.offline.onnx_model import OnnxError, OnnxModel
from src.offline.tensors import TensorInfo
from src.utils.metrics import ConfusionMatrix, iou, mean_iou

logger = logging.getLogger(__name__)

OPSET = 17  # per-channel scales need at least 13; MindSpore writes 11
# Relu only limits the range of the convolution before it. Gather repeats channels.
CONVOLUTIONS = ("Conv", "Relu", "Gather")
WARMUP = 2  # untimed runs
_X86 = ("x86_64", "amd64", "i686", "i386")


class Samples(Protocol):
    """Pictures to calibrate on, each with its input (3, H, W) or (H, W, 3) as `image`."""

    def __len__(self) -> int: ...

    def read_ahead(self, indices: Sequence[int]) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Score:
    """Score, time and size of a model on the validation pictures."""

    miou: float
    milliseconds: float  # median per image
    num_bytes: int


def needs_reduced_range(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether weights need 7 bits because this CPU adds 8-bit products in 16 bits, which overflow.

    x86 without VNNI does; an x86 CPU whose features are unknown counts as one without.
    """
    if platform.machine().lower() not in _X86:
        return False
    try:
        words = cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return True
    return not {"avx512_vnni", "avx_vnni"} & set(words)


def description(model: Any, path: Path) -> dict:
    """Return the description that export.py stored in a model.

    Raises:
        OnnxError: there is none, or the model is quantized already.
        ConfigError: a value is impossible.
    """
    if onnx_graph.is_quantized(model):
        raise OnnxError(f"{path}: is quantized already; take the model that export.py wrote")
    record = onnx_model.metadata(model)
    missing = [name for name in ("num_classes", "input", "normalize", "image_size") if name not in record]
    if missing:
        raise OnnxError(f"{path}: lacks {', '.join(missing)}; take a model that export.py wrote")
    descriptions.parse(path, record)
    return record


def open_samples(config: schema.Config, taken: TensorInfo, split: str) -> EvalSamples:
    """Return the samples of a split as inputs of a model; those of the training split have no labels.

    Raises:
        DataError: there are none.
    """
    return EvalSamples(
        config.data,
        num_classes=config.num_classes,
        split=split,
        normalized=taken.dtype == "float32",
        labelled=split != "train",
    )


def spread(count: int, images: int) -> list[int]:
    """Return the indices of `images` of `count` samples at even distances, or of all if there are fewer."""
    return np.unique(np.linspace(0, count - 1, images).round().astype(int)).tolist()


def quantize(
    model: Any,
    target: Path,
    samples: Samples,
    *,
    images: int,
    all_operators: bool,
    reduce_range: bool,
    source: str | Path = "the model",
) -> Any:
    """Quantize a model, write it to `target` and return its message, without metadata.

    Args:
        model: the message that `onnx_model.load` returned.
        target: the file.
        samples: the pictures for calibration.
        images: number of pictures to use.
        all_operators: quantize all operators that ONNX Runtime can, not only convolutions.
        reduce_range: give the weights 7 bits.
        source: name of the model in error messages.

    Raises:
        OnnxError: the tools cannot convert the model.
        DataError: a picture cannot be read.
    """
    tools = onnx_model.import_extra("onnxruntime.quantization")
    onnx_model.import_extra("onnxruntime").set_default_logger_severity(3)  # errors
    floating = target.with_name("float.onnx")
    kept = onnx_graph.prepare(model, OPSET, source)
    floating.write_bytes(model.SerializeToString())
    options = {**_options(tools, all_operators), "reduce_range": reduce_range}
    reader = _calibration_reader(tools, model.graph.input[0].name, samples, spread(len(samples), images))
    with _no_warnings():  # the tools warn of models not optimized by ONNX Runtime, which makes no difference here
        try:
            tools.quantize_static(str(floating), str(target), reader, nodes_to_exclude=kept, **options)
        except onnx_model.graph_errors() as err:
            reason = f"ONNX Runtime's tools cannot quantize it: {one_line(err)}"
            raise OnnxError(f"{source}: {reason}; {onnx_model.EXPORT_AGAIN}") from err
    return onnx_model.load(target)


def _options(tools: Any, all_operators: bool) -> dict[str, Any]:
    """Return the options for ONNX Runtime's tools: uint8 activations and int8 weights, which x86 multiplies fastest."""
    return {
        "op_types_to_quantize": None if all_operators else list(CONVOLUTIONS),
        "per_channel": True,
        "quant_format": tools.QuantFormat.QDQ,
        "calibrate_method": tools.CalibrationMethod.MinMax,
        "activation_type": tools.QuantType.QUInt8,
        "weight_type": tools.QuantType.QInt8,
    }


def _calibration_reader(tools: Any, name: str, samples: Samples, indices: list[int]) -> Any:
    """Return a reader that passes the pictures to ONNX Runtime's calibration, one at a time."""

    class Reader(tools.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = (sample.image for sample in samples.read_ahead(indices))

        def get_next(self) -> dict | None:
            image = next(self.images, None)
            return None if image is None else {name: image[None]}

    return Reader()


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Suppress warnings in the log and the standard output of the tools."""
    logging.disable(logging.WARNING)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


def evaluate(models: dict[str, OnnxModel], samples: EvalSamples, config: schema.Config) -> dict[str, Score]:
    """Run the models alternately over all samples, scored at the size of the label; return their scores by name.

    Pictures are read between the runs, not in parallel, so that only the models are timed.

    Raises:
        DataError: a picture or label cannot be read.
        OnnxError: ONNX Runtime cannot run a model.
    """
    matrices = {name: ConfusionMatrix(config.num_classes, config.data.ignore_label) for name in models}
    times: dict[str, list[float]] = {name: [] for name in models}
    with Progress(len(samples), "compared", say=logger.debug) as progress:
        for index in range(len(samples)):
            sample = samples[index]
            for model in models.values() if index == 0 else ():
                for _ in range(WARMUP):
                    model(sample.image[None])
            label = sample.label
            assert label is not None  # there is nothing to score otherwise
            turn = list(models) if index % 2 else list(reversed(models))
            for name in turn:
                start = time.perf_counter()
                result = models[name](sample.image[None])[0]
                times[name].append(1000 * (time.perf_counter() - start))
                class_map = result if result.ndim == 2 else result.argmax(axis=0)
                matrices[name].update(label, restore_class_map(class_map, sample.fitted, size_of(label)))
            progress.advance()
    return {
        name: Score(mean_iou(iou(matrices[name].counts)), statistics.median(times[name]), model.path.stat().st_size)
        for name, model in models.items()
    }


def quantization_record(
    scores: dict[str, Score], *, images: int, all_operators: bool, reduce_range: bool
) -> dict[str, Any]:
    """Return the description of the quantization; a mIoU without any labelled pixel is None."""
    miou = {name: None if math.isnan(score.miou) else score.miou for name, score in scores.items()}
    return {
        "method": "static, QDQ, MinMax",
        "activations": "uint8",
        "weights": "int8",
        "images": images,
        "per_channel": True,
        "reduce_range": reduce_range,
        "operators": "all" if all_operators else "Conv",
        "onnxruntime": onnx_model.import_extra("onnxruntime").__version__,
        "miou_float": miou["float"],
        "miou_int8": miou["int8"],
    }


def publish(model: Any, target: Path, record: dict) -> None:
    """Write the model, with its description in it and beside it.

    Raises:
        UserError: one of them cannot be written; then neither is left.
    """
    of_float_model = ("file", "bytes", "sha256", "check")
    description = {name: value for name, value in record.items() if name not in of_float_model}
    onnx_model.set_metadata(model, description)
    descriptions.publish(model.SerializeToString(), target, description)


def report(scores: dict[str, Score], model: Any) -> list[str]:
    """Return lines with the scores side by side and the operators that stayed in float."""
    lines = [f"{'':6s} {'mIoU':>8s} {'ms/image':>9s} {'bytes':>12s}"]
    lines += [f"{name:6s} {s.miou:8.4f} {s.milliseconds:9.1f} {s.num_bytes:12,d}" for name, s in scores.items()]
    before, after = scores["float"], scores["int8"]
    ratios = (after.milliseconds / before.milliseconds, after.num_bytes / before.num_bytes)
    lines.append("int8 takes {:.2f} of the time and {:.2f} of the bytes".format(*ratios))
    left = onnx_graph.nodes_in_float(model)
    counts = Counter(node.op_type for node in left)
    lines.append("in float: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    names = [node.name for node in left if node.op_type == "Conv"]
    return lines + ([f"convolutions in float: {', '.join(names)}"] if names else [])
