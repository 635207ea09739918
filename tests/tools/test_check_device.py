"""scripts/check_device.py: order, end at the first failure, results that outlive a crash, mistakes of the user's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import check_device
from src.base.errors import UserError
from tests.run_helpers import run_script
from tools.device_check.report import plain, table

MACHINE = {"MindSpore": "9.9", "half": False, "tensor_float": False}


def answers(failing: int = 0, crashing: int = 0, dying: int = 0):
    """Return a replacement of `in_process` in which all checks pass but these."""

    def in_process(name: str, settings) -> tuple:
        log = settings.folder / f"{name}.log"
        if name == "probe":
            return 0, dict(MACHINE), log
        number = int(name.removeprefix("check"))
        if number == crashing:
            raise KeyboardInterrupt
        if number == dying:
            return -9, None, log
        figure = float("nan") if number == failing else 0.5
        record = {"figure": figure, "bound": 1.0, "oracle": "a sage", "advice": "ask", "passed": number != failing}
        return 0, {**record, "details": {"take": "this"} if number == 9 else {}}, log

    return in_process


def run(monkeypatch, folder: Path, *options: object, **broken: int) -> tuple[int, dict]:
    """Run the script with such checks; return its exit code and its results."""
    monkeypatch.setattr(check_device, "in_process", answers(**broken))
    code = check_device.main(["--device_target", "CPU", "--folder", str(folder), *map(str, options)])
    return code, json.loads((folder / "check_device.json").read_text(encoding="utf-8"))


def run_numbers(results: dict) -> list[int]:
    return [record["number"] for record in results["checks"]]


def test_all_checks_run_in_order(monkeypatch, tmp_path, capsys):
    code, results = run(monkeypatch, tmp_path, "--ranks", 2)
    assert code == 0
    assert run_numbers(results) == list(range(1, 15))
    assert results["machine"] == MACHINE
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.endswith("passed  a sage")]) == 14
    assert "take this" in lines
    assert str(tmp_path / "check_device.json") in lines[-1]


def test_without_ranks_and_quick(monkeypatch, tmp_path):
    assert run_numbers(run(monkeypatch, tmp_path / "a")[1]) == [*range(1, 12), 13, 14]
    assert run_numbers(run(monkeypatch, tmp_path / "b", "--quick")[1]) == [1, 2, 3, 4, 5]


def test_a_folder_can_be_given_again_after_a_mistake(monkeypatch, tmp_path):
    """Without the device that was asked for the folder stays as it was: empty."""

    def in_process(name: str, settings) -> tuple:
        log = settings.folder / f"{name}.log"
        log.write_text("error: MindSpore finds no such device\n")
        (settings.folder / f"{name}.task.json").write_text("{}")
        return 2, None, log

    monkeypatch.setattr(check_device, "in_process", in_process)
    with pytest.raises(UserError, match="^MindSpore finds no such device$"):
        check_device.main(["--folder", str(tmp_path)])
    assert not [path for path in tmp_path.iterdir() if path.name != ".claim"]


def test_the_first_failure_ends_the_run(monkeypatch, tmp_path, capsys):
    code, results = run(monkeypatch, tmp_path, failing=4)
    assert code == 1
    assert run_numbers(results) == [1, 2, 3, 4]
    assert results["checks"][-1]["figure"] == "nan"
    assert "check 4 failed: ask" in capsys.readouterr().out


def test_a_check_whose_process_dies_has_failed(monkeypatch, tmp_path, capsys):
    code, results = run(monkeypatch, tmp_path, dying=2)
    assert code == 1
    assert results["checks"][-1]["details"] == {"exit code": -9}
    assert f"check 2 failed: see {tmp_path / 'check2.log'}" in capsys.readouterr().out


def test_what_was_found_outlives_a_crash(monkeypatch, tmp_path):
    target = tmp_path / "report.json"
    monkeypatch.setattr(check_device, "in_process", answers(crashing=3))
    with pytest.raises(KeyboardInterrupt):
        check_device.main(["--device_target", "CPU", "--folder", str(tmp_path / "logs"), "--json", str(target)])
    assert run_numbers(json.loads(target.read_text(encoding="utf-8"))) == [1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device_target", "TPU"], "invalid choice: 'TPU'"),
        (["--ranks", "1"], "--ranks 1: give 2 or more"),
        (["--ranks", "two"], "--ranks"),
        (["--ranks", "2", "--quick"], "--ranks: not with --quick"),
        (
            ["--ranks", "100000", "--device_target", "CPU"],
            "--ranks 100000: DEVICE_NUM asks for 100000 devices on this machine",
        ),
        (["net_args.depthwise=repeat"], "net_args.depthwise: unknown key"),
        (["--folder", "{full}"], "not empty, and left as it is"),
        (["--folder", "{full}/file/below"], "cannot make the folder"),
        (["--json", "{full}/file"], "is there already"),
    ],
)
def test_mistakes_are_told(tmp_path, words, message):
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=message) as told:
        check_device.main([word.format(full=full) for word in words])
    assert "\n" not in str(told.value)
    assert [path.name for path in full.iterdir()] == ["file"]


def test_a_device_that_is_not_there_is_one_line(tmp_path):
    done = run_script("scripts/check_device.py", "--device_id", 3, "--folder", tmp_path / "logs", check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: MindSpore ")
    assert lines[0].endswith(" finds no Ascend device 3 here; try device CPU")
    assert not done.stdout


@pytest.mark.parametrize(("code", "stays"), [(2, False), (1, True)])
def test_a_temporary_folder_stays_for_its_log_alone(monkeypatch, tmp_path, code, stays):
    def in_process(name: str, settings) -> tuple:
        log = settings.folder / f"{name}.log"
        log.write_text("error: no card\n", encoding="utf-8")
        return code, None, log

    monkeypatch.setattr(check_device, "in_process", in_process)
    monkeypatch.setattr(check_device.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    (tmp_path / "check_device-").mkdir()
    with pytest.raises(UserError, match="^no card" if stays else "^no card$"):
        check_device.main(["--device_target", "CPU"])
    assert (tmp_path / "check_device-").exists() == stays


def test_the_table_says_what_failed():
    record = {
        "number": 2,
        "figure": 0.5,
        "bound": 0.1,
        "seconds": 3.0,
        "oracle": "PyTorch",
        "advice": "do this",
        "passed": False,
        "details": {"a": 1, "b": {"c": [0.123456, None]}},
    }
    header, line, failure = table([record]).splitlines()
    assert line.split() == ["2", "forward", "pass", "0.5", "0.1", "3", "FAILED", "PyTorch"]
    assert header.split() == ["check", "figure", "bound", "s", "result", "oracle"]
    assert failure == "check 2 failed: do this; a: 1, b (c: [0.1235, None])"


def test_the_results_are_json_that_any_reader_takes():
    value = {"a": float("inf"), "b": [float("nan"), 1.5, None, True], 3: Path("/x")}
    assert plain(value) == {"a": "inf", "b": ["nan", 1.5, None, True], "3": "/x"}
