"""eval.py --split test: label-id PNGs for the test server, without reading a label."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import eval as eval_script
from src.base.errors import ConfigError
from src.data.cityscapes import list_samples
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes, write_generic
from tests.launch.test_distributed import variables
from tests.offline_helpers import write_checkpoint
from tests.run_helpers import command, run_script, tiny_options

pytestmark = pytest.mark.once

SIZE = (48, 96)  # of the images; the network gets 64x96
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Five images as validation split, the same ones as test split, with labels there that nobody may read."""
    root = write_cityscapes(tmp_path_factory.mktemp("data"), {"val": 5}, size=SIZE)
    shutil.copytree(root / "leftImg8bit" / "val", root / "leftImg8bit" / "test")
    for path in sorted(root.rglob("gtFine/val/*/*.png")):
        fake = root / "gtFine" / "test" / path.parent.name / path.name
        fake.parent.mkdir(parents=True, exist_ok=True)
        fake.write_text("no picture")
    (root / "gtFine" / "test" / "aachen" / "aachen_009999_000019_gtFine_labelIds.png").touch()  # without an image
    return root


def options(dataset: Path, weights: Path, out: Path, split: str) -> list[object]:
    given = ["--checkpoint_path", weights, "--save_dir", out / "run", "--save_predictions", out / "predictions"]
    return [*given, "--split", split, "--flip", "True", "--ms_mode", 1, *tiny_options(dataset)]  # nothing to compile


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def of_val(dataset, weights, tmp_path_factory) -> dict[str, np.ndarray]:
    """The predictions of the validation split, which the official evaluation accepts in another test."""
    out = tmp_path_factory.mktemp("val")
    eval_script.main([str(word) for word in options(dataset, weights, out, "val")])
    return read_folder(out / "predictions")


@pytest.mark.slow
def test_predictions_are_those_of_the_same_images_with_labels(dataset, weights, of_val, tmp_path):
    done = run_script("eval.py", *options(dataset, weights, tmp_path, "test"), "--save_images", "True")
    found = read_folder(tmp_path / "predictions")
    assert set(found) == {
        f"{city}_{index:06d}_000019_pred_labelIds.png"
        for index, city in enumerate(("aachen", "zurich", "aachen", "zurich", "aachen"))
    }
    for name, prediction in found.items():
        assert (prediction.shape, prediction.dtype) == (SIZE, np.uint8)
        assert set(np.unique(prediction)) <= set(LABEL_IDS)
        np.testing.assert_array_equal(prediction, of_val[name])
    assert f"test: 5 images in {dataset}" in done.stdout
    assert "Total number of images: 5\n" in done.stdout
    assert f"label-id PNGs: {tmp_path / 'predictions'}" in done.stdout
    assert "miou" not in done.stdout
    assert "iou array" not in done.stdout
    assert len(list((tmp_path / "run" / "images").iterdir())) == 5

    record = json.loads((tmp_path / "run" / "eval.json").read_text(encoding="utf-8"))
    assert set(record) == {
        "split",
        "predictions",
        "images",
        "protocol",
        "checkpoint",
        "weights",
        "class_names",
        "class_colors",
    }
    assert (record["split"], record["images"]) == ("test", 5)
    assert record["protocol"] == {"multi_scale": True, "img_ratios": [0.75, 1.0], "flip": True, "image_size": [64, 96]}
    done = run_script("eval.py", *options(dataset, weights, tmp_path, "test"), check=False)
    assert done.returncode == 2
    assert "holds an evaluation already" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("only_job")
def test_ranks_share_the_images(dataset, weights, of_val, tmp_path):
    words = ["mpirun", "--allow-run-as-root", "-n", "2", "--oversubscribe"]
    words += command("eval.py", *options(dataset, weights, tmp_path, "test"), "--report", "True")
    done = subprocess.run(words, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = read_folder(tmp_path / "predictions")
    assert set(found) == set(of_val)
    assert all((found[name] == of_val[name]).all() for name in found)
    record = json.loads((tmp_path / "run" / "eval.json").read_text(encoding="utf-8"))
    assert record["images"] == 5
    files = tmp_path / "run" / "report_files"
    assert len((files / "records-0.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert len((files / "records-1.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert sorted(map(int, re.findall('id="picture-0-([0-9]+)"', page))) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_one_process_predicts_them_alone(dataset, weights, of_val, tmp_path):
    words = [*options(dataset, weights, tmp_path, "test"), "--eval_parallel", "False"]
    assert eval_script.main([str(word) for word in words]) == 0
    found = read_folder(tmp_path / "predictions")
    assert set(found) == set(of_val)
    assert all((found[name] == of_val[name]).all() for name in found)


@pytest.mark.slow
def test_lists_of_other_data_need_no_labels_and_train_ids_stay(tmp_path):
    root = write_generic(tmp_path / "data", {"train": 2}, num_classes=3, size=SIZE)
    lines = ["images/train_0.png\n", "images/train_1.png\tlabels/there_is_none.png\n"]
    (root / "test.lst").write_text("".join(lines), encoding="utf-8")
    weights = write_checkpoint(tmp_path / "three.ckpt", num_classes=3)
    own = ["data.name=generic", "num_classes=3", "data.map_label=null"]
    assert eval_script.main([str(word) for word in [*options(root, weights, tmp_path / "out", "test"), *own]]) == 0
    found = read_folder(tmp_path / "out" / "predictions")
    assert set(found) == {"train_0_pred_labelIds.png", "train_1_pred_labelIds.png"}
    assert all(prediction.max() < 3 for prediction in found.values())


@pytest.mark.parametrize("given", [[], ["--save_predictions", "null"]])
def test_a_folder_for_the_predictions_is_required(given):
    line = "save_predictions: required with --split test: the folder for the predicted label-id PNGs$"
    with pytest.raises(ConfigError, match=line):
        parse_config(["--split", "test", *given], "eval")
    with pytest.raises(ConfigError, match="split: must be one of val, test; got 'train'"):
        parse_config(["--split", "train", *given], "eval")


def test_labels_can_be_left_out_of_a_list(tmp_path, dataset):
    labelled = list_samples(str(dataset), "test")
    assert len(labelled) == 6  # the label without an image is a broken pair
    plain = list_samples(str(dataset), "test", labelled=False)
    assert [label for _, label in plain] == [None] * 5
    assert [Path(image).name[:6] for image, _ in plain] == ["aachen"] * 3 + ["zurich"] * 2
    (tmp_path / "test.lst").write_text("a.png x_labelTrainIds.png\nb.png\n", encoding="utf-8")
    assert list(list_samples(str(tmp_path), "test", labelled=False)) == [
        (f"{tmp_path}/a.png", None),
        (f"{tmp_path}/b.png", None),
    ]


def test_what_is_missing_is_said_in_one_line(tmp_path, weights):
    (tmp_path / "empty").mkdir()
    done = run_script("eval.py", *options(tmp_path / "empty", weights, tmp_path, "test"), check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no images of the test split; it must hold test.lst with one image a line" in line
    assert "gtFine" not in line
    assert not (tmp_path / "predictions").exists()
