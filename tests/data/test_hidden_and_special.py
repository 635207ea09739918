"""Beside pictures, labels and lists: hidden files are passed over, and what is no regular file is refused by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scripts import check_dataset
from src.base.errors import DataError
from src.base.special_files import special_kind
from src.data.cityscapes import list_samples
from src.data.decoder_report import DecoderReports
from src.data.image_files import read_image, read_label, read_png_header
from src.data.orientations import orientation_of
from src.data.preflight import preflight
from tests.dataset_helpers import make_data, write_cityscapes, write_generic
from tests.special_files import MAKERS, pipe

CLASSES = ("data.name=generic", "num_classes=3", "data.map_label=null")
STEM = "aachen_000000_000019"


def hide_files(root: Path) -> None:
    """Leave beside images and labels what Macs and Jupyter leave there."""
    for folder, suffix in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
        city = root / folder / "train" / "aachen"
        (city / f"._{STEM}_{suffix}.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
        (city / ".DS_Store").touch()
    for place in (root / "leftImg8bit/train/.ipynb_checkpoints", root / "gtFine/val/.Trash"):
        place.mkdir()
        shutil.copy(root / f"leftImg8bit/train/aachen/{STEM}_leftImg8bit.png", place)
        shutil.copy(root / f"gtFine/train/aachen/{STEM}_gtFine_labelIds.png", place)


def test_hidden_files_below_a_data_set_are_no_part_of_it(tmp_path, capsys):
    root = write_cityscapes(tmp_path / ".cache")  # a hidden folder above is the user's own choice
    before = {split: list(list_samples(str(root), split)) for split in ("train", "val")}
    hide_files(root)
    assert {split: list(list_samples(str(root), split)) for split in ("train", "val")} == before
    assert preflight(make_data(root), num_classes=19, splits=("train", "val"), seed=1) == {"train": 6, "val": 3}
    assert check_dataset.main(["--dataset_dir", str(root)]) == 0
    assert "train: 6 pairs of image and label" in capsys.readouterr().out


def test_a_hidden_file_that_a_list_names_is_meant(tmp_path):
    root = write_generic(tmp_path)
    (root / "images/train_0.png").rename(root / "images/.first.png")
    text = (root / "train.lst").read_text().replace("images/train_0.png", "images/.first.png")
    (root / "train.lst").write_text(text)
    assert preflight(make_data(root, name="generic"), num_classes=3, splits=("train",), seed=1) == {"train": 6}


@pytest.mark.parametrize("kind", MAKERS)
def test_readers_open_nothing_but_files(tmp_path, kind):
    path = MAKERS[kind](tmp_path / "x.png")
    assert special_kind(path) == kind
    for read in (read_image, read_label, read_png_header, orientation_of):
        with pytest.raises(DataError, match=f"x.png: is {kind}, not a regular file; put the picture itself there$"):
            read(str(path))
    with DecoderReports() as reports:
        reports.check(str(path))  # left to `read_image`


def test_a_file_without_end_is_not_read_into_memory(tmp_path):
    with (tmp_path / "x.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(5 << 30)  # takes no room on the disk
    with pytest.raises(DataError, match=r"x\.png: has 5\.4 GB, more than any picture"):
        read_image(str(tmp_path / "x.png"))


def test_files_folders_and_nothing_are_not_special(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    assert [special_kind(tmp_path / name) for name in ("file", "link", "loop", "gone", ".")] == [""] * 5


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["images/train_1.png", "labels/val_1.png"])
def test_images_and_labels_that_are_no_files_are_named(tmp_path, capsys, name, kind):
    root = write_generic(tmp_path)
    MAKERS[kind](root / name)
    line = f"{root / name}: is {kind}, not a regular file; put the picture itself there"
    with pytest.raises(DataError) as caught:
        preflight(make_data(root, name="generic"), num_classes=3, splits=("train", "val"), seed=1)
    assert str(caught.value) == line
    with pytest.raises(DataError, match="^1 problem: 1 unreadable file$"):
        check_dataset.main(["--dataset_dir", str(root), *CLASSES])
    assert capsys.readouterr().out.splitlines()[-1] == f"{name[7:].split('_')[0]}: {line}"


@pytest.mark.parametrize("data_set", ["cityscapes", "generic"])
def test_a_list_that_is_no_file_is_not_passed_over(tmp_path, data_set):
    root = write_cityscapes(tmp_path) if data_set == "cityscapes" else write_generic(tmp_path)
    (root / "val.lst").unlink(missing_ok=True)
    (root / "train.lst").unlink(missing_ok=True)
    for kind, make in {**MAKERS, "a folder": Path.mkdir, "a link that leads nowhere": _dangling}.items():
        make(root / "train.lst")
        with pytest.raises(DataError, match=f"train.lst: is {kind}, not a regular file; put the list itself there$"):
            list_samples(str(root), "train", data_set)
        (root / "train.lst").rmdir() if kind == "a folder" else (root / "train.lst").unlink()


def test_a_list_beyond_the_limit(tmp_path):
    root = write_generic(tmp_path)
    os.truncate(root / "train.lst", 100_000_001)
    with pytest.raises(
        DataError, match=r"train\.lst: cannot be read as UTF-8 text: has more than 100 MB, which is the"
    ):
        list_samples(str(root), "train", "generic")


def _dangling(path: Path) -> None:
    path.symlink_to("gone.lst")


def test_a_pipe_in_a_data_set_of_folders_is_named(tmp_path):
    root = write_cityscapes(tmp_path)
    path = pipe(root / f"gtFine/train/aachen/{STEM}_gtFine_labelIds.png")
    with pytest.raises(DataError, match=f"{path.name}: is a named pipe"):
        preflight(make_data(root), num_classes=19, splits=("train",), seed=1)
