"""What is set on an Ascend, with a made-up one; and the profiler, which works on the CPU as well."""

from __future__ import annotations

import os

import mindspore as ms
import pytest
from mindspore import nn

from src.base.errors import ConfigError, UserError
from src.distributed.placement import RANK_TABLE, Placement
from src.state.train_state import TrainState
from src.training import profiling
from src.utils import ascend_settings, common, local_adapter, runtime
from src.utils.config import load_config


@pytest.fixture
def told(monkeypatch) -> list[tuple]:
    """What MindSpore is told."""
    calls: list[tuple] = []
    monkeypatch.setattr(local_adapter, "set_precision_mode", lambda mode: calls.append(("precision", mode)))
    monkeypatch.setattr(local_adapter, "set_deterministic", lambda: calls.append(("deterministic",)))
    return calls


@pytest.mark.parametrize(
    ("chip", "asked_for", "expected"),
    [
        ("", None, "allow_fp32_to_fp16"),
        ("ascend910", None, "allow_fp32_to_fp16"),
        ("ascend910b", None, "must_keep_origin_dtype"),
        ("ascend910_93", None, "must_keep_origin_dtype"),
        ("ascend910b", "force_fp16", "force_fp16"),
    ],
)
def test_precision_is_set_by_the_chip(monkeypatch, told, chip, asked_for, expected):
    monkeypatch.setattr(local_adapter, "ascend_chip", lambda: chip)
    options = ["--precision_mode", asked_for] if asked_for else []
    ascend_settings.apply_settings(load_config(options, "train"), "Ascend")
    assert told == [("precision", expected)]


def test_deterministic_kernels(told):
    ascend_settings.apply_settings(load_config(["--deterministic", "True"], "train"), "Ascend")
    assert told[1:] == [("deterministic",)]


def test_other_devices_say_so(told, caplog):
    caplog.set_level("INFO")
    config = load_config(["--deterministic", "True", "--precision_mode", "force_fp16"], "train")
    ascend_settings.apply_settings(config, "CPU")
    assert told == []
    assert [record.message.split(":")[0] for record in caplog.records] == ["precision_mode", "deterministic"]


def test_a_mode_that_is_not_taken(monkeypatch, caplog):
    def refuse(mode: str) -> None:
        raise UserError(f"does not take precision mode {mode} here")

    monkeypatch.setattr(local_adapter, "set_precision_mode", refuse)
    ascend_settings.apply_settings(load_config([], "train"), "Ascend")  # nobody asked for one
    assert "left as it is" in caplog.text
    with pytest.raises(UserError, match="does not take precision mode force_fp32"):
        ascend_settings.apply_settings(load_config(["--precision_mode", "force_fp32"], "train"), "Ascend")
    with pytest.raises(ConfigError, match="precision_mode: must be one of"):
        load_config(["--precision_mode", "half"], "train")


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
        common.start(load_config([], "train"), None)
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
