"""Batch normalisation folded, and resizes as products, against PyTorch's logits of the network as it is."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.modules.base_modules import ConvBNReLU
from src.modules.bisenetv2 import BiSeNetV2, ContextEmbedding
from src.modules.folding import fold_batch_norm
from src.modules.inference_graph import InferenceGraph, NormalizeRGB, resize_by_products
from src.modules.tensor_ops import TrainableResize
from tests.dataset_helpers import MEAN, STD
from tests.golden_weights import load_seeded
from tests.modules.test_golden import assert_map, read


def seeded(**arguments: object) -> BiSeNetV2:
    network = BiSeNetV2(19, aux_heads=False, **arguments).set_train(False)
    load_seeded(network)
    return network


@pytest.mark.parametrize(("variant", "epsilon"), [("bilinear", 1e-3), ("nearest", 1e-5)])
@pytest.mark.parametrize(("depthwise_expand", "size"), [("grouped", (90, 120)), ("repeat", (128, 256))])
def test_logits_stay_those_of_pytorch(variant, epsilon, depthwise_expand, size):
    golden, image, _ = read(variant, size)
    network = seeded(inner_upsample=variant, bn_epsilon=epsilon, depthwise_expand=depthwise_expand)
    plain = sum(p.size for p in network.get_parameters())
    norms = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    assert fold_batch_norm(network) == len(norms) == 54
    assert not any(isinstance(cell, nn.BatchNorm2d) for _, cell in network.cells_and_names())
    assert resize_by_products(network) == 2  # in the aggregation, for both branches, and in the head
    assert not any(isinstance(cell, TrainableResize) for _, cell in network.cells_and_names())
    names = [p.name for p in network.get_parameters()]
    assert len(names) == len(set(names))
    # gamma, beta, mean and variance of each channel give way to one bias, except where a bias serves two of them
    channels = sum(cell.gamma.size for cell in norms)
    assert plain - sum(p.size for p in network.get_parameters()) == 3 * channels + 128
    assert_map(network(image), golden, "eval_logits", 1e-4)


def test_a_bias_in_front_of_the_normalisation_is_folded_too():
    block = ConvBNReLU(3, 4, norm=nn.BatchNorm2d)
    block.conv = nn.Conv2d(3, 4, 3, pad_mode="pad", padding=1, has_bias=True, bias_init="normal")
    rng = np.random.default_rng(0)
    for parameter in block.get_parameters():
        parameter.set_data(Tensor(rng.uniform(0.5, 2, parameter.shape), ms.float32))
    block.set_train(False)
    image = Tensor(rng.standard_normal((1, 3, 5, 6), dtype=np.float32))
    expected = block(image).asnumpy()

    parent = nn.SequentialCell([block]).set_train(False)
    assert fold_batch_norm(parent) == 1
    np.testing.assert_allclose(parent(image).asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_normalisation_without_a_convolution_beside_it_is_refused():
    with pytest.raises(ValueError, match=r"no convolution to fold into: 1$"):
        fold_batch_norm(nn.SequentialCell([nn.ReLU(), nn.BatchNorm2d(3)]))


def test_only_a_pointwise_convolution_takes_what_is_in_front_of_it():
    embedding = ContextEmbedding(8, nn.BatchNorm2d)
    embedding.conv_gap = ConvBNReLU(8, 8, kernel_size=3, norm=nn.BatchNorm2d)
    with pytest.raises(ValueError, match="pointwise"):
        fold_batch_norm(nn.SequentialCell([embedding]))


def test_normalisation_in_the_graph_equals_the_formula():
    picture = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    scaled = NormalizeRGB(MEAN, STD)(Tensor(picture)).asnumpy()
    expected = ((picture / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)
    plain = NormalizeRGB((100, 110, 120), (50, 60, 70), is_scale=False)(Tensor(picture)).asnumpy()
    expected = ((picture - (100.0, 110, 120)) / (50, 60, 70)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(plain, expected, rtol=1e-5, atol=1e-6)


def test_the_class_map_is_that_of_the_largest_logit():
    network = seeded()
    image = Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 64), dtype=np.float32))
    logits, classes = (InferenceGraph(network, output=output)(image).asnumpy() for output in ("logits", "argmax"))
    assert logits.shape == (2, 19, 32, 64)
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    with pytest.raises(ValueError, match="output must be one of argmax, logits"):
        InferenceGraph(network, output="softmax")
