"""Work of one MindSpore version for test_versions.py.

``python version_work.py make FOLDER SEED`` writes a checkpoint and models; ``use DATA RESULT PARENT`` evaluates the
checkpoints and runs the models of all versions below PARENT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.utils.local_adapter import cap_onednn, mindspore_version  # isort: skip

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

import eval as eval_script
import export as export_script
from src.modules.factory import create_network, create_train_cell
from src.offline import exporting
from src.offline.models import load_model
from src.offline.tensors import ModelError
from src.state import checkpoint
from src.utils.config import parse_config
from tests.golden_weights import load_seeded
from tests.run_helpers import tiny_options

SIZE = (64, 96)
VARIANT = ["net_args.inner_upsample=nearest", "net_args.depthwise_expand=repeat"]
MODELS = {
    "argmax": [],
    "logits": ["--output", "logits", "--fold_bn", "False", *VARIANT],
    "uint8": ["--input", "uint8"],
    "onnx": ["--input", "uint8", "--file_format", "ONNX"],
}


def image_for(dtype: str) -> np.ndarray:
    """Draw the input of a model: the same in every version."""
    rng = np.random.default_rng(5)
    if dtype == "uint8":
        return rng.integers(0, 256, (1, *SIZE, 3), np.uint8)
    return rng.standard_normal((1, 3, *SIZE), np.float32)


def run_eagerly(reference: nn.Cell) -> Callable[[Tensor], Tensor]:
    """Return a call of `reference` in PyNative mode: an export compares with it once, which is not worth compiling."""

    def call(image: Tensor) -> Tensor:
        ms.set_context(mode=ms.PYNATIVE_MODE)
        try:
            return Tensor(reference(image).asnumpy())
        finally:
            ms.set_context(mode=ms.GRAPH_MODE)

    return call


def make(folder: Path, seed: int) -> None:
    """Write a whole training checkpoint with weights of their own, and models made from it."""
    config = parse_config([], "train")
    network = create_network(config, aux_heads=True)
    load_seeded(network, seed)
    cell = create_train_cell(network, config)
    path = folder / checkpoint.checkpoint_name(7)
    checkpoint.write_atomically(checkpoint.training_parameters(cell, checkpoint.RunInfo(7, 100, 4, 1)), path)
    check = exporting.check_model
    exporting.check_model = lambda model, reference, *rest: check(model, run_eagerly(reference), *rest)
    common = ["--checkpoint_file", str(path), "--image_size", *map(str, SIZE), "--device_target", "CPU"]
    for name, options in MODELS.items():
        assert export_script.main([*common, "--file_name", str(folder / name), *options]) == 0


def use(data: Path, result: Path, parent: Path) -> None:
    """Write what this version makes of the files of every version: scores, class maps, or the reason why not."""
    found: dict[str, dict] = {}
    for folder in sorted(parent.iterdir()):
        out = result.with_name(f"{result.stem}_{folder.name}")
        options = ["--checkpoint_path", str(folder / checkpoint.checkpoint_name(7)), "--save_dir", str(out)]
        # in PyNative mode: every version's own tests evaluate in graph mode
        assert eval_script.main([*options, "--single_scale", "True", "--ms_mode", "1", *tiny_options(data)]) == 0
        score = json.loads((out / "eval.json").read_text(encoding="utf-8"))
        entry = {"miou": score["miou"], "pixel_accuracy": score["pixel_accuracy"]}
        ms.set_context(mode=ms.GRAPH_MODE)
        for name in MODELS:
            try:
                model = load_model(folder / f"{name}{'.onnx' if name == 'onnx' else '.mindir'}")
                outcome = model(image_for(model.input.dtype))
                entry[name] = np.asarray(outcome).argmax(1).tolist() if name == "logits" else outcome.tolist()
            except ModelError as err:
                entry[name] = str(err)
        found[folder.name] = entry
    result.write_text(json.dumps({"version": mindspore_version(), "found": found}), encoding="utf-8")


if __name__ == "__main__":
    cap_onednn()
    what, *rest = sys.argv[1:]
    if what == "make":
        make(Path(rest[0]), int(rest[1]))
    else:
        use(*map(Path, rest))
