"""The checks of a new card that start runs (7, 8, 12 to 14), each with a subject that is right and spoiled ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tools.device_check import ranks, runs
from tools.device_check.result import Result, Settings

# PyNative mode, since compiling would take longer than all else
SMALL = ("data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[64,96]", "ms_mode=1")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings("CPU", 0, tmp_path)


# 7: SIGTERM

TRAINER = """
import json, pathlib, signal, sys, time
folder, mode = pathlib.Path(sys.argv[1]), sys.argv[2]
(folder / "checkpoints").mkdir(parents=True)
def stop(*_):
    if mode != "unsaved":
        (folder / "checkpoints" / "BiSeNetV2_30_rank0.ckpt").touch()
    print("stopped by signal 15 after step", 29 if mode == "miscounted" else 30, flush=True)
    sys.exit(0 if mode == "code" else 143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else stop)
(folder / "metrics.jsonl").write_text(json.dumps({"step": 20, "loss": 1.0}) + "\\n")
time.sleep(60)
"""


@pytest.mark.once
@pytest.mark.parametrize("mode", ["right", "unsaved", "code", "miscounted", "deaf"])
def test_a_signal_that_is_not_heeded_is_seen(settings, monkeypatch, mode):
    monkeypatch.setattr(runs, "STOP_SECONDS", 1 if mode == "deaf" else 30)
    monkeypatch.setattr(runs, "training", lambda _, folder, *__: [sys.executable, "-c", TRAINER, str(folder), mode])
    assert runs.check_signal(settings).passed == (mode == "right")


# 8, 13, 14: whole runs, which other tests make on every MindSpore; then the checks read what was altered


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Settings, dict[str, Result]]:
    """The settings of the runs, and what the checks said of them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(runs, "SINK", 2)
    patch.setattr(runs, "STEPS", 4)
    settings = Settings("CPU", 0, tmp_path_factory.mktemp("runs"), options=SMALL)
    checks: tuple[Callable, ...] = (runs.check_resume, runs.check_evaluation, runs.check_export)
    yield settings, {check.__name__: check(settings) for check in checks}
    patch.undo()


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("name", ["check_resume", "check_evaluation", "check_export"])
def test_whole_runs_pass(real, name):
    result = real[1][name]
    assert result.passed, result


@pytest.fixture
def nothing_runs(monkeypatch) -> None:
    """Let the checks read what is there already."""
    monkeypatch.setattr(runs, "run", lambda *_, **__: 0)


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.usefixtures("nothing_runs")
def test_a_resumed_run_that_strays_is_seen(real):
    path = real[0].folder / "resumed" / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[-1]["loss"] *= 1.001
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert not runs.check_resume(real[0]).passed
    path.write_text("", encoding="utf-8")
    assert runs.check_resume(real[0]).figure == float("inf")


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.usefixtures("nothing_runs")
def test_another_score_is_seen(real):
    path = real[0].folder / "eval_device" / "eval.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "miou": record["miou"] - 0.002}), encoding="utf-8")
    assert not runs.check_evaluation(real[0]).passed


@pytest.mark.parametrize(("found", "passes"), [(0.5, True), (0.502, False), (None, False)])
def test_an_evaluation_that_differs_fails(settings, monkeypatch, found, passes):
    monkeypatch.setattr(runs, "evaluate", lambda _, device, name: found if name == "eval_device" else 0.5)
    assert runs.check_evaluation(settings).passed == passes


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.usefixtures("nothing_runs")
def test_an_export_that_differs_in_some_pixels_is_seen(real):
    path = sorted((real[0].folder / "MindSpore" / "results").glob("*.bin"))[3]
    class_map = np.fromfile(path, np.int32)
    class_map[: class_map.size // 50] += 1  # 2 % of one picture of eight
    class_map.tofile(path)
    assert 0.001 < runs.check_export(real[0]).figure < 0.003
    path.unlink()
    assert runs.check_export(real[0]).figure == 1.0


# 12: ranks


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, only_job) -> tuple[Settings, Result]:
    patch = pytest.MonkeyPatch()
    for module in (runs, ranks):
        patch.setattr(module, "SINK", 2)
    for name in ("OMPI_COMM_WORLD_RANK", "MS_ROLE", "RANK_TABLE_FILE"):
        patch.delenv(name, raising=False)
    settings = Settings("CPU", 0, tmp_path_factory.mktemp("ranks"), ranks=2, options=SMALL)
    yield settings, ranks.check_ranks(settings)
    patch.undo()


@pytest.mark.once
@pytest.mark.slow
def test_two_ranks_train_as_one(two_ranks):
    result = two_ranks[1]
    assert result.passed, result


@pytest.mark.once
@pytest.mark.slow
def test_what_goes_wrong_between_ranks_is_seen(two_ranks, monkeypatch):
    settings = two_ranks[0]
    monkeypatch.setattr(ranks, "run", lambda *_, **__: 0)
    assert ranks.check_ranks(settings).passed
    folder = settings.folder / "ranks2"
    spoiled = {
        "exchange": (folder / "exchange_1.json", lambda text: text.replace("[0, 1]", "[0, 0]")),
        "digests": (folder / "logs" / "rank_1.log", lambda text: text.replace("after step 2: ", "after step 2: 0")),
        "loss": (folder / "metrics.jsonl", lambda text: text.replace('"loss": ', '"loss": 1')),
    }
    for name, (path, change) in spoiled.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(change(text), encoding="utf-8")
        result = ranks.check_ranks(settings)
        assert not result.passed, name
        figures = result.details["2 ranks"]
        assert [key for key in spoiled if figures[key] > 1e-4] == [name]
        path.write_text(text, encoding="utf-8")
    own, factors = ranks.momentum, {folder: 2.0}  # sums instead of means over the ranks
    monkeypatch.setattr(ranks, "momentum", lambda path: factors.get(path, 1.0) * own(path))
    assert not ranks.check_ranks(settings).passed
