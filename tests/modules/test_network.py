"""The network's contract: sizes, names, parameters, initial weights, variants."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules.base_modules import (
    AvgPoolPadded,
    MaxPoolPadded,
    MultiScaleInfer,
    RepeatedDepthwiseConv,
    conv2d,
    inference_size,
    resize,
    to_mixed_precision,
)
from src.modules.bisenetv2 import BiSeNetV2
from tests.golden_weights import load_seeded


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape), ms.float32)


def count(network: nn.Cell) -> int:
    return sum(int(np.prod(p.shape)) for p in network.trainable_params())


def test_number_of_parameters():
    assert count(BiSeNetV2(19)) == 5_231_487
    assert count(BiSeNetV2(19, aux_heads=False)) == 3_358_627


def test_names_are_those_of_the_public_weights():
    names = {p.name: p.shape for p in BiSeNetV2(19).get_parameters()}
    expected = {
        "detail.S1.0.conv.weight": (64, 3, 3, 3),
        "detail.S3.2.bn.moving_variance": (128,),
        "segment.S1S2.left.1.conv.weight": (16, 8, 3, 3),
        "segment.S3.0.dwconv1.0.weight": (96, 1, 3, 3),
        "segment.S3.0.shortcut.3.gamma": (32,),
        "segment.S5_4.3.dwconv.1.beta": (768,),
        "segment.S5_5.conv_gap.conv.weight": (128, 128, 1, 1),
        "bga.left1.2.weight": (128, 128, 1, 1),
        "bga.conv.1.moving_mean": (128,),
        "head.conv_out.1.weight": (19, 1024, 1, 1),
        "aux2.conv_out.0.1.conv.weight": (16, 128, 3, 3),
        "aux5_4.conv_out.1.bias": (19,),
    }
    assert {name: names.get(name) for name in expected} == expected
    assert len(names) == 321


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (75, 100)])
def test_logits_have_the_size_of_the_input(size):
    network = BiSeNetV2(7, aux_heads=False)
    network.set_train(False)
    assert network(random_tensor(1, 3, *size)).shape == (1, 7, *size)


def test_auxiliary_heads_serve_training_only():
    network = BiSeNetV2(5)
    image = random_tensor(2, 3, 40, 56)
    network.set_train(True)
    assert [logits.shape for logits in network(image)] == [(2, 5, 40, 56)] * 5
    network.set_train(False)
    assert network(image).shape == (2, 5, 40, 56)
    without = BiSeNetV2(5, aux_heads=False)
    without.set_train(True)
    assert without(image).shape == (2, 5, 40, 56)


def test_initial_weights():
    network = BiSeNetV2(19, seed=3)
    values = {p.name: p.asnumpy() for p in network.get_parameters()}
    for head in ("head", "aux2", "aux3", "aux4", "aux5_4"):
        classifier = values[f"{head}.conv_out.1.weight"]
        assert abs(classifier.std() / 0.01 - 1) < 0.15
        assert not values[f"{head}.conv_out.1.bias"].any()
    # Kaiming, fan-out as PyTorch counts it: deviation sqrt(2 / (out_channels * 9))
    assert abs(values["detail.S3.2.conv.weight"].std() / np.sqrt(2 / (128 * 9)) - 1) < 0.02
    assert abs(values["segment.S5_4.1.dwconv.0.weight"].std() / np.sqrt(2 / (768 * 9)) - 1) < 0.05
    assert abs(values["head.conv.conv.weight"].std() / np.sqrt(2 / (1024 * 9)) - 1) < 0.02
    zero_scales = sorted(name for name, value in values.items() if name.endswith("gamma") and not value.any())
    stages = ("S3.0", "S3.1", "S4.0", "S4.1", "S5_4.0", "S5_4.1", "S5_4.2", "S5_4.3")
    assert zero_scales == [f"segment.{stage}.conv2.1.gamma" for stage in stages]
    assert all((value == 1).all() for name, value in values.items() if name.endswith("gamma") and value.any())
    again = {p.name: p.asnumpy() for p in BiSeNetV2(19, seed=3).get_parameters()}
    other = {p.name: p.asnumpy() for p in BiSeNetV2(19, seed=4).get_parameters()}
    assert all(np.array_equal(values[name], again[name]) for name in values)
    assert not np.array_equal(values["detail.S1.0.conv.weight"], other["detail.S1.0.conv.weight"])


def test_padded_pools_by_hand():
    x = np.random.default_rng(0).random((1, 2, 5, 6)).astype(np.float32)  # non-negative, as behind a ReLU
    padded = np.zeros((1, 2, 7, 8), np.float32)
    padded[:, :, 1:-1, 1:-1] = x
    windows = [[padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(3)] for i in range(3)]
    largest = np.stack([np.stack([w.max((2, 3)) for w in row], -1) for row in windows], -2)
    mean = np.stack([np.stack([w.sum((2, 3)) / 9 for w in row], -1) for row in windows], -2)
    np.testing.assert_array_equal(MaxPoolPadded()(Tensor(x)).asnumpy(), largest)
    np.testing.assert_allclose(AvgPoolPadded(2)(Tensor(x)).asnumpy(), mean, rtol=1e-6)


def test_bilinear_resize_has_half_pixel_centres():
    x = np.array([[0.0, 10.0, 20.0]], np.float32).reshape(1, 1, 1, 3)
    resized = resize(Tensor(x), (1, 6)).asnumpy().ravel()
    # output centre (i + 0.5) / 2 - 0.5 in input pixels, clamped at the border
    np.testing.assert_allclose(resized, [0, 2.5, 7.5, 12.5, 17.5, 20], atol=1e-5)


class SumOfSquares(nn.Cell):
    """A scalar to differentiate."""

    def __init__(self, conv: nn.Cell) -> None:
        super().__init__()
        self.conv = conv

    def construct(self, x: Tensor) -> Tensor:
        return ops.reduce_sum(self.conv(x) ** 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_repeated_depthwise_convolution_equals_the_grouped_one(stride):
    grouped, repeated = conv2d(4, 24, 3, stride=stride, group=4), RepeatedDepthwiseConv(4, 6, stride=stride)
    assert grouped.weight.shape == repeated.weight.shape
    repeated.weight.set_data(grouped.weight.value())
    x = random_tensor(2, 4, 9, 10)
    np.testing.assert_allclose(grouped(x).asnumpy(), repeated(x).asnumpy(), rtol=1e-5, atol=1e-5)
    gradients = []
    for conv in (grouped, repeated):
        wrt_input_and_weight = ops.GradOperation(get_all=True, get_by_list=True)
        inputs, weights = wrt_input_and_weight(SumOfSquares(conv), ms.ParameterTuple([conv.weight]))(x)
        gradients.append((inputs[0].asnumpy(), weights[0].asnumpy()))
    for one, other in zip(*gradients):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(one).max())


def test_depthwise_expand_repeat_gives_the_same_logits():
    image = random_tensor(1, 3, 64, 96)
    results = []
    for mode in ("grouped", "repeat"):
        network = BiSeNetV2(19, aux_heads=False, depthwise_expand=mode)
        load_seeded(network)
        network.set_train(False)
        results.append(network(image).asnumpy())
    np.testing.assert_allclose(results[0], results[1], atol=1e-5 * np.abs(results[0]).max())


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_expand_repeat_has_the_same_gradients(stride):
    image, weight = random_tensor(2, 4, 9, 8), random_tensor(24, 1, 3, 3)
    found = []
    for make in (
        lambda: conv2d(4, 24, 3, stride=stride, group=4),
        lambda: RepeatedDepthwiseConv(4, 6, stride=stride),
    ):
        cell = make()
        cell.weight.set_data(weight)
        cotangent = Tensor(np.random.default_rng(1).standard_normal(cell(image).shape), ms.float32)
        gradients = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)
        of_inputs, of_weights = gradients(cell, ms.ParameterTuple([cell.weight]))(image, cotangent)
        found.append([of_inputs[0].asnumpy(), of_weights[0].asnumpy()])
    for grouped, repeated in zip(*found):
        assert np.abs(grouped).max() > 1
        np.testing.assert_allclose(repeated, grouped, atol=1e-5 * np.abs(grouped).max())


def test_pointwise_bias_is_an_option():
    plain = {p.name for p in BiSeNetV2(19, aux_heads=False).get_parameters()}
    biased = {p.name for p in BiSeNetV2(19, aux_heads=False, bga_pointwise_bias=True).get_parameters()}
    assert biased - plain == {"bga.left1.2.bias", "bga.right2.2.bias"}


def test_frozen_batch_normalisation_keeps_its_statistics():
    image = random_tensor(2, 3, 32, 32)
    changed = {}
    for freeze in (True, False):
        network = BiSeNetV2(3, freeze_bn=freeze)
        before = {p.name: p.asnumpy().copy() for p in network.get_parameters() if "moving_variance" in p.name}
        network.set_train(True)
        network(image)
        after = {p.name: p.asnumpy() for p in network.get_parameters() if "moving_variance" in p.name}
        changed[freeze] = sum(not np.array_equal(before[name], after[name]) for name in before)
    assert changed[True] == 0
    assert changed[False] == len(before)


def test_dropout_acts_in_training_only():
    image = random_tensor(2, 3, 32, 32)
    network = BiSeNetV2(3, dropout=0.5)
    network.set_train(False)
    np.testing.assert_array_equal(network(image).asnumpy(), network(image).asnumpy())
    network.set_train(True)
    assert not np.array_equal(network(image)[0].asnumpy(), network(image)[0].asnumpy())


def test_mixed_precision_computes_convolutions_in_float16_only():
    network = BiSeNetV2(19, aux_heads=False)
    load_seeded(network)
    network.set_train(False)
    image = random_tensor(1, 3, 64, 96)
    exact = network(image).asnumpy()
    mixed = BiSeNetV2(19, aux_heads=False)
    load_seeded(mixed)
    to_mixed_precision(mixed)
    mixed.set_train(False)
    logits = mixed(image)
    assert logits.dtype == ms.float32
    assert mixed.detail.S1[0].conv(image).dtype == ms.float16
    assert mixed.detail.S1[0].bn(random_tensor(1, 64, 8, 8)).dtype == ms.float32
    error = np.abs(logits.asnumpy() - exact).max() / np.abs(exact).max()
    assert 0 < error < 0.02  # float16 has 11 bits: 0.0005 an operation


def test_inference_size():
    assert inference_size((1024, 2048), 0.75) == (768, 1536)
    assert inference_size((360, 480), 1.25) == (450, 600)
    assert inference_size((33, 47), 0.5) == (32, 32)


class PixelScores(nn.Cell):
    """A stand-in for the network whose logits are functions of the pixel alone."""

    def construct(self, image: Tensor) -> Tensor:
        return ops.concat((image, image[:, :1] * -1.5), axis=1)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def scores(image: np.ndarray) -> np.ndarray:
    return np.concatenate((image, image[:, :1] * -1.5), axis=1)


def bilinear(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (N, C, H, W) by the half-pixel formula, one axis after the other."""
    for axis, new in ((2, size[0]), (3, size[1])):
        old = x.shape[axis]
        centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(centre).astype(int)
        high = np.minimum(low + 1, old - 1)
        part = (centre - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = x.take(low, axis) * (1 - part) + x.take(high, axis) * part
    return x


def test_multi_scale_inference_by_hand():
    image = np.random.default_rng(1).standard_normal((2, 3, 40, 50))
    expected = 0
    for ratio in (1.0, 1.5):
        scaled = bilinear(image, (round(40 * ratio), round(50 * ratio)))
        expected = expected + softmax(bilinear(scores(scaled), (40, 50)))
        mirrored = softmax(bilinear(scores(scaled[..., ::-1]), (40, 50)))
        expected = expected + mirrored[..., ::-1]
    infer = MultiScaleInfer(PixelScores(), (1.0, 1.5), flip=True)
    actual = infer(Tensor(image, ms.float32))
    assert actual.dtype == ms.int32
    # ties apart, which rounding may break either way
    first, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
    clear = first - second > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(actual.asnumpy()[clear], expected.argmax(1)[clear])


def test_a_graph_a_scale_serves_both_mirror_images():
    """In graph mode; a second picture of that size compiles nothing more."""
    ms.set_context(mode=ms.GRAPH_MODE)
    infer = MultiScaleInfer(PixelScores(), (1.0, 1.5, 0.5), flip=True)
    for seed in (1, 2):
        image = np.random.default_rng(seed).standard_normal((1, 3, 40, 50)).astype(np.float32)
        infer(Tensor(image))
        assert len(infer.add_probabilities.compile_cache) == 3
        assert len(infer.compile_cache) == 0  # no graph with the network once for every scale and mirror image


def test_flip_and_scales_matter():
    network = BiSeNetV2(19, aux_heads=False)
    load_seeded(network)
    image = random_tensor(1, 3, 64, 64)
    results = [
        MultiScaleInfer(network, ratios, flip)(image).asnumpy()
        for ratios, flip in (((1.0,), False), ((1.0,), True), ((0.5, 1.0), False))
    ]
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
