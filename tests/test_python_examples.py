"""The Python blocks of READMEs and docs/python.md, run as they stand in a process of their own."""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers import labels as cityscapes
from mindspore import Tensor

from src.modules.bisenetv2 import BiSeNetV2
from tests.dataset_helpers import MEAN, STD, write_cityscapes
from tests.golden_weights import load_seeded
from tests.run_helpers import ROOT

CLASSES = [label for label in cityscapes.labels if 0 <= label.trainId < 19]  # as the official evaluation has them
NAMES, LABEL_IDS = [label.name for label in CLASSES], [label.id for label in CLASSES]
SIZE = (50, 70)


def blocks(name: str) -> list[str]:
    """Return the Python blocks of a document."""
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def run(tmp_path) -> Callable[[str], list[str]]:
    """Return what runs code in a new process, in a folder with a photograph, and returns the lines it prints."""
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (4, 5, 3), np.uint8).repeat(16, 0).repeat(16, 1)[: SIZE[0], : SIZE[1]]
    cv2.imwrite(str(tmp_path / "photo.png"), picture[..., ::-1])

    def start(code: str) -> list[str]:
        words = [sys.executable, "-c", code]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.splitlines()

    return start


@pytest.fixture(scope="module")
def classify() -> Callable[[np.ndarray], np.ndarray]:
    """Return what predicts an image as the checkpoint `weights` should: NumPy around the network."""
    network = BiSeNetV2(19, aux_heads=False)
    load_seeded(network)
    network.set_train(False)

    def predict(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % 32), (0, -width % 32), (0, 0)))
        array = ((padded / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
        return network(Tensor(array.astype(np.float32))).asnumpy()[0].argmax(axis=0)[:height, :width]

    return predict


def rgb(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def test_the_lines_of_the_readme_print_a_class_map(run, weights, classify, tmp_path):
    (code,) = blocks("README.md")
    assert len([line for line in code.splitlines() if line]) <= 10
    (tmp_path / "weights.ckpt").symlink_to(weights)
    expected = classify(rgb(tmp_path / "photo.png")).astype(np.uint8)
    counts = [f"{NAMES[train_id]} {np.sum(expected == train_id)}" for train_id in np.unique(expected)]
    assert len(counts) > 1
    assert run(code) == [*str(expected).splitlines(), *counts]


@pytest.mark.once
@pytest.mark.parametrize("name", ["README", "docs/python"])
def test_both_languages_show_the_same_code(name):
    other = {"README": "README_CN.md", "docs/python": "docs/zh/python.md"}[name]
    assert blocks(f"{name}.md") == blocks(other)


def mean_iou(root: Path, classify: Callable[[np.ndarray], np.ndarray]) -> tuple[int, dict[str, float]]:
    """Return how many validation images there are, and the score of every class that has one, pixel by pixel."""
    hits, unions = np.zeros(19), np.zeros(19)
    labels = sorted((root / "gtFine" / "val").rglob("*.png"))
    for path in labels:
        image = rgb(Path(str(path).replace("gtFine", "leftImg8bit", 1).replace("_gtFine_labelIds", "_leftImg8bit")))
        found, label_ids = classify(image), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for train_id, label_id in enumerate(LABEL_IDS):
            truth, guess = label_ids == label_id, (found == train_id) & np.isin(label_ids, LABEL_IDS)
            hits[train_id] += (truth & guess).sum()
            unions[train_id] += (truth | guess).sum()
    return len(labels), {name: hits[i] / unions[i] for i, name in enumerate(NAMES) if unions[i]}


@pytest.mark.once
@pytest.mark.slow
def test_the_blocks_of_the_page_run_one_after_the_other(run, weights, classify, tmp_path):
    (tmp_path / "weights.ckpt").symlink_to(weights)
    (tmp_path / "weights.yml").write_text(
        "__BASE__: config/bisenetv2_cityscapes.yml\n"
        "data: {eval_transforms: {item_transforms: {Resize: {target_size: [64, 96]}}}}\n",
        encoding="utf-8",
    )  # the size of the generated data set, padded below
    write_cityscapes(tmp_path / "Cityscapes", {"train": 1, "val": 2})
    lines = run("\n".join(blocks("docs/python.md")))

    expected = classify(rgb(tmp_path / "photo.png"))
    assert lines[0] == f"{SIZE} {NAMES[expected[0, 0]]}"
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (*SIZE, 3)

    images, scores = mean_iou(tmp_path / "Cityscapes", classify)
    count, miou, iou = lines[1].split(" ", 2)
    found = ast.literal_eval(iou.replace("nan", "None"))
    assert int(count) == images == 2
    assert float(miou) == pytest.approx(np.mean(list(scores.values())))
    assert {name: score for name, score in found.items() if score is not None} == pytest.approx(scores)
    assert float(lines[2]) == 1.0  # of a prediction with itself

    steps = [line.split() for line in lines[3:6]]
    assert [step for step, _ in steps] == ["0", "1", "2"]
    losses = [float(loss) for _, loss in steps]
    assert losses[0] == pytest.approx(5 * math.log(2), abs=0.1)  # heads that know nothing
    assert len(set(losses)) == 3
    assert (tmp_path / "own.ckpt").is_file()
    assert set(re.findall(r"\d+", "".join(lines[6:-3]))) <= {"0", "1"}
    assert lines[-3:] == [
        str([(2, 19, 64, 96)] * 5),
        str((2, 19, 64, 96)),
        "4 0.02 0.01 /data/camvid",
    ]
