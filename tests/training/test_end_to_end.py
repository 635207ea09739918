"""Training and evaluation as a user runs them: processes, files, exit codes, exact resume."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers import labels as cityscapes

from src.state import checkpoint
from tests.dataset_helpers import write_cityscapes
from tests.official_evaluation import official_scores
from tests.run_helpers import ROOT, command, keep_graphs, read_metrics, run_script, tiny_options

STEPS = 20
EXACT = ("loss", "loss_main", "loss_aux2", "loss_aux3", "loss_aux4", "loss_aux5_4", "lr", "loss_scale", "overflows")
SETTINGS = ["--total_step", STEPS, "--log_interval", 1, "--checkpoint_interval", 10]

OWN = re.compile(r"getName\(\) is deprecated")  # MindSpore's, in what it does when the process ends

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_cityscapes(folder, {"train": 7, "val": 3})
    return folder


@pytest.fixture(scope="module")
def with_graphs(tmp_path_factory) -> dict[str, str]:
    """The environment of the runs of STEPS steps, which compile the same."""
    return {**os.environ, **keep_graphs(tmp_path_factory.mktemp("graphs"))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset, with_graphs) -> tuple[Path, str]:
    """A run of 20 steps, undisturbed, that evaluates on the way: its folder, and what it printed."""
    save_dir = tmp_path_factory.mktemp("straight") / "run"
    options = [*SETTINGS, "--run_eval", "True", "--save_dir", save_dir, *tiny_options(dataset)]
    done = run_script("train.py", *options, "data.num_parallel_workers=2", strict=True, env=with_graphs)
    assert "[INFO] Start Training" in done.stdout
    return save_dir, done.stdout + done.stderr


@pytest.fixture(scope="module")
def straight(trained) -> Path:
    return trained[0]


def deprecations(text: str) -> list[str]:
    """Return the lines that tell of deprecation."""
    return [line for line in text.splitlines() if "deprecat" in line.lower() and not OWN.search(line)]


def test_training_uses_nothing_deprecated(trained):
    """Neither of Python's, whose warnings are errors in that run, nor of MindSpore's, which it logs."""
    assert deprecations(trained[1]) == []


def test_files_of_a_run(straight):
    present = {str(path.relative_to(straight)) for path in straight.rglob("*") if path.is_file()}
    assert present == {
        "config.yml",
        "curves.png",
        "environment.json",
        "evaluations.jsonl",
        "latest_evaluation.json",
        "metrics.jsonl",
        "report.html",
        "report_files/state.js",
        "logs/rank_0.log",
        "checkpoints/BiSeNetV2_10_rank0.ckpt",
        "checkpoints/BiSeNetV2_20_rank0.ckpt",
        "checkpoints/BiSeNetV2_best.ckpt",
    }
    log = (straight / "logs" / "rank_0.log").read_text(encoding="utf-8")
    time_and_level = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] "
    shape = r"step 20/20, loss: \d+\.\d{4}, cur_lr: \d\.\d{6}, cost \d+\.\d\d ms$"
    assert re.search(time_and_level + shape, log, re.MULTILINE)
    assert re.search(r"\[INFO\] miou: 0\.\d+$", log, re.MULTILINE)
    peaks = re.findall(time_and_level + r"peak memory so far: (\d+) MB \(host\)$", log, re.MULTILINE)
    assert len(peaks) == 1  # of two checkpoints
    assert 100 < int(peaks[0]) < 10_000
    losses = [record["loss"] for record in read_metrics(straight).values()]
    assert abs(losses[0] - 5 * np.log(19)) < 0.5
    assert np.mean(losses[-5:]) < losses[0] - 1


def test_stop_and_resume_continue_exactly(straight, dataset, with_graphs, tmp_path):
    """SIGTERM somewhere, then a new process with another number of workers: the same losses, bit for bit.

    The new process compiles its graph itself, so that nothing of the first run but the checkpoint reaches it.
    """
    save_dir = tmp_path / "run"
    options = [*SETTINGS, "--save_dir", save_dir, *tiny_options(dataset), "data.num_parallel_workers=1"]
    process = subprocess.Popen(
        command("train.py", *options), env=with_graphs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "step 6/20" in line:
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM, "".join(lines[-20:])
    saved = checkpoint.list_checkpoints(save_dir / "checkpoints")
    step, path = saved[-1]
    assert 6 <= step < STEPS
    assert f"resume with the same options and --resume_ckpt {path}" in lines[-1]

    # --save_dir is not given: the run goes on in its own folder
    options = [*SETTINGS, "--resume_ckpt", path, *tiny_options(dataset), "data.num_parallel_workers=3"]
    done = run_script("train.py", *options)
    assert f"after step {step}" in done.stdout
    expected, actual = read_metrics(straight), read_metrics(save_dir)
    assert sorted(actual) == sorted(expected) == list(range(1, STEPS + 1))
    for number in expected:
        for name in EXACT:
            assert actual[number][name] == expected[number][name], (number, name)
    last = f"checkpoints/{checkpoint.checkpoint_name(STEPS)}"
    values, same = checkpoint.read_checkpoint(straight / last), checkpoint.read_checkpoint(save_dir / last)
    assert values.keys() == same.keys()
    for name in values:
        np.testing.assert_array_equal(values[name], same[name], err_msg=name)


def test_ctrl_c_ends_with_130(dataset, with_graphs, tmp_path):
    options = [*SETTINGS, "--save_dir", tmp_path / "run", *tiny_options(dataset)]
    process = subprocess.Popen(
        command("train.py", *options), env=with_graphs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        if "step 2/20" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")


@pytest.mark.once
def test_a_run_is_never_wiped(straight, dataset):
    before = {path: path.stat().st_mtime_ns for path in straight.rglob("*")}
    done = run_script("train.py", *SETTINGS, "--save_dir", straight, *tiny_options(dataset), check=False)
    assert done.returncode == 2
    assert "holds a run already; continue it with --resume_ckpt, or take another --save_dir" in done.stderr
    first = straight / "checkpoints" / checkpoint.checkpoint_name(10)
    done = run_script("train.py", *SETTINGS, "--resume_ckpt", first, *tiny_options(dataset), check=False)
    assert done.returncode == 2
    assert "is newer than" in done.stderr
    after = {path: path.stat().st_mtime_ns for path in straight.rglob("*") if path.name != "rank_0.log"}
    assert all(before[path] == mtime for path, mtime in after.items() if path.is_file())


def test_evaluation_equals_the_one_while_training_and_the_official_one(straight, dataset, tmp_path):
    path = straight / "checkpoints" / checkpoint.checkpoint_name(STEPS)
    predictions = tmp_path / "predictions"
    options = ["--checkpoint_path", path, "--single_scale", "True", "--save_predictions", predictions]
    options += ["--save_images", "True", "--report", "True", "--save_dir", tmp_path / "eval", *tiny_options(dataset)]
    done = run_script("eval.py", *options, strict=True)
    assert deprecations(done.stdout + done.stderr) == []
    assert re.search(r"\[INFO\] Total number of images: 3\n", done.stdout)
    assert re.search(r"\[INFO\] =========== Evaluation Result ===========\n", done.stdout)
    assert re.search(r"\[INFO\] iou array: \n \[", done.stdout)
    assert "protocol: image size 64x96 (height x width), scales 1.0, flip False" in done.stdout
    result = json.loads((tmp_path / "eval" / "eval.json").read_text(encoding="utf-8"))
    in_training = (straight / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    assert result["miou"] == json.loads(in_training[-1])["miou"]
    assert result["images"] == 3
    assert result["protocol"] == {"multi_scale": False, "img_ratios": [1.0], "flip": False, "image_size": [64, 96]}
    assert result["checkpoint"] == str(path)
    check_reports(straight, tmp_path / "eval", result, done.stdout)

    labels = sorted(dataset.rglob("gtFine/val/*/*_gtFine_labelIds.png"))
    official = official_scores(predictions, labels)
    names = [label.name for label in cityscapes.labels if 0 <= label.trainId < 19]
    scores = [official["classScores"][name] for name in names]
    ours = [np.nan if score is None else score for score in result["iou"]]
    np.testing.assert_allclose(ours, scores, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result["miou"], official["averageScoreClasses"], rtol=0, atol=1e-9)
    pictures = sorted((tmp_path / "eval" / "images").glob("*.png"))
    assert len(pictures) == 3
    assert all(cv2.imread(str(picture)) is not None for picture in pictures)

    done = run_script("eval.py", *options, check=False)
    assert done.returncode == 2
    assert "holds an evaluation already" in done.stderr


def check_reports(run, folder, result, printed):
    """Check what training and evaluation left for the browser against the scores and what was printed."""
    matrix = np.array(result["confusion_matrix"])
    hits, labelled, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(hits / (labelled + predicted - hits), np.array(result["iou"], float))
    shares = matrix / np.maximum(labelled, 1)[:, None] * (1 - np.eye(len(matrix)))
    assert re.findall(r"^  .* taken for .*?  +([\d.]+) %  +\d+ pixels$", printed, re.MULTILINE) == [
        f"{100 * share:.2f}" for share in sorted(shares.ravel().tolist(), reverse=True)[:5]
    ]
    latest = json.loads((run / "latest_evaluation.json").read_text(encoding="utf-8"))
    names = ("miou", "iou", "pixel_accuracy", "confusion_matrix", "class_names", "class_colors", "images", "protocol")
    assert {name: latest[name] for name in names} == {name: result[name] for name in names}
    pages = [embedded(path / "report.html", "page") for path in (run, folder)]
    kinds = [[section["kind"] for section in page["sections"]] for page in pages]
    assert kinds[0] == ["overview", "classes", "confusion", "curves", "settings"]
    assert kinds[1] == ["overview", "classes", "confusion", "pictures", "curves", "settings"]
    assert [page["live"] for page in pages] == [None, None]
    for page, run_number in zip(pages, (0, 1)):  # the evaluation's names its training second
        (curves,) = (section["data"]["runs"] for section in page["sections"] if section["kind"] == "curves")
        assert curves[0]["run"] == run_number
        assert curves[0]["metrics"]["loss"] == [record["loss"] for record in read_metrics(run).values()]
    records = embedded(folder / "report.html", "records-3")
    assert sorted(record["name"] for record in records) == sorted(path.stem for path in (folder / "images").iterdir())


def embedded(path, element):
    """Return the data of an element of a page."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(f'<script type="application/json" id="{element}">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.once
def test_multi_scale_and_flip_are_honoured(straight, dataset, tmp_path):
    """In PyNative mode, where six passes over three images take less time than compiling them."""
    path = straight / "checkpoints" / checkpoint.checkpoint_name(STEPS)
    results = []
    for flip in ("True", "False"):
        save_dir = tmp_path / flip
        options = ["--checkpoint_path", path, "--flip", flip, "--save_dir", save_dir, "--ms_mode", 1]
        done = run_script("eval.py", *options, *tiny_options(dataset), strict=True)
        assert deprecations(done.stdout + done.stderr) == []
        results.append(json.loads((save_dir / "eval.json").read_text(encoding="utf-8")))
    assert results[0]["protocol"]["img_ratios"] == [0.75, 1.0]
    assert [result["protocol"]["flip"] for result in results] == [True, False]
    assert results[0]["iou"] != results[1]["iou"]


@pytest.mark.once
def test_scripts_pass_options_on(straight, dataset, tmp_path):
    """PyNative mode is passed on, and gives the same first loss."""
    path = straight / "checkpoints" / checkpoint.checkpoint_name(STEPS)
    environment = {"PATH": f"{Path(command('x')[0]).parent}:/usr/bin:/bin", "DEVICE_TARGET": "CPU"}

    def run(script, *options):
        words = ["bash", str(ROOT / "scripts" / script), *options, *tiny_options(dataset)[1:]]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run("run_eval.sh", "0", str(path), "--single_scale", "True")
    (written,) = (tmp_path / "eval").iterdir()
    assert {"eval.json", "config.yml", "logs"} <= {entry.name for entry in written.iterdir()}

    options = ["--ms_mode", "1", "--total_step", "1", "--log_interval", "1", "--report", "False"]
    run("run_standalone_train.sh", "out", *options)
    assert (tmp_path / "out" / "checkpoints" / "BiSeNetV2_1_rank0.ckpt").exists()
    assert not (tmp_path / "out" / "report.html").exists()
    assert "PyNative mode" in (tmp_path / "out" / "logs" / "rank_0.log").read_text(encoding="utf-8")
    assert read_metrics(tmp_path / "out")[1]["loss"] == pytest.approx(read_metrics(straight)[1]["loss"], rel=1e-5)


@pytest.mark.once
def test_a_damaged_image_met_later_stops_the_run_and_is_named(tmp_path):
    """Its header and its end are sound, so only decoding finds it."""
    data = write_cityscapes(tmp_path / "data", {"train": 2})
    image = sorted((data / "leftImg8bit").rglob("*.png"))[0]
    content = bytearray(image.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    image.write_bytes(content)
    options = ["--save_dir", tmp_path / "run", "--total_step", 5, *tiny_options(data)]
    done = run_script("train.py", *options, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "[ERROR]" in line]
    assert len(errors) == 1
    assert str(image) in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.once
def test_a_loss_that_stays_non_finite_ends_the_run(dataset, tmp_path):
    options = ["--save_dir", tmp_path / "run", "--total_step", 80, *tiny_options(dataset), "optimizer.lr_init=1e30"]
    done = run_script("train.py", *options, check=False)
    assert done.returncode == 2
    assert "loss or gradients were not finite for 50 consecutive steps; try a lower --lr_init" in done.stderr
    assert read_metrics(tmp_path / "run")[50]["overflows"] > 30
