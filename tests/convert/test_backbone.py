"""The weights of a backbone alone, as they are published: converted, fine-tuned from, and refused by all else."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import eval as eval_script
import export as export_script
from scripts import convert_torch_checkpoint
from src.base.errors import CheckpointError, UserError
from src.config.schema_base import EVAL, TRAIN
from src.convert import converting
from src.convert.families import BISENET, MMSEG
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.origin import compare_origin
from src.predict.predictor import checkpoint_predictor
from src.state import checkpoint
from src.utils.config import parse_config
from tests import runner_helpers
from tests.dataset_helpers import write_cityscapes
from tests.golden.seeded import seeded_parameter
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
VARIANT = ["net_args.inner_upsample=nearest", "net_args.bn_epsilon=1e-5"]
MAKE = """
import sys, torch
sys.path[:0] = [sys.argv[1] + "/tests", sys.argv[1]]
from torch_work import fill, network
from pathlib import Path
from src.convert.torch_files import read
folder, state = sys.argv[2], fill(network("bisenet", 3), 5).state_dict()
names = ("detail", "segment", "bga")
parts = {part: {n[len(part) + 1:]: v for n, v in state.items() if n.startswith(part + ".")} for part in names}
flat = {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}
for name, content in (("parts", parts), ("flat", flat)):
    torch.save(content, f"{folder}/{name}.pth")
    read(Path(f"{folder}/{name}.pth"), Path(f"{folder}/{name}.npz"))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Return a folder of a backbone in both published forms, *.pth, and of what is read of each, *.npz."""
    folder = tmp_path_factory.mktemp("backbone")
    command = [runner_helpers.torch_python(), "-c", MAKE, str(ROOT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_both_forms_become_a_checkpoint_to_fine_tune_from(published, tmp_path, monkeypatch, caplog):
    with np.load(published / "parts.npz") as parts, np.load(published / "flat.npz") as flat:
        assert set(parts.files) == set(flat.files)
        for name in parts.files:
            np.testing.assert_array_equal(parts[name], flat[name])

    def read(_: str, what: str, source: Path, target: Path) -> None:  # PyTorch, which has done so, is not started again
        assert what == "read"
        shutil.copy(source.with_suffix(".npz"), target)

    monkeypatch.setattr(converting, "_run_torch", read)
    caplog.set_level(logging.INFO)
    output = tmp_path / "backbone.ckpt"
    words = ["--torch_file", str(published / "flat.pth"), "--output", str(output)]
    assert convert_torch_checkpoint.main(words) == 0
    assert f"checkpoint: {output}, backbone only: for --finetune_ckpt" in caplog.messages
    config = parse_config(["--config", str(tmp_path / "backbone.yml")], TRAIN)
    assert (config.num_classes, config.net_args.inner_upsample, config.net_args.bn_epsilon) == (19, "nearest", 1e-5)
    values = checkpoint.read_checkpoint(output)
    compare_origin(config, values, output, training=True, new_classes=True)
    network = BiSeNetV2(19, aux_heads=True)
    before = {p.name: p.asnumpy() for p in network.get_parameters()}
    checkpoint.finetune_network(network, values, output)
    loaded = 0
    for p in network.get_parameters():
        is_backbone = p.name.split(".")[0] in ("detail", "segment", "bga")
        loaded += is_backbone
        expected = seeded_parameter(BISENET.torch_name(p.name), p.shape, 5) if is_backbone else before[p.name]
        np.testing.assert_array_equal(p.asnumpy(), expected, err_msg=p.name)
    assert f"fine-tuning from {output}: {loaded} of 321 tensors loaded" in caplog.messages
    refused_by_all_but_fine_tuning(output, tmp_path)


def refused_by_all_but_fine_tuning(path: Path, folder: Path) -> None:
    """Check that nothing predicts with a backbone, whatever variant is configured, and that the message says why."""
    message = f"{path}: backbone only: for --finetune_ckpt; there is no head to predict with"
    data = write_cityscapes(folder / "data", {"val": 2})
    words = ["--checkpoint_path", str(path), "--save_dir", str(folder / "eval"), f"data.dataset_dir={data}"]
    calls = [
        lambda: eval_script.main([*words, "--device_target", "CPU"]),
        lambda: export_script.main(["--checkpoint_file", str(path), "--file_name", str(folder / "x"), *VARIANT]),
        lambda: checkpoint_predictor(parse_config(VARIANT, EVAL), path, None),
        lambda: converting.to_torch(checkpoint.read_checkpoint(path), "auto", path),
    ]
    for call in calls:
        with pytest.raises(CheckpointError) as error:
            call()
        assert str(error.value) == message


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of a backbone's parameters by name, with the biases that mmsegmentation has."""
    network = BiSeNetV2(19, aux_heads=False, bga_pointwise_bias=True)
    return {p.name: p.shape for p in network.get_parameters() if not p.name.startswith("head.")}


def test_a_backbone_has_to_be_whole(shapes):
    path = Path("backbone.pth")
    theirs = {MMSEG.torch_name(name): np.ones(shape, np.float32) for name, shape in shapes.items()}
    assert converting.from_torch(theirs, MMSEG, path).keys() == shapes.keys()
    own = {BISENET.torch_name(name): np.ones(shape, np.float32) for name, shape in shapes.items()}
    for name in converting.POINTWISE_BIAS:
        del own[name]
    own["head.conv.bn.weight"] = own.pop("segment.S3.0.conv1.conv.weight")
    with pytest.raises(UserError) as error:
        converting.from_torch(own, BISENET, path)
    assert str(error.value) == (
        "backbone.pth: not the tensors of a bisenet BiSeNetV2: 1 missing, e.g. segment.S3.0.conv1.conv.weight; "
        "1 unknown, e.g. head.conv.bn.weight"
    )
