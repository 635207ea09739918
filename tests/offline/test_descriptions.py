"""What exported models say of themselves: beside a MindIR or an ONNX, in an ONNX, or not at all."""

from __future__ import annotations

import json

import mindspore  # noqa: F401 - before onnx: MindSpore 2.8.0 ends a process that has loaded its protobuf
import onnx
import pytest

from src.base.errors import ConfigError
from src.offline import onnx_model
from src.offline.descriptions import read_description
from tests.offline.test_onnx_model import write

RECORD = {"input": "float32", "image_size": [4, 6], "num_classes": 3, "normalize": {"mean": [0.5]}}


def describe(path, **changes):
    path.write_text(json.dumps({**RECORD, **changes}), encoding="utf-8")


def test_a_mindir_is_described_beside_it_or_not_at_all(tmp_path):
    model = tmp_path / "model.mindir"
    assert read_description(model) is None
    describe(tmp_path / "model.json")
    found = read_description(model)
    assert (found.source, found.input, found.image_size) == (tmp_path / "model.json", "float32", (4, 6))
    assert (found.num_classes, found.normalize) == (3, {"mean": [0.5]})


def test_an_onnx_is_described_beside_it_in_it_or_by_its_graph(tmp_path, caplog):
    path = write(tmp_path / "model.onnx")
    found = read_description(path)
    assert (found.input, found.image_size, found.num_classes, found.normalize) == ("float32", (4, 6), 3, None)
    assert "model.onnx: states neither normalisation nor class names" in caplog.text
    model = onnx_model.load(path)
    onnx_model.set_metadata(model, RECORD)
    onnx.save(model, str(path))
    assert (read_description(path).source, read_description(path).normalize) == (path, {"mean": [0.5]})
    describe(tmp_path / "model.onnx.json", normalize={"mean": [0.25]})
    assert read_description(path).normalize == {"mean": [0.25]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": "uint8"}, "says input uint8, but .*model.onnx has float32: another model's description"),
        ({"image_size": [4, 8]}, r"says image_size \(4, 8\), but .*model.onnx has \(4, 6\)"),
        ({"num_classes": 19}, "says num_classes 19, but .*model.onnx has 3"),
        ({"image_size": None}, "model.onnx.json: is not the description that export.py writes beside a model"),
    ],
)
def test_another_model_s_description_is_refused(tmp_path, changes, message):
    path = write(tmp_path / "model.onnx")
    describe(tmp_path / "model.onnx.json", **changes)
    with pytest.raises(ConfigError, match=message):
        read_description(path)


def test_a_damaged_description_is_refused(tmp_path):
    (tmp_path / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="model.json: is not the description that export.py writes beside a model"):
        read_description(tmp_path / "model.mindir")
