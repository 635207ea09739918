"""scripts/check_dataset.py: its figures by hand in NumPy, and what it says about every kind of mistake."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import check_dataset
from src.base import progress
from src.base.errors import ConfigError, DataError, UserError
from src.config.schema_base import CHECK_DATASET
from src.data import inspection
from src.utils.config import parse_config
from tests.dataset_helpers import png_bytes, write_cityscapes, write_generic, write_png
from tests.run_helpers import ROOT, run_script

CLASSES = ("data.name=generic", "num_classes=3", "data.map_label=null", "data.class_names=[sky,road,car]")


def run(root: Path, *options: object) -> int:
    return check_dataset.main(["--dataset_dir", str(root), *map(str, options)])


def labels(root: Path, split: str) -> list[np.ndarray]:
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((root / "labels").glob(f"{split}_*"))]


@pytest.fixture
def root(tmp_path) -> Path:
    """Six training pairs, one of them without class 2, and three validation pairs."""
    write_generic(tmp_path / "data")
    label = labels(tmp_path / "data", "train")[0]
    label[label == 2] = 1
    write_png(tmp_path / "data" / "labels" / "train_0.png", label)
    return tmp_path / "data"


def break_everything(root: Path) -> None:
    """Give every training pair but the last a mistake of its own, and one validation pair two."""
    (root / "images/train_0.png").write_bytes(b"no picture")
    whole = (root / "images/train_1.png").read_bytes()
    (root / "images/train_1.png").write_bytes(whole[: len(whole) // 2])
    (root / "labels/train_2.png").unlink()
    label = np.full((48, 96), 1, np.uint8)
    label[0, :3] = (3, 200, 254)
    write_png(root / "labels/train_3.png", label)
    write_png(root / "labels/train_4.png", np.zeros((40, 96), np.uint8))
    palette = png_bytes(np.zeros((48, 96)), color_type=3, palette=np.zeros((2, 3)))
    (root / "labels/val_0.png").write_bytes(palette)
    (root / "images/val_0.png").unlink()


def test_the_figures_by_hand(root, tmp_path, capsys):
    assert run(root, *CLASSES, "--json", tmp_path / "report.json") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    for split, pairs in (("train", 6), ("val", 3)):
        values = np.stack(labels(root, split))
        found = report["splits"][split]
        assert found["pairs"] == pairs
        assert found["sizes"] == [{"height": 48, "width": 96, "images": pairs}]
        counted = (values != 255).sum()
        for number, cls in enumerate(found["classes"]):
            assert cls["name"] == ("sky", "road", "car")[number]
            assert cls["pixels"] == (values == number).sum()
            assert cls["share"] == pytest.approx((values == number).sum() / counted)
            assert cls["images"] == sum((label == number).any() for label in values)
        assert found["ignored"]["pixels"] == (values == 255).sum() > 0
        assert found["ignored"]["share"] == pytest.approx((values == 255).mean())
        assert found["impossible"]["pixels"] == 0
    assert report["splits"]["train"]["classes"][2]["images"] < 6
    assert report["problems"] == []
    out, err = capsys.readouterr()
    assert out.endswith("no problems\n")
    assert not err
    assert "  sizes, height x width: 6 of 48x96\n" in out


def test_the_weights_by_hand_and_as_an_override(root, capsys):
    run(root, *CLASSES)
    override = next(line.strip() for line in capsys.readouterr().out.splitlines() if "data.map_label=" in line)
    values = np.stack(labels(root, "train"))
    expected = [1 / math.log(1.02 + (values == number).sum() / (values != 255).sum()) for number in range(3)]
    config = parse_config([*CLASSES, override], CHECK_DATASET)  # the override is what the command line takes
    assert config.data.map_label == pytest.approx(expected, abs=1e-4)


def test_the_weights_of_all_and_of_nothing():
    """The bounds that ENet names for the offset 1.02: between 1 and 50."""
    assert inspection.class_weights(np.array([1.0, 0.0])) == pytest.approx([1.4223, 50.4983], abs=1e-4)


def test_every_faulty_file_is_named_with_its_reason(root, tmp_path, capsys):
    break_everything(root)
    with pytest.raises(DataError) as caught:
        run(root, *CLASSES, "--json", tmp_path / "report.json")
    assert str(caught.value) == (
        "7 problems: 2 missing files, 3 unreadable files, 1 label with impossible values, 1 pair of unequal sizes"
    )
    images, masks = root / "images", root / "labels"
    expected = [
        f"train: {images}/train_0.png: is text, not an image that OpenCV {cv2.__version__} can decode; check the name",
        f"train: {images}/train_1.png: the file is incomplete (truncated); copy or download it again",
        f"train: {masks}/train_2.png: no such file",
        f"train: {masks}/train_3.png: label values 3, 200, 254: outside 0..2 and ignore_label 255",
        f"train: {images}/train_4.png has 48x96 pixels but {masks}/train_4.png 40x96",
        f"val: {images}/val_0.png: no such file",
        f"val: {masks}/val_0.png: palette (indexed) PNG, the ids are hidden behind colours; save the ids as greyscale, "
        "or say what indices or colours stand for with data.label_ids or data.label_colors",
    ]
    assert capsys.readouterr().out.splitlines()[-7:] == expected
    report = json.loads((tmp_path / "report.json").read_text())
    found = [(p["split"], p["kind"], Path(p["path"]).name, p["values"]) for p in report["problems"]]
    assert found == [
        ("train", "unreadable", "train_0.png", []),
        ("train", "unreadable", "train_1.png", []),
        ("train", "missing", "train_2.png", []),
        ("train", "values", "train_3.png", [3, 200, 254]),
        ("train", "sizes", "train_4.png", []),
        ("val", "missing", "val_0.png", []),
        ("val", "unreadable", "val_0.png", []),
    ]
    train = report["splits"]["train"]
    assert train["impossible"]["pixels"] == 3
    assert train["sizes"] == [{"height": 48, "width": 96, "images": 4}]
    readable = np.concatenate([label.ravel() for label in labels(root, "train")])
    assert [cls["pixels"] for cls in train["classes"]] == [(readable == number).sum() for number in range(3)]


def test_cityscapes_ids_are_counted_as_classes(tmp_path):
    root = write_cityscapes(tmp_path / "data", {"train": 2})
    assert run(root, "--splits", "train", "--json", tmp_path / "report.json") == 0
    values = np.stack([cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted((root / "gtFine").rglob("*.png"))])
    found = json.loads((tmp_path / "report.json").read_text())["splits"]["train"]
    pixels = {cls["name"]: cls["pixels"] for cls in found["classes"] if cls["pixels"]}
    ids = {
        "road": 7,
        "sidewalk": 8,
        "building": 11,
        "pole": 17,
        "vegetation": 21,
        "sky": 23,
        "person": 24,
        "car": 26,
        "bicycle": 33,
    }
    assert pixels == {name: (values == number).sum() for name, number in ids.items()}
    assert found["ignored"]["pixels"] == np.isin(values, (0, 4)).sum()


def test_a_city_with_a_label_too_many_and_train_ids_instead_of_label_ids(tmp_path, capsys):
    root = write_cityscapes(tmp_path / "data", {"train": 2})
    for path in (root / "gtFine").rglob("*.png"):
        write_png(path, np.full((48, 96), 13, np.uint8))
    assert run(root, "--splits", "train") == 0
    assert "if these are train ids, set data.name=generic" in capsys.readouterr().out
    image = next((root / "leftImg8bit").rglob("*.png"))
    image.unlink()
    with pytest.raises(DataError, match="^1 problem: 1 missing file$"):
        run(root, "--splits", "train")
    assert f"train: {image}: no such file" in capsys.readouterr().out


def test_many_sizes_are_summed_up(tmp_path, capsys):
    root = tmp_path / "data"
    lines = []
    for number in range(13):
        size = (32, 40 + max(0, number - 1))  # 12 sizes, one of them twice
        write_png(root / f"{number}.png", np.zeros((*size, 3), np.uint8))
        write_png(root / f"{number}_label.png", np.zeros(size, np.uint8))
        lines.append(f"{number}.png {number}_label.png\n")
    (root / "train.lst").write_text("".join(lines))
    assert run(root, *CLASSES, "--splits", "train") == 0
    out = capsys.readouterr().out
    assert "height x width: 2 of 32x40, 1 of 32x41, 1 of 32x42, " in out
    assert "1 of 32x49, and 2 more sizes\n" in out
    assert "  never occurs: road, car\n" in out


def test_a_split_that_cannot_be_listed_leaves_the_others(root, capsys):
    (root / "val.lst").write_text("images/val_0.png\n")
    with pytest.raises(DataError, match="^1 problem: 1 split that cannot be listed$"):
        run(root, *CLASSES)
    out = capsys.readouterr().out
    assert "train: 6 pairs" in out
    assert "val.lst, line 1: no label for images/val_0.png" in out


def test_progress_is_told_in_between(root, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    run(root, *CLASSES, "--splits", "train")
    assert "train: 3/6 pairs, about " in capsys.readouterr().out


def test_a_report_replaces_nothing(root, tmp_path):
    kept = tmp_path / "report.json"
    kept.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        run(root, *CLASSES, "--json", kept)
    assert kept.read_text() == "mine"
    with pytest.raises(UserError, match="no such folder"):
        run(root, *CLASSES, "--json", tmp_path / "missing" / "report.json")


def test_wrong_options(root):
    with pytest.raises(ConfigError, match="unknown option --jsno; did you mean '--json'"):
        run(root, *CLASSES, "--jsno", "x")
    with pytest.raises(ConfigError, match="separated by commas"):
        run(root, *CLASSES, "--splits", "train,")
    with pytest.raises(ConfigError, match="num_classes: must lie in"):
        run(root, *CLASSES, "num_classes=1")


def test_exit_codes_and_last_line(root):
    options = ["--dataset_dir", root, *CLASSES]
    done = run_script("scripts/check_dataset.py", *options)
    assert done.stdout.endswith("no problems\n")
    assert not done.stderr
    break_everything(root)
    done = run_script("scripts/check_dataset.py", *options, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: 7 problems: 2 missing files, ")
    assert "--json" in run_script("scripts/check_dataset.py", "--help").stdout


def test_nothing_needs_mindspore(root):
    code = (
        "import sys; sys.modules['mindspore'] = None; sys.path.insert(0, '.');"
        "from scripts import check_dataset; sys.exit(check_dataset.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "--dataset_dir", str(root), *CLASSES]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
