"""Manifests, descriptions and origins that say something of the wrong type, and ONNX files whose names are no text."""

from __future__ import annotations

import json

import mindspore  # noqa: F401 - before onnx: MindSpore 2.8.0 ends a process that has loaded its protobuf
import numpy as np
import onnx
import pytest

import preprocess
from src.base.errors import CheckpointError, ConfigError, DataError
from src.offline import onnx_model, quantizing
from src.offline.descriptions import read_description
from src.offline.manifest import read_manifest
from src.offline.onnx_model import OnnxError, OnnxModel
from src.state.checkpoint_origin import ORIGIN, pop_origin
from tests.offline.test_onnx_model import write

MANIFEST = {
    "input": "uint8",
    "image_size": [4, 6],
    "num_classes": 2,
    "ignore_label": 255,
    "class_names": ["a", "b"],
    "palette": [[0, 1, 2], [3, 4, 255]],
    "stems": ["x", "y"],
    "complete": True,
    "version": 1,
    "samples": [
        {"stem": "x", "image": "/x.png", "fitted": [4, 5], "label_size": [8, 10]},
        {"stem": "y", "image": "/y.png", "fitted": [4, 6], "label_size": [9, 9]},
    ],
}
NORMALIZE = {"mean": [0.3, 0.4, 0.5], "std": [0.2, 0.2, 0.2], "is_scale": True, "norm_type": "mean_std"}
DESCRIPTION = {
    "input": "float32",
    "image_size": [4, 6],
    "num_classes": 3,
    "normalize": NORMALIZE,
    "class_names": ["a", "b", "c"],
}


def manifest_problem(folder, values):
    (folder / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json: ") as caught:
        read_manifest(folder)
    assert "run preprocess.py again" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.once
def test_a_manifest_is_read_with_its_types(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    found = read_manifest(tmp_path)
    assert (found.image_size, found.palette, found.complete) == ((4, 6), ((0, 1, 2), (3, 4, 255)), True)
    assert [(s.stem, s.image, s.fitted, s.label_size) for s in found.samples] == [
        ("x", "/x.png", (4, 5), (8, 10)),
        ("y", "/y.png", (4, 6), (9, 9)),
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": ["a", 6]}, "image_size[0]: expected a whole number, got 'a'"),
        ({"image_size": [-4, 6]}, "image_size is not positive"),
        ({"input": "float16"}, "input is neither float32 nor uint8"),
        ({"num_classes": None}, "num_classes: expected a whole number, got None"),
        ({"num_classes": 0, "class_names": [], "palette": []}, "expected 1 <= num_classes <= ignore_label <= 255"),
        ({"ignore_label": 1}, "expected 1 <= num_classes <= ignore_label <= 255"),
        ({"ignore_label": 256}, "expected 1 <= num_classes <= ignore_label <= 255"),
        ({"class_names": ["a"]}, "not a name and a colour for each class"),
        ({"class_names": [1, 2]}, "class_names[0]: expected text, got 1"),
        ({"palette": []}, "not a name and a colour for each class"),
        ({"palette": [[0, 0, 0], [0, -1, 0]]}, "colours are not 0..255"),
        ({"complete": "no"}, "complete: expected true or false, got 'no'"),
        ({"stems": {"x": 1}}, "stems: expected a list, got {'x': 1}"),
        ({"stems": ["x", "../y"]}, "a stem is a path"),
        ({"samples": []}, "samples are not those of stems"),
        ({"samples": MANIFEST["samples"] + MANIFEST["samples"][:1]}, "samples are not those of stems"),
        ({"version": 2}, "version 2, expected 1"),
        ({"version": []}, "version [], expected 1"),
    ],
)
def test_a_manifest_of_wrong_values_is_one_line(tmp_path, change, message):
    assert message in manifest_problem(tmp_path, {**MANIFEST, **change})


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fitted": [5, 6]}, "a picture's fitted is not within image_size"),
        ({"fitted": [0, 6]}, "a picture's fitted is not within image_size"),
        ({"fitted": [4]}, "samples[0].fitted: expected 2 values, got [4]"),
        ({"label_size": "ab"}, "samples[0].label_size: expected a list, got 'ab'"),
        ({"label_size": [0, 0]}, "a label_size is not positive"),
        ({"image": 5}, "samples[0].image: expected text, got 5"),
        ({"image": "a\0b"}, "a stem or image is not a file name"),
    ],
)
def test_a_sample_of_wrong_values_is_one_line(tmp_path, change, message):
    samples = [{**MANIFEST["samples"][0], **change}, MANIFEST["samples"][1]]
    assert message in manifest_problem(tmp_path, {**MANIFEST, "samples": samples})


@pytest.mark.once
@pytest.mark.parametrize("text", ["[1]", "null", '"manifest"', "1" * 5000, '\ufeff{"version": 1}'])
def test_other_json_is_no_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json: damaged; run preprocess\.py again"):
        read_manifest(tmp_path)


WRONG = [
    ({"input": ["float32"]}, r"input: expected text, got \['float32'\]"),
    ({"input": "int4"}, "input: expected float32 or uint8, got 'int4'"),
    ({"image_size": {"a": 1}}, "image_size: expected a list, got {'a': 1}"),
    ({"image_size": [0, 6]}, "image_size and num_classes: expected numbers above 0"),
    ({"num_classes": "3"}, "num_classes: expected a whole number, got '3'"),
    ({"num_classes": -3, "class_names": None}, "image_size and num_classes: expected numbers above 0"),
    ({"class_names": [[1], {}, None]}, r"class_names\[0\]: expected text, got \[1\]"),
    ({"class_names": "abc"}, "class_names: expected a list, got 'abc'"),
    ({"class_names": ["a"]}, "class_names: 1 of 3 classes"),
    ({"normalize": "x"}, "normalize: expected keys and values, got 'x'"),
    ({"normalize": {**NORMALIZE, "std": ["a", "b", "c"]}}, r"normalize.std\[0\]: expected a finite number, got 'a'"),
    ({"normalize": {**NORMALIZE, "std": [0.2, 0, 0.2]}}, "normalize.std: expected numbers above 0"),
    ({"normalize": {**NORMALIZE, "mean": 5}}, "normalize.mean: expected a list, got 5"),
    ({"normalize": {**NORMALIZE, "is_scale": "no"}}, "normalize.is_scale: expected true or false, got 'no'"),
]


@pytest.mark.once
@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_description_of_wrong_values_is_one_line(tmp_path, change, message):
    (tmp_path / "m.json").write_text(json.dumps({**DESCRIPTION, **change}), encoding="utf-8")
    whole = (
        rf"m\.json: is not the description that export.py writes beside a model \({message}\); export the model again$"
    )
    with pytest.raises(ConfigError, match=whole):
        read_description(tmp_path / "m.mindir")


def test_metadata_of_wrong_values_are_one_line(tmp_path):
    path = write(tmp_path / "m.onnx")
    for change, message in WRONG:
        model = onnx_model.load(path)
        onnx_model.set_metadata(model, {**DESCRIPTION, **change})
        onnx.save(model, str(path))
        for read in (lambda: read_description(path), lambda: quantizing.description(onnx_model.load(path), path)):
            with pytest.raises(ConfigError, match=rf"m\.onnx: its metadata are not .* \({message}\)"):
                read()


@pytest.mark.once
@pytest.mark.parametrize(
    "change",
    [{"net": 5}, {"variant": [1]}, {"num_classes": "3"}, {"class_names": [1]}, {"normalize": {**NORMALIZE, "std": 1}}],
)
def test_an_origin_of_wrong_values_is_one_line(change):
    record = {"net": "bisenetv2", "num_classes": 3, "class_names": ["a", "b", "c"], "normalize": NORMALIZE}
    for values in (record, {**record, **change}):
        entry = {ORIGIN: np.frombuffer(json.dumps(values).encode(), np.uint8)}
        if values is record:
            assert pop_origin(entry, "w.ckpt").class_names == ("a", "b", "c")
        else:
            with pytest.raises(CheckpointError, match=r"w\.ckpt: damaged: .* holds no description of a training"):
                pop_origin(entry, "w.ckpt")


@pytest.mark.parametrize("name", [b"Relu", b"in0", b"out"])
@pytest.mark.parametrize("read", [OnnxModel, onnx_model.load])
def test_names_that_are_no_text_are_one_line(tmp_path, capfd, name, read):
    path = write(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(name, b"\xff\xfe" + name[2:]))
    with pytest.raises(OnnxError, match=r"m\.onnx: damaged: holds names that are not UTF-8; copy or export it again"):
        read(path)
    assert capfd.readouterr() == ("", "")


def test_a_graph_without_a_version_of_its_operators_is_one_line(tmp_path):
    path = write(tmp_path / "m.onnx")
    model = onnx.load(str(path))
    model.opset_import[0].domain = "com.microsoft"
    onnx.save(model, str(path))
    with pytest.raises(OnnxError, match=r"m\.onnx: damaged: names no version of ONNX's own operators"):
        onnx_model.load(path)


def test_a_graph_that_cannot_be_inferred_is_one_line(tmp_path):
    model = onnx_model.load(write(tmp_path / "m.onnx", operator="Konv"))
    with pytest.raises(OnnxError, match="m.onnx: onnx cannot convert it: .+; export it again with export.py"):
        quantizing.onnx_graph.prepare(model, quantizing.OPSET, tmp_path / "m.onnx")


@pytest.mark.once
@pytest.mark.parametrize(
    ("size", "message"),
    [([3, 64], "must be at least 32, got"), ([10**9, 10**9], "must have at most 200000000 pixels, got 1000000000x1")],
)
def test_a_size_that_nothing_has_is_one_line(tmp_path, size, message):
    """Of a MindIR: an ONNX tells its own size."""
    (tmp_path / "m.json").write_text(json.dumps({**DESCRIPTION, "image_size": size}), encoding="utf-8")
    own = [f"data.eval_transforms.item_transforms.Normalize.{name}={NORMALIZE[name]}" for name in ("mean", "std")]
    options = ["--data_path", tmp_path, "--num_classes", 3, "data.name=generic", "data.map_label=null", *own]
    where = ["--model_path", tmp_path / "m.mindir", "--output_path", tmp_path / "out"]
    with pytest.raises(ConfigError, match=rf"m\.json says image_size \[.*\]: target_size: {message}") as caught:
        preprocess.main([str(option) for option in (*options, *where)])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=message):
        preprocess.main([str(option) for option in (*options, *where[2:], "--image_size", *size)])
