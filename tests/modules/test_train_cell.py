"""The training step: lock-step with PyTorch, loss scale, overflow, clipping, mixed precision."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.config import schema
from src.modules.base_modules import to_mixed_precision
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.factory import create_optimizer, learning_rates
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.train_warpper import TrainOneStepCell
from src.utils.local_adapter import mindspore_version
from tests.golden.seeded import seeded_image, seeded_label
from tests.golden_weights import load_seeded, torch_name

GOLDEN = Path(__file__).parents[1] / "golden" / "sgd.npz"
IMAGE = Tensor(np.zeros((1,)), ms.float32)

pytestmark = pytest.mark.usefixtures("graph_mode")


class Parabola(nn.Cell):
    """Loss sum(weight ** 2) * label: its gradient 2 * weight * label is non-finite when label says so."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(Tensor([3.0, 4.0], ms.float32), name="weight")

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        loss = ops.reduce_sum(self.weight * self.weight) * label
        return loss, ops.stack((loss, loss))


def make(rate: float = 0.1, steps: int = 50, **options) -> tuple[TrainOneStepCell, Parabola]:
    network = Parabola()
    optimizer = create_optimizer(network, schema.Optimizer(weight_decay=0.0, momentum=0.9), np.full(steps, rate))
    return TrainOneStepCell(network, optimizer, **options).set_train(True), network


def run(cell: TrainOneStepCell, label: float) -> list[float]:
    loss, _, scale, overflows, streak = cell(IMAGE, Tensor(label, ms.float32))
    return [float(loss.asnumpy()), float(scale.asnumpy()), int(overflows.asnumpy()), int(streak.asnumpy())]


def test_one_step_without_scale():
    cell, network = make()
    assert run(cell, 1.0) == [25.0, 1.0, 0, 0]
    np.testing.assert_allclose(network.weight.asnumpy(), [3 - 0.1 * 6, 4 - 0.1 * 8], rtol=1e-6)


@pytest.mark.parametrize("scaler", ["static", "dynamic"])
def test_scale_does_not_change_the_update(scaler):
    plain, scaled = make(), make(loss_scaler=scaler, loss_scale=256.0)
    for _ in range(3):
        run(plain[0], 0.5)
        run(scaled[0], 0.5)
    np.testing.assert_array_equal(plain[1].weight.asnumpy(), scaled[1].weight.asnumpy())


class Normalized(nn.Cell):
    """A network with batch normalisation; `image` goes through it, `label` multiplies the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, weight_init="ones")
        self.bn = nn.BatchNorm2d(4)

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        loss = ops.reduce_sum(self.bn(self.conv(image)) ** 2) * label
        return loss, ops.stack((loss, loss))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_statistics_survive_an_overflow_in_the_forward_pass(bad):
    network = Normalized()
    optimizer = create_optimizer(network, schema.Optimizer(), np.full(9, 0.01))
    cell = TrainOneStepCell(network, optimizer).set_train(True)
    image = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    label = Tensor(1.0, ms.float32)
    cell(Tensor(image), label)
    settled = network.bn.moving_variance.asnumpy().copy()
    spoiled = image.copy()
    spoiled[0, 0, 0, 0] = bad
    assert int(cell(Tensor(spoiled), label)[3].asnumpy()) == 1
    np.testing.assert_array_equal(network.bn.moving_mean.asnumpy(), np.zeros(4))
    np.testing.assert_array_equal(network.bn.moving_variance.asnumpy(), np.ones(4))
    assert int(cell(Tensor(image), Tensor(np.inf, ms.float32))[3].asnumpy()) == 2  # finite statistics stay
    assert not np.array_equal(network.bn.moving_variance.asnumpy(), np.ones(4))
    cell(Tensor(image), label)
    assert np.isfinite(network.bn.moving_mean.asnumpy()).all()
    assert np.isfinite(settled).all()


@pytest.mark.parametrize("scaler", ["none", "static", "dynamic"])
def test_overflow_skips_the_update_and_is_counted(scaler):
    cell, network = make(loss_scaler=scaler)
    run(cell, 1.0)
    weight, momentum = network.weight.asnumpy().copy(), cell.optimizer.moments[0].asnumpy().copy()
    assert run(cell, float("inf"))[2:] == [1, 1]
    assert run(cell, float("nan"))[2:] == [2, 2]
    np.testing.assert_array_equal(network.weight.asnumpy(), weight)
    np.testing.assert_array_equal(cell.optimizer.moments[0].asnumpy(), momentum)
    assert cell.optimizer.global_step.asnumpy() == 3  # the schedule moves on
    assert run(cell, 1.0)[2:] == [2, 0]
    assert not np.array_equal(network.weight.asnumpy(), weight)


def test_force_update():
    cell, network = make(force_update=True)
    run(cell, float("nan"))
    assert np.isnan(network.weight.asnumpy()).all()


def test_forced_updates_count_only_losses_that_are_not_finite():
    cell, _ = make(force_update=True, loss_scaler="static", loss_scale=3e38)  # the gradient 6 * 3e38 is no float32
    assert run(cell, 1.0)[2:] == [1, 0]
    assert run(cell, 1.0)[2:] == [2, 1]  # the weights are no numbers any more, so neither is the loss


def test_skipped_steps_use_up_their_learning_rate():
    network = Parabola()
    optimizer = create_optimizer(network, schema.Optimizer(weight_decay=0.0, momentum=0.0), np.array([1.0, 0.5, 0.125]))
    cell = TrainOneStepCell(network, optimizer).set_train(True)
    run(cell, float("inf"))
    run(cell, float("inf"))
    run(cell, 1.0)
    np.testing.assert_allclose(network.weight.asnumpy(), [3 - 0.125 * 6, 4 - 0.125 * 8], rtol=1e-6)


def test_dynamic_scale_halves_and_doubles():
    cell, _ = make(rate=0.001, loss_scaler="dynamic", loss_scale=8.0, scale_window=2)
    labels = [1, 1, 1, float("inf"), 1, float("inf"), 1, 1, 1]
    # doubles after two good steps in a row, halves at once; the reported scale is the one the step used
    assert [run(cell, label)[1] for label in labels] == [8, 8, 16, 16, 8, 8, 4, 4, 8]


def test_dynamic_scale_stays_within_bounds():
    cell, _ = make(loss_scaler="dynamic", loss_scale=2.0, scale_window=1)
    assert [run(cell, float("inf"))[1] for _ in range(3)] == [2, 1, 1]
    cell, _ = make(rate=1e-6, loss_scaler="dynamic", loss_scale=2.0**24, scale_window=1)
    assert [run(cell, 1e-6)[1] for _ in range(3)] == [2.0**24] * 3


def test_clipping_by_global_norm():
    cell, network = make(clip_grad_norm=1.0)
    run(cell, 1.0)  # gradient (6, 8), norm 10
    np.testing.assert_allclose(network.weight.asnumpy(), [3 - 0.1 * 0.6, 4 - 0.1 * 0.8], rtol=1e-5)
    cell, network = make(clip_grad_norm=20.0, loss_scaler="static", loss_scale=64.0)
    run(cell, 1.0)  # not above the limit once unscaled
    np.testing.assert_allclose(network.weight.asnumpy(), [3 - 0.1 * 6, 4 - 0.1 * 8], rtol=1e-5)


def test_unknown_scaler_is_refused():
    with pytest.raises(ValueError, match="static, dynamic or none"):
        make(loss_scaler="auto")


def segmentation_cell(network: BiSeNetV2, settings: schema.Optimizer, rates: np.ndarray, **options) -> TrainOneStepCell:
    with_loss = WithLossCell(network, CrossEntropy(19), [1.0] * 5)
    return TrainOneStepCell(with_loss, create_optimizer(network, settings, rates), **options).set_train(True)


@pytest.mark.slow
def test_first_loss_is_five_times_log_of_the_classes_and_falls_in_mixed_precision():
    network = BiSeNetV2(19)
    to_mixed_precision(network)
    rates = learning_rates(schema.Optimizer(lr_init=0.02), 20, 0)
    cell = segmentation_cell(network, schema.Optimizer(), rates, loss_scaler="dynamic", loss_scale=2.0**24)
    rng = np.random.default_rng(0)
    image = Tensor(rng.standard_normal((2, 3, 64, 64)), ms.float32)
    label = Tensor(np.broadcast_to(np.arange(64) // 4, (2, 64, 64)), ms.int32)
    outputs = [[o.asnumpy() for o in cell(image, label)] for _ in range(15)]
    losses, scales = [float(o[0]) for o in outputs], [float(o[2]) for o in outputs]
    assert abs(losses[0] - 5 * np.log(19)) < 0.3
    assert losses[-1] < losses[0] - 1
    skipped = int(outputs[-2][3])  # before the last step, which may overflow itself
    assert skipped > 0  # 2 ** 24 is too much for float16 gradients
    assert scales[-1] == 2.0 ** (24 - skipped)
    assert all(p.dtype == ms.float32 for p in cell.get_parameters() if "train_state" not in p.name and p.ndim > 1)


@pytest.mark.slow
@pytest.mark.parametrize(("prefix", "steps", "mode"), [("", 10, "graph"), ("sgd_filtered/", 3, "PyNative")])
def test_steps_in_lockstep_with_pytorch(prefix, steps, mode):
    if mode == "PyNative":
        ms.set_context(mode=ms.PYNATIVE_MODE)
    golden = np.load(GOLDEN)
    settings = schema.Optimizer(
        lr_init=float(golden["lr_init"]),
        lr_end=float(golden["lr_end"]),
        lr_power=float(golden["lr_power"]),
        momentum=float(golden["momentum"]),
        weight_decay=float(golden[prefix + "weight_decay"]),
        nesterov=bool(prefix),
        filter_bias_and_bn=bool(prefix),
    )
    rates = learning_rates(settings, int(golden["total_step"]), int(golden["warmup_step"]))
    np.testing.assert_allclose(rates[:steps], golden[prefix + "lrs"], rtol=1e-12)
    network = BiSeNetV2(19)
    load_seeded(network, int(golden["weight_seed"]))
    cell = segmentation_cell(network, settings, rates)
    losses, heads = [], []
    for step in range(steps):
        seed = int(golden["first_seed"]) + step
        image, label = seeded_image((2, 3, 64, 96), seed), seeded_label((2, 64, 96), 19, seed)
        outputs = cell(Tensor(image, ms.float32), Tensor(label, ms.int32))
        losses.append(outputs[0].asnumpy())
        heads.append(outputs[1].asnumpy())
    # PyTorch itself moves by 1e-6 (total) and 4e-6 (heads) through rounding
    np.testing.assert_allclose(losses, golden[prefix + "losses"], rtol=2e-5)
    np.testing.assert_allclose(heads, golden[prefix + "loss_heads"], rtol=1e-4)
    values = {torch_name(p.name): p.asnumpy() for p in network.get_parameters()}
    start = len(prefix + "param/")
    for key in (key for key in golden if key.startswith(prefix + "param/")):
        if mindspore_version() < (2, 1) and key.endswith("running_var"):
            continue  # the biased variance, see test_golden.py
        error = np.abs(values[key[start:]] - golden[key]).max() / np.abs(golden[key]).max()
        # tight where PyTorch's own rounding is small: without weight decay this one is off by 2e-4
        assert error < (2e-5 if key.endswith("right2.1.weight") else 5e-4), f"{key}: {error:.1e}"
