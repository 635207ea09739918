"""MindSpore's side of the benchmark: a child process, see `tools/benchmark/worker.py`.

The same functions as in the entry scripts build the steps.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.config import schema
from src.config.builder import with_image_size
from src.config.schema_base import TRAIN
from src.data.eval_samples import EvalSamples
from src.evaluation.evaluator import evaluate
from src.evaluation.inference import evaluation_protocol
from src.modules.base_modules import MultiScaleInfer, inference_size
from src.modules.factory import create_network, create_train_cell
from src.modules.folding import fold_batch_norm
from src.modules.heads import DoubledConvBNReLU
from src.modules.inference_graph import InferenceGraph
from src.offline import exporting
from src.offline.mindir import MindIRModel
from src.training.memory import device_peak_mb
from src.utils.ascend_settings import apply_settings
from src.utils.config import parse_config
from src.utils.runtime import init_device
from tools.benchmark.pipeline import measure_decoding, measure_pipeline
from tools.benchmark.worker import Commands, random_image, serve, step_commands, timed


def build(*, kind: str, config: Sequence[str], **spec: object) -> tuple[dict, Commands]:
    """Make the commands of one kind of work.

    Args:
        kind: a key of `WORK`.
        config: command line of train.py.
        spec: further arguments of this kind.
    """
    loaded = parse_config(config, TRAIN)
    runtime = init_device(loaded.device_target, loaded.device_id, loaded.ms_mode, loaded.num_threads)
    apply_settings(loaded, runtime.device_target)  # otherwise an Ascend would use another execution level
    ms.set_seed(loaded.seed)
    commands: Commands = {"device_peak": lambda: {"device_mb": device_peak_mb()}, **WORK[kind](loaded, **spec)}
    return {"device_target": runtime.device_target}, commands


def forward(config: schema.Config, *, shape: Sequence[int], variant: str) -> Commands:
    """Run the evaluation network; `variant` is 'logits' or 'class map'."""
    network = create_network(config, aux_heads=False).set_train(False)
    cell, image = network if variant == "logits" else MultiScaleInfer(network), Tensor(random_image(shape))
    return step_commands(lambda: cell(image).asnumpy())


def exported(config: schema.Config, *, shape: Sequence[int], variant: str) -> Commands:
    """Run an exported model; `variant` is a value of `sections.EXPORTED`."""
    config, graph = deployed_graph(config, shape, variant)
    with exporting.written_model(graph, config, Path("model.mindir")) as path:
        model = MindIRModel(path)
    image = Tensor(random_image(shape))
    return step_commands(lambda: model.cell(image).asnumpy())


def files(
    config: schema.Config, *, shape: Sequence[int], variant: str, formats: Sequence[str], folder: str
) -> Commands:
    """Export a model as ``{folder}/model.mindir`` or ``{folder}/model.onnx``, by `formats`; no commands to run."""
    config, graph = deployed_graph(config, shape, variant)
    for name in formats:
        target = Path(folder) / f"model.{name.lower()}"
        with exporting.written_model(graph, dataclasses.replace(config, file_format=name), target) as path:
            shutil.copyfile(path, target)
    return {}


def deployed_graph(config: schema.Config, shape: Sequence[int], variant: str) -> tuple[schema.Config, InferenceGraph]:
    """Return the configuration of the export of a variant, and the graph to export."""
    config = deployed_config(config, shape, variant)
    return config, InferenceGraph(deployed_network(config, variant), output=config.output)


def deployed_config(config: schema.Config, shape: Sequence[int], variant: str) -> schema.Config:
    """Return the configuration of the export of a variant."""
    what, *words = variant.split(", ")
    output = "argmax" if what == "class map" else "logits"
    height, width = shape[2:]
    return with_image_size(dataclasses.replace(config, output=output, fold_bn="folded" in words), (height, width))


def deployed_network(config: schema.Config, variant: str) -> nn.Cell:
    """Return the network to export for a variant, with its initial weights."""
    network = create_network(config, aux_heads=False).set_train(False)
    if "interpolated" not in variant:
        return exporting.deployed_network(config, {p.name: p.asnumpy() for p in network.get_parameters()})
    fold_batch_norm(network)
    return network


def train_step(config: schema.Config, *, shape: Sequence[int]) -> Commands:
    """Run the training step of train.py on one random batch."""
    cell = create_train_cell(create_network(config, aux_heads=True), config)
    labels = np.random.default_rng(1).integers(config.num_classes, size=(shape[0], *shape[2:]), dtype=np.int32)
    image, label = Tensor(random_image(shape)), Tensor(labels)
    return step_commands(lambda: cell(image, label)[0].asnumpy())


def evaluation(config: schema.Config, *, split: str, multi_scale: bool) -> Commands:
    """Evaluate a split like eval.py, with all scales and flip or single-scale."""
    transforms = dataclasses.replace(config.data.eval_transforms, multi_scale=multi_scale, flip=multi_scale)
    protocol = evaluation_protocol(transforms)
    network = create_network(config, aux_heads=False).set_train(False)
    infer = MultiScaleInfer(network, protocol["img_ratios"], protocol["flip"])
    samples = EvalSamples(config.data, num_classes=config.num_classes, split=split)

    def run() -> dict:
        marks: list[float] = []
        evaluate(
            infer,
            samples,
            num_classes=config.num_classes,
            ignore_label=config.data.ignore_label,
            on_prediction=lambda *_: marks.append(time.perf_counter()),
        )
        return {"ms": [(end - begin) * 1000 for begin, end in zip(marks, marks[1:])], "protocol": protocol}

    def alone(times: int) -> dict:
        sizes = [inference_size(tuple(protocol["image_size"]), ratio) for ratio in protocol["img_ratios"]]
        return {"sizes": sizes, "ms": [passes_alone(network, size, times) for size in sizes]}

    return {"run": run, "alone": alone}


def passes_alone(network: nn.Cell, size: tuple[int, int], times: int) -> list[float]:
    """Time the network alone on one image of `size` (height, width), after compilation."""
    image = Tensor(random_image((1, 3, *size)))
    return timed(lambda: network(image).asnumpy(), times + 1)[1:]


def pipeline(config: schema.Config) -> Commands:
    """Deliver training batches."""
    return {
        "pipeline": lambda batches: measure_pipeline(config, batches)._asdict(),
        "decoding": lambda batches: measure_decoding(config, batches)._asdict(),
    }


def model(config: schema.Config) -> Commands:
    """Count parameters and multiply-adds."""
    ms.set_context(mode=ms.PYNATIVE_MODE)  # hooks do not run in graphs

    def count(shape: Sequence[int], aux_heads: bool) -> dict:
        network = create_network(config, aux_heads=aux_heads).set_train(aux_heads)
        parameters = sum(parameter.size for parameter in network.trainable_params())
        return {"parameters": int(parameters), "macs": count_macs(network, Tensor(random_image(shape)))}

    return {"count": count}


def count_macs(network: nn.Cell, image: Tensor) -> int:
    """Return the multiply-adds of all learned convolutions in one pass over `image`; PyNative mode only.

    Every weight counts once for each output position that it contributes to. Biases, batch normalisation, pooling,
    resizing and activations do not count.

    Raises:
        RuntimeError: a convolution did not run, so the sum would be too small.
    """
    counts: dict[str, int] = {}

    def hook_for(name: str, conv: nn.Conv2d) -> Callable[..., None]:
        def note(*arguments: Any) -> None:  # older versions pass the cell's number, later ones the cell
            output = arguments[-1]
            positions = output.shape[0] * output.shape[2] * output.shape[3]
            counts[name] = counts.get(name, 0) + positions * int(np.prod(conv.weight.shape))

        return note

    convolutions = {name: cell for name, cell in network.cells_and_names() if isinstance(cell, nn.Conv2d)}
    for _, cell in network.cells_and_names():
        if isinstance(cell, DoubledConvBNReLU):
            cell.products_first = False  # count the convolutions as the network defines them
    handles = [cell.register_forward_hook(hook_for(name, cell)) for name, cell in convolutions.items()]
    network(image)
    for handle in handles:
        handle.remove()
    if missing := convolutions.keys() - counts.keys():
        raise RuntimeError(f"convolutions that did not run: {', '.join(sorted(missing))}")
    return sum(counts.values())


WORK: dict[str, Callable[..., Commands]] = {
    "forward": forward,
    "exported": exported,
    "files": files,
    "train": train_step,
    "evaluation": evaluation,
    "pipeline": pipeline,
    "model": model,
}

if __name__ == "__main__":
    serve(build)
