"""The checks of a new card that measure (9 to 11), each with a subject that is right and spoiled ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from mindspore import Tensor

from tools.device_check import levels, speed
from tools.device_check.result import Settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings("CPU", 0, tmp_path, crop=(32, 32))


# 9: speed


def times(shares: dict | None = None, **figures: float) -> Callable:
    """Return a replacement of `in_process` with these times, and shares of operators on the AI CPU."""
    steps = {"O0": 30.0, "O1": 5.0, "O2": None}
    answer = {"level": "O2", "forward": 4.0, "grouped": 12.0, "repeat": 9.0, **figures}

    def in_process(name: str, settings: Settings, label: str = "") -> tuple:
        if name == "times":
            return 0, dict(answer), label
        if name == "on_ai_cpu":
            return (0, shares, label)
        step = steps[label[-2:]]
        return (0, {"step": step}, label) if step else (1, None, label)

    return in_process


@pytest.mark.once
def test_the_fastest_forms_are_named(settings, monkeypatch):
    monkeypatch.setattr(levels, "in_process", times())
    assert levels.check_speed(settings).details["take"] == "net_args.depthwise_expand=repeat"
    card = dataclasses.replace(settings, device_target="Ascend")
    monkeypatch.setattr(levels.local_adapter, "mindspore_version", lambda: (2, 8, 0))
    result = levels.check_speed(card)
    assert result.details["take"] == "net_args.depthwise_expand=repeat jit_level=O1"
    assert result.passed
    monkeypatch.setattr(levels.local_adapter, "mindspore_version", lambda: (2, 0, 0))
    assert levels.other_levels(card, "") == ()


@pytest.mark.once
def test_a_step_without_kernels_is_seen(settings, monkeypatch):
    monkeypatch.setattr(levels, "in_process", times(grouped=400.0, repeat=400.0))
    assert not levels.check_speed(settings).passed
    monkeypatch.setattr(levels, "in_process", lambda *_: (1, None, "log"))
    assert not levels.check_speed(settings).passed


@pytest.mark.once
@pytest.mark.parametrize(("share", "passes"), [(0.009, True), (0.011, False)])
def test_an_operator_on_the_ai_cpu_is_seen(settings, monkeypatch, share, passes):
    monkeypatch.setattr(levels, "in_process", times({"GatherD": share, "IsFinite": 0.001}))
    result = levels.check_speed(dataclasses.replace(settings, device_target="Ascend"))
    assert result.passed == passes
    assert "GatherD" in result.details["operators on the AI CPU"]


STATISTICS = """Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)
0,Conv2D,AI_CORE,30,900,1,30,60,90
0,GatherD,AI_CPU,5,60,1,12,35,6
0,GatherD,AI CPU,5,20,1,4,35,2
0,Add,AI_VECTOR_CORE,5,20,1,4,35,2
"""


def test_the_profiler_is_asked_after_compilation(settings, monkeypatch):
    """By the columns that CANN documents."""
    calls = []

    def start(folder: Path) -> Callable:
        calls.append("start")
        (folder / "run" / "ASCEND_PROFILER_OUTPUT").mkdir(parents=True)
        (folder / "run" / "ASCEND_PROFILER_OUTPUT" / "op_statistic.csv").write_text(STATISTICS, encoding="utf-8")
        return lambda: calls.append("stop")

    monkeypatch.setattr(speed.local_adapter, "start_profiler", start)
    monkeypatch.setattr(speed, "train_cell", lambda _: lambda *__: calls.append("step") or (Tensor(1.0),))
    assert speed.on_ai_cpu(settings) == {"GatherD": pytest.approx(0.08)}
    assert calls == ["step", "start", *["step"] * speed.PROFILED, "stop"]
    assert speed.aicpu_shares(settings.folder / "nothing") is None


def test_the_parts_of_a_step_are_timed(settings, monkeypatch):
    monkeypatch.setattr(speed, "TURNS", 1)
    figures = speed.times(settings)
    assert figures.pop("level") == ""
    assert set(figures) == {"forward", *speed.LOSS_FORMS, *levels.DEPTHWISE}
    assert all(value > 0 for value in figures.values())


# 10: memory


def test_memory_that_grows_too_much_is_seen(settings, monkeypatch):
    assert speed.check_memory(settings).passed
    peaks = iter([("device", 1000), ("device", 2300)])
    monkeypatch.setattr(speed, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(speed, "train_cell", lambda _: lambda *__: (Tensor(1.0),))
    result = speed.check_memory(settings)
    assert not result.passed
    assert result.details["batch 4, device MB"] == 2300


# 11: feed


@pytest.mark.once
def test_a_feed_that_is_too_slow_is_seen(settings, monkeypatch):
    monkeypatch.setattr(speed, "BATCHES", 2)
    monkeypatch.setattr(speed, "PICTURES", 2)
    assert speed.feed(settings) > 0
    monkeypatch.setattr(speed, "feed", lambda _: 2.8)
    assert speed.check_feed(settings).passed
    monkeypatch.setattr(speed, "feed", lambda _: 2.6)
    assert not speed.check_feed(settings).passed
