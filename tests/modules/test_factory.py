"""Each configuration key reaches the train cell: its steps against NumPy, with one key changed at a time."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.modules.base_modules import Network
from src.modules.factory import create_network, create_train_cell
from src.modules.loss.ohem import OhemCrossEntropy
from src.utils.config import parse_config
from src.utils.runtime import Runtime
from tests.ascend_graphs import on_ascend
from train import uses_sync_bn

CLASSES, HEADS, STEPS = 19, 5, 3
START = np.random.default_rng(0).standard_normal((HEADS, CLASSES)).astype(np.float32)
LABEL = np.array([[[0, 1, 1], [7, 18, 255]]], np.int32)
IMAGE = np.zeros((1, 3, 2, 3), np.float32)
ASCENDING = [1.0 + 0.5 * i for i in range(CLASSES)]


class Biases(Network):
    """Five heads that give every pixel the same logits, their weights; the first one's are 2-D, the others' 1-D."""

    head_names = ("main", "aux2", "aux3", "aux4", "aux5_4")

    def __init__(self) -> None:
        super().__init__()
        self.main = Parameter(Tensor(START[:1]), name="main")
        self.aux2, self.aux3, self.aux4, self.aux5_4 = (
            Parameter(Tensor(value), name=name) for value, name in zip(START[1:], self.head_names[1:])
        )

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        nothing = ops.zeros((1, CLASSES, 1, 1), ms.float32) + image[:, :1]
        weights = (self.main, self.aux2, self.aux3, self.aux4, self.aux5_4)
        return tuple([weight.reshape((1, CLASSES, 1, 1)) + nothing for weight in weights])


def train(
    *options: str, steps: int = STEPS, image: np.ndarray = IMAGE, label: np.ndarray = LABEL, **arguments
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Return weights (5, 19) and outputs of each step of a cell made as the options say."""
    network = Biases()
    plain = ["--total_step", "10", "--warmup_step", "0", "data.map_label=null"]
    cell = create_train_cell(network, parse_config([*plain, *options], "train"), **arguments)
    outputs = [[o.asnumpy() for o in cell(Tensor(image), Tensor(label))] for _ in range(steps)]
    return np.stack([p.asnumpy().ravel() for p in network.trainable_params()]), outputs


def expected(  # noqa: PLR0913 - one argument a key
    *,
    init=0.05,
    end=0.0,
    power=0.9,
    total=10,
    warmup=0,
    momentum=0.9,
    decay=0.0005,
    nesterov=False,
    spare_1d=False,
    class_weights=(1.0,) * CLASSES,
    loss_weight=(1.0,) * HEADS,
    clip=np.inf,
    rates=None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights after the steps, and the heads' losses at the first one."""
    weights, velocity, losses = START.astype(np.float64), np.zeros(START.shape), None
    counts = np.array([np.sum(c == LABEL) for c in range(CLASSES)]) * np.asarray(class_weights)
    decays = np.array([[decay]] + [[0.0 if spare_1d else decay]] * (HEADS - 1))
    for step in range(STEPS):
        rate = (
            rates[step]
            if rates is not None
            else ((init - end) * (1 - step / total) ** power + end) * min(1, (step + 1) / max(warmup, 1))
        )
        log_sum = np.log(np.exp(weights).sum(1, keepdims=True))
        if losses is None:
            losses = ((log_sum - weights) * counts).sum(1) / counts.sum()
        gradient = np.array(loss_weight)[:, None] * (np.exp(weights - log_sum) - counts / counts.sum())
        gradient *= min(1, clip / np.sqrt((gradient**2).sum()))
        gradient += decays * weights
        velocity = momentum * velocity + gradient
        weights = weights - rate * (gradient + momentum * velocity if nesterov else velocity)
    return weights, losses


TABLE = {
    "optimizer.lr_init=0.3 optimizer.lr_end=0.04 optimizer.lr_power=3 --total_step=5": {
        "init": 0.3,
        "end": 0.04,
        "power": 3,
        "total": 5,
    },
    "--warmup_step=3": {"warmup": 3},
    "optimizer.momentum=0.5 optimizer.weight_decay=0.2": {"momentum": 0.5, "decay": 0.2},
    "optimizer.filter_bias_and_bn=True optimizer.weight_decay=0.2": {"spare_1d": True, "decay": 0.2},
    "optimizer.nesterov=True": {"nesterov": True},
    f"data.map_label={ASCENDING} loss_weight=[1,2,3,4,5]": {
        "class_weights": ASCENDING,
        "loss_weight": (1, 2, 3, 4, 5),
    },
    "--clip_grad_norm=0.25": {"clip": 0.25},
}


def words(line: str) -> list[str]:
    """Split a line of the table into arguments; lists have blanks in them."""
    return line.replace(", ", ",").split()


def test_the_defaults():
    weights, outputs = train()
    after, losses = expected()
    np.testing.assert_allclose(weights, after, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs[0][1], losses, rtol=1e-5)
    assert outputs[0][0] == pytest.approx(losses.sum(), rel=1e-5)


@pytest.mark.parametrize("line", TABLE)
def test_each_key_changes_the_steps_as_it_should(line):
    weights, outputs = train(*words(line))
    after, losses = expected(**TABLE[line])
    for name in TABLE[line]:  # each of the row's keys can fail it
        others = {key: value for key, value in TABLE[line].items() if key != name}
        assert np.abs(after - expected(**others)[0]).max() > 1e-4, name
    np.testing.assert_allclose(weights, after, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs[0][1], losses, rtol=1e-5)


def test_the_rates_that_are_given_are_those_of_the_steps():
    rates = np.array([0.5, 0.25, 0.125])
    weights, _ = train(rates=rates)
    np.testing.assert_allclose(weights, expected(rates=rates)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("scaler", "value", "window", "scales"),
    [
        ("none", 64, 1, [1, 1, 1]),
        ("static", 512, 1, [512, 512, 512]),
        ("dynamic", 64, 2, [64, 64, 128]),
        ("dynamic", 8, 1, [8, 16, 32]),
    ],
)
def test_loss_scale_and_its_window(scaler, value, window, scales):
    options = f"--ms_loss_scaler={scaler} --ms_loss_scaler_value={value} --ms_loss_scaler_window={window}"
    weights, outputs = train(*words(options))
    assert [float(output[2]) for output in outputs] == scales
    np.testing.assert_allclose(weights, expected()[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("force", [False, True])
def test_force_update(force):
    weights, _ = train(f"--force_update={force}", steps=1, image=np.full_like(IMAGE, np.nan))
    assert np.isnan(weights).any() == force
    if not force:
        np.testing.assert_array_equal(weights, START)


def test_the_ignored_label():
    transforms = "train_transforms.item_transforms.RandomResizeCrop", "eval_transforms.item_transforms.Resize"
    options = ["data.ignore_label=100", *(f"data.{name}.ignore_label=null" for name in transforms)]
    weights, _ = train(*options, label=np.where(LABEL == 255, 100, LABEL).astype(np.int32))
    np.testing.assert_allclose(weights, expected()[0], rtol=1e-5, atol=1e-6)


def test_ohem_has_its_settings():
    config = parse_config(words("loss.type=ohem loss.ohem_thresh=0.6 loss.ohem_min_kept=123"), "train")
    criterion = create_train_cell(Biases(), config).network.criterion
    assert isinstance(criterion, OhemCrossEntropy)
    assert criterion.min_kept == 123
    assert float(criterion.hard.asnumpy()) == pytest.approx(-np.log(0.6))


def test_dropout_of_three_tenths_drops_three_tenths():
    """Not what it keeps: MindSpore's argument was the other one once."""
    network = create_network(parse_config(["net_args.dropout=0.3"], "train"), aux_heads=True)
    create_train_cell(network, parse_config([], "train"))  # sets it to training
    drops = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.Dropout)]
    assert len(drops) == HEADS
    for drop in drops:
        kept = drop(Tensor(np.ones((100, 100)), ms.float32)).asnumpy()
        assert np.mean(kept == 0) == pytest.approx(0.3, abs=0.03)  # six times the deviation of 10,000 draws
        np.testing.assert_allclose(kept[kept != 0], 1 / 0.7, rtol=1e-5)
    network = create_network(parse_config([], "train"), aux_heads=True)
    assert not any(isinstance(cell, nn.Dropout) for _, cell in network.cells_and_names())


@pytest.mark.parametrize(("asked", "ranks"), [(True, 2), (True, 1), (False, 2)])
def test_sync_bn(asked, ranks):
    config = parse_config(["--sync_bn", str(asked)], "train")
    with on_ascend():
        network = create_network(
            config, aux_heads=True, sync_bn=uses_sync_bn(config, Runtime("Ascend", 0, 0, ranks, 1))
        )
    kinds = {
        type(cell) for _, cell in network.cells_and_names() if isinstance(cell, (nn.BatchNorm2d, nn.SyncBatchNorm))
    }
    assert kinds == {nn.SyncBatchNorm if asked and ranks > 1 else nn.BatchNorm2d}
