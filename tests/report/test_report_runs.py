"""Runs found and read, their sections, and scripts/report.py."""

from __future__ import annotations

import json
import os
import re

import pytest

from scripts import report as script
from src.base.errors import UserError
from src.report import environment, sections
from src.report.runs import find_runs, run_of_checkpoint, short_names
from src.report.sections import run_sections
from src.report.settings import default_settings, flat, read_settings
from tests.report_helpers import make_config, make_pictures, write_evaluation, write_training
from tests.run_helpers import run_script


def inlined(path, element):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(f'<script type="application/json" id="{element}">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_holds_what_the_files_hold(tmp_path):
    metrics, evaluations = write_training(tmp_path / "train")
    scores = write_evaluation(tmp_path / "eval", make_pictures(["a", "b"]))
    assert script.main([str(tmp_path)]) == 0
    page = inlined(tmp_path / "report.html", "page")
    parts = {section["kind"]: section["data"] for section in page["sections"]}
    assert list(parts) == ["overview", "classes", "confusion", "pictures", "curves", "settings"]
    (entry,) = parts["classes"]["scores"]
    for name in ("miou", "iou", "pixel_accuracy", "confusion_matrix", "images", "protocol"):
        assert entry[name] == scores[name]
    (curve,) = parts["curves"]["runs"]
    for found, records in ((curve["metrics"], metrics), (curve["evaluations"], evaluations)):
        assert [dict(zip(found, values)) for values in zip(*found.values())] == records
    assert parts["settings"]["environments"][1]["Python"] == "3.11"
    assert [record["name"] for record in inlined(tmp_path / "report.html", "records-3")] == ["a", "b"]


def test_several_protocols_have_a_score_each(tmp_path):
    one = write_evaluation(tmp_path / "eval", make_pictures(["a"]))
    several = [{**one, "name": name, "miou": miou} for name, miou in (("ss", 0.5), ("msf", 0.75))]
    write_evaluation(tmp_path / "eval", make_pictures(["a"]), protocols=several)
    (run,) = find_runs([tmp_path / "eval"])
    overview = run_sections(tmp_path / "report.html", [run])[0].data
    assert [(entry["name"], entry["miou"]) for entry in overview["scores"]] == [
        ("eval (ss)", 0.5),
        ("eval (msf)", 0.75),
    ]


def test_older_results_get_the_names_of_their_data_set(tmp_path):
    make_config(tmp_path / "eval")
    (tmp_path / "eval" / "config.yml").write_text("data: {name: cityscapes}\n", encoding="utf-8")
    old = {"miou": 0.5, "iou": [0.5] * 19, "pixel_accuracy": 0.5, "images": 3}
    (tmp_path / "eval" / "eval.json").write_text(json.dumps(old), encoding="utf-8")
    overview, classes, *rest = run_sections(tmp_path / "report.html", find_runs([tmp_path / "eval"]))
    (entry,) = classes.data["scores"]
    assert entry["classes"][13] == "car"
    assert entry["colors"][13] == "#00008e"
    assert [section.kind for section in rest] == ["settings"]


def test_from_500_pictures_on_they_stay_beside_the_page(tmp_path, monkeypatch):
    write_evaluation(tmp_path / "eval", make_pictures(["a", "b", "c"]))
    assert sections.INLINE_BELOW == 500
    for below, inline in ((4, True), (3, False)):
        monkeypatch.setattr(sections, "INLINE_BELOW", below)
        script.main([str(tmp_path / "eval")])
        assert ('id="picture-0-2"' in (tmp_path / "eval" / "report.html").read_text(encoding="utf-8")) is inline


def test_nested_settings_by_path_and_transforms_by_name():
    values = {"a": 1, "b": {"c": [1, 2], "t": [{"Flip": {"prob": 0.5}}, {"Crop": {"size": [1, 2]}}]}, "empty": {}}
    assert flat(values) == {
        "a": 1,
        "b.c": [1, 2],
        "b.t": ["Flip", "Crop"],
        "b.t.Flip.prob": 0.5,
        "b.t.Crop.size": [1, 2],
        "empty": {},
    }


def test_the_latest_configuration_counts_and_the_default_is_the_scripts(tmp_path):
    assert read_settings(tmp_path) is None
    for name, steps in (("config.yml", 1), ("config-20260101-000000.yml", 2), ("config-20260102-000000.yml", 3)):
        (tmp_path / name).write_text(f"total_step: {steps}\n", encoding="utf-8")
    assert read_settings(tmp_path) == {"total_step": 3}
    default = default_settings()
    assert default["total_step"] == 160000
    assert default["data.train_transforms.item_transforms.RandomFlip.prob"] == 0.5
    assert "save_dir" not in default  # of one invocation, in no saved configuration


def test_names_are_as_long_as_it_takes_to_tell_them_apart(tmp_path):
    paths = [tmp_path / "a" / "eval", tmp_path / "b" / "eval"]
    assert short_names(paths) == ["a/eval", "b/eval"]
    assert short_names(paths[:1]) == ["eval"]


def test_the_run_of_a_checkpoint(tmp_path):
    write_training(tmp_path / "run")
    assert run_of_checkpoint(tmp_path / "run" / "checkpoints" / "x.ckpt") == (tmp_path / "run").resolve()
    assert run_of_checkpoint(tmp_path / "run" / "x.ckpt") is None
    assert run_of_checkpoint(tmp_path / "other" / "checkpoints" / "x.ckpt") is None


def test_the_environment_names_versions_and_machine(tmp_path):
    environment.write_environment(tmp_path, device="CPU", ranks=2)
    found = json.loads((tmp_path / environment.NAME).read_text(encoding="utf-8"))
    import numpy

    assert found["numpy"] == numpy.__version__
    assert (found["device"], found["ranks"]) == ("CPU", "2")
    environment.write_environment(tmp_path / "nowhere")  # a warning, no more


def test_what_is_wrong_is_one_line_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no results of train.py or eval.py there, nor in a folder directly below it$"):
        script.main([str(tmp_path / "nowhere")])
    write_training(tmp_path / "run")
    (tmp_path / "run" / "report.html").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="exists and is not a BiSeNetV2 report; [^\n]*$"):
        script.main([str(tmp_path / "run")])
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") == "mine"
    for content, message in (
        ("{", "not JSON: "),
        ("[]", "expected an object, got list"),
        ('{"miou": 1, "iou": [1, 1], "confusion_matrix": [[1], [1, 2]]}', "confusion_matrix is not a matrix"),
        ('{"miou": 1, "iou": [1], "confusion_matrix": [["<b>"]]}', "confusion_matrix must be a matrix"),
        ('{"miou": 1, "iou": [1], "confusion_matrix": [3]}', "confusion_matrix must be a matrix"),
    ):
        (tmp_path / "run" / "eval.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=rf"eval\.json: {message}[^\n]*$"):
            script.main([str(tmp_path / "run"), "--output", str(tmp_path / "x.html")])


def without_mindspore(folder):
    """Return an environment in which MindSpore cannot be imported."""
    (folder / "no" / "mindspore").mkdir(parents=True, exist_ok=True)
    (folder / "no" / "mindspore" / "__init__.py").write_text("raise ImportError('MindSpore was imported')\n")
    return {**os.environ, "PYTHONPATH": str(folder / "no")}


@pytest.mark.once
def test_the_script_writes_where_it_says(tmp_path):
    write_training(tmp_path / "a")
    write_training(tmp_path / "b", seed=1)
    for _ in range(2):  # a report is replaced
        done = run_script("scripts/report.py", "a", "b", cwd=tmp_path, strict=True, env=without_mindspore(tmp_path))
        assert (done.stdout, done.stderr) == ("report: report.html\n", "")
    assert inlined(tmp_path / "report.html", "page")["title"] == "a · b"
    done = run_script("scripts/report.py", "c", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
