"""Names in lists, and in files of this project's own, that no file can have."""

from __future__ import annotations

import json
import re

import pytest

from src.base.errors import DataError
from src.base.failures import describe_failure
from src.data.cityscapes import list_samples
from src.data.image_files import read_image
from src.offline.manifest import Manifest, ManifestSample, read_manifest
from tests.dataset_helpers import write_generic
from tests.run_helpers import ROOT, run_script

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a\0.png\tb.png", "holds a NUL byte, which no file name can"),
        ("a.png\tb\0.png", "holds a NUL byte, which no file name can"),
        ("a.png\t" + "b" * 5000, "a name is too long: file systems take 255 bytes"),
    ],
)
def test_a_line_of_a_list(tmp_path, line, reason):
    (tmp_path / "train.lst").write_text(f"# a comment\n{line}\n")
    with pytest.raises(DataError, match=f"train.lst, line 2: {reason}$"):
        list_samples(str(tmp_path), "train", "generic")


def test_a_list_may_name_files_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/h/me")
    (tmp_path / "train.lst").write_text("~/a.png\t~b.png\n")
    assert list_samples(str(tmp_path), "train", "generic")[0] == ("/h/me/a.png", str(tmp_path / "~b.png"))


def test_a_comment_may_be_long(tmp_path):
    (tmp_path / "train.lst").write_text(f"#{'=' * 500}\n# \0\na.png\tb.png\n")
    assert len(list_samples(str(tmp_path), "train", "generic")) == 1


def test_check_dataset_says_so_in_its_report(tmp_path):
    write_generic(tmp_path / "data")
    (tmp_path / "data" / "val.lst").write_text("a\0.png\tb.png\n")
    words = ["--config", ROOT / "config" / "bisenetv2_tiny.yml", f"data.dataset_dir={tmp_path / 'data'}"]
    done = run_script("scripts/check_dataset.py", *words, check=False)
    assert done.returncode == 2
    assert f"val: {tmp_path}/data/val.lst, line 1: holds a NUL byte" in done.stdout
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["a\0b.png", "a" * 300 + ".png", "\ud800.png"])
def test_a_picture(name):
    with pytest.raises(DataError, match="NUL byte|a name is too long|half a character"):
        read_image(name)


@pytest.mark.parametrize("stem", ["a\0b", "a" * 300])
def test_a_manifest(tmp_path, stem):
    sample = ManifestSample("good", "/x.png", (1, 1), (1, 1))
    Manifest("uint8", (32, 32), 2, 255, ("a", "b"), ((0, 0, 0), (1, 1, 1)), (sample,), ("good",), True).write(tmp_path)
    path = tmp_path / "manifest.json"
    assert read_manifest(tmp_path).samples == (sample,)
    text = path.read_text(encoding="utf-8")
    for place in ('"stem": "good"', '  "good"'):
        path.write_text(text.replace(place, place.replace('"good"', json.dumps(stem))), encoding="utf-8")
        with pytest.raises(DataError, match="manifest.json: damaged; run preprocess.py again"):
            read_manifest(tmp_path)


def test_a_line_that_names_it_can_be_read():
    code, line = describe_failure(DataError(f"--input {'x' * 4000}end: no such file or folder"))
    assert code == 2
    assert re.fullmatch(r"--input x{100}\.\.\.x+end: no such file or folder", line)
    assert len(line) < 200
    _, line = describe_failure(DataError(f"first\nlist: {'x, ' * 4000}end: too many"))
    assert re.fullmatch(r"first\nlist: (x, )+x? ?\.\.\. .*x, end: too many", line)
    assert len(line) < 1600
