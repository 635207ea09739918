"""Several passes for an update: equal to one pass over all their images, by a train cell that knows of none."""

from __future__ import annotations

import json

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules import adamw, train_warpper
from src.modules.accumulation import AccumulatingStepCell
from src.modules.base_modules import Network
from src.modules.factory import create_train_cell
from src.state.checkpoint import ACCUMULATION, RunInfo, training_parameters
from src.utils.config import parse_config
from tests import ascend_graphs
from tests.run_helpers import ROOT

CLASSES, PASSES, STEPS = 19, 3, 4
RNG = np.random.default_rng(1)
IMAGES = RNG.standard_normal((STEPS, PASSES, 2, 3, 4, 4)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, (STEPS, PASSES, 2, 4, 4)).astype(np.int32)
LABELS[:, 0, :, 1:] = 255  # a quarter of the first pass counts, three quarters of the second
LABELS[:, 1, 0, 2:] = 255
LABELS[3, 2] = 255  # a pass without any label
PLAIN = ("--total_step", "10", "--warmup_step", "0", "optimizer.weight_decay=0.01")


class Heads(Network):
    """One convolution with a frozen batch normalisation, and five heads of two classifiers."""

    head_names = ("main", "aux2", "aux3", "aux4", "aux5_4")
    head_parts = ("main",)

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        weights = [Tensor(0.3 * rng.standard_normal(shape), ms.float32) for shape in ((6, 3, 1, 1), (CLASSES, 6, 1, 1))]
        self.body = nn.Conv2d(3, 6, 1, weight_init=weights[0])
        self.bn = nn.BatchNorm2d(6, use_batch_statistics=False)
        self.main = nn.Conv2d(6, CLASSES, 1, weight_init=weights[1])
        self.other = nn.Conv2d(6, CLASSES, 1, weight_init=weights[1] * -0.5)

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        x = ops.relu(self.bn(self.body(image)))
        main, other = self.main(x), self.other(x)
        return main, other, main * 0.5, other * 0.25, main + other


def make(*options: str, passes: int = 1):
    config = parse_config([*PLAIN, *options, "--accumulate_steps", str(passes)], "train")
    return create_train_cell(Heads(), config)


def arrays(outputs: tuple[Tensor, ...]) -> list[np.ndarray]:
    return [output.asnumpy().copy() for output in outputs]


def values(cell: nn.Cell) -> dict[str, np.ndarray]:
    """Return all that a checkpoint holds of the cell."""
    saved = training_parameters(cell, RunInfo(0, 10, 6, 1))
    assert not [name for name in saved if name.startswith(ACCUMULATION)]
    return {name: value.copy() for name, value in saved.items()}


def compare(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name)


class Flags(nn.Cell):
    """A check whose word is not in the gradients, as that of a chip that saturates; one word a pass."""

    survives_sums = False

    def __init__(self, *words: bool) -> None:
        super().__init__()
        self.words = list(words)

    def begin(self, x: Tensor) -> Tensor:
        return x

    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        return Tensor(self.words.pop(0))


@pytest.mark.once
def test_an_overflow_that_no_sum_tells_of_skips_its_step_alone():
    cell = make("--ms_loss_scaler", "static", passes=2)
    cell.overflow = Flags(False, True, True, True)
    changed, before = [], values(cell)["main.weight"]
    for number in range(4):
        cell(Tensor(IMAGES[0, 0]), Tensor(LABELS[0, 2]))
        if number % 2:
            now = values(cell)["main.weight"]
            changed.append(not np.array_equal(before, now))
            before = now
    assert changed == [False, True]


def test_three_passes_equal_one_of_all_their_images(graph_mode, monkeypatch):
    """With pixels ignored unevenly, averages, a rate of the heads, clipping, and an overflow in the second pass."""
    options = ["--ema_decay", "0.75", "optimizer.head_lr_mult=10", "optimizer.filter_bias_and_bn=True"]
    options += ["--clip_grad_norm", "0.5", "--ms_loss_scaler", "dynamic", "--ms_loss_scaler_window", "1"]
    given_back = []
    monkeypatch.setattr(train_warpper, "give_back_freed_memory", lambda: given_back.append(True))
    whole, parts = make(*options), make(*options, passes=PASSES)
    assert isinstance(parts, AccumulatingStepCell)
    images = IMAGES.copy()
    images[2, 1, 0, 0, 0, 0] = np.inf
    before, skipped = None, []
    for step in range(STEPS):
        expected = arrays(whole(Tensor(images[step].reshape(-1, 3, 4, 4)), Tensor(LABELS[step].reshape(-1, 4, 4))))
        for number in range(PASSES):
            outputs = arrays(parts(Tensor(images[step, number]), Tensor(LABELS[step, number])))
        for one, other in zip(outputs, expected):
            np.testing.assert_allclose(one, other, rtol=1e-5)
        now = values(parts)
        compare(now, values(whole))
        skipped.append(before is not None and np.array_equal(before["main.weight"], now["main.weight"]))
        before = now
    assert skipped == [False, False, True, False]
    assert len(given_back) == 2  # once by each cell, behind its compilation
    assert [int(before["train_state.overflows"]), int(before["global_step"][0])] == [1, STEPS]
    ms.set_context(mode=ms.PYNATIVE_MODE)


@pytest.mark.once
def test_with_hard_pixels_a_step_is_the_mean_of_its_passes():
    options = ["loss.type=ohem", "loss.ohem_min_kept=5", "optimizer.momentum=0", "optimizer.weight_decay=0"]
    changes, losses = [], []
    start = values(make(*options))
    for number in range(PASSES):
        cell = make(*options)
        losses.append(arrays(cell(Tensor(IMAGES[0, number]), Tensor(LABELS[0, number])))[:2])
        changes.append({name: value - start[name] for name, value in values(cell).items()})
    cell = make(*options, passes=PASSES)
    for number in range(PASSES):
        outputs = arrays(cell(Tensor(IMAGES[0, number]), Tensor(LABELS[0, number])))
    for name in ("body.weight", "main.weight", "other.weight"):
        mean = np.mean([change[name] for change in changes], axis=0)
        np.testing.assert_allclose(values(cell)[name] - start[name], mean, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(outputs[0], np.mean([loss for loss, _ in losses]), rtol=1e-5)
    np.testing.assert_allclose(outputs[1], np.mean([heads for _, heads in losses], axis=0), rtol=1e-5)


@pytest.mark.once
def test_an_ascend_has_every_operator(tmp_path, monkeypatch, graph_mode):
    """Of passes, average and AdamW, by what MindSpore documents; see test_ascend_audit.py."""
    monkeypatch.setattr(adamw, "on_cpu", lambda: False)
    options = ["--accumulate_steps", "2", "--ema_decay", "0.9", "optimizer.type=adamw", "--lr_init", "0.01"]
    with ascend_graphs.on_ascend():
        nodes = ascend_graphs.nodes_of(ascend_graphs.training_model(tmp_path, *options, network=Heads()))
    used = {node.primitive for node in nodes}
    assert {"AssignAdd", "Sqrt", "Gather"} <= used
    for version in ("2.0.0", "2.10.0"):
        documented = json.loads((ROOT / "tests/golden/operator_platforms.json").read_text(encoding="utf-8"))[version]
        assert {name for name in used if "Ascend" not in documented.get(name, [])} == set()
    ms.set_context(mode=ms.PYNATIVE_MODE)


def test_without_accumulation_there_are_no_sums():
    assert type(make()) is not AccumulatingStepCell
    assert not [p.name for p in make().get_parameters() if p.name.startswith(("ema.", ACCUMULATION))]
