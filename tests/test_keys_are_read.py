"""Every configuration key is read by somebody: none is there for show."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

import eval as eval_script
import export as export_script
import preprocess
import train as train_script
from src.utils import common, config, config_builder, schema, schema_base, schema_data, schema_loss
from tests.dataset_helpers import write_generic
from tests.run_helpers import tiny_options

SECTIONS = (schema.Config, schema.Data, schema.TrainTransforms, schema.EvalTransforms, schema.Optimizer, schema.NetArgs,
            schema.Loss)  # fmt: skip
OWN_MODULES = (config, config_builder, schema, schema_base, schema_data, schema_loss)  # build, check, save
OWN_FILES = tuple(module.__file__ for module in OWN_MODULES)


def reader(frame) -> str | None:
    """Return the file that reads an attribute, None if it is the configuration code itself or a mere copy."""
    while frame and Path(frame.f_code.co_filename).name in ("dataclasses.py", "copy.py"):
        if frame.f_code.co_name in ("replace", "_replace"):
            return None
        frame = frame.f_back
    return None if frame.f_code.co_filename in OWN_FILES else frame.f_code.co_filename


@pytest.fixture
def reads(monkeypatch) -> set[tuple[str, str]]:
    """Collect (section, key) of everything read from the configuration while the test runs."""
    seen = set()

    def record(self, name: str):
        if not name.startswith("__") and reader(sys._getframe(1)):
            seen.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    monkeypatch.setattr(schema.Section, "__getattribute__", record, raising=False)
    return seen


@pytest.fixture(autouse=True)
def _restore_signal_handlers():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.slow
def test_every_key_is_read(tmp_path, reads, monkeypatch):
    data = write_generic(tmp_path / "data")
    options = [
        "data.name=generic",
        "num_classes=3",
        "data.map_label=[1,2,0.5]",
        "data.class_names=[a,b,c]",
        "optimizer.filter_bias_and_bn=True",
        "loss.type=ohem",
        *tiny_options(data),
    ]
    train_options = ["--total_step", "2", "--mix", "True", "--run_eval", "True", "--clip_grad_norm", "5"]
    train_options += ["--run_profiler", "False", "--deterministic", "True"]
    save_dir = tmp_path / "run"
    job = ["--modelarts", "True", "--data_url", str(data), "--train_url", str(save_dir)]
    monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "600")
    monkeypatch.setenv("MS_TOPO_TIMEOUT", "600")
    monkeypatch.setenv("MA_JOB_DIR", str(tmp_path))
    assert train_script.main([*train_options, *job, *options]) == 0
    checkpoint = save_dir / "checkpoints" / "BiSeNetV2_2_rank0.ckpt"
    assert eval_script.main(["--checkpoint_path", str(checkpoint), "--save_dir", str(tmp_path / "eval"), *options]) == 0
    model, prepared = str(tmp_path / "model"), str(tmp_path / "prepared")
    assert export_script.main(["--checkpoint_file", str(checkpoint), "--file_name", model, *options]) == 0
    given = ["--mindir_path", f"{model}.mindir", "--output_path", prepared, "--result_path", str(tmp_path / "results")]
    assert preprocess.main([*given, *options]) == 0

    expected = {(cls.__name__, field) for cls in SECTIONS for field in cls.__dataclass_fields__}
    for section in schema.TRANSFORM_ARGS.values():
        expected |= {(section.__name__, field) for field in section.__dataclass_fields__}
    unread = expected - reads - {("Config", "single_scale")}
    assert not unread, f"never read: {sorted(unread)}"


def test_single_scale_is_acted_on_while_building():
    """The one key that `config.py` itself acts on: it sets two others."""
    plain, single = config.load_config([], "eval"), config.load_config(["--single_scale", "True"], "eval")
    assert plain.data.eval_transforms.flip
    assert not single.data.eval_transforms.flip


def test_networks_are_those_of_the_schema():
    choices = schema.Config.__dataclass_fields__["net"].metadata["choices"]
    assert set(choices) == set(common.NETWORKS)
