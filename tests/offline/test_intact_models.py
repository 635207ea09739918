"""An exported model is the file that its description was written for."""

from __future__ import annotations

import hashlib
import json

import pytest

from scripts import infer_model
from src.base.errors import ConfigError
from src.offline.descriptions import description_path, publish, read_description, require_intact
from src.offline.tensors import ModelError

RECORD = {"input": "float32", "image_size": [4, 6], "num_classes": 3, "normalize": None, "class_names": ["a", "b", "c"]}
pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", ["model.mindir", "model.onnx"])
def test_a_flipped_bit_is_found_by_whoever_loads_it(tmp_path, name):
    model, data = tmp_path / name, bytes(range(256)) * 9
    publish(data, model, RECORD)
    assert json.loads(description_path(model).read_text(encoding="utf-8"))["sha256"] == hashlib.sha256(data).hexdigest()
    require_intact(model)
    model.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    message = f"{name}: damaged, or not the model that .*{description_path(model).name} describes: copy or export it"
    for load in (read_description, lambda path: infer_model.main(["--model_path", str(path), "--dataset_path", "."])):
        with pytest.raises(ModelError, match=message):
            load(model)


def test_without_a_checksum_or_a_description_nothing_is_compared(tmp_path):
    model = tmp_path / "model.mindir"
    model.write_bytes(b"model")
    require_intact(model)
    description_path(model).write_text(json.dumps(RECORD), encoding="utf-8")
    assert read_description(model).class_names == ("a", "b", "c")
    description_path(model).write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="model.json: is not the description"):
        require_intact(model)
