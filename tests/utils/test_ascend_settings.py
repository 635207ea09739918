"""What is set on an Ascend, with a made-up one; and the profiler, which works on the CPU as well."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from types import SimpleNamespace

import mindspore as ms
import pytest
from mindspore import nn

from src.base.errors import ConfigError, UserError
from src.distributed.placement import RANK_TABLE, Placement
from src.state.train_state import TrainState
from src.training import profiling
from src.utils import ascend_settings, common, local_adapter, runtime
from src.utils.config import parse_config
from tests.run_helpers import ROOT


class Ascend:
    """MindSpore's interface to an Ascend, as each version has it; `calls` is what it was told, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch, self.calls = monkeypatch, []

    def __call__(self, version: tuple[int, int, int], chip: str) -> Ascend:
        """Pretend that MindSpore of this version runs on this chip."""
        self.version = version
        self.patch.setattr(local_adapter, "mindspore_version", lambda: version)
        self.patch.setattr(local_adapter, "ascend_chip", lambda: chip)
        self.patch.setattr(ms, "__version__", ".".join(map(str, version)))
        self.patch.setattr(ms, "get_context", lambda name: {"device_target": "Ascend"}[name])
        self.patch.setattr(ms, "set_context", self.set_context)
        for name in ("device_context", "set_deterministic"):
            self.patch.delattr(ms, name, raising=False)
        if version >= (2, 5):
            setters = {name: functools.partial(self.set, name) for name in ("precision_mode", "conv_allow_hf32")}
            of_ascend = SimpleNamespace(op_precision=SimpleNamespace(**setters))
            self.patch.setattr(ms, "device_context", SimpleNamespace(ascend=of_ascend), raising=False)
            self.patch.setattr(ms, "set_deterministic", functools.partial(self.set, "deterministic"), raising=False)
        return self

    def set(self, name: str, value: object) -> None:
        if (name, value) == ("precision_mode", "force_fp32"):
            raise ValueError("For 'precision_mode', the value must be another")
        self.calls.append((name, value))

    def set_context(self, **given: object) -> None:
        ((name, value),) = given.items()
        if name == "ascend_config":
            ((name, value),) = value.items()
            if name == "conv_allow_hf32" and self.version < (2, 1):
                raise ValueError("For 'context.set_context', the key of argument 'ascend_config' must be another")
        if name == "jit_config" and self.version < (2, 3):
            raise ValueError("For 'context.set_context', the keyword argument jit_config is not recognized!")
        self.set(*((name, value) if name != "jit_config" else next(iter(value.items()))))


@pytest.fixture
def ascend(monkeypatch, caplog) -> Ascend:
    for name in ("RANK_TABLE_FILE", "MINDSPORE_HCCL_CONFIG_PATH", "MS_ROLE"):
        monkeypatch.delenv(name, raising=False)
    caplog.set_level("INFO", logger="src.utils.ascend_settings")
    return Ascend(monkeypatch)


def apply(*options: str, device: str = "Ascend") -> None:
    ascend_settings.apply_settings(parse_config(options, "train"), device)


@pytest.mark.parametrize(
    ("version", "chip", "asked_for", "expected"),
    [
        ((2, 4, 0), "ascend910", None, "allow_fp32_to_fp16"),
        ((2, 8, 0), "ascend910", None, "allow_fp32_to_fp16"),
        ((2, 4, 0), "ascend910b", None, "must_keep_origin_dtype"),
        ((2, 10, 0), "ascend910_93", None, "must_keep_origin_dtype"),
        ((2, 8, 0), "ascend910b", "force_fp16", "force_fp16"),
        ((2, 0, 0), "", "force_fp16", "force_fp16"),
        ((2, 0, 0), "", None, None),
    ],
)
def test_precision_is_set_by_the_chip(ascend, version, chip, asked_for, expected):
    ascend(version, chip)
    apply(*(["--precision_mode", asked_for] if asked_for else []))
    assert [value for name, value in ascend.calls if name == "precision_mode"] == ([expected] if expected else [])


def test_mindspore_2_0_makes_no_claim_of_a_precision_mode(ascend, caplog):
    ascend((2, 0, 0), "")
    apply()
    assert ascend.calls == []
    assert "precision: fixed: float16 convolutions" in caplog.messages
    assert "HF32 convolutions (conv_allow_hf32 None): none, convolutions are float16" in caplog.messages
    assert "execution level (jit_level auto): MindSpore's own" in caplog.messages


@pytest.mark.parametrize(("version", "value"), [((2, 4, 0), "ON"), ((2, 8, 0), True)])
def test_deterministic_kernels(ascend, version, value):
    ascend(version, "ascend910b")
    apply("--deterministic", "True")
    assert ascend.calls[-1] == ("deterministic", value)


def test_other_devices_say_so(ascend, caplog):
    ascend((2, 8, 0), "")
    apply(
        "--deterministic",
        "True",
        "--precision_mode",
        "force_fp16",
        "--jit_level",
        "O1",
        "--conv_allow_hf32",
        "False",
        device="CPU",
    )
    assert ascend.calls == []
    named = ["jit_level", "precision_mode", "conv_allow_hf32", "deterministic"]
    assert [record.message.split(":")[0] for record in caplog.records] == named
    caplog.clear()
    apply(device="CPU")
    assert not caplog.records


def test_a_mode_that_is_not_taken(ascend, monkeypatch, caplog):
    ascend((2, 8, 0), "ascend910b")
    with pytest.raises(UserError, match=r"precision_mode: MindSpore 2\.8\.0 does not take force_fp32 here"):
        apply("--precision_mode", "force_fp32")
    with pytest.raises(ConfigError, match="precision_mode: must be one of"):
        parse_config(["--precision_mode", "half"], "train")
    monkeypatch.setattr(ascend_settings, "default_precision_mode", lambda: "force_fp32")
    apply()  # nobody asked for one
    assert "left as it is" in caplog.text


LEVEL_CASES = [  # version, chip, options, environment, what is set, what the log says
    ((2, 8, 0), "ascend910b", (), {}, "O2", "(jit_level auto): O2"),
    ((2, 5, 0), "ascend910", (), {}, "O2", "(jit_level auto): O2"),
    ((2, 4, 0), "ascend910b", (), {}, None, "(jit_level auto): MindSpore's own"),
    ((2, 10, 0), "ascend910b", (), {}, None, "(jit_level auto): MindSpore's own O0"),
    ((2, 10, 0), "ascend910b", ("--jit_level", "O1"), {}, "O1", "(jit_level O1): O1"),
    ((2, 3, 0), "ascend910b", ("--jit_level", "O0"), {}, "O0", "(jit_level O0): O0"),
    ((2, 8, 0), "ascend910b", ("--ms_mode", "1"), {}, None, "(jit_level auto): none, PyNative mode runs operator by "),
    ((2, 10, 0), "ascend910b", (), {"RANK_TABLE_FILE": "t"}, None, "(jit_level auto): O2, which the rank table forces"),
    ((2, 8, 0), "ascend910b", ("--jit_level", "O0"), {"RANK_TABLE_FILE": "t"}, "O0", "O2, which the rank table forces"),
    ((2, 10, 0), "ascend910b", (), {"RANK_TABLE_FILE": "t", "MS_ROLE": "MS_WORKER"}, None, "MindSpore's own O0"),
]


@pytest.mark.parametrize(("version", "chip", "options", "environment", "expected", "said"), LEVEL_CASES)
def test_the_execution_level(ascend, caplog, version, chip, options, environment, expected, said):
    ascend(version, chip)
    for name, value in environment.items():
        ascend.patch.setenv(name, value)
    apply(*options)
    assert [value for name, value in ascend.calls if name == "jit_level"] == ([expected] if expected else [])
    (record,) = [record for record in caplog.records if record.message.startswith("execution level")]
    assert said in record.message
    in_vain = options[:1] == ("--jit_level",) and "RANK_TABLE_FILE" in environment
    assert record.levelname == ("WARNING" if in_vain else "INFO")


def test_a_level_that_this_mindspore_lacks(ascend):
    ascend((2, 2, 0), "ascend910b")
    with pytest.raises(ConfigError, match=r"^jit_level: MindSpore 2\.2\.0 has no O1; take auto$"):
        apply("--jit_level", "O1")
    with pytest.raises(ConfigError, match="jit_level: must be one of auto, O0, O1, O2; got 'O3'"):
        parse_config(["--jit_level", "O3"], "train")


def test_the_real_mindspore_takes_levels_or_has_none():
    """What the stand-in says of each version, of the one that is installed: set in a process of its own."""
    code = (
        "from src.utils import ascend_settings; import mindspore as ms\n"
        "ascend_settings.set_jit_level('O1'); print(ms.get_context('jit_config'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    if local_adapter.mindspore_version() >= (2, 3):
        assert done.stdout.strip() == "{'jit_level': 'O1'}"
    else:
        assert "jit_level: MindSpore 2.0.0 has no O1; take auto" in done.stderr


HF32_CASES = [  # version, chip, options, what is set, what the log says
    ((2, 8, 0), "ascend910b", (), None, "on, CANN's default: results within about 1e-3 of float32's"),
    ((2, 1, 0), "ascend910b", ("--conv_allow_hf32", "False"), False, "off"),
    ((2, 8, 0), "ascend910_93", ("--conv_allow_hf32", "True"), True, "on"),
    ((2, 8, 0), "ascend910b", ("--mix", "True"), None, "none, convolutions are float16"),
    ((2, 8, 0), "ascend910b", ("--precision_mode", "force_fp16"), None, "none, convolutions are float16"),
    ((2, 8, 0), "ascend910", ("--conv_allow_hf32", "True"), True, "none, convolutions are float16"),
    ((2, 8, 0), "ascend310p", (), None, "ascend310p has none"),
    (
        (2, 1, 0),
        "",
        ("--precision_mode", "must_keep_origin_dtype"),
        None,
        "on where the chip has it, CANN's default: results within about 1e-3 of float32's",
    ),
]


@pytest.mark.parametrize(("version", "chip", "options", "expected", "said"), HF32_CASES)
def test_hf32(ascend, caplog, version, chip, options, expected, said):
    ascend(version, chip)
    apply(*options)
    assert [v for name, v in ascend.calls if name == "conv_allow_hf32"] == ([] if expected is None else [expected])
    (record,) = [record for record in caplog.records if record.message.startswith("HF32")]
    assert record.message == f"HF32 convolutions (conv_allow_hf32 {expected}): {said}"
    assert record.levelname == ("WARNING" if expected and said != "on" else "INFO")


def test_hf32_that_this_mindspore_does_not_know(ascend):
    ascend((2, 0, 0), "")
    with pytest.raises(UserError, match=r"^conv_allow_hf32: MindSpore 2\.0\.0 does not take False here$"):
        apply("--conv_allow_hf32", "False")


def test_the_device_comes_first_then_settings_then_the_other_ranks(monkeypatch):
    """`common.start` up to the first word to the other ranks, on two ranks."""
    order = []
    placement = Placement(RANK_TABLE, 1, 2, 1, 2)
    for module in (common, runtime):
        monkeypatch.setattr(module, "discover_rank", lambda: placement)
    monkeypatch.setattr(runtime, "choose_device", lambda *asked: ("Ascend", 1))
    monkeypatch.setattr(runtime, "set_device", lambda *device: order.append(("device", *device)))
    monkeypatch.setattr(common, "apply_settings", lambda config, device: order.append(("settings", device)))
    monkeypatch.setattr(runtime, "init_cluster", lambda: order.append(("join",)) or 0)  # MindSpore 2.0 may renumber
    monkeypatch.setattr(ms, "set_auto_parallel_context", lambda **given: None)

    def communicator(*place: int) -> None:
        order.append(("talk", *place))
        raise InterruptedError

    monkeypatch.setattr(common, "Communicator", communicator)
    monkeypatch.setattr(common, "setup_logging", lambda *where: None)
    mode = ms.get_context("mode")
    with pytest.raises(InterruptedError):
        common.set_up_run(parse_config([], "train"), None)
    ms.set_context(mode=mode)
    assert order == [("device", "Ascend", 1), ("settings", "Ascend"), ("join",), ("talk", 0, 2)]


@pytest.mark.parametrize(("device", "fused"), [("Ascend", True), ("CPU", False)])
def test_gradients_travel_together_on_ascend(monkeypatch, device, fused):
    settings, policies = {}, []
    monkeypatch.setattr(runtime, "init_cluster", lambda: policies.append(os.sched_getscheduler(0)) or 3)
    monkeypatch.setattr(ms, "set_auto_parallel_context", lambda **given: settings.update(given))
    assert runtime.join_job(Placement(RANK_TABLE, 3, 8, 3, 8), device) == 3
    assert policies == [os.SCHED_OTHER if device == "Ascend" else os.SCHED_BATCH]
    assert (settings["device_num"], settings["gradients_mean"], "comm_fusion" in settings) == (8, True, fused)


class Ends:
    """Steps of a run as a callback sees them."""

    def __init__(self, state: TrainState, callback: profiling.ProfileSteps) -> None:
        self.state, self.callback = state, callback

    def run(self, steps) -> None:
        network = nn.ReLU()
        for step in steps:
            network(ms.Tensor([1.0]))
            self.state.step = step
            self.callback.on_train_step_end(None)


@pytest.mark.parametrize(
    ("total", "steps", "expected"),
    [
        (100, range(1, 30), "steps 6 to 15"),
        (9, range(1, 10), "steps 6 to 9"),  # a short run
        (1000, range(10, 60, 10), "steps 11 to 20"),  # data sinks of ten
    ],
)
def test_a_few_steps_are_profiled(tmp_path, caplog, total, steps, expected):
    caplog.set_level("INFO")
    ms.set_context(mode=ms.GRAPH_MODE)  # MindSpore 2.0 profiles no other on the CPU
    state = TrainState(0, total)
    Ends(state, profiling.ProfileSteps(state, tmp_path / "profiler")).run(steps)
    messages = [record.message for record in caplog.records if record.message.startswith("profile of")]
    assert messages == [f"profile of {expected}: {tmp_path / 'profiler'}"]
    assert any(path.stat().st_size for path in (tmp_path / "profiler").rglob("*") if path.is_file())


def test_too_short_a_run_is_not_profiled(tmp_path):
    state = TrainState(0, 5)
    Ends(state, profiling.ProfileSteps(state, tmp_path / "profiler")).run(range(1, 6))
    assert not (tmp_path / "profiler").exists()
