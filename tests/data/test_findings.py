"""What no single pair tells: repeated pairs, ignored labels, absent classes, comments that are files, enlargement."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from src.base.errors import DataError
from src.data import inspection
from src.data.preflight import preflight
from tests.data.test_check_dataset import CLASSES, labels, run
from tests.dataset_helpers import make_data, write_generic, write_png

pytestmark = pytest.mark.once


@pytest.fixture
def root(tmp_path) -> Path:
    """Six training and three validation pairs, three classes in every label."""
    return write_generic(tmp_path / "data")


def look(root: Path, *, target_size: tuple[int, int] = (48, 96), splits: tuple[str, ...] = ("train", "val")) -> None:
    data = make_data(root, name="generic", target_size=target_size)
    preflight(data, num_classes=3, splits=splits, seed=1)


def append(path: Path, *lines: str) -> None:
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


def test_a_good_data_set_has_no_problems(root, capsys, caplog):
    caplog.set_level(logging.WARNING)
    assert run(root, *CLASSES) == 0
    assert capsys.readouterr().out.endswith("\nno problems\n")
    look(root)
    assert not caplog.messages


def test_a_pair_listed_twice_and_in_two_splits(root, capsys, caplog):
    caplog.set_level(logging.WARNING)
    (root / "again").symlink_to(root / "images")
    append(root / "train.lst", "images/train_2.png labels/train_2.png", "again/train_3.png labels/train_3.png")
    append(root / "val.lst", "images/train_0.png labels/train_0.png")
    with pytest.raises(DataError, match="^2 problems: 1 pair listed twice, 1 pair in two splits$"):
        run(root, *CLASSES)
    lines = capsys.readouterr().out.splitlines()
    assert f"train: {root}/images/train_2.png: is listed twice" in lines
    assert f"val: {root}/images/train_0.png: is in train as well; val scores what was learnt" in lines
    caplog.clear()
    look(root)
    assert caplog.messages == [f"{root}/images/train_2.png: is listed twice (2 more like it)"]


def test_a_pair_that_is_listed_often_is_read_once(root, capsys, monkeypatch):
    read = []
    inspect = inspection.inspect_pair
    monkeypatch.setattr(inspection, "inspect_pair", lambda pair, **more: (read.append(pair), inspect(pair, **more))[1])
    line, *others = (root / "train.lst").read_text().splitlines()
    (root / "train.lst").write_text("\n".join([line, *others[:2], *[line] * 30, *others[2:]]))
    with pytest.raises(DataError, match="^30 problems: 30 pairs listed twice$"):
        run(root, *CLASSES)
    assert len(read) == len(set(read)) == 9
    assert "36 pairs" in capsys.readouterr().out.splitlines()[0]


def test_a_copy_under_another_name(root, capsys):
    for kind in ("images", "labels"):
        shutil.copy(root / kind / "train_0.png", root / kind / "copy.png")
        shutil.copy(root / kind / "train_1.png", root / kind / "other.png")
    append(root / "train.lst", "images/copy.png\tlabels/copy.png")
    assert run(root, *CLASSES, "--splits", "train") == 0
    end = capsys.readouterr().out.splitlines()[-2:]
    first = f"{root}/images/train_0.png, label included"
    assert end == [
        f"train: remark: {root}/images/copy.png: holds the same as {first}",
        "no faulty file; 1 remark above",
    ]
    append(root / "val.lst", "images/other.png\tlabels/other.png")
    with pytest.raises(DataError, match="^1 problem: 1 pair in two splits$"):
        run(root, *CLASSES)
    assert f"other.png: is in train as well, as {root}/images/train_1.png; val scores" in capsys.readouterr().out
    write_png(root / "labels/other.png", np.zeros((48, 96), np.uint8))  # the same picture, another label
    assert run(root, *CLASSES) == 0


def test_ignored_labels_and_absent_classes(root, tmp_path, capsys):
    write_png(root / "labels/train_4.png", np.full((48, 96), 255, np.uint8))
    for path, label in zip(sorted((root / "labels").glob("train_*")), labels(root, "train")):
        write_png(path, np.where(label == 1, 0, label))
    assert run(root, *CLASSES, "--json", tmp_path / "report.json") == 0
    remarks = [f"{root}/labels/train_4.png: every pixel is ignored", "road: never occurs, cannot be learnt"]
    out = capsys.readouterr().out.splitlines()
    assert out[-3:] == [*(f"train: remark: {line}" for line in remarks), "no faulty file; 2 remarks above"]
    found = json.loads((tmp_path / "report.json").read_text())["remarks"]
    assert found == [{"split": "train", "message": line} for line in remarks]

    for path in (root / "labels").glob("val_*"):
        write_png(path, np.full((48, 96), 255, np.uint8))
    with pytest.raises(DataError, match="^1 problem: 1 split without a class$"):
        run(root, *CLASSES)
    assert f"val: {root}: no label of the val split holds a class, every pixel is ignored" in capsys.readouterr().out


def test_a_comment_that_is_a_file(root, capsys):
    (root / "#1.png").write_bytes((root / "images/train_0.png").read_bytes())
    (root / "# a b.png").write_bytes((root / "images/train_1.png").read_bytes())
    comments = (
        "# images/train_0.png labels/train_0.png",
        "#images/train_0.png labels/train_0.png",
        "#",
        "##\t",
        " # x",
    )
    append(root / "train.lst", *comments)
    assert run(root, *CLASSES, "--splits", "train") == 0
    whole = (root / "train.lst").read_text()
    for name, line in (("#1.png", "#1.png labels/train_0.png"), ("# a b.png", "# a b.png\tlabels/train_1.png")):
        (root / "train.lst").write_text(whole)
        append(root / "train.lst", line)
        message = f"{root}/train.lst, line 12: begins with # like a comment, but {name} is a file; write ./{name}"
        with pytest.raises(DataError, match="^1 problem: 1 split that cannot be listed$"):
            run(root, *CLASSES, "--splits", "train")
        assert capsys.readouterr().out.splitlines()[-1] == f"train: {message}"
        with pytest.raises(DataError) as caught:
            look(root, splits=("train",))
        assert str(caught.value) == message
        (root / "train.lst").write_text(whole)
        append(root / "train.lst", f"./{line}")
        look(root, splits=("train",))


def test_an_evaluation_that_enlarges_pictures_says_so(root, caplog):
    caplog.set_level(logging.WARNING)
    look(root, target_size=(72, 192))  # 1.5 times
    assert not caplog.messages
    write_png(root / "images/val_1.png", np.zeros((36, 96, 3), np.uint8))
    write_png(root / "labels/val_1.png", np.zeros((36, 96), np.uint8))
    look(root, target_size=(96, 192))
    assert caplog.messages == [
        "val: evaluation enlarges 3 images, up to 2.00 times: "
        f"{root}/images/val_2.png has 48x96 pixels, target_size is 96x192; such scores are lower, set "
        "data.eval_transforms.item_transforms.Resize.target_size=[48,96]"
    ]
    caplog.clear()
    look(root, target_size=(96, 192), splits=("train",))
    assert not caplog.messages
    (root / "test.lst").write_text("images/val_0.png\n")
    look(root, target_size=(96, 192), splits=("test",))
    assert caplog.messages[0].startswith("test: evaluation enlarges 1 images, up to 2.00 times: ")
