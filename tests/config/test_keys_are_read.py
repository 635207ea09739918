"""Every configuration key is read by somebody: none is there for show. And what the job that reads them all did."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import eval as eval_script
import export as export_script
import preprocess
import train as train_script
from src.config import builder, saved, schema, schema_base, schema_data, schema_model, schema_recipe
from src.config.registry import NETWORKS, TRANSFORMS
from src.offline.mindir import read_mindir_info
from src.utils import config
from tests.dataset_helpers import write_generic
from tests.offline_helpers import write_checkpoint
from tests.run_helpers import read_metrics, tiny_options

pytestmark = pytest.mark.once

SECTIONS = (
    schema.Config,
    schema.Data,
    schema.TrainTransforms,
    schema.EvalTransforms,
    schema.Optimizer,
    schema.NetArgs,
    schema.Loss,
)
OWN_MODULES = (
    config,
    builder,
    saved,
    schema,
    schema_base,
    schema_data,
    schema_model,
    schema_recipe,
)  # build, check, save
OWN_FILES = tuple(module.__file__ for module in OWN_MODULES)


def reader(frame) -> str | None:
    """Return the file that reads an attribute, None if it is the configuration code itself or a mere copy."""
    while frame and Path(frame.f_code.co_filename).name in ("dataclasses.py", "copy.py"):
        if frame.f_code.co_name in ("replace", "_replace"):
            return None
        frame = frame.f_back
    return None if frame.f_code.co_filename in OWN_FILES else frame.f_code.co_filename


@pytest.fixture(scope="module")
def patches() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


@pytest.fixture(scope="module")
def reads(patches) -> set[tuple[str, str]]:
    """Collect (section, key) of everything read from the configuration from now on."""
    seen = set()

    def record(self, name: str):
        if not name.startswith("__") and reader(sys._getframe(1)):
            seen.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    patches.setattr(schema.Section, "__getattribute__", record, raising=False)
    return seen


@pytest.fixture(scope="module")
def job(tmp_path_factory, reads, patches) -> Path:
    """A fine-tuning on other classes in mixed precision with OHEM, evaluated, exported and prepared for inference."""
    folder = tmp_path_factory.mktemp("job")
    data = write_generic(folder / "data")
    options = [
        "data.name=generic",
        "num_classes=3",
        "data.map_label=[1,2,0.5]",
        "data.class_names=[a,b,c]",
        "optimizer.filter_bias_and_bn=True",
        "loss.type=ohem",
        *tiny_options(data),
    ]
    earlier = write_checkpoint(folder / "cityscapes.ckpt")
    train_options = ["--total_step", "3", "--log_interval", "1", "--mix", "True", "--run_eval", "True"]
    train_options += ["--clip_grad_norm", "5", "--run_profiler", "False", "--deterministic", "True"]
    train_options += ["--finetune_ckpt", str(earlier)]
    urls = ["--modelarts", "True", "--data_url", str(data), "--train_url", str(folder / "run")]
    patches.setenv("HCCL_CONNECT_TIMEOUT", "600")
    patches.setenv("MS_TOPO_TIMEOUT", "600")
    patches.setenv("MA_JOB_DIR", str(folder))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert train_script.main([*train_options, *urls, *options]) == 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    trained = str(folder / "run" / "checkpoints" / "BiSeNetV2_3_rank0.ckpt")
    assert eval_script.main(["--checkpoint_path", trained, "--save_dir", str(folder / "eval"), *options]) == 0
    model = str(folder / "model")
    own = ["--config", str(folder / "run" / "config.yml"), "--image_size", "64", "96"]  # as a user would
    assert export_script.main(["--checkpoint_file", trained, "--file_name", model, *own]) == 0
    given = ["--mindir_path", f"{model}.mindir", "--output_path", str(folder / "prepared")]
    assert preprocess.main([*given, "--result_path", str(folder / "results"), *options]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("job")
def test_every_key_is_read(reads):
    expected = {(cls.__name__, field) for cls in SECTIONS for field in cls.__dataclass_fields__}
    for section in TRANSFORMS.values():
        expected |= {(section.__name__, field) for field in section.__dataclass_fields__}
    acted_on_while_building = {("Config", "single_scale"), ("TransposeImage", "hwc2chw")}  # the latter must be True
    unread = expected - reads - acted_on_while_building
    assert not unread, f"never read: {sorted(unread)}"


@pytest.mark.slow
def test_that_job_was_fine_tuned_on_other_classes_in_mixed_precision(job):
    log = (job / "run" / "logs" / "rank_0.log").read_text(encoding="utf-8")
    assert "311 of 321 tensors loaded" in log
    assert "skipped, other shape: 10 (head.conv_out.1.weight, head.conv_out.1.bias, aux2.conv_out.1.weight" in log
    metrics = read_metrics(job / "run")
    assert sorted(metrics) == [1, 2, 3]
    assert all(np.isfinite(metrics[step]["loss"]) for step in metrics)
    record = json.loads((job / "model.json").read_text(encoding="utf-8"))
    assert (record["mix"], record["num_classes"]) == (True, 3)
    (classes,) = read_mindir_info(job / "model.mindir").outputs
    assert classes.shape == (1, 64, 96)


def test_single_scale_is_acted_on_while_building():
    """The one key that `config.py` itself acts on: it sets two others."""
    plain, single = config.parse_config([], "eval"), config.parse_config(["--single_scale", "True"], "eval")
    assert plain.data.eval_transforms.flip
    assert not single.data.eval_transforms.flip


def test_networks_are_those_of_the_schema():
    choices = schema.Config.__dataclass_fields__["net"].metadata["choices"]
    assert choices is NETWORKS
