"""The tiny data set of three classes: its pixels, its lists, and what it is not written over."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import make_tiny_dataset
from src.base.errors import DataError, UserError
from src.config.saved import to_yaml
from src.data.cityscapes import list_samples
from src.data.preflight import preflight
from src.utils.config import parse_config
from tests.run_helpers import ROOT, run_script
from tools.streets.shapes import DISC, SQUARE, Shape, draw_pair

CONFIG = "config/bisenetv2_tiny.yml"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")  # an empty folder is fine
    assert make_tiny_dataset.main(["--output", str(folder)]) == 0
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_configuration_reads_it(root):
    config = parse_config(["--config", CONFIG, "--dataset_dir", str(root)], "train")
    counts = preflight(config.data, num_classes=config.num_classes, splits=("train", "val"), seed=1)
    assert counts == {"train": 24, "val": 8}
    assert config.data.eval_transforms.item_transforms[0].target_size == (160, 240)
    assert config.data.train_transforms.item_transforms[0].base_size == 240


def test_the_configuration_behind_that_of_weights_keeps_their_network(tmp_path):
    weights = parse_config(["net_args.inner_upsample=nearest", "net_args.bn_epsilon=1e-5"], "train")
    (tmp_path / "weights.yml").write_text(to_yaml(weights))
    (tmp_path / "own.yml").write_text(f"__BASE__: [weights.yml, {ROOT / CONFIG}]\n")
    own, tiny = (parse_config(["--config", str(path)], "train") for path in (tmp_path / "own.yml", CONFIG))
    assert own == dataclasses.replace(tiny, net_args=weights.net_args)
    assert own.net_args.inner_upsample == "nearest"


def test_files_and_lists(root):
    assert len(contents(root)) == 2 * 32 + 2
    assert (root / "val.lst").read_text().splitlines()[7] == "images/val_07.png labels/val_07.png"
    for split in ("train", "val"):
        for image_path, label_path in list_samples(str(root), split, "generic"):
            image, label = cv2.imread(image_path, cv2.IMREAD_UNCHANGED), cv2.imread(label_path, cv2.IMREAD_UNCHANGED)
            assert image.shape == (160, 240, 3)
            assert label.shape == (160, 240)
            assert set(np.unique(label)) <= {0, 1, 2, 255}
            assert 0.005 < (label == 255).mean() < 0.2
            assert (label == 0).mean() > 0.2
    values = [np.unique(draw_pair(0, "val", index)[1]) for index in range(8)]
    assert all(sum(number in found for found in values) >= 6 for number in (1, 2))


def test_the_same_seed_gives_the_same_pixels(root, tmp_path):
    make_tiny_dataset.main(["--output", str(tmp_path / "again")])
    assert contents(tmp_path / "again") == contents(root)
    make_tiny_dataset.main(["--output", str(tmp_path / "other"), "--seed", "1"])
    other = contents(tmp_path / "other")
    assert set(other) == set(contents(root))
    assert all(other[name] != content for name, content in contents(root).items() if name.endswith(".png"))


def test_no_picture_occurs_twice(root):
    pictures = [content for name, content in contents(root).items() if name.startswith("images")]
    assert len(set(pictures)) == 32


def test_files_hold_what_is_drawn(root):
    picture, label = draw_pair(0, "train", 3)
    written = cv2.imread(str(root / "images/train_03.png"))[..., ::-1]
    np.testing.assert_array_equal(written, picture)
    np.testing.assert_array_equal(cv2.imread(str(root / "labels/train_03.png"), cv2.IMREAD_UNCHANGED), label)


def test_depths_by_hand():
    disc = Shape(DISC, row=10, column=20, radius=5, angle=0, color=(0, 0, 0))
    np.testing.assert_allclose(disc.depth(np.array([10.0, 13, 20]), np.array([20.0, 24, 20])), [5, 0, -5])
    # Turned by an eighth, a square of half side 5 reaches 5 * sqrt(2) straight up, and its sides are 5 off diagonally.
    square = Shape(SQUARE, row=0, column=0, radius=5, angle=np.pi / 4, color=(0, 0, 0))
    places = np.array([5 * np.sqrt(2), 5 / np.sqrt(2), 0])
    np.testing.assert_allclose(square.depth(places, np.array([0, 5 / np.sqrt(2), 0])), [0, 0, 5], atol=1e-12)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        make_tiny_dataset.main(["--output", str(tmp_path)])
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(UserError, match="cannot make the folder"):
        make_tiny_dataset.main(["--output", str(tmp_path / "notes.txt" / "below")])


def test_exit_codes_and_messages(tmp_path):
    done = run_script("scripts/make_tiny_dataset.py", "--output", tmp_path / "new")
    assert done.stdout == f"{tmp_path / 'new'}: 24 training and 8 validation pictures, 160x240, 3 classes\n"
    done = run_script("scripts/make_tiny_dataset.py", "--output", tmp_path / "new", check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'new'} is not empty and is left as it is; take another folder\n"
    done = run_script("scripts/make_tiny_dataset.py", "--output", tmp_path / "x", "--seed", "-1", check=False)
    assert done.returncode == 2
    assert "expected a whole number" in done.stderr
