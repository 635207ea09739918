"""Names of tensors behind prefixes, and what lies beside them in a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts import convert_torch_checkpoint
from src.base.errors import ConfigError, UserError
from src.convert import converting, safetensors_files
from src.convert.families import BISENET
from src.convert.torch_files import find_weights, pick
from src.convert.wrappers import find_networks
from src.modules.bisenetv2 import BiSeNetV2
from src.state import checkpoint
from tests import runner_helpers
from tests.base.test_file_kinds import KINDS
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
SIGN, OTHER = "detail.S1.0.conv.weight", "bga.conv.0.weight"
MMSEG_SIGN = "backbone.detail.detail_branch.0.0.conv.weight"


@pytest.mark.parametrize(
    ("prefix", "start"),
    [
        ("", ""),
        ("module.", ""),
        ("_orig_mod.", ""),
        ("module._orig_mod.", ""),
        ("_orig_mod.module.", ""),
        ("model.", "model."),
        ("net.", "net."),
        ("model._orig_mod.net.module.", "model.net."),
    ],
)
@pytest.mark.parametrize("sign", [SIGN, MMSEG_SIGN])
def test_the_network_is_found_behind_its_prefix(prefix, start, sign):
    assert find_networks([prefix + sign, prefix + OTHER]) == {start: {sign: prefix + sign, OTHER: prefix + OTHER}}


def test_wrappers_within_the_names_are_no_part_of_them():
    inner = "detail._orig_mod.S1.0._fsdp_wrapped_module.conv.weight"
    assert find_networks([inner]) == {"": {SIGN: inner}}
    both = ["module." + SIGN, SIGN]  # not the same tensor
    assert find_networks(both) == {"module.": {SIGN: "module." + SIGN}, "": {SIGN: SIGN}}
    assert find_networks(["xdetail.S1.0.conv.weight", "a"]) == {}


def test_several_networks_of_one_entry_are_to_be_chosen_from():
    one, two = (np.full(2, value, np.float32) for value in (1, 2))
    content = {"state_dict": {f"model.{SIGN}": one, f"ema_model.{SIGN}": two, "loss.weight": one}}
    assert list(find_weights(content)) == ["state_dict.model", "state_dict.ema_model"]
    with pytest.raises(ValueError, match=r"holds several weights: state_dict.model \(not averaged\), state_dict.ema_"):
        pick(content, None)
    values, notes = pick(content, "ema")
    assert values[SIGN].tolist() == [2, 2]
    assert notes == [
        "names are read without their prefix ema_model.",
        "left out, not part of the network: 1 (loss.weight)",
    ]


MAKE = """
import argparse, collections, json, pathlib, sys, types, zipfile
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from src.convert.torch_files import read
folder = pathlib.Path(sys.argv[2])
SIGN = "detail.S1.0.conv.weight"


class HistoryBuffer:  # as MMEngine keeps its losses
    def __init__(self):
        self._max_length, self._log_history, self._count_history = 9, np.array([0.5, 0.25]), np.array([1, 1])


class Network:
    pass


class Harmful:
    def __reduce__(self):
        return pathlib.Path.touch, (folder / "harm",)


class Running:
    def __reduce__(self):
        return exec, (f"open({str(folder / 'harm')!r}, 'w')",)


HistoryBuffer.__module__, Network.__module__ = "mmengine.logging.history_buffer", "lib.networks"
for name in ("mmengine", "mmengine.logging", "lib"):
    sys.modules[name] = types.ModuleType(name)
for kind in (HistoryBuffer, Network):
    sys.modules[kind.__module__] = types.ModuleType(kind.__module__)
    setattr(sys.modules[kind.__module__], kind.__name__, kind)
weight = torch.arange(6.0).reshape(2, 3)
state = {SIGN: weight}
bomb = ["x"]
for _ in range(40):
    bomb = [bomb, bomb]
beside = {
    "parameter": {SIGN: torch.nn.Parameter(weight)},
    "array": {SIGN: weight.numpy()},
    "double": {SIGN: weight.double()},
    "bfloat16": {SIGN: weight.bfloat16()},
    "sparse": {SIGN: weight.to_sparse()},
    "numpy": {"state_dict": state, "best": np.float64(0.7), "step": np.int64(3), "curve": np.arange(3.0)},
    "arguments": {"state_dict": state, "args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/x"))},
    "containers": {"state_dict": state, "a": collections.defaultdict(list, x=[1]), "b": collections.deque([1, 2], 3)},
    "history": {"state_dict": state, "message_hub": {"log_scalars": {"loss": HistoryBuffer()}}},
    "names": {"state_dict": state, "meta": {"CLASSES": bomb}},
    "number": {"state_dict": state, "meta": {"CLASSES": 3}},
    "whole": Network(),
    "object": {"state_dict": state, "network": Network()},
    "harmful": {"state_dict": state, "x": Harmful()},
    "running": {"state_dict": state, "x": Running()},
    "meta": {SIGN: torch.empty(2, 3, device="meta")},
    "repeated": {SIGN: weight, "x": torch.zeros(1).expand(10**12)},
    "hollow": {SIGN: torch.sparse_coo_tensor(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (10**6, 10**6))},
}
told = {}
for name, content in beside.items():
    path = folder / f"{name}.pth"
    torch.save(content, path)
    try:
        read(path, folder / "out.npz")
    except SystemExit as err:
        told[name] = str(err)
    else:
        with np.load(folder / "out.npz") as archive:
            told[name] = [str(archive[SIGN].dtype), archive[SIGN].ravel().tolist()]
torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 1, 1)), folder / "script.pth")
with zipfile.ZipFile(folder / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a/data.pkl", b"\\x80\\x02" + b"]" * 1_000_000)
    archive.writestr("a/version", "3")
for name in ("script", "packed"):
    try:
        read(folder / f"{name}.pth", folder / "out.npz")
    except SystemExit as err:
        told[name] = str(err)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Path, dict]:
    """Return a folder of PyTorch files, and by their names what is read of each: type and numbers, or the refusal."""
    folder = tmp_path_factory.mktemp("beside")
    command = [runner_helpers.torch_python(), "-W", "ignore", "-c", MAKE, str(ROOT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout)


READ = (
    "parameter",
    "array",
    "double",
    "bfloat16",
    "sparse",
    "numpy",
    "arguments",
    "containers",
    "history",
    "names",
    "number",
)


def test_what_lies_beside_the_weights_is_no_hindrance(told):
    _, found = told
    assert {name: found[name] for name in READ} == dict.fromkeys(READ, ["float32", [0, 1, 2, 3, 4, 5]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whole", "holds more than tensors and plain values (lib.networks.Network), which is not loaded, for safety"),
        ("object", "holds more than tensors and plain values (lib.networks.Network), which is not loaded, for safety"),
        ("running", "holds more than tensors and plain values (exec), which is not loaded, for safety"),
        ("script", "a TorchScript archive, which is a program; save the weights alone"),
        ("meta", f"{SIGN}: a tensor whose numbers cannot be read"),
        ("repeated", "holds 1e+12 numbers, 1e+12 of them in x; a BiSeNetV2 has a few million; save its weights alone"),
        ("hollow", f"holds 1e+12 numbers, 1e+12 of them in {SIGN}; a BiSeNetV2 has a few million; save its weights"),
        ("packed", "damaged, or made to fill the memory: 1.0 MB packed into 0.001"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_out(told, name, message):
    folder, found = told
    assert found[name].startswith(f"{folder / name}.pth: {message}")
    assert "torch.save" in found[name] or name in ("meta", "repeated", "hollow")


def test_nothing_in_a_file_is_run(told):
    folder, found = told
    assert isinstance(found["harmful"], str)
    assert not (folder / "harm").exists()


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    """Return the tensors of a network of three classes by the names of `bisenet` weights."""
    rng = np.random.default_rng(3)
    shapes = {BISENET.torch_name(p.name): p.shape for p in BiSeNetV2(3, aux_heads=True).get_parameters()}
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def save_file() -> Callable:
    """Return what writes safetensors; other versions of MindSpore, which leave these tests out, collect without it."""
    from safetensors.numpy import save_file

    return save_file


def test_safetensors_become_a_checkpoint_without_pytorch(tensors, tmp_path, caplog, save_file):
    caplog.set_level("INFO")
    source, output = tmp_path / "weights.safetensors", tmp_path / "weights.ckpt"
    save_file({f"model.{name}": value for name, value in tensors.items()}, source, metadata={"format": "pt"})
    words = ["--torch_file", source, "--output", output, "--torch_python", "/no/such/python"]
    assert convert_torch_checkpoint.main(list(map(str, words))) == 0
    read = checkpoint.read_checkpoint(output)
    assert {BISENET.torch_name(name) for name in read} == tensors.keys()
    for name, value in read.items():
        np.testing.assert_array_equal(value, tensors[BISENET.torch_name(name)], err_msg=name)
    assert f"{source}: names are read without their prefix model." in caplog.messages


def test_types_of_safetensors(tmp_path, save_file):
    path = tmp_path / "a.safetensors"
    values = {SIGN: np.array([1.5, -2.0], np.float32), "h": np.array([0.5], np.float16), "n": np.array(7)}
    save_file(values, path)
    data = path.read_bytes()
    read, _ = safetensors_files.read(path)
    assert {name: (str(value.dtype), value.tolist()) for name, value in read.items()} == {
        SIGN: ("float32", [1.5, -2.0]),
        "h": ("float32", [0.5]),
        "n": ("int64", 7),
    }
    header = json.dumps({SIGN: {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes.fromhex("c03f00c0"))  # 1.5, -2 as bfloat16
    read, _ = safetensors_files.read(path)
    assert read[SIGN].tolist() == [1.5, -2.0]
    path.write_bytes(data[:-2])
    with pytest.raises(UserError, match="damaged or truncated, or no safetensors file"):
        safetensors_files.read(path)


def test_the_package_is_asked_for_in_one_line(tmp_path, monkeypatch, save_file):
    path = tmp_path / "a.safetensors"
    save_file({SIGN: np.zeros(2, np.float32)}, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ConfigError) as error:
        safetensors_files.read(path)
    required = "python -m pip install -r requirements/safetensors.txt"
    assert str(error.value) == f"{path}: needs the package safetensors: {required}"
    assert "\nsafetensors" in (ROOT / required.split()[-1]).read_text()


@pytest.mark.parametrize("kind", ["a MindIR", "a checkpoint of MindSpore", "a Python pickle", "a ZIP archive", "text"])
def test_another_kind_of_file_is_told_before_pytorch_is_started(tmp_path, kind):
    path = tmp_path / "weights.pth"
    path.write_bytes(KINDS[kind])
    with pytest.raises(UserError) as error:
        converting.read_torch_file(path, "/no/such/python")
    assert str(error.value).startswith(f"--torch_file {path}: is {kind}, not a PyTorch file; ")
    with pytest.raises(UserError, match=f"--torch_file {tmp_path}: is a folder; name the file in it"):
        converting.read_torch_file(tmp_path, "/no/such/python")


def test_long_lists_of_names_are_counted(tensors, tmp_path, caplog):
    caplog.set_level("INFO")
    parameters = {p.name: p.asnumpy() for p in BiSeNetV2(3, aux_heads=True).get_parameters()}
    values = checkpoint.Tensors({**parameters, **{f"moments.{name}": value for name, value in parameters.items()}})
    theirs, family = converting.to_torch(values, "bisenet", tmp_path / "a.ckpt")
    assert theirs.keys() == tensors.keys()
    first = ", ".join(sorted(f"moments.{name}" for name in parameters)[:3])
    count = len(parameters)
    assert f"ignored, not part of {family.name} weights: {count} ({first} and {count - 3} more)" in caplog.messages
    small = BiSeNetV2(5, aux_heads=False)
    caplog.clear()
    checkpoint.finetune_network(small, parameters, tmp_path / "a.ckpt")
    aux = [name for name in parameters if name.startswith("aux")]
    assert f"not used: {len(aux)} ({', '.join(aux[:3])} and {len(aux) - 3} more)" in caplog.messages
