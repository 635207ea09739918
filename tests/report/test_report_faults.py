"""Files of a run that somebody else has written, or something else has damaged: one line each, and no page."""

from __future__ import annotations

import json
import shutil

import pytest

from scripts import report as script
from src.base.errors import UserError
from tests.report_helpers import make_pictures, write_evaluation
from tests.special_files import MAKERS

pytestmark = pytest.mark.once

HUGE = 10**30
OTHERS = ("a device", "a socket")
FILES = (
    "eval.json",
    "environment.json",
    "config.yml",
    "metrics.jsonl",
    "evaluations.jsonl",
    "report_files/records-0.jsonl",
    "report_files/000000.js",
    "report_files/000000.jpg",
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once") / "run"
    write_evaluation(folder, make_pictures(["a"]))
    return folder


@pytest.fixture
def run(evaluation, tmp_path):
    shutil.copytree(evaluation, tmp_path / "run")
    return tmp_path / "run"


def refused(folder, *options):
    """Return the line of a report that is refused; nothing of it is left."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError) as caught:
        script.main([str(folder), *options])
    assert sorted(folder.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "a named pipe") for name in FILES), *(("eval.json", kind) for kind in OTHERS)]
)
def test_what_is_no_regular_file_is_not_opened(run, name, kind):
    MAKERS[kind](run / name)
    assert refused(run) == f"{run / name}: is {kind}, not a regular file; remove it, or put the file itself there"


@pytest.mark.parametrize("kind", MAKERS)
def test_a_base_that_is_no_regular_file_is_not_opened(run, kind):
    MAKERS[kind](run / "base.yml")
    (run / "config.yml").write_text("__BASE__: base.yml\n", encoding="utf-8")
    reason = f"is {kind}, not a regular file; put the file itself there"
    assert refused(run) == f"cannot read configuration {run / 'base.yml'}: {reason}"


@pytest.mark.parametrize("kind", MAKERS)
def test_a_page_is_written_to_no_pipe(run, kind):
    MAKERS[kind](run / "x.html")
    line = refused(run, "--output", str(run / "x.html"))
    assert line == f"{run / 'x.html'}: is {kind}, which a report cannot replace; write to another place"


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_end(run, name):
    (run / name).write_bytes(b"")
    with (run / name).open("r+b") as file:
        file.truncate(10**12)  # takes no room on the disk
    line = refused(run)
    assert str(run / name) in line
    assert " MB" in line


@pytest.mark.parametrize("name", ["eval.json", "environment.json", "report_files/records-0.jsonl"])
def test_bytes_that_are_no_text(run, name):
    (run / name).write_bytes(b'{"index": 0, "name": "\xff\xfe"}\n')
    line = refused(run)
    assert line.startswith(f"{run / name}: ")
    assert "can't decode byte 0xff" in line


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("iou", 5, "a list of numbers"),
        ("iou", "ab", "a list of numbers"),
        ("miou", True, "a number"),
        ("miou", HUGE, "a number"),
        ("pixel_accuracy", "<b>", "a number"),
        ("confusion_matrix", {"a": 1}, "a matrix of whole numbers"),
        ("confusion_matrix", [[HUGE]], "a matrix of whole numbers"),
        ("confusion_matrix", [[-1]], "a matrix of whole numbers"),
        ("class_names", 5, "a list of texts"),
        ("class_names", {"a": 1}, "a list of texts"),
        ("class_colors", [1], "a list of texts"),
        ("protocols", {"a": 1}, "a list of mappings"),
        ("protocols", [1], "a list of mappings"),
        ("protocol", "x", "a mapping"),
        ("checkpoint", [1], "text"),
        ("images", 1.5, "a whole number"),
    ],
)
def test_scores_of_another_type(run, name, value, what):
    values = json.loads((run / "eval.json").read_text(encoding="utf-8"))
    (run / "eval.json").write_text(json.dumps({**values, name: value}), encoding="utf-8")
    line = refused(run)
    assert line.startswith(f"{run / 'eval.json'}: {name} must be {what}, got ")
    assert line.endswith("; remove the file, or write it anew")


def test_scores_of_another_type_within_a_protocol(run):
    (run / "eval.json").write_text('{"miou": 0.5, "protocols": [{"name": "ss", "miou": "x"}]}', encoding="utf-8")
    assert "eval.json: miou must be a number, got 'x'" in refused(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {name: [cityscapes]}", "data.name must be text"),
        ("data: {class_names: 5}", "data.class_names must be a list of texts"),
        ("total_step: many", "total_step must be a whole number"),
    ],
)
def test_settings_of_another_type(run, text, message):
    (run / "config.yml").write_text(text, encoding="utf-8")
    assert refused(run).startswith(f"{run / 'config.yml'}: {message}, got ")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"index": -5, "name": "a"}, "index must be a whole number, got -5"),
        ({"index": HUGE, "name": "a"}, "index must be a whole number, got 1000"),
        ({"index": 0, "name": 7}, "name must be text, got 7"),
        ({"index": 0, "name": "a", "width": "a"}, "width must be a whole number, got 'a'"),
        ({"index": 0, "name": "a", "iou": 5}, "iou must be a list of numbers, got 5"),
        ({"name": "a"}, "it lacks index or name"),
    ],
)
def test_records_of_another_type(run, record, message):
    path = run / "report_files" / "records-0.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    line = refused(run)
    assert line.startswith(f"{path}: line 1 is not a record: ")
    assert message in line


def test_a_record_leads_nowhere_else(run, tmp_path):
    record = {"index": 0, "name": "a", "script": "https://elsewhere/x.js"}
    (run / "report_files" / "records-0.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    assert script.main([str(run)]) == 0
    assert "elsewhere" not in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["{}", 'bisenetReport.arrived("</script><b>");\n', "bisenetReport.arrived(", "\udcff"])
def test_a_picture_that_is_none_of_ours(run, text):
    path = run / "report_files" / "000000.js"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert refused(run) == f"{path}: is not a picture of a report; evaluate again with --report True"


def test_a_thumbnail_that_leads_to_another_file(run, tmp_path):
    (tmp_path / "secret").write_text("mine", encoding="utf-8")
    path = run / "report_files" / "000000.jpg"
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    assert refused(run) == f"{path}: is not a JPEG; evaluate again with --report True"


def test_numbers_that_a_browser_has_not_are_left_out_of_the_curves(run, caplog):
    good = [{"step": 2, "loss": 1.5}, {"step": 2**53, "loss": 1}]
    records = [{"step": HUGE, "loss": 1.0}, good[0], {"step": 3, "loss": HUGE}, good[1], {"step": -HUGE}]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (run / "metrics.jsonl").write_text(text, encoding="utf-8")
    assert script.main([str(run)]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f'"metrics":{{"step":[2,{2**53}],"loss":[1.5,1]}}' in page
    message = f"{run / 'metrics.jsonl'}: 3 lines are unreadable and left out, the first is line 1"
    assert message in [record.getMessage() for record in caplog.records]


def test_a_folder_whose_name_is_no_text(run):
    other = run.with_name("a\udcff")
    run.rename(other)
    assert script.main([str(other)]) == 0
    assert "<title>a?</title>" in (other / "report.html").read_text(encoding="utf-8")
