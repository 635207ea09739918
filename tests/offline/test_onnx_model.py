"""ONNX files that can and cannot be used, and what they say of themselves. Needs no MindSpore."""

from __future__ import annotations

import subprocess
import sys

import mindspore  # noqa: F401 - before onnx: MindSpore 2.8.0 ends a process that has loaded its protobuf
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from src.base.errors import ConfigError
from src.offline import onnx_model
from src.offline.models import load_model
from src.offline.onnx_model import OnnxError, OnnxModel
from src.offline.tensors import ModelError
from tests.run_helpers import ROOT


def write(path, *, taken=(1, 3, 4, 6), given=(1, 3, 4, 6), operator="Relu", dtype=TensorProto.FLOAT, inputs=1, **more):
    """Write a model of one operator."""
    names = [f"in{number}" for number in range(inputs)]
    node = helper.make_node(operator, names, ["out"], **more)
    tensors = [helper.make_tensor_value_info(name, dtype, taken) for name in names]
    output = helper.make_tensor_value_info("out", dtype, given)
    graph = helper.make_graph([node], "graph", tensors, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    onnx.save(model, str(path))
    return path


def test_a_model_runs(tmp_path):
    model = load_model(write(tmp_path / "a.onnx"), num_threads=1)
    assert model.runtime.startswith("ONNX Runtime 1.")
    assert (model.input.shape, model.input.dtype) == ((1, 3, 4, 6), "float32")
    image = np.random.default_rng(0).standard_normal((1, 3, 4, 6), np.float32)
    np.testing.assert_array_equal(model(image), np.maximum(image, 0))
    assert model.session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"taken": (1, 3, "height", 6), "given": (1, 3, "height", 6)},
            r"shape \[1, 3, 'height', 6\]; export the model",
        ),
        ({"taken": (1, 3, None, 6), "given": (1, 3, None, 6)}, "at a fixed size"),
        ({"dtype": TensorProto.DOUBLE}, r"data type tensor\(double\)"),
        ({"operator": "Add", "inputs": 2}, "has 2 inputs, expected one; export it with export.py"),
        ({"taken": (1, 4, 4, 6), "given": (1, 4, 4, 6)}, "takes float32 1x4x4x6, not one image"),
        (
            {"operator": "GlobalAveragePool", "given": (1, 3, 1, 1)},
            r"takes 4x6 pixels \(height x width\) but returns 1x1",
        ),
        ({"operator": "Flatten", "given": (1, 72)}, "returns float32 1x72, neither a class map"),
        ({"operator": "Konv"}, "ONNX Runtime .* cannot load it: .*Konv.*; a newer one may have the operator"),
        ({"operator": "QuantizedRelu", "domain": "made.up"}, "ONNX Runtime .* cannot load it: .*made.up"),
    ],
)
def test_a_model_of_another_kind_is_one_line(tmp_path, change, message):
    with pytest.raises(ModelError, match=message) as caught:
        OnnxModel(write(tmp_path / "other.onnx", **change))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "other.onnx") in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("read", [OnnxModel, onnx_model.load])
def test_a_truncated_file_is_refused(tmp_path, share, read):
    path = write(tmp_path / "cut.onnx")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        OnnxError, match=r"cut\.onnx: (damaged or truncated|ONNX Runtime .* cannot load|the file is empty)"
    ):
        read(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(OnnxError, match=r"no such model: .*none\.onnx"):
        OnnxModel(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(OnnxError, match="cannot read the model .*: Is a directory"):
        OnnxModel(tmp_path / "folder.onnx")
    (tmp_path / "text.onnx").write_text("no model\n" * 50)
    with pytest.raises(OnnxError, match="is text, not an ONNX model"):
        OnnxModel(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match=r"model\.om: neither \.mindir nor \.onnx; export\.py writes them"):
        load_model(tmp_path / "model.om")


def test_a_wrong_input_is_one_line(tmp_path):
    model = OnnxModel(write(tmp_path / "a.onnx"))
    with pytest.raises(OnnxError, match="ONNX Runtime .* cannot run it: .*Got: 5 Expected: 4"):
        model(np.zeros((1, 3, 5, 6), np.float32))


def test_a_device_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match=r"a \.onnx does not run on Ascend; bash scripts/convert_to_lite\.sh"):
        OnnxModel(path, device_type="Ascend")
    with pytest.raises(ConfigError, match="this ONNX Runtime has no CUDA: python -m pip install onnxruntime-gpu"):
        OnnxModel(path, device_type="GPU")


def test_a_cuda_that_does_not_start_is_named(tmp_path, monkeypatch):
    """ONNX Runtime itself goes on with the CPU."""
    monkeypatch.setattr(onnx_model, "providers", lambda *_: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match="ONNX Runtime cannot use GPU 3 here; take device CPU"):
        OnnxModel(write(tmp_path / "a.onnx"), device_type="GPU", device_id=3)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="ONNX needs the package onnxruntime: python -m pip install -r"):
        OnnxModel(path)


def test_metadata_comes_back(tmp_path):
    path, record = write(tmp_path / "a.onnx"), {"input": "uint8", "image_size": [4, 6], "normalize": {"mean": [0.5]}}
    model = onnx_model.load(path)
    onnx_model.set_metadata(model, record)
    model.metadata_props.add(key="foreign", value="no JSON")
    onnx.save(model, str(path))
    assert onnx_model.metadata(onnx_model.load(path)) == record == OnnxModel(path).metadata()
    assert onnx_model.opset(model) == 11


def test_inference_needs_no_mindspore(tmp_path):
    path = write(tmp_path / "a.onnx")
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).standard_normal((1, 3, 4, 6), np.float32)
    image.tofile(tmp_path / "in" / "x.bin")
    words = ["--model_path", path, "--dataset_path", tmp_path / "in", "--result_path", tmp_path / "out", "--verbose"]
    code = "import sys; sys.modules['mindspore'] = None; from scripts.infer_model import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *map(str, words), "--device_type", "CPU", "--num_threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "runtime: ONNX Runtime 1." in done.stdout
    result = np.fromfile(tmp_path / "out" / "x_0.bin", np.float32)
    np.testing.assert_array_equal(result, np.maximum(image, 0).ravel())
