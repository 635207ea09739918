"""Cross entropy in both forms against NumPy by hand and PyTorch's golden values; the sum over heads."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules import tensor_ops
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.loss.ohem import OhemCrossEntropy
from tests.config_values import published_class_weights
from tests.golden.seeded import seeded_image, seeded_label

GOLDEN = Path(__file__).parents[1] / "golden" / "loss.npz"


def by_hand(logits: np.ndarray, label: np.ndarray, weights: list[float], ignore_label: int) -> float:
    """Average -weight * log(probability of the right class), pixel by pixel."""
    total, norm = 0.0, 0.0
    for n, row, column in np.ndindex(*label.shape):
        cls = int(label[n, row, column])
        if cls == ignore_label:
            continue
        scores = logits[n, :, row, column].astype(np.float64)
        probability = np.exp(scores[cls]) / np.exp(scores).sum()
        total -= weights[cls] * np.log(probability)
        norm += weights[cls]
    return total / norm


@pytest.fixture(params=["gather", "one-hot"])
def form(request, monkeypatch) -> str:
    """Take the form for the CPU, or the one for other devices."""
    monkeypatch.setattr(tensor_ops, "on_cpu", lambda: request.param == "gather")
    assert CrossEntropy(3).one_hot == (request.param == "one-hot")
    return request.param


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 0.0]])
@pytest.mark.parametrize("ignore_label", [255, 4, 0])
@pytest.mark.usefixtures("form")
def test_by_hand(weights, ignore_label):
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((2, 4, 5, 6)).astype(np.float32)
    label = rng.choice([0, 1, 2, 3, ignore_label], (2, 5, 6))
    loss = CrossEntropy(4, weights, ignore_label)(Tensor(logits), Tensor(label, ms.int32))
    assert loss.dtype == ms.float32
    np.testing.assert_allclose(loss.asnumpy(), by_hand(logits, label, weights or [1.0] * 4, ignore_label), rtol=1e-5)


@pytest.mark.usefixtures("form")
def test_weighted_loss_and_gradient_equal_pytorch():
    golden = np.load(GOLDEN)
    shape = tuple(golden["logits_shape"])
    logits = Tensor(seeded_image(shape, int(golden["logits_seed"])), ms.float32)
    label = Tensor(seeded_label((shape[0], *shape[2:]), 19, int(golden["label_seed"])), ms.int32)
    weighted = CrossEntropy(19, published_class_weights())
    np.testing.assert_allclose(CrossEntropy(19)(logits, label).asnumpy(), golden["loss_unweighted"], rtol=1e-6)
    np.testing.assert_allclose(weighted(logits, label).asnumpy(), golden["loss_weighted"], rtol=1e-6)
    gradient = ops.GradOperation()(weighted)(logits, label).asnumpy()
    error = np.abs(gradient.ravel()[golden["indices"]] - golden["grad"]).max() / golden["grad_absmax"]
    assert error < 1e-5


@pytest.mark.parametrize("kind", [CrossEntropy, OhemCrossEntropy])
@pytest.mark.parametrize("weights", [None, published_class_weights()])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_both_forms_are_equal(kind, weights, dtype):
    """To 1e-6 in the loss, and in the gradient relative to its largest entry."""
    label = Tensor(seeded_label((2, 24, 32), 19, 3), ms.int32)
    logits = Tensor((2 * seeded_image((2, 19, 24, 32), 4)).astype(dtype))
    results = []
    for one_hot in (False, True):
        criterion = kind(19, weights, one_hot=one_hot)
        results.append((criterion(logits, label).asnumpy(), ops.GradOperation()(criterion)(logits, label).asnumpy()))
    (loss, gradient), (other_loss, other_gradient) = results
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
    assert gradient.any()
    bound = 1e-6 if dtype == np.float32 else 1e-3  # of the logits' type
    assert np.abs(other_gradient.astype(np.float64) - gradient).max() <= bound * np.abs(gradient).max()


@pytest.mark.usefixtures("form")
def test_large_logits_do_not_overflow():
    logits = np.zeros((1, 2, 1, 2), np.float32)
    logits[0, :, 0, 0], logits[0, :, 0, 1] = (3000, -3000), (-3000, 3000)
    loss = CrossEntropy(2)(Tensor(logits), Tensor(np.array([[[0, 0]]]), ms.int32))
    np.testing.assert_allclose(loss.asnumpy(), 3000)  # (0 + 6000) / 2


@pytest.mark.usefixtures("form")
def test_no_valid_pixel_gives_zero_and_no_gradient():
    logits = Tensor(np.random.default_rng(0).standard_normal((1, 3, 4, 4)), ms.float32)
    label = Tensor(np.full((1, 4, 4), 255), ms.int32)
    loss = CrossEntropy(3)
    assert loss(logits, label).asnumpy() == 0
    assert not ops.GradOperation()(loss)(logits, label).asnumpy().any()


def test_number_of_weights_is_checked():
    with pytest.raises(ValueError, match="expected 3 class weights"):
        CrossEntropy(3, [1.0, 2.0])


class FiveHeads(nn.Cell):
    """A network whose heads are multiples of its input."""

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return image, 2 * image, 3 * image, 4 * image, 5 * image


@pytest.mark.usefixtures("form")
def test_total_is_the_weighted_sum_of_the_heads():
    rng = np.random.default_rng(0)
    image, label = rng.standard_normal((2, 3, 4, 4)).astype(np.float32), rng.choice([0, 1, 2, 255], (2, 4, 4))
    cell = WithLossCell(FiveHeads(), CrossEntropy(3), [1.0, 0.4, 0.0, 2.0, 0.5])
    total, heads = cell(Tensor(image), Tensor(label, ms.int32))
    expected = [by_hand(factor * image, label, [1.0] * 3, 255) for factor in (1, 2, 3, 4, 5)]
    np.testing.assert_allclose(heads.asnumpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(total.asnumpy(), np.dot(expected, [1.0, 0.4, 0.0, 2.0, 0.5]), rtol=1e-5)


class CoarseHead(nn.Cell):
    """The loss of logits of any size."""

    def __init__(self, criterion: CrossEntropy) -> None:
        super().__init__()
        self.criterion = criterion

    def construct(self, logits: Tensor, label: Tensor) -> Tensor:
        target, weight, total = self.criterion.pixel_weights(label)
        return self.criterion.from_coarse(logits, target, weight, total)


@pytest.mark.parametrize("size", [(3, 4), (6, 8), (5, 9)])
@pytest.mark.parametrize(
    "make",
    [
        lambda **form: CrossEntropy(4, [0.5, 2.0, 1.0, 0.0], **form),
        lambda **form: OhemCrossEntropy(4, thresh=0.2, **form),
    ],
)
def test_gradient_computed_with_the_loss_is_that_of_the_differentiated_form(make, size):
    """The form for other devices is differentiated by MindSpore, and compared with NumPy and PyTorch above."""
    rng = np.random.default_rng(0)
    logits = Tensor(3 * rng.standard_normal((2, 4, *size)), ms.float32)
    label = Tensor(rng.choice([0, 1, 2, 3, 255], (2, 6, 8)), ms.int32)
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        cells = [CoarseHead(make(one_hot=one_hot)) for one_hot in (False, True)]
        assert [cell.criterion.gradient_at_once for cell in cells] == [True, False]
        losses = [cell(logits, label).asnumpy() for cell in cells]
        gradients = [ops.GradOperation(sens_param=True)(cell)(logits, label, Tensor(8.0)).asnumpy() for cell in cells]
    finally:
        ms.set_context(mode=mode)
    np.testing.assert_allclose(*losses, rtol=1e-6)
    np.testing.assert_allclose(*gradients, atol=1e-6 * abs(gradients[1]).max())


def test_a_loss_of_ones_own_is_differentiated():
    class Own(CrossEntropy):
        def pixel_losses(self, logits: Tensor, target: Tensor) -> Tensor:
            return 2 * super().pixel_losses(logits, target)

    assert not Own(3).gradient_at_once
    assert CrossEntropy(3).gradient_at_once == OhemCrossEntropy(3).gradient_at_once
