"""Parts of train.py and common.py that need no training."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from mindspore import nn

from src.base.errors import CheckpointError, ConfigError
from src.config.saved import write_config
from src.modules.base_modules import to_mixed_precision
from src.modules.bisenetv2 import BiSeNetV2
from src.state.run_folder import dated_folder, training_folder
from src.utils.config import parse_config
from src.utils.runtime import Runtime
from tests.ascend_graphs import on_ascend
from tests.run_helpers import ROOT, run_script, tiny_options
from train import uses_sync_bn


def test_dated_folders_do_not_collide(tmp_path):
    first = dated_folder(str(tmp_path))
    first.mkdir()
    assert dated_folder(str(tmp_path)) != first
    assert dated_folder(str(tmp_path)).parent == tmp_path


def test_training_folder(tmp_path, monkeypatch):
    assert training_folder(parse_config([], "train")).parent == Path("runs")
    assert training_folder(parse_config(["--save_dir", str(tmp_path / "x")], "train")) == tmp_path / "x"
    ckpt = tmp_path / "old" / "checkpoints" / "BiSeNetV2_3_rank0.ckpt"
    with pytest.raises(CheckpointError, match="no such checkpoint: .*BiSeNetV2_3_rank0.ckpt"):
        training_folder(parse_config(["--resume_ckpt", str(ckpt)], "train"))
    ckpt.parent.mkdir(parents=True)
    ckpt.write_bytes(b"\xff not empty, and of no kind that is known")
    assert training_folder(parse_config(["--resume_ckpt", str(ckpt)], "train")) == tmp_path / "old"
    arguments = ["--resume_ckpt", str(ckpt), "--save_dir", str(tmp_path / "new")]
    assert training_folder(parse_config(arguments, "train")) == tmp_path / "new"
    # resuming into another run's folder would prune and mix what is there
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "metrics.jsonl").touch()
    with pytest.raises(ConfigError, match="holds a run already"):
        training_folder(parse_config(arguments, "train"))
    monkeypatch.chdir(ckpt.parent)
    assert training_folder(parse_config(["--resume_ckpt", ckpt.name], "train")) == tmp_path / "old"
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").touch()  # a folder without a run may be used
    assert training_folder(parse_config(["--save_dir", str(tmp_path / "x")], "train")) == tmp_path / "x"
    (tmp_path / "x" / "metrics.jsonl").touch()
    with pytest.raises(ConfigError, match="holds a run already"):
        training_folder(parse_config(["--save_dir", str(tmp_path / "x")], "train"))


def test_a_saved_configuration_is_a_recipe_for_other_runs(tmp_path):
    arguments = [
        "--save_dir",
        str(tmp_path),
        "--finetune_ckpt",
        "old.ckpt",
        "--device_target",
        "CPU",
        "--total_step",
        "9",
    ]
    config = parse_config(arguments, "train")
    write_config(config, tmp_path)
    text = (tmp_path / "config.yml").read_text(encoding="utf-8")
    assert "# finetune_ckpt: old.ckpt\n" in text
    again = parse_config(["--config", str(tmp_path / "config.yml")], "train")
    assert again == dataclasses.replace(config, save_dir=None, finetune_ckpt=None, device_target=None)
    write_config(parse_config([], "train"), tmp_path)  # never replaces one that is there
    assert (tmp_path / "config.yml").read_text(encoding="utf-8") == text
    assert len(list(tmp_path.glob("config*.yml"))) == 2


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_help(script):
    done = run_script(script, "--help")
    assert "--device_target" in done.stdout
    assert "optimizer.lr_init: learning rate at step 0" in done.stdout


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.py", ["--totl_step", "3"], "error: unknown option --totl_step; did you mean '--total_step'?"),
        ("eval.py", [], "error: --checkpoint_path: required"),
        ("eval.py", ["--checkpoint_path", "no.ckpt"], "error: no such checkpoint: no.ckpt"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(script, arguments, message):
    done = run_script(script, *arguments, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == message


def test_a_missing_data_set_gets_one_line(tmp_path):
    done = run_script("train.py", "--save_dir", tmp_path / "x", *tiny_options(tmp_path / "nothing"), check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "[ERROR]" in line
    assert str(tmp_path / "nothing") in line


def test_every_module_imports():
    root = Path(__file__).resolve().parents[2]
    paths = [*root.glob("src/**/*.py"), *root.glob("tools/**/*.py")]
    paths = [path for path in paths if path.name != "torch_work.py"]  # the one that needs PyTorch
    names = [str(path.relative_to(root).with_suffix("")).replace("/", ".") for path in paths]
    code = "import importlib\n" + "\n".join(
        f"importlib.import_module({n.removesuffix('.__init__')!r})" for n in sorted(names)
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_the_environment_is_prepared_before_numpy_and_mindspore_load(script):
    """Their threads and kernels keep what they find then: the held-back signal, the oneDNN cap."""
    options = [sys.executable, "-X", "importtime", str(ROOT / script), "--help"]
    done = subprocess.run(options, capture_output=True, text=True, check=True)
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    first = {name.split(".")[0]: position for position, name in reversed(list(enumerate(imported)))}
    assert imported.index("src.utils.local_adapter") < first["numpy"] < first["mindspore"]


@pytest.mark.parametrize(
    ("asked", "device", "rank_size", "expected"),
    [
        (True, "Ascend", 8, True),
        (True, "Ascend", 1, False),
        (True, "CPU", 2, False),
        (False, "Ascend", 8, False),
    ],
)
def test_batch_normalisation_is_synchronised_where_it_can_be(caplog, asked, device, rank_size, expected):
    config = parse_config(["--sync_bn", str(asked)], "train")
    caplog.set_level("INFO")
    assert uses_sync_bn(config, Runtime(device, 0, 0, rank_size, 1)) == expected
    said = "sync_bn: plain batch normalisation here" in caplog.text
    assert said == (asked and not expected)


def test_synchronised_batch_normalisation_has_the_same_parameters():
    plain = BiSeNetV2(19)
    with on_ascend():  # MindSpore 2.0 asks for the rank, which only a job has
        synchronised = BiSeNetV2(19, sync_bn=True)
    assert [p.name for p in plain.get_parameters()] == [p.name for p in synchronised.get_parameters()]
    norms = [cell for _, cell in synchronised.cells_and_names() if isinstance(cell, nn.SyncBatchNorm)]
    assert len(norms) == 62  # 54, and two in each auxiliary head
    to_mixed_precision(synchronised)
    # MindSpore's own levels would make it float16.
    assert all(cell.get_mixed_precision_type().name == "FP32" for cell in norms)
