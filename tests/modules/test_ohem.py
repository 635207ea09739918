"""OHEM against PyTorch and NumPy by hand, in both forms of the search for its border; a training with it."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.config.schema import Loss
from src.modules import tensor_ops
from src.modules.factory import create_criterion
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.loss.ohem import OhemCrossEntropy
from tests.dataset_helpers import write_cityscapes
from tests.golden.seeded import seeded_image, seeded_label
from tests.run_helpers import read_metrics, run_script, tiny_options

GOLDEN = Path(__file__).parents[1] / "golden" / "ohem.npz"
CASES = ("many_hard", "few_hard", "many_hard_weighted", "few_hard_weighted", "all_ignored", "few_valid")
MODES = {"graph": ms.GRAPH_MODE, "PyNative": ms.PYNATIVE_MODE}


@pytest.fixture(autouse=True)
def mode(request) -> str:
    """Run in PyNative mode, which needs no compiling, where a test does not ask for another."""
    name = getattr(request, "param", "PyNative")
    ms.set_context(mode=MODES[name])
    return name


@pytest.fixture(params=["TopK", "halving"])
def form(request, monkeypatch) -> str:
    """Take the form for the CPU, or the one for other devices."""
    monkeypatch.setattr(tensor_ops, "on_cpu", lambda: request.param == "TopK")
    return request.param


def loss_and_gradient(criterion: CrossEntropy, logits: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    arguments = Tensor(logits), Tensor(label, ms.int32)
    return criterion(*arguments).asnumpy(), ops.GradOperation()(criterion)(*arguments).asnumpy()


@pytest.mark.parametrize("mode", MODES, indirect=True)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("form", "mode")
def test_loss_and_gradient_equal_pytorch(case):
    file = np.load(GOLDEN)
    golden = {name[len(case) + 1 :]: file[name] for name in file if name.startswith(f"{case}/")}
    number, classes, height, width = golden["grad"].shape
    label = seeded_label((number, height, width), classes, int(file["label_seed"]))
    label[:, int(golden["first_ignored"]) :] = 255
    right = label[:, None] == np.arange(classes)[:, None, None]
    image = seeded_image(golden["grad"].shape, int(file["logits_seed"]))
    logits = image + np.float32(golden["boost"]) * right.astype(np.float32)
    criterion = OhemCrossEntropy(
        classes,
        list(file["class_weights"]) if golden["weighted"] else None,
        thresh=float(file["thresh"]),
        min_kept=int(golden["min_kept"]) or None,
    )
    loss, gradient = loss_and_gradient(criterion, logits, label)
    np.testing.assert_allclose(loss, golden["loss"], rtol=2e-6)
    np.testing.assert_array_equal(gradient.any(axis=1), golden["grad"].any(axis=1))
    np.testing.assert_allclose(gradient, golden["grad"], atol=2e-6 * max(np.abs(golden["grad"]).max(), 1e-9))


def test_the_golden_cases_are_what_they_are_called():
    file = np.load(GOLDEN)
    counts = {case: (int(file[f"{case}/hard"]), int(file[f"{case}/valid"])) for case in CASES}
    sixteenth = file["few_hard/grad"][:, 0].size // 16
    assert sixteenth < counts["many_hard"][0] < counts["many_hard"][1] < 16 * sixteenth  # some are ignored
    assert 0 < counts["few_hard"][0] < sixteenth < counts["few_hard"][1]
    assert counts["all_ignored"] == (0, 0)
    assert 0 < counts["few_valid"][1] < file["few_valid/min_kept"]


def by_hand(logits: np.ndarray, label: np.ndarray, weights: list[float], thresh: float, min_kept: int) -> float:
    """Sort (loss, weight) of the pixels that count and average those that are kept."""
    pixels = []
    for n, row, column in np.ndindex(*label.shape):
        scores, cls = logits[n, :, row, column].astype(np.float64), label[n, row, column]
        if cls != 255 and weights[cls] > 0:
            pixels.append((np.log(np.exp(scores).sum()) - scores[cls], weights[cls]))
    pixels.sort(reverse=True)
    hard = [pixel for pixel in pixels if pixel[0] > -np.log(thresh)]
    kept = hard if len(hard) >= min_kept else pixels[:min_kept]
    return sum(loss * weight for loss, weight in kept) / sum(weight for _, weight in kept)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 0.0]])
@pytest.mark.parametrize(("thresh", "min_kept"), [(0.7, 1), (0.02, 7), (0.3, 40), (0.001, 10), (0.5, 10**6)])
@pytest.mark.usefixtures("form")
def test_by_hand(weights, thresh, min_kept):
    rng = np.random.default_rng(1)
    logits = 2 * rng.standard_normal((2, 4, 5, 6)).astype(np.float32)
    label = rng.choice([0, 1, 2, 3, 255], (2, 5, 6))
    criterion = OhemCrossEntropy(4, weights, thresh=thresh, min_kept=min_kept)
    loss = criterion(Tensor(logits), Tensor(label, ms.int32))
    assert loss.dtype == ms.float32
    expected = by_hand(logits, label, weights or [1.0] * 4, thresh, min_kept)
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("min_kept", [1, 3, 4, 7, 10, 11, 12])
@pytest.mark.usefixtures("form")
def test_pixels_of_equal_loss_share_the_room(min_kept):
    """Losses of two classes: 4 pixels at 1, 6 at 0.5, 2 at 0, exactly or nearly; none hard."""
    wanted = np.array([1.0] * 4 + [0.5] * 6 + [0.0] * 2)
    margin = np.where(wanted > 0, -np.log(np.expm1(np.maximum(wanted, 1e-9))), 200)
    logits = np.zeros((1, 2, 3, 4), np.float32)
    logits[0, 0] = margin.reshape(3, 4)
    criterion = OhemCrossEntropy(2, thresh=0.01, min_kept=min_kept)
    loss, gradient = loss_and_gradient(criterion, logits, np.zeros((1, 3, 4)))
    np.testing.assert_allclose(loss, wanted[:min_kept].mean(), rtol=1e-5)
    share = gradient[0, 0].ravel() / (np.exp(-wanted) - 1).clip(max=-1e-12) * min_kept
    at_one, at_half = min(min_kept, 4) / 4, np.clip((min_kept - 4) / 6, 0, 1)
    np.testing.assert_allclose(share[:10], [at_one] * 4 + [at_half] * 6, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("form")
def test_a_loss_at_the_threshold_is_not_hard():
    at, above = np.float32(-np.log(0.5)), np.nextafter(np.float32(-np.log(0.5)), np.float32(1))
    losses, valid = np.array([[[at, above, at, 3.0, 0.1]]], np.float32), np.ones((1, 1, 5), bool)
    kept = OhemCrossEntropy(2, thresh=0.5, min_kept=2).kept(Tensor(losses), Tensor(valid))
    np.testing.assert_array_equal(kept.asnumpy()[0, 0], [0, 1, 0, 1, 0])


@pytest.mark.usefixtures("form")
def test_with_all_pixels_kept_it_is_the_cross_entropy():
    rng = np.random.default_rng(2)
    logits, label = rng.standard_normal((2, 3, 4, 5)).astype(np.float32), rng.choice([0, 1, 2, 255], (2, 4, 5))
    weights = [0.3, 1.0, 2.5]
    expected = loss_and_gradient(CrossEntropy(3, weights), logits, label)
    actual = loss_and_gradient(OhemCrossEntropy(3, weights, min_kept=40), logits, label)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.usefixtures("form")
def test_float16_logits_are_judged_in_float32():
    logits = np.random.default_rng(3).standard_normal((1, 3, 8, 8)).astype(np.float16)
    label = Tensor(np.ones((1, 8, 8)), ms.int32)
    criterion = OhemCrossEntropy(3, thresh=0.1)
    loss = criterion(Tensor(logits), label)
    assert loss.dtype == ms.float32
    assert loss.asnumpy() == criterion(Tensor(logits.astype(np.float32)), label).asnumpy()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.usefixtures("form")
def test_what_is_not_finite_shows(value):
    """The step that meets it must be left out, whatever pixels are kept."""
    logits = np.zeros((1, 2, 4, 4), np.float32)
    logits[0, 0, 0, 0] = value
    loss = OhemCrossEntropy(2, min_kept=1)(Tensor(logits), Tensor(np.zeros((1, 4, 4)), ms.int32))
    assert not np.isfinite(loss.asnumpy())


@pytest.mark.parametrize("scale", [1.0, 1e-4])
@pytest.mark.usefixtures("form")
def test_the_interval_holds_the_largest_value_asked_for(scale):
    x = (scale * np.random.default_rng(4).exponential(0.1, (2, 8, 9))).astype(np.float32)
    cell, ends = tensor_ops.NarrowToLargest(), (Tensor(-1.0, ms.float32), Tensor(0.25, ms.float32))
    for k in (1, 2, 70, 144):
        low, high = (end.asnumpy() for end in cell(Tensor(x), k, *ends))
        expected = min(np.sort(x.ravel())[-k], np.float32(0.25))
        assert low <= expected <= high
        assert high - low < 5e-8


class Heads(nn.Cell):
    """A network of two heads: its input, and its input with the classes swapped."""

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return image, image[:, ::-1]


@pytest.mark.parametrize("mode", ["graph"], indirect=True)
@pytest.mark.usefixtures("form")
def test_every_head_and_every_rank_keeps_its_own_pixels():
    """On several ranks nothing is asked of the others: two of them are told of, and none is there."""
    rng = np.random.default_rng(5)
    image, label = 2 * rng.standard_normal((2, 3, 4, 4)).astype(np.float32), rng.choice([0, 1, 2, 255], (2, 4, 4))
    criterion = create_criterion(Loss("ohem", 0.2, 5), 3, None, 255)
    cell = WithLossCell(Heads(), criterion, [1.0, 0.4], rank_size=2)
    total, heads = cell(Tensor(image), Tensor(label, ms.int32))
    expected = [by_hand(logits, label, [1.0] * 3, 0.2, 5) for logits in (image, image[:, ::-1])]
    np.testing.assert_allclose(heads.asnumpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(total.asnumpy(), np.dot(expected, [1.0, 0.4]), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"thresh": 0.0}, "thresh must"), ({"thresh": 1.0}, "thresh must"), ({"min_kept": 0}, "min_kept must")],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        OhemCrossEntropy(3, **options)


@pytest.mark.once
@pytest.mark.slow
def test_training(tmp_path):
    """The first step, of the same weights and images: no pixel is hard, the 50 of largest loss are kept.

    In PyNative mode, for one step is not worth compiling; test_keys_are_read.py trains with OHEM in graph mode.
    """
    data = write_cityscapes(tmp_path / "data")
    first = {}
    for name, keys in (("ce", []), ("ohem", ["loss.type=ohem", "loss.ohem_thresh=0.001", "loss.ohem_min_kept=50"])):
        options = ["--save_dir", tmp_path / name, "--total_step", 1, "--log_interval", 1, "--ms_mode", 1, *keys]
        run_script("train.py", *options, *tiny_options(data))
        first[name] = read_metrics(tmp_path / name)[1]
    heads = ("loss_main", "loss_aux2", "loss_aux3", "loss_aux4", "loss_aux5_4")
    for head in heads:
        assert first["ohem"][head] > first["ce"][head] + 1e-3
    np.testing.assert_allclose(first["ohem"]["loss"], sum(first["ohem"][head] for head in heads), rtol=1e-5)
