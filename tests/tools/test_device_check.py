"""The checks of a new card that compute themselves, each with a subject that is right and at least one spoiled."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.modules.base_modules import conv2d
from src.modules.overflow import FiniteByValue
from tools.device_check import network, operators, seeded, speed
from tools.device_check.result import Result, Settings, nearest_to_bound


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings("CPU", 0, tmp_path, crop=(32, 32))


# 1: settings


def test_the_settings_of_the_cpu_pass(settings):
    assert network.check_settings(settings).passed


def test_what_the_first_910_needs_is_missed(settings, monkeypatch):
    """Not on it, the step looks at values; and its convolutions are float16 and need a loss scale."""
    monkeypatch.setattr(network.local_adapter, "ascend_chip", lambda: "ascend910")
    result = network.check_settings(dataclasses.replace(settings, device_target="Ascend"))
    assert not result.passed
    assert result.details["device"] == "CPU, expected Ascend"
    assert result.details["overflow by register"] == "False, expected True"
    scaled = dataclasses.replace(settings, device_target="Ascend", options=("ms_loss_scaler=static",))
    assert network.check_settings(scaled).details["loss scale"] == 1024.0


@pytest.mark.parametrize(("version", "level"), [((2, 4, 0), ""), ((2, 8, 0), "O2"), ((2, 10, 0), "O0")])
def test_a_wrong_level_is_told(settings, monkeypatch, version, level):
    monkeypatch.setattr(network.local_adapter, "ascend_chip", lambda: "ascend910b")
    monkeypatch.setattr(network.local_adapter, "mindspore_version", lambda: version)
    monkeypatch.setattr(network.local_adapter, "saturates", lambda: False)
    settings = dataclasses.replace(settings, device_target="Ascend")
    assert network.check_settings(settings).details["level"] == level
    by_operators = dataclasses.replace(settings, options=("ms_mode=1",))
    assert network.check_settings(by_operators).details["level"] == ""
    monkeypatch.setattr(network, "effective_level", lambda _: "O1")
    assert network.check_settings(settings).details["level"] == f"O1, expected {level}"


# 2: forward pass


def test_the_forward_pass_is_right_and_one_wrong_kernel_is_seen(settings, monkeypatch):
    assert network.check_forward(settings).passed
    original = seeded.parameter

    def spoiled(name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = original(name, shape)
        return values[..., ::-1].copy() if name == "segment.S4.0.dwconv1.0.weight" else values

    monkeypatch.setattr(seeded, "parameter", spoiled)
    assert not network.check_forward(settings).passed


# 3: operators


class _Spoiled(nn.Cell):
    """A depthwise convolution that forgets a column of its kernel."""

    def __init__(self, *arguments: int, **options: int) -> None:
        super().__init__()
        self.conv = conv2d(*arguments, **options)
        self.weight = self.conv.weight

    def construct(self, x: Tensor) -> Tensor:
        self.conv.weight[..., 2] = 0
        return self.conv(x)


SPOILED_OPERATORS = {
    "MaxPoolPadded": lambda: lambda x: Tensor(np.zeros((2, 16, 4, 6), np.float32)),
    "AvgPoolPadded": lambda channels: nn.AvgPool2d(3, stride=2, pad_mode="same"),  # does not count the pads
    "conv2d": _Spoiled,
}


def test_the_operators_are_right(settings):
    assert operators.check_operators(settings).passed


@pytest.mark.parametrize("name", SPOILED_OPERATORS)
def test_a_wrong_operator_is_seen(settings, monkeypatch, name):
    monkeypatch.setattr(operators, name, SPOILED_OPERATORS[name])
    assert not operators.check_operators(settings).passed


def test_a_depthwise_form_that_is_refused_counts_where_it_is_chosen(settings, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no kernel")

    monkeypatch.setattr(operators, "conv2d", refuse)
    assert operators.check_operators(settings).figure == np.inf
    repeat = dataclasses.replace(settings, options=("net_args.depthwise_expand=repeat",))
    result = operators.check_operators(repeat)
    assert result.passed
    assert result.details["grouped, for information"] == np.inf


def test_other_centres_of_a_resize_are_seen(settings, monkeypatch):
    monkeypatch.setattr(operators, "axis_weights", lambda source: np.eye(source).repeat(operators.UP, 0))  # nearest
    assert not operators.check_operators(settings).passed


# 4: gradients


@pytest.fixture(scope="module")
def gradients() -> list[np.ndarray]:
    return next(network.gradients(Settings("CPU", 0, Path()), 1024.0))


def first_zero(gradients: list[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros_like(gradients[0]), *gradients[1:]]


SPOILED_GRADIENTS = {
    "the loss scale is not taken out": lambda gradients: [1024 * gradient for gradient in gradients],
    "a convolution has none": first_zero,
    "all are slightly off": lambda gradients: [1.001 * gradient for gradient in gradients],
    "small entries are flushed": lambda gradients: [np.where(abs(g) < 0.3 * abs(g).max(), 0, g) for g in gradients],
    "not a number": lambda gradients: [np.full_like(gradients[0], np.nan), *gradients[1:]],
}


def check_these(gradients: list[np.ndarray], settings: Settings, monkeypatch) -> Result:
    monkeypatch.setattr(network, "gradients", lambda *_: [gradients, gradients])
    return network.check_gradients(settings)


def test_the_gradients_are_right(settings, monkeypatch, gradients):
    assert check_these(gradients, settings, monkeypatch).passed


@pytest.mark.parametrize("name", SPOILED_GRADIENTS)
def test_wrong_gradients_are_seen(settings, monkeypatch, gradients, name):
    assert not check_these(SPOILED_GRADIENTS[name](gradients), settings, monkeypatch).passed


@pytest.mark.parametrize("kind", [{"half": True}, {"tensor_float": True}])
def test_what_rounding_may_hide_is_little(tmp_path, monkeypatch, gradients, kind):
    """With the bounds of float16 and HF32, too, a gradient that is missing is seen."""
    settings = Settings("Ascend", 0, tmp_path, **kind)
    off = [1.05 * gradient for gradient in gradients]
    assert check_these(off, settings, monkeypatch).passed
    assert not check_these(first_zero(off), settings, monkeypatch).passed


def test_only_gradients_that_are_nothing_but_rounding_are_left_out():
    """By PyTorch's values: four tensors, five orders of magnitude below all others."""
    largest = np.sort(network.golden()["absmax"])
    assert (largest < network.VANISHING).sum() == 4
    assert largest[3] < 1e-8 < 1e-4 < largest[4]


# 5: overflow


class _Blind(FiniteByValue):
    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        return Tensor(True)


def test_an_overflow_is_counted_once_and_a_blind_check_is_seen(settings, monkeypatch):
    monkeypatch.setattr(network, "CLEAN_STEPS", 1)
    assert network.check_overflow(settings).passed
    monkeypatch.setattr("src.modules.train_warpper.create_overflow_check", _Blind)
    details = network.check_overflow(settings).details
    assert details["flagged then"] == 0
    assert details["weights changed"] > 100


# 6: data sink


class _Mean(nn.Cell):
    """A step whose loss is the mean of its images."""

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        return image.mean(), label


def test_the_training_loop_has_the_losses_of_its_steps(settings, monkeypatch):
    monkeypatch.setattr(speed, "BATCHES", 2)
    assert speed.check_sink(settings).passed


@pytest.mark.parametrize(
    ("change", "figure"),
    [(lambda data: data, 0.0), (lambda data: data[1:], np.inf), (lambda data: [*data[1:], data[0]], None)],
    ids=["right", "one is missing", "one is late"],
)
def test_a_loop_that_skips_a_step_is_seen(settings, monkeypatch, change, figure):
    original = speed.GeneratorDataset
    monkeypatch.setattr(speed, "train_cell", lambda _: _Mean())
    monkeypatch.setattr(speed, "GeneratorDataset", lambda data, *words, **more: original(change(data), *words, **more))
    result = speed.check_sink(settings)
    assert result.passed == (figure == 0.0)
    assert figure is None or result.figure == figure


def test_what_is_no_number_does_not_pass():
    assert not Result(float("nan"), 1.0, "", "").passed
    assert nearest_to_bound({"a": (float("nan"), 1.0), "b": (0.0, 1.0)}) == float("inf")
    assert nearest_to_bound({"a": (1.0, 4.0), "b": (1.0, 2.0)}) == 0.5
