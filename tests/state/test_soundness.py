"""A checkpoint with a flipped bit or a number that is none is refused, by whatever loads it."""

from __future__ import annotations

import hashlib
import re

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

import eval
from scripts import convert_torch_checkpoint
from src.base.errors import CheckpointError, UserError
from src.convert import converting
from src.convert.families import BISENET
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.factory import create_train_cell
from src.state import checkpoint
from src.state.run_folder import claim_training_folder
from src.utils.config import parse_config

SMALL = {
    "backbone.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "half": np.ones(5, np.float16),
    "train_state.step": np.array([3], np.int64),
    "scalar": np.array(2, np.int32),
}


@pytest.fixture(scope="module")
def train_cell():
    config = parse_config(["data.map_label=null", "--device_target", "CPU"], "train")
    return create_train_cell(BiSeNetV2(19, aux_heads=True), config)


def test_what_was_written_is_read_and_bears_its_checksum(tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically(SMALL, path)
    found = checkpoint.read_checkpoint(path)
    assert found.keys() == SMALL.keys()
    for name, value in SMALL.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
    data = path.read_bytes()
    assert data[-32:] == hashlib.sha256(data[: data.rindex(b"BiSeNetV2 sha256") - 4]).digest()
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_mindspore_reads_it_and_older_ones_are_read(tmp_path):
    path, old = tmp_path / "a.ckpt", tmp_path / "old.ckpt"
    checkpoint.write_atomically(SMALL, path)
    assert ms.load_checkpoint(str(path)).keys() == SMALL.keys()
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in SMALL.items()], str(old))
    found = checkpoint.read_checkpoint(old)
    assert found.keys() == SMALL.keys()
    assert found.origin is None


@pytest.mark.parametrize(
    ("claim", "script", "option"),
    [
        (eval.claim_folders, "eval", "--checkpoint_path"),
        (claim_training_folder, "train", "--finetune_ckpt"),
        (claim_training_folder, "train", "--resume_ckpt"),
    ],
)
def test_nothing_is_made_for_a_damaged_one(tmp_path, claim, script, option):
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically(SMALL, path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    config = parse_config([option, str(path), "--save_dir", str(tmp_path / "run")], script)
    with pytest.raises(CheckpointError, match="a.ckpt: damaged"):
        claim(config)
    assert not (tmp_path / "run").exists()


def test_every_flipped_bit_is_found(tmp_path):
    """In numbers, names, shapes, lengths and the checksum itself; of a wrong shape MindSpore may crash."""
    path, flipped = tmp_path / "a.ckpt", tmp_path / "flipped.ckpt"
    checkpoint.write_atomically(SMALL, path)
    data = path.read_bytes()
    for position in range(len(data)):
        wrong = bytearray(data)
        wrong[position] ^= 1 << (position % 8)
        flipped.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=r"flipped.ckpt: damaged: not the checksum it was written with"):
            checkpoint.read_checkpoint(flipped)
    for end in range(len(data) - 51, len(data)):  # cut within the checksum
        flipped.write_bytes(data[:end])
        with pytest.raises(CheckpointError, match=r"flipped.ckpt: damaged"):
            checkpoint.read_checkpoint(flipped)


def test_resuming_takes_the_one_before(tmp_path, caplog):
    values = {f"train_state.{name}": np.array([8], np.int64) for name in ("step", "total_step", "total_batch", "seed")}
    for step in (4, 8):
        checkpoint.write_atomically(
            {"w": np.ones(9, np.float32), **values}, tmp_path / checkpoint.checkpoint_name(step)
        )
    newest = tmp_path / checkpoint.checkpoint_name(8)
    data = bytearray(newest.read_bytes())
    data[data.index(b"\x3f")] ^= 1  # in a number: MindSpore would not notice
    newest.write_bytes(data)
    assert checkpoint.newest_complete(tmp_path).name == checkpoint.checkpoint_name(4)
    assert f"{newest}: damaged: not the checksum" in caplog.text
    assert (tmp_path / f"{newest.name}.incomplete").exists()


def spoil(values: dict[str, np.ndarray], name: str, number: float = np.nan) -> dict[str, np.ndarray]:
    wrong = values[name].copy()
    wrong.flat[-1] = number
    return {**values, name: wrong}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(train_cell, number):
    network = train_cell.network.network
    values = {p.name: p.asnumpy() for p in network.get_parameters()}
    wrong = spoil(values, "head.conv.conv.weight", number)
    message = r"x.ckpt: 1 of \d+ tensors are not finite: head.conv.conv.weight \(1 of 1179648 numbers in the first\)"
    for load in (checkpoint.restore_network, checkpoint.finetune_network):
        with pytest.raises(CheckpointError, match=message):
            load(network, wrong, "x.ckpt")
    with pytest.raises(CheckpointError, match=message):
        converting.to_torch(checkpoint.Tensors(wrong), "auto", "x.ckpt")
    theirs = {BISENET.torch_name(name): value for name, value in wrong.items()}
    with pytest.raises(UserError, match="tensors are not finite: head.conv.conv.weight"):
        converting.from_torch(theirs, BISENET, "x.pth")


def test_momentum_matters_to_what_trains_on_alone(train_cell):
    values = checkpoint.training_parameters(train_cell, checkpoint.RunInfo(1, 2, 4, 1))
    momentum = next(name for name in values if name.startswith(checkpoint.MOMENTUM_PREFIXES))
    wrong = spoil(values, momentum)
    with pytest.raises(
        CheckpointError, match=f"x.ckpt: 1 of .* not finite: {re.escape(momentum)} .*earlier checkpoint"
    ):
        checkpoint.restore_training(train_cell, wrong, "x.ckpt")
    checkpoint.restore_network(BiSeNetV2(19, aux_heads=False), wrong, "x.ckpt")


def test_a_damaged_checkpoint_is_one_line_in_a_conversion(tmp_path):
    path, target = tmp_path / "a.ckpt", tmp_path / "b.pth"
    checkpoint.write_atomically(SMALL, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    words = ["--reverse", "--checkpoint_path", str(path), "--output", str(target)]
    with pytest.raises(CheckpointError, match="a.ckpt: damaged: not the checksum it was written with; copy it again"):
        convert_torch_checkpoint.main(words)
    assert not target.exists()
