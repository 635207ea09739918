"""export.py: every kind of model against PyTorch's logits, checkpoints of every kind, mistakes."""

from __future__ import annotations

import json
import re
import sys

import mindspore as ms
import numpy as np
import onnx
import pytest
from mindspore import Tensor, nn

import export as export_script
from src.base.errors import ConfigError, UserError
from src.modules.bisenetv2 import BiSeNetV2
from src.offline import exporting, onnx_export, onnx_model
from src.offline.models import load_model
from src.utils.config import parse_config
from src.utils.runtime import Runtime
from tests.golden_weights import load_seeded
from tests.modules.test_golden import assert_map, read
from tests.offline_helpers import SIZE, export, write_checkpoint
from tests.run_helpers import run_script

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("file_format", ["MINDIR", "ONNX"])
def test_exported_logits_are_those_of_pytorch(weights, tmp_path, fold, file_format):
    golden, image, _ = read("bilinear", (128, 256))
    options = ["--output", "logits", "--fold_bn", fold, "--file_format", file_format, "image_size=[128,256]"]
    model = load_model(export(weights, tmp_path / "model", *options))
    logits = np.concatenate([model(image.asnumpy()[i : i + 1]) for i in range(2)])
    assert_map(Tensor(logits), golden, "eval_logits", 1e-4)


def test_class_map_and_description(weights, tmp_path):
    target = tmp_path / "new folder" / "model.mindir"
    common = ["--device_target", "CPU", "--checkpoint_file", weights, "--image_size", *SIZE]
    done = run_script("export.py", *common, "--file_name", target, "--input", "uint8")
    record = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["file"] == "model.mindir"
    assert record["bytes"] == target.stat().st_size
    assert (record["input"], record["output"], record["fold_bn"]) == ("uint8", "argmax", True)
    assert record["image_size"] == list(SIZE)
    (taken,), (given,) = record["inputs"], record["outputs"]
    assert (taken["dtype"], taken["shape"]) == ("uint8", [1, *SIZE, 3])
    assert (given["dtype"], given["shape"]) == ("int32", [1, *SIZE])
    assert record["check"]["largest_difference"] <= 1e-4
    assert record["check"]["pixels"] == SIZE[0] * SIZE[1]
    assert f"model.mindir: {record['bytes']} bytes, MINDIR, written by MindSpore {ms.__version__}" in done.stdout
    assert re.search(r"input: .*image, uint8 1x64x96x3\n.*output: .*, int32 1x64x96\n", done.stdout)
    assert "folded 54 batch normalisations" in done.stdout
    assert sorted(path.name for path in target.parent.iterdir()) == ["model.json", "model.mindir"]
    assert target.stat().st_mode & 0o777 == 0o644

    network = BiSeNetV2(19, aux_heads=False).set_train(False)
    load_seeded(network)
    picture = np.random.default_rng(5).integers(0, 256, (1, *SIZE, 3), np.uint8)
    mean, std = record["normalize"]["mean"], record["normalize"]["std"]
    image = ((picture / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    expected = network(Tensor(image)).asnumpy().argmax(axis=1)
    assert (load_model(target)(picture) != expected).mean() < 1e-3


def test_variants_of_the_network_are_exported(tmp_path):
    variant = {"inner_upsample": "nearest", "bga_pointwise_bias": True, "depthwise_expand": "repeat"}
    saved = write_checkpoint(tmp_path / "variant.ckpt", **variant)
    export(saved, tmp_path / "model", *[f"net_args.{name}={value}" for name, value in variant.items()])
    record = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert {name: record["net_args"][name] for name in variant} == variant


@pytest.mark.parametrize("options", [[], ["net_args.inner_upsample=nearest", "net_args.depthwise_expand=repeat"]])
def test_an_onnx_says_what_it_is_and_uses_what_every_runtime_takes(weights, tmp_path, options):
    path = export(weights, tmp_path / "model", "--file_format", "ONNX", "--input", "uint8", *options)
    record = json.loads((tmp_path / "model.onnx.json").read_text(encoding="utf-8"))
    assert (record["file"], record["bytes"], record["format"]) == ("model.onnx", path.stat().st_size, "ONNX")
    assert record["class_names"][13] == "car"
    assert record["palette"][13] == [0, 0, 142]
    assert record["opset"] == 11
    assert record["check"]["largest_difference"] <= 1e-4
    (taken,), (given,) = record["inputs"], record["outputs"]
    assert (taken["name"], taken["dtype"], taken["shape"]) == ("image", "uint8", [1, *SIZE, 3])
    assert (given["name"], given["dtype"], given["shape"]) == ("class_map", "int32", [1, *SIZE])

    model = onnx.load(path)
    assert onnx_model.metadata(model).items() <= record.items()
    own = {"file", "bytes", "sha256", "check", "inputs", "outputs", "opset"}
    assert record.keys() - onnx_model.metadata(model).keys() == own
    # Lite's converter gets a Resize wrong and refuses dilations on pools; see docs on deployment
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Resize", "Upsample"}
    pools = [node for node in model.graph.node if "Pool" in node.op_type]
    assert pools
    assert not [a for node in pools for a in node.attribute if a.name == "dilations"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.once
def test_no_format_is_written_over_another(weights, tmp_path):
    export(weights, tmp_path / "model")
    export(weights, tmp_path / "model", "--file_format", "ONNX")
    names = ["model.json", "model.mindir", "model.onnx", "model.onnx.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_before_anything_is_done(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    given = ["--checkpoint_file", "none.ckpt", "--file_name", str(tmp_path / "model"), "--file_format", "ONNX"]
    line = f"ONNX needs the package {package}: python -m pip install -r requirements/onnx.txt"
    with pytest.raises(ConfigError, match=re.escape(line)):
        export_script.main(given)
    assert not list(tmp_path.iterdir())


def test_what_is_no_valid_onnx_is_not_kept(weights, tmp_path):
    path = export(weights, tmp_path / "model", "--file_format", "ONNX", "--output", "logits")
    model = onnx.load(path)
    model.graph.node[3].op_type = "Konv"
    onnx.save(model, path)
    with pytest.raises(UserError, match="MindSpore wrote invalid ONNX: .*Konv"):
        onnx_export.complete(path, {"output": "logits"})


def test_weights_stored_in_float16_are_exported(weights, tmp_path):
    values = {name: value.asnumpy() for name, value in ms.load_checkpoint(str(weights)).items()}
    half = [{"name": name, "data": Tensor(value.astype(np.float16))} for name, value in values.items()]
    ms.save_checkpoint(half, str(tmp_path / "half.ckpt"))
    assert export(tmp_path / "half.ckpt", tmp_path / "model").is_file()


MISTAKES = [
    (["--file_format", "OM"], "file_format: must be one of MINDIR, ONNX, AIR; got 'OM'"),
    (["--file_format", "AIR"], "--file_format AIR needs an Ascend, this is CPU"),
    (["--checkpoint_file", "missing.ckpt"], "no such checkpoint: missing.ckpt"),
    (["--image_size", "64"], "expected 2 arguments"),
    (["--image_size", "16", "64"], "image_size: must be at least 32"),
    (["--loss_weight", "[1,1,1,1,1]"], "unknown option --loss_weight"),
    (["num_classes=4", "data.name=generic", "data.map_label=null"], "has shape"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_named_and_nothing_is_written(weights, tmp_path, options, message):
    given = [
        "--device_target",
        "CPU",
        "--checkpoint_file",
        str(weights),
        "--file_name",
        str(tmp_path / "new" / "model"),
    ]
    with pytest.raises(UserError) as caught:
        export_script.main([*given, *options])
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_mistake_is_one_line_on_standard_error(tmp_path):
    done = run_script("export.py", "--device_target", "CPU", "--file_name", tmp_path / "model", check=False)
    assert done.returncode == 2
    assert done.stderr == "error: --checkpoint_file: required\n"


@pytest.mark.parametrize("name", ["model.mindir", "model.json"])
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    options = ["--checkpoint_file", "x.ckpt", "--file_name", str(tmp_path / "model")]
    with pytest.raises(ConfigError, match=f"{name} exists already; take another --file_name"):
        exporting.check_target(parse_config(options, "export"))
    assert (tmp_path / name).read_text() == "mine"


def test_air_is_left_to_an_ascend():
    config = parse_config(["--file_format", "AIR"], "export")
    exporting.check_device(config, Runtime("Ascend", 0, 0, 1, 1))
    with pytest.raises(ConfigError, match="needs an Ascend, this is GPU"):
        exporting.check_device(config, Runtime("GPU", 0, 0, 1, 1))


class Wrong(nn.Cell):
    """A network that is off by a part of its largest logit."""

    def __init__(self, network: nn.Cell, factor: float) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.factor = network, factor

    def construct(self, image: Tensor) -> Tensor:
        return self.network(image) * self.factor


@pytest.mark.once
@pytest.mark.parametrize(("factor", "fine"), [(1.00001, True), (1.001, False)])
def test_a_model_that_differs_from_the_network_is_not_kept(tmp_path, factor, fine):
    network = BiSeNetV2(19, aux_heads=False).set_train(False)
    load_seeded(network)
    options = ["--file_name", str(tmp_path / "model"), "--output", "logits", "--image_size", "32", "64"]
    config = parse_config(options, "export")
    target = exporting.check_target(config)
    with exporting.written_model(Wrong(network, factor), config, target) as model:
        if fine:
            assert 0 < exporting.check_model(model, network, config, "CPU")["check"]["largest_difference"] < 1e-4
        else:
            with pytest.raises(UserError, match="differs from the network by 0.001 of the largest logit"):
                exporting.check_model(model, network, config, "CPU")
            # where convolutions are float16 no more can be asked
            exporting.check_model(model, network, config, "Ascend")
    assert not list(tmp_path.iterdir())
