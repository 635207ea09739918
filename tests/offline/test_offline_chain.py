"""The whole offline path against eval.py, with one checkpoint: class maps, scores, and the script that chains it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import postprocess
import preprocess
from scripts import infer_model
from src.base.errors import ConfigError, DataError, UserError
from src.data.cityscapes import CITYSCAPES
from src.data.eval_samples import restore_class_map
from src.offline import inference
from src.offline.manifest import read_manifest
from src.offline.models import load_model
from tests.dataset_helpers import write_cityscapes
from tests.offline_helpers import SIZE, export, export_for_lite, read_results
from tests.run_helpers import ROOT, run_script
from tests.runner_helpers import build_environment, run_runner, stand_in_variables

RESIZE = f"data.eval_transforms.item_transforms.Resize.target_size=[{SIZE[0]},{SIZE[1]}]"
IMAGES = 6

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Pictures that Resize has to pad, and to scale: a class map goes a long way back to its label."""
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"val": IMAGES}, size=(80, 144))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, dataset, weights) -> tuple[dict, Path]:
    """What eval.py measures, and the folder of its predictions."""
    folder = tmp_path_factory.mktemp("eval")
    options = ["--checkpoint_path", weights, "--single_scale", "True", "--device_target", "CPU"]
    written = ["--save_dir", folder / "run", "--save_predictions", folder / "predictions"]
    run_script("eval.py", *options, *written, f"data.dataset_dir={dataset}", RESIZE)
    return json.loads((folder / "run" / "eval.json").read_text(encoding="utf-8")), folder / "predictions"


@pytest.fixture(scope="module")
def models(tmp_path_factory, weights) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    kinds = {
        "plain": ["--fold_bn", "False"],
        "uint8": ["--fold_bn", "False", "--input", "uint8"],
        "logits": ["--output", "logits"],
        "onnx": ["--fold_bn", "False", "--file_format", "ONNX"],
    }
    return {kind: export(weights, folder / kind, *options) for kind, options in kinds.items()}


def prepare(dataset: Path, model: Path, folder: Path) -> Path:
    """Run preprocess.py for a model; return the folder of inputs."""
    output = ["--output_path", str(folder / "preprocess_Result")]
    preprocess.main(["--data_path", str(dataset), "--mindir_path", str(model), *output])
    return folder / "preprocess_Result" / "image"


def score(folder: Path, capsys) -> float:
    """Run postprocess.py; return the mIoU it prints."""
    capsys.readouterr()
    paths = ["--result_path", folder / "result_Files", "--label_path", folder / "preprocess_Result" / "label"]
    postprocess.main(list(map(str, paths)))
    return float(capsys.readouterr().out.split("miou: ")[1].split()[0])


def differing_pixels(folder: Path, predictions: Path) -> int:
    """Count the pixels of offline class maps, at the label's size, that are not those of eval.py's PNGs."""
    manifest = read_manifest(folder / "preprocess_Result")
    results = read_results(folder / "result_Files", SIZE)
    assert len(results) == IMAGES
    count = 0
    for sample in manifest.samples:
        class_map = restore_class_map(results[sample.stem], sample.fitted, sample.label_size)
        name = sample.stem.replace("_leftImg8bit", "_pred_labelIds.png")
        expected = cv2.imread(str(predictions / name), cv2.IMREAD_UNCHANGED)
        assert len(np.unique(expected)) > 1
        count += int((CITYSCAPES.label_id_table()[class_map] != expected).sum())
    return count


@pytest.mark.parametrize("kind", ["plain", "uint8"])  # the other tests have folded models
def test_both_offline_paths_equal_the_evaluation(dataset, models, evaluated, stand_in, tmp_path, capsys, kind):
    record, predictions = evaluated
    inputs = prepare(dataset, models[kind], tmp_path)
    results = tmp_path / "result_Files"
    common = ["--mindir_path", models[kind], "--dataset_path", inputs, "--result_path", results]
    # Only the bits of normalisation in the graph can turn a pixel here: at most one in 10^4 of so few.
    pixels, tolerance = {"plain": (0, 1e-9), "uint8": (7, 1e-3)}[kind]
    outcomes = []
    for run in (
        lambda: run_script("scripts/infer_mindir.py", *common, "--device_type", "CPU"),
        lambda: run_runner(stand_in.runner, *common),
    ):
        done = run()
        assert done.returncode == 0, done.stderr
        assert differing_pixels(tmp_path, predictions) <= pixels
        assert abs(score(tmp_path, capsys) - record["miou"]) <= tolerance
        outcomes.append({path.name: path.read_bytes() for path in results.iterdir()})
        for path in results.iterdir():
            path.unlink()
    assert outcomes[0] == outcomes[1]


def test_logits_score_as_class_maps_do(dataset, models, evaluated, tmp_path, capsys):
    inputs = prepare(dataset, models["logits"], tmp_path)
    paths = inference.list_inputs(inputs, load_model(models["logits"]).input)
    inference.infer_folder(load_model(models["logits"]), paths, tmp_path / "result_Files", warmup=0)
    assert abs(score(tmp_path, capsys) - evaluated[0]["miou"]) <= 1e-3


def script(*arguments: object, name: str = "ascend_310_infer.sh", **options) -> subprocess.CompletedProcess:
    command = ["bash", str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_script_on_the_cpu(dataset, models, evaluated, tmp_path):
    """Twice in one folder, with blanks in its name, from another one; the second time by its other name, a .onnx."""
    data = tmp_path / "the data"
    data.symlink_to(dataset)
    out = tmp_path / "an out folder"
    runs = (
        ("ascend_310_infer.sh", "plain", []),
        ("ascend310_inference.sh", "onnx", ["--save_images=True", "--num_threads=1", "--verbose"]),
    )
    for name, kind, options in runs:
        arguments = [os.path.relpath(models[kind], tmp_path), "the data", 0, "CPU", "--out", out, *options]
        done = script(*arguments, name=name, cwd=tmp_path, env=build_environment())
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        *(
            ".ascend_310_infer",
            "acc.log",
            "images",
            "infer.log",
            "preprocess.log",
            "preprocess_Result",
            "result_Files",
            "time_Result",
        ),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["an out folder", "the data"]
    lines = (out / "acc.log").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [f"Total number of images:  {IMAGES}", "=========== 310 Inference Result ==========="]
    assert abs(float(lines[2].removeprefix("miou: ")) - evaluated[0]["miou"]) <= 1e-3
    assert "runtime: ONNX Runtime" in (out / "infer.log").read_text(encoding="utf-8")
    assert len(list((out / "images").iterdir())) == len(list((out / "result_Files").iterdir())) == IMAGES
    assert " ms of infer_count 6" in (out / "time_Result" / "test_perform_static.txt").read_text()
    assert "=== inference ===" in done.stdout


def test_the_script_with_the_runner(dataset, models, stand_in, tmp_path):
    log = tmp_path / "device.log"
    environment = stand_in_variables(
        **stand_in.runtime, STAND_IN_LOG=log, BUILD_DIR=stand_in.runner.parent, device_id=2
    )
    options = ["--precision_mode", "enforce_fp32", "--warmup=0"]
    done = script(models["uint8"], dataset, "--out", tmp_path / "out", *options, env=environment)
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == ["Ascend 2", "precision force_fp32"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"preprocess.log", "build.log", "infer.log", "acc.log", "time_Result"}
    assert "runtime: libmindspore.so" in (tmp_path / "out" / "infer.log").read_text()
    assert "miou: 0." in (tmp_path / "out" / "acc.log").read_text()

    (tmp_path / "more").mkdir()
    done = script(
        models["uint8"], dataset, 1, "Ascend", "--out", tmp_path / "more", env={**environment, "STAND_IN_FAIL_AT": "2"}
    )
    assert done.returncode == 1
    *head, last = done.stderr.splitlines()
    assert head[0] == f"error: inference failed with exit code 1; the end of {tmp_path}/more/infer.log:"
    assert last == "error: Predict failed: asked to fail here (--verbose shows what the runtime itself says)"
    assert not (tmp_path / "more" / "acc.log").exists()


def test_the_script_on_mindspore_lite(dataset, weights, evaluated, lite, tmp_path):
    model = export_for_lite(weights, tmp_path / "model", lite, "--input", "uint8")
    environment = build_environment(**lite.runtime, BUILD_DIR=lite.runner.parent)
    out = tmp_path / "out"
    done = script(model, dataset, 0, "CPU", "--out", out, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "runtime: MindSpore Lite\n" in (out / "infer.log").read_text()
    assert differing_pixels(out, evaluated[1]) <= 7  # the bits of folding and of normalisation
    assert abs(float(done.stdout.split("miou: ")[1].split()[0]) - evaluated[0]["miou"]) <= 1e-3

    # and the middle step by its own name
    given = ["--model_path", model, "--dataset_path", out / "preprocess_Result" / "image", "--device_type", "CPU"]
    words = [*given, "--result_path", tmp_path / "again" / "result_Files", "--num_threads", 1]
    done = run_script("scripts/infer_model.py", *words, env=environment)
    assert "runtime: MindSpore Lite\n" in done.stdout
    for path in (out / "result_Files").iterdir():
        assert (tmp_path / "again" / "result_Files" / path.name).read_bytes() == path.read_bytes()
    done = run_script("scripts/infer_model.py", *words, env={**environment, "MS_LITE_HOME": "/none"}, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the runner cannot be built: MS_LITE_HOME (or LITE_HOME) is not a MindSpore Lite: /none has neither" in line


def test_mistakes_of_the_script(dataset, models, tmp_path):
    model = models["plain"]
    usage = "Usage: bash scripts/ascend_310_infer.sh [MODEL_PATH] [DATA_PATH] [DEVICE_ID] [DEVICE_TYPE] [options]"
    cases = [
        ([], usage),
        ([model], usage),
        ([tmp_path / "none.mindir", dataset], f"MODEL_PATH: no such file: {tmp_path}/none.mindir"),
        ([tmp_path / "model.om", dataset], f"MODEL_PATH must be a .mindir or a .onnx, got '{tmp_path}/model.om'"),
        (
            [models["onnx"], dataset, 0],
            f"a .onnx does not run on Ascend; bash scripts/convert_to_lite.sh {models['onnx']} OUT "
            "--optimize=ascend_oriented makes a MindIR that does",
        ),
        ([model, tmp_path / "none"], f"DATA_PATH: no such folder: {tmp_path}/none"),
        ([model, dataset, "x"], "DEVICE_ID must be a non-negative integer, got 'x'"),
        ([model, dataset, 0, "TPU"], "DEVICE_TYPE must be Ascend, GPU or CPU, got 'TPU'"),
        ([model, dataset, 0, "CPU", "--out"], "--out: needs a value"),
    ]
    for arguments, message in cases:
        done = script(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not list(tmp_path.iterdir())
    done = script(model, dataset, 0, "CPU", "--speed", 9, cwd=tmp_path, env=build_environment())
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: preprocessing failed with exit code 2; the end of ")
    assert "unknown option --speed" in done.stderr.splitlines()[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ascend_310_infer", "preprocess.log"]


def test_the_script_replaces_no_log_of_somebody_else(dataset, models, tmp_path):
    (tmp_path / "build.log").write_text("mine")
    done = script(models["plain"], dataset, 0, "CPU", cwd=tmp_path, env=build_environment())
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tmp_path} holds build.log, not written by this script; give another --out\n",
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("build.log", "mine")]
    for option in ("--output_path", "--mindir_path=x", "--model_path=x", "data.dataset_dir=x"):
        done = script(models["plain"], dataset, 0, "CPU", option, "x", cwd=tmp_path)
        assert done.stderr == f"error: {option}: this script sets it itself; --out DIR names the folder\n"
    (tmp_path / "file").touch()
    done = script(models["plain"], dataset, 0, "CPU", "--out", tmp_path / "file" / "out", env=build_environment())
    assert (done.returncode, done.stderr) == (2, f"error: cannot make the folder {tmp_path}/file/out\n")


def test_bad_input_of_the_python_path(models, tmp_path):
    model = load_model(models["uint8"])
    with pytest.raises(DataError, match="no such folder of inputs"):
        inference.list_inputs(tmp_path / "none", model.input)
    with pytest.raises(DataError, match=r"holds no \*\.bin file; preprocess\.py writes them"):
        inference.list_inputs(tmp_path, model.input)
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(model.input.num_bytes - 1))
    with pytest.raises(DataError, match=r"a\.bin: has 18431 bytes, the model takes 18432 \(uint8 1x64x96x3\)"):
        inference.list_inputs(tmp_path, model.input)
    path.write_bytes(bytes(model.input.num_bytes))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the folder"):
        inference.infer_folder(model, [path], tmp_path / "file", warmup=0)
    (tmp_path / "results" / "a_0.bin").mkdir(parents=True)  # a folder where the result should go
    with pytest.raises(UserError, match=r"cannot write the result .*a_0\.bin: Is a directory"):
        inference.infer_folder(model, [path], tmp_path / "results", warmup=1)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a_0.bin"]


def test_mistakes_of_the_python_path_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"argument --warmup: expected a whole number from 0 on, got '-1'"):
        infer_model.parse_args(["--mindir_path", "m", "--dataset_path", "d", "--warmup", "-1"])
    with pytest.raises(ConfigError, match="argument --device_type: invalid choice: 'TPU'"):
        infer_model.parse_args(["--mindir_path", "m", "--dataset_path", "d", "--device_type", "TPU"])
    common = ["--dataset_path", tmp_path, "--device_type", "CPU", "--result_path", tmp_path / "results"]
    done = run_script("scripts/infer_mindir.py", "--mindir_path", tmp_path / "none.mindir", *common, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"[ERROR] no such model: {tmp_path}/none.mindir")
    assert not list(tmp_path.iterdir())
