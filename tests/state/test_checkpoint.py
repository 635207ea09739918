"""Checkpoints: complete, atomic, and refused when they do not fit."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.base.errors import CheckpointError
from src.config import schema
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.factory import create_optimizer
from src.modules.train_warpper import TrainOneStepCell
from src.state import checkpoint

INFO = checkpoint.RunInfo(step=7, total_step=20, total_batch=8, seed=3)


class Small(nn.Cell):
    """Stands for a network: a weight, a bias, and running statistics."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.weight = Parameter(Tensor(np.arange(2.0 * classes).reshape(classes, 2), ms.float32), name="weight")
        self.head = nn.Dense(2, classes)
        self.bn = nn.BatchNorm2d(2)


def train_cell(network: nn.Cell, loss_scaler: str = "dynamic") -> TrainOneStepCell:
    optimizer = create_optimizer(network, schema.Optimizer(), np.full(20, 0.1))
    return TrainOneStepCell(network, optimizer, loss_scaler=loss_scaler, loss_scale=64.0)


def randomize(cell: nn.Cell, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    for p in cell.get_parameters():
        if p.dtype == ms.float32 and p.name != "learning_rate":
            p.set_data(Tensor(rng.standard_normal(p.shape), ms.float32))
    return {p.name: p.asnumpy().copy() for p in cell.get_parameters()}


def test_everything_comes_back(tmp_path):
    path = tmp_path / "new" / checkpoint.checkpoint_name(7)
    cell = train_cell(Small())
    expected = randomize(cell, 1)
    checkpoint.write_atomically(checkpoint.training_parameters(cell, INFO), path)
    values = checkpoint.read_checkpoint(path)
    assert {"weight", "bn.moving_mean", "moments.weight", "global_step", "train_state.loss_scale"} <= set(values)
    assert not [name for name in values if "network" in name]
    assert checkpoint.read_run_info(values, path) == INFO
    other = train_cell(Small())
    randomize(other, 2)
    checkpoint.restore_training(other, values, path)
    for p in other.get_parameters():
        np.testing.assert_array_equal(p.asnumpy(), expected[p.name], err_msg=p.name)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [("dynamic", "dynamic", 16.0), ("dynamic", "none", 1.0), ("none", "dynamic", 64.0), ("static", "static", 64.0)],
)
def test_loss_scale_is_resumed_where_both_runs_have_a_dynamic_one(before, now, expected):
    old, new = train_cell(Small(), before), train_cell(Small(), now)
    old.loss_scale.set_data(Tensor(16.0 if before == "dynamic" else 3.0, ms.float32))
    checkpoint.restore_training(new, checkpoint.training_parameters(old, INFO), "x.ckpt")
    assert new.loss_scale.asnumpy() == expected


def test_nothing_partial_is_left(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically({"x": np.ones(3, np.float32)}, path)
    before = path.read_bytes()

    def fail_halfway(_, name: str) -> None:
        with open(name, "wb") as stream:  # noqa: PTH123
            stream.write(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(ms, "save_checkpoint", fail_halfway)
    with pytest.raises(CheckpointError, match="cannot write checkpoint .*a.ckpt: disk full"):
        checkpoint.write_atomically({"x": np.zeros(3, np.float32)}, path)
    assert os.listdir(tmp_path) == ["a.ckpt"]  # noqa: PTH208
    assert path.read_bytes() == before


def test_replacing_is_atomic(tmp_path, monkeypatch):
    """The name never disappears: what was there stays until the new file is complete."""
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically({"x": np.ones(3, np.float32)}, path)
    seen = []
    real = ms.save_checkpoint
    monkeypatch.setattr(ms, "save_checkpoint", lambda *a: (real(*a), seen.append(path.read_bytes())))
    before = path.read_bytes()
    checkpoint.write_atomically({"x": np.zeros(3, np.float32)}, path)
    assert seen == [before]
    assert not checkpoint.read_checkpoint(path)["x"].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.ckpt: the file is empty; copy or download it again"),
        (b"not a checkpoint", r"a\.ckpt: is text, not a checkpoint"),
        (b"\xff\xfe\xfd", r"a\.ckpt: damaged, or not a MindSpore checkpoint"),
        (None, r"a\.ckpt: damaged, or not a MindSpore checkpoint"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "a.ckpt"
    checkpoint.write_atomically({"x": np.ones((100, 100), np.float32)}, path)
    path.write_bytes(path.read_bytes()[:20000] if content is None else content)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read_checkpoint(path)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*b\.ckpt"):
        checkpoint.read_checkpoint(tmp_path / "b.ckpt")


def test_weights_alone_cannot_be_resumed():
    with pytest.raises(CheckpointError, match="holds no training state to resume from; --finetune_ckpt"):
        checkpoint.read_run_info({"weight": np.ones(1)}, "w.ckpt")


def test_evaluation_takes_checkpoints_with_auxiliary_heads_and_refuses_gaps():
    values = {p.name: p.asnumpy() for p in BiSeNetV2(3, seed=5).get_parameters()}
    network = BiSeNetV2(3, aux_heads=False)
    checkpoint.restore_network(network, values, "x.ckpt")
    np.testing.assert_array_equal(network.detail.S1[0].conv.weight.asnumpy(), values["detail.S1.0.conv.weight"])
    del values["bga.conv.1.gamma"]
    with pytest.raises(CheckpointError, match="x.ckpt: lacks 1 of .* tensors, e.g. bga.conv.1.gamma"):
        checkpoint.restore_network(network, values, "x.ckpt")
    with pytest.raises(CheckpointError, match=r"head.conv_out.1.weight has shape \(3, .* the network needs \(4, "):
        checkpoint.restore_network(
            BiSeNetV2(4, aux_heads=False), {**values, "bga.conv.1.gamma": np.ones(128)}, "x.ckpt"
        )


def test_finetuning_skips_what_does_not_fit_and_says_so(caplog):
    caplog.set_level(logging.INFO)
    values = {p.name: p.asnumpy() + 1 for p in Small(classes=3).get_parameters()}
    values.update({"moments.weight": np.ones((3, 2)), "global_step": np.ones(1), "extra": np.ones(1)})
    del values["bn.gamma"]
    network = Small(classes=2)
    before = network.weight.asnumpy().copy()
    checkpoint.finetune_network(network, values, "x.ckpt")
    np.testing.assert_array_equal(network.weight.asnumpy(), before)
    np.testing.assert_array_equal(network.bn.moving_variance.asnumpy(), [2, 2])
    text = caplog.text
    assert "3 of 7 tensors loaded" in text
    assert "skipped, other shape: 3 (weight, head.weight, head.bias)" in text
    assert "missing, initialised: 1 (bn.gamma)" in text
    assert "not used: 1 (extra)" in text


def test_finetuning_fails_if_nothing_fits():
    with pytest.raises(CheckpointError, match="none of its 1 tensors fits"):
        checkpoint.finetune_network(Small(), {"other": np.ones(1), "global_step": np.ones(1)}, "x.ckpt")


def test_numbered_checkpoints_in_order(tmp_path):
    for name in (
        "BiSeNetV2_9_rank0.ckpt",
        "BiSeNetV2_10_rank0.ckpt",
        "BiSeNetV2_best.ckpt",
        "x.ckpt",
        ".BiSeNetV2_11_rank0.partial.ckpt",
    ):
        (tmp_path / name).touch()
    assert [step for step, _ in checkpoint.list_checkpoints(tmp_path)] == [9, 10]
    assert checkpoint.list_checkpoints(tmp_path / "missing") == []


def test_the_newest_complete_checkpoint(tmp_path, caplog):
    """What a killed copy left behind is neither resumed nor in the way."""
    values = {"w": np.ones(3000, np.float32)}
    values.update({checkpoint.STATE_PREFIX + n: np.array([8]) for n in ("step", "total_step", "total_batch", "seed")})
    paths = {step: tmp_path / checkpoint.checkpoint_name(step) for step in (4, 8, 12, 16)}
    for step in (4, 8):
        checkpoint.write_atomically(values, paths[step])
    paths[12].write_bytes(paths[8].read_bytes()[:9999])  # cut inside a tensor
    checkpoint.write_atomically({"w": values["w"]}, paths[16])  # cut between two tensors
    assert checkpoint.newest_complete(tmp_path) == paths[8]
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".incomplete") == [
        f"{paths[12].name}.incomplete",
        f"{paths[16].name}.incomplete",
    ]
    assert caplog.text.count("renamed to") == 2
    paths[8].rename(tmp_path / "elsewhere.ckpt")
    paths[4].write_bytes(paths[4].read_bytes()[:9999])
    with pytest.raises(CheckpointError, match="none of the 1 checkpoints there can be resumed"):
        checkpoint.newest_complete(tmp_path)  # rather than training from the beginning
    assert paths[4].exists()
    assert checkpoint.newest_complete(tmp_path / "none") is None


def test_a_full_disk_leaves_no_part_of_a_copy(tmp_path, monkeypatch):
    source, target = tmp_path / checkpoint.checkpoint_name(5), tmp_path / checkpoint.BEST_NAME
    checkpoint.write_atomically({"w": np.ones(3000, np.float32)}, source)
    target.write_bytes(b"the best so far")

    def copy(source: str, target: str) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(CheckpointError, match=r"^cannot write checkpoint .*BiSeNetV2_best\.ckpt: No space left on dev"):
        checkpoint.copy_atomically(source, target)
    assert sorted(tmp_path.iterdir()) == [source, target]
    assert target.read_bytes() == b"the best so far"
    monkeypatch.undo()
    checkpoint.copy_atomically(source, target)
    assert target.read_bytes() == source.read_bytes()


def test_what_mindspore_logs_of_a_file_that_it_cannot_read_is_left_out(tmp_path):
    """A name that is no UTF-8; MindSpore's own line would stand above ours."""
    path, records = tmp_path / "x.ckpt", []
    ms.save_checkpoint([{"name": "weight", "data": Tensor(np.ones(3, np.float32))}], str(path))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"weight", b"\xffeight"))
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append
    ms.log._get_logger().addHandler(handler)
    try:
        with pytest.raises(CheckpointError, match="x.ckpt: damaged, or not a MindSpore checkpoint"):
            checkpoint.read_checkpoint(path)
        ms.log.error("another line")
    finally:
        ms.log._get_logger().removeHandler(handler)
    assert [record.msg for record in records] == ["another line"]


@pytest.mark.parametrize("name", ["own", "own.mindir", "own.yml"])
def test_a_checkpoint_gets_the_name_it_is_given_or_none(tmp_path, name):
    """MindSpore adds .ckpt to every other name; what the user has under that name stays."""
    path = tmp_path / name
    path.write_text("of the user's")
    with pytest.raises(CheckpointError, match=r"the name of a checkpoint ends in \.ckpt"):
        checkpoint.write_atomically({"x": np.ones(3, np.float32)}, path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "of the user's")]


def test_a_pipe_is_not_replaced_by_a_checkpoint(tmp_path):
    path = tmp_path / "pipe.ckpt"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="is a named pipe, which a checkpoint cannot replace"):
        checkpoint.write_atomically({"x": np.ones(3, np.float32)}, path)
    assert [found.is_fifo() for found in tmp_path.iterdir()] == [True]
