"""8 bits for the convolutions of an exported .onnx: the graph, the calibration, the scores and the description."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json

import numpy as np
import pytest

from src.config.schema_base import QUANTIZE
from src.data.eval_samples import EvalSamples
from src.offline import onnx_graph, onnx_model, quantizing
from src.offline.onnx_model import OnnxModel
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes
from tests.offline_helpers import SIZE
from tests.quantizing_helpers import copy, quantize, require_packages, write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Write a model for uint8 input with class maps and one for float32 with logits."""
    require_packages()
    folder = tmp_path_factory.mktemp("models")
    for taken, output in (("uint8", "argmax"), ("float32", "logits")):
        write_model(folder / f"{taken}.onnx", taken=taken, output=output)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"train": 5, "val": 2}, size=SIZE)


@pytest.fixture
def model(models, tmp_path):
    """Return a copy of the model for uint8 input in a folder of its own."""
    return copy(models / "uint8.onnx", tmp_path)


@pytest.fixture(scope="module")
def quantized(models, data, tmp_path_factory):
    """Quantize the model for uint8 input once, weights with 8 bits on any CPU; return the file and what was printed."""
    path = copy(models / "uint8.onnx", tmp_path_factory.mktemp("quantized"))
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr(quantizing, "needs_reduced_range", lambda: False)
        return quantize(path, data, "--num_threads", 1), output


def test_convolutions_alone_have_8_bits_with_a_scale_for_each_channel(quantized):
    message = onnx_model.load(quantized[0])
    nodes = {node.output[0]: node for node in message.graph.node}
    dims = {tensor.name: list(tensor.dims) for tensor in message.graph.initializer}
    convolutions = [node for node in message.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 57
    for node in convolutions:
        image, weight = (nodes[name] for name in node.input[:2])
        assert (image.op_type, weight.op_type) == 2 * ("DequantizeLinear",)
        assert dims[image.input[1]] == []  # one scale for all
        assert dims[weight.input[1]] == [dims[weight.input[0]][0]]
    left = {node.op_type for node in onnx_graph.nodes_in_float(message)}
    assert "Conv" not in left
    assert {"MatMul", "ArgMax", "Sigmoid", "ReduceMean", "BatchNormalization"} <= left


def test_the_graph_is_rewritten_without_another_result(models):
    pictures = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    for taken, output in (("uint8", "uint8"), ("float32", "float32")):
        path = models / f"{taken}.onnx"
        before, message = OnnxModel(path, num_threads=1), onnx_model.load(path)
        onnx_graph.prepare(message, quantizing.OPSET)
        after_path = models / f"{output}_prepared.onnx"
        after_path.write_bytes(message.SerializeToString())
        groups = [a.i for n in message.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "group"]
        assert max(groups) == 768  # 6 * 128 channels: repeated, then depthwise
        image = pictures if taken == "uint8" else (pictures / 255).transpose(0, 3, 1, 2).astype(np.float32)
        old, new = before(image), OnnxModel(after_path, num_threads=1)(image)
        if taken == "uint8":
            assert (old != new).mean() < 1e-3  # of the class map; ties alone
        else:
            np.testing.assert_allclose(new, old, atol=1e-5 * np.abs(old).max())


def evaluation_samples(data, *, split="val", normalized=False):
    size = f"data.eval_transforms.item_transforms.Resize.target_size={list(SIZE)}"
    config = parse_config([f"data.dataset_dir={data}", size], QUANTIZE)
    return list(EvalSamples(config.data, num_classes=19, split=split, normalized=normalized).read_ahead())


@pytest.mark.parametrize("all_operators", [False, True])
def test_the_class_map_is_nearly_that_of_the_float_model(models, quantized, data, tmp_path, all_operators):
    model = copy(models / "uint8.onnx", tmp_path)
    result = quantize(model, data, "--all_operators", True) if all_operators else quantized[0]
    pictures = [sample.image[None] for sample in evaluation_samples(data)]
    before, after = (np.array([run(picture) for picture in pictures]) for run in (OnnxModel(model), OnnxModel(result)))
    # Seeded weights choose two classes here, by narrow margins: of each nearly all pixels stay: 0.94 and more.
    for number in np.unique(before):
        assert (after[before == number] == number).mean() > 0.75


def test_logits_are_nearly_those_of_the_float_model(models, data, tmp_path):
    model = copy(models / "float32.onnx", tmp_path)
    result = quantize(model, data)
    images = [sample.image[None] for sample in evaluation_samples(data, normalized=True)]
    before, after = (np.array([run(image)[0] for image in images]) for run in (OnnxModel(model), OnnxModel(result)))
    varying = before - before.mean(axis=(0, 2, 3), keepdims=True)
    # One step of 255 is 0.4 % of a tensor's range; after 57 convolutions it is 5 % of what varies.
    assert np.square(after - before).mean() < 0.1**2 * np.square(varying).mean()


def test_calibration_sees_training_pictures_as_the_evaluation_would(models, data, tmp_path, monkeypatch):
    tools, seen = onnx_model.import_extra("onnxruntime.quantization"), []
    original = tools.quantize_static

    def spy(source, target, reader, **options):
        images = list(iter(reader.get_next, None))
        seen.append([image["image"] for image in images])
        again = iter([*images, None])
        monkeypatch.setattr(reader, "get_next", lambda: next(again))
        return original(source, target, reader, **options)

    monkeypatch.setattr(tools, "quantize_static", spy)
    for taken in ("uint8", "float32"):
        quantize(copy(models / f"{taken}.onnx", tmp_path), data)
        (tmp_path / "m_int8.onnx").unlink()
        (tmp_path / "m_int8.onnx.json").unlink()
        expected = evaluation_samples(data, split="train", normalized=taken == "float32")
        images = seen.pop()
        assert len(images) == 3
        for image, index in zip(images, (0, 2, 4)):  # the first, the middle and the last of five
            np.testing.assert_array_equal(image[0], expected[index].image)
            assert image.dtype == taken


def test_pictures_are_spread_evenly():
    assert quantizing.spread(160, 20)[:3] == [0, 8, 17]
    assert (len(quantizing.spread(160, 20)), quantizing.spread(160, 20)[-1]) == (20, 159)
    assert quantizing.spread(3, 20) == [0, 1, 2]
    assert quantizing.spread(7, 1) == [0]


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "fpu avx2 avx512f avx512_vnni", False),
        ("AMD64", "fpu avx2 avx_vnni", False),
        ("x86_64", "fpu avx2 avx512f", True),
        ("x86_64", None, True),  # a CPU that does not tell
        ("aarch64", "asimd asimddp", False),
    ],
)
def test_a_cpu_without_vnni_is_told_from_its_flags(monkeypatch, tmp_path, machine, flags, expected):
    path = tmp_path / "cpuinfo"
    if flags:
        path.write_text(f"model name : some CPU\nflags\t\t: {flags}\n", encoding="utf-8")
    monkeypatch.setattr(quantizing.platform, "machine", lambda: machine)
    assert quantizing.needs_reduced_range(path) is expected


def largest_weight(path):
    message = onnx_model.load(path)
    nodes = {node.output[0]: node for node in message.graph.node}
    arrays = {t.name: onnx_model.import_extra("onnx").numpy_helper.to_array(t) for t in message.graph.initializer}
    weights = [nodes[node.input[1]].input[0] for node in message.graph.node if node.op_type == "Conv"]
    return max(int(np.abs(arrays[name].astype(int)).max()) for name in weights)


def test_without_vnni_weights_have_7_bits_and_that_is_said(model, quantized, data, monkeypatch, caplog):
    monkeypatch.setattr(quantizing, "needs_reduced_range", lambda: True)
    with caplog.at_level("INFO"):
        result = quantize(model, data)
    assert "no VNNI here: weights have 7 bits" in caplog.text
    assert quantization(result)["reduce_range"] is True
    assert largest_weight(result) == 64
    assert quantization(quantized[0])["reduce_range"] is False
    assert largest_weight(quantized[0]) == 127


def quantization(path):
    return json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))["quantization"]


def test_the_description_is_kept_and_says_what_was_done(models, quantized):
    (result, output), model = quantized, models / "uint8.onnx"
    beside = json.loads(result.with_name("m_int8.onnx.json").read_text(encoding="utf-8"))
    inside = onnx_model.metadata(onnx_model.load(result))
    assert (beside.pop("file"), beside.pop("bytes")) == (result.name, result.stat().st_size)
    assert beside.pop("sha256") == hashlib.sha256(result.read_bytes()).hexdigest()
    assert inside == beside
    done = inside.pop("quantization")
    assert inside == onnx_model.metadata(onnx_model.load(model))
    assert (done["images"], done["operators"], done["per_channel"]) == (3, "Conv", True)
    assert done["onnxruntime"] == onnx_model.import_extra("onnxruntime").__version__
    lines = output.getvalue().splitlines()
    lines = lines[[line.split()[0] for line in lines].index("mIoU") :]  # log lines stand before it
    for line, name in zip(lines[1:3], ("float", "int8")):
        assert line.split()[:2] == [name, f"{done[f'miou_{name}']:.4f}"]
    assert result.stat().st_size < 0.4 * model.stat().st_size
    assert lines[4].startswith("in float: ")


def test_a_score_is_that_of_the_class_map_at_the_labels_size(data, models):
    samples = EvalSamples(parse_config([f"data.dataset_dir={data}"], QUANTIZE).data, num_classes=19, normalized=False)

    class Perfect:
        """Returns the labels, magnified as the pictures are."""

        path = models / "uint8.onnx"
        calls = -quantizing.WARMUP

        def __call__(self, image):
            label = samples[max(0, self.calls)].label
            self.calls += 1
            shown = np.full(image.shape[1:3], 0, np.int32)
            factor = min(image.shape[1] // label.shape[0], image.shape[2] // label.shape[1])
            fitted = label.repeat(factor, axis=0).repeat(factor, axis=1)
            shown[: fitted.shape[0], : fitted.shape[1]] = fitted
            return np.where(shown == 255, 0, shown)[None]

    config = parse_config([f"data.dataset_dir={data}"], QUANTIZE)
    assert quantizing.evaluate({"float": Perfect()}, samples, config)["float"].miou == 1.0
