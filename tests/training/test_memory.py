"""What a training's log says about the peak of its memory."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import pytest

from src.distributed.communicator import Communicator
from src.state.train_state import TrainState
from src.training import memory
from tests.rank_threads import on_ranks


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == memory.logger.name]


def on_card(monkeypatch, **modules: dict[str, int]) -> None:
    """Let the device be a card, and these modules of MindSpore the ones that tell its memory, in bytes."""
    monkeypatch.setattr(memory.ms, "get_context", lambda name: {"device_target": "Ascend"}[name])
    for name in ("runtime", "hal"):
        functions = {key: lambda value=value: value for key, value in modules.get(name, {}).items()}
        monkeypatch.setattr(memory.ms, name, SimpleNamespace(**functions), raising=False)


def test_it_is_said_once_after_the_first_checkpoint(caplog):
    caplog.set_level("INFO")
    state, saver = TrainState(4, 20), SimpleNamespace(saved_step=None)
    callback = memory.PeakMemory(state, saver)
    said = []
    for state.step in range(5, 13):
        if state.step % 3 == 0:
            saver.saved_step = state.step
        callback.on_train_step_end(None)
        said.append(len(lines(caplog)))
    assert said == [0, 1, 1, 1, 1, 1, 1, 1]
    (line,) = lines(caplog)
    told = re.fullmatch(r"peak memory so far: (\d+) MB \(host\)", line)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    assert int(told[1]) == pytest.approx(kilobytes * 1.024e-3, rel=0.02)


def test_ranks_say_their_own_and_the_largest(monkeypatch, caplog):
    """The largest of the hosts and of the cards need not be one rank's."""
    caplog.set_level("INFO")
    on_card(monkeypatch)
    peaks = {0: (3000.4, 21000.0), 1: (3500.6, 20000.0), 2: (2500.0, 20500.0)}

    def said(ranks: Communicator) -> str:
        host, device = peaks[ranks.rank]
        return memory.memory_text(ranks, host, device)

    assert on_ranks(3, said) == [
        f"{host:.0f} MB (host), {device:.0f} MB (device); of all 3 ranks at most 3501 MB (host), 21000 MB (device)"
        for host, device in peaks.values()
    ]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ({"runtime": {"max_memory_allocated": 2_000_000}, "hal": {"max_memory_allocated": 1}}, 2.0),
        ({"runtime": {"empty_cache": 0}, "hal": {"max_memory_allocated": 3_000_000}}, 3.0),
        ({"hal": {"max_memory_allocated": 4_000_000}}, 4.0),
        ({}, None),
    ],
)
def test_a_cards_peak_is_asked_where_the_version_tells_it(monkeypatch, modules, expected):
    on_card(monkeypatch, **modules)
    assert memory.device_peak_mb() == expected
    text = memory.memory_text(Communicator(), 1000.0, expected)
    version = f"1000 MB (host); MindSpore {ms.__version__} does not report the device's"
    assert text == (version if expected is None else f"1000 MB (host), {expected:.0f} MB (device)")


def test_the_cpu_has_no_other_memory_than_the_hosts():
    assert memory.device_peak_mb() is None
