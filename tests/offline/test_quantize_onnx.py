"""Mistakes of whoever runs scripts/quantize_onnx.py: one line each, nothing left behind, nothing overwritten."""

from __future__ import annotations

import sys

import pytest

from scripts import quantize_onnx
from src.base.errors import UserError
from src.offline import descriptions, onnx_model
from tests.dataset_helpers import write_cityscapes
from tests.offline_helpers import SIZE
from tests.quantizing_helpers import copy, quantize, require_packages, write_model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    require_packages()
    return write_model(tmp_path_factory.mktemp("models") / "float32.onnx", taken="float32", output="logits")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"train": 1, "val": 1}, size=SIZE)


@pytest.fixture
def model(exported, tmp_path):
    return copy(exported, tmp_path)


def mistake(folder, *options):
    """Return the complaint about some options, after a check that nothing was left behind."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(UserError) as caught:
        quantize_onnx.main([str(option) for option in options])
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_that_is_none_gives_one_line(model, data, tmp_path):
    options = ["--data", data, "--images", 1]
    assert "no such model" in mistake(tmp_path, "--model", tmp_path / "n.onnx", *options)
    model.write_bytes(model.read_bytes()[:-100_000])
    assert "damaged or truncated" in mistake(tmp_path, "--model", model, *options)
    model.write_bytes(b"no model at all")
    assert "is text, not an ONNX model" in mistake(tmp_path, "--model", model, *options)


def test_another_model_gives_one_line(exported, model, data, tmp_path):
    options = ["--model", model, "--data", data, "--images", 1]
    generic = [*options, "--num_classes", 5, "data.name=generic", "data.map_label=null"]
    assert "num_classes is 5, but" in mistake(tmp_path, *generic)
    message = onnx_model.load(model)
    del message.metadata_props[:]
    model.write_bytes(message.SerializeToString())
    assert "lacks num_classes, input, normalize" in mistake(tmp_path, *options)
    copy(exported, tmp_path)
    mean = "data.eval_transforms.item_transforms.Normalize.mean=[0.5,0.5,0.5]"
    assert "Normalize is " in mistake(tmp_path, *options, mean)


def test_options_that_mean_nothing_give_one_line(model, data, tmp_path):
    assert "--model is missing" in mistake(tmp_path, "--data", data)
    options = ["--model", model, "--data", data]
    assert "--images 0: " in mistake(tmp_path, *options, "--images", 0)
    assert "must end in .onnx" in mistake(tmp_path, *options, "--output", tmp_path / "out.int8")
    assert "no such folder" in mistake(tmp_path, *options, "--output", tmp_path / "no" / "out.onnx")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no images of the train split" in mistake(tmp_path, "--model", model, "--data", empty)


def test_nothing_is_overwritten_and_nothing_quantized_twice(model, data, tmp_path, monkeypatch):
    result = quantize(model, data)
    again = ["--data", data, "--images", 1]
    assert "quantized already" in mistake(tmp_path, "--model", result, "--output", tmp_path / "n.onnx", *again)
    monkeypatch.setattr(onnx_model, "load", lambda path: pytest.fail("work before the check"))
    assert "is there already" in mistake(tmp_path, "--model", model, *again)
    result.unlink()
    assert "m_int8.onnx.json is there already" in mistake(tmp_path, "--model", model, *again)


def test_a_package_that_is_not_there_gives_one_line(model, data, tmp_path, monkeypatch):
    for name in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            complaint = mistake(tmp_path, "--model", model, "--data", data)
        assert complaint == f"ONNX needs the package {name}: {onnx_model.INSTALL}"


def test_a_model_that_cannot_be_written_leaves_no_description(model, data, tmp_path, monkeypatch):
    original = descriptions.write_whole

    def write(path, data_, what=""):
        if path.suffix == ".onnx":
            raise UserError("disk full")
        original(path, data_, what)

    monkeypatch.setattr(descriptions, "write_whole", write)
    with pytest.raises(UserError, match="disk full"):
        quantize(model, data)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
