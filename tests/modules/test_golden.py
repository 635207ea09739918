"""Compare the network, its loss and its gradients with values computed by PyTorch (tests/golden/make_golden.py).

Tolerances, relative to the largest value of an array: evaluation logits 1e-4 as promised to users (rounding alone
moves PyTorch's by about 1e-6), gradients 2e-3 because a ReLU that switches by rounding moves them by up to 6e-4.
"""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules.bisenetv2 import BiSeNetV2
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.utils.local_adapter import mindspore_version
from tests.config_values import published_class_weights
from tests.golden.seeded import seeded_image, seeded_label
from tests.golden_weights import load_seeded, torch_name

GOLDEN = Path(__file__).parents[1] / "golden"
EPSILON = {"bilinear": 1e-3, "nearest": 1e-5}
CASES = [(variant, size) for variant in ("bilinear", "nearest") for size in ((128, 256), (90, 120))]
HEADS = ("main", "aux2", "aux3", "aux4", "aux5_4")


class AllHeads(nn.Cell):
    """The five heads' logits with running statistics; the network itself leaves the auxiliary ones out."""

    def __init__(self, network: BiSeNetV2) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        size = image.shape[2:]
        stage2, stage3, stage4, stage5_4, semantic = self.network.segment(image)
        main = self.network.head(self.network.bga(self.network.detail(image), semantic), size)
        aux2, aux3 = self.network.aux2(stage2, size), self.network.aux3(stage3, size)
        return main, aux2, aux3, self.network.aux4(stage4, size), self.network.aux5_4(stage5_4, size)


class LossAndGradients(nn.Cell):
    """Forward and backward pass of one training step, without an update: logits, losses, gradients."""

    def __init__(self, with_loss: WithLossCell) -> None:
        super().__init__(auto_prefix=False)
        self.with_loss = with_loss
        self.weights = ms.ParameterTuple(with_loss.trainable_params())
        self.grad = ops.GradOperation(get_by_list=True, sens_param=True)

    def construct(self, image: Tensor, label: Tensor) -> tuple:
        loss, heads = self.with_loss(image, label)
        sensitivity = (ops.ones_like(loss), ops.zeros_like(heads))
        return loss, heads, self.grad(self.with_loss, self.weights)(image, label, sensitivity)


def build(variant: str) -> BiSeNetV2:
    network = BiSeNetV2(19, inner_upsample=variant, bn_epsilon=EPSILON[variant])
    load_seeded(network)
    return network


def read(variant: str, size: tuple[int, int]) -> tuple[dict, Tensor, Tensor]:
    golden = dict(np.load(GOLDEN / f"network_{variant}_{size[0]}x{size[1]}.npz"))
    image = seeded_image((2, 3, *size), int(golden["image_seed"]))
    label = seeded_label((2, *size), 19, int(golden["label_seed"]))
    return golden, Tensor(image, ms.float32), Tensor(label, ms.int32)


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    scale = float(np.abs(expected).max())
    error = float(np.abs(actual - expected).max()) / scale
    assert error <= tolerance, f"{what}: off by {error:.2e} of its largest value {scale:.4g}"


def assert_map(actual: Tensor, golden: dict, name: str, tolerance: float) -> None:
    values = actual.asnumpy()
    largest = float(golden[f"{name}_absmax"])
    error = np.abs(values.ravel()[golden["indices"]] - golden[name]).max() / largest
    assert error <= tolerance, f"{name}: off by {error:.2e} of its largest value"
    assert abs(np.abs(values).max() - largest) <= tolerance * largest
    mean_error = abs(values.sum(dtype=np.float64) - float(golden[f"{name}_sum"])) / values.size
    assert mean_error <= tolerance * largest


@pytest.mark.parametrize(("variant", "size"), CASES)
def test_evaluation_logits_of_all_heads(variant, size):
    golden, image, _ = read(variant, size)
    network = build(variant)
    all_heads = AllHeads(network)
    all_heads.set_train(False)
    outputs = all_heads(image)
    for head, logits in zip(HEADS, outputs):
        assert_map(logits, golden, "eval_logits" + ("" if head == "main" else f"_{head}"), 1e-4)
    network.set_train(False)
    np.testing.assert_array_equal(network(image).asnumpy(), outputs[0].asnumpy())


def biased_instead(unbiased: np.ndarray, actual: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return running variances as MindSpore 2.0.0 computes them on the CPU: from the biased variance of n values.

    The n that explains what was found must be a whole number, and explain all channels.
    """
    new = unbiased - 0.9 * before  # a tenth of the unbiased variance
    share = float(np.median((actual - 0.9 * before) / new))  # (n - 1) / n
    count = round(1 / (1 - share))
    return 0.9 * before + new * (count - 1) / count


@pytest.mark.parametrize(("variant", "size"), CASES)
def test_training_logits_and_running_statistics(variant, size):
    golden, image, _ = read(variant, size)
    network = build(variant)
    before = {torch_name(p.name): p.asnumpy().copy() for p in network.get_parameters()}
    network.set_train(True)
    for head, logits in zip(HEADS, network(image)):
        assert_map(logits, golden, f"train_logits_{head}", 1e-4)
    statistics = {torch_name(p.name): p.asnumpy() for p in network.get_parameters()}
    for key in (key for key in golden if key.startswith("running/")):
        name, expected = key[len("running/") :], golden[key]
        if mindspore_version() < (2, 1) and key.endswith("running_var"):
            expected = biased_instead(expected, statistics[name], before[name])
        assert_close(statistics[name], expected, 1e-5, key)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "size"), CASES)
def test_weighted_loss_and_gradients(variant, size):
    golden, image, label = read(variant, size)
    with_loss = WithLossCell(build(variant), CrossEntropy(19, published_class_weights()), [1.0] * 5)
    with_loss.set_train(True)
    with_loss.set_grad()
    cell = LossAndGradients(with_loss)
    loss, heads, gradients = cell(image, label)
    assert_close(heads.asnumpy(), golden["loss_heads"], 1e-5, "losses of the heads")
    assert_close(loss.asnumpy(), golden["loss"], 1e-5, "total loss")
    named = {torch_name(p.name): g.asnumpy() for p, g in zip(cell.weights, gradients)}
    for key in (key for key in golden if key.startswith("grad/")):
        assert_close(named[key[len("grad/") :]], golden[key], 2e-3, key)
