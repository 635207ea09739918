"""scripts/browse_dataset.py: sheets and report of the samples that its options ask for, and one line for mistakes."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from scripts import browse_dataset
from src.base.errors import ConfigError, DataError, UserError
from src.data.browsing import browse
from src.data.train_samples import create_train_samples
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes
from tests.picture_helpers import is_in
from tests.run_helpers import run_script, tiny_options

SEED = 3


@pytest.fixture
def options(tmp_path):
    write_cityscapes(tmp_path / "data")
    crop = "data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[480,480]"  # shown as they are on a sheet
    return [*tiny_options(tmp_path / "data"), crop, f"seed={SEED}"]


def run(*words):
    return browse_dataset.main([str(word) for word in words])


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def records_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="records-0">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.once
def test_sheets_and_report_have_the_samples_of_training(options, tmp_path, capsys):
    out, page = tmp_path / "out", tmp_path / "samples.html"
    assert run("--output", out, "--number", 5, "--first", 4, "--per_sheet", 2, "--report", page, *options) == 0
    names = ["samples_000004-000005.png", "samples_000006-000007.png", "samples_000008-000008.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    config = parse_config(options, "train")  # as train.py reads it
    source = create_train_samples(config.data, num_classes=config.num_classes, seed=config.seed)
    samples = list(browse(source, range(4, 9)))
    for number, sample in enumerate(samples):
        assert is_in(sample.image[200:224, 200:224], read(out / names[number // 2]))
    records = records_of(page)
    assert [record["path"] for record in records] == [sample.path for sample in samples]
    assert [record["lines"] for record in records] == [sample.lines() for sample in samples]
    assert records[0]["lines"][0] == "position 4, epoch 0"
    assert all(each["url"].startswith("data:image/jpeg;base64,") for r in records for each in r["pictures"])
    stdout, stderr = capsys.readouterr()
    assert stdout == f"5 samples of 6 pairs, epochs of 6 positions: {out}\nreport: {page}\n"
    assert stderr == ""


@pytest.mark.once
def test_the_seed_is_an_option_and_the_same_words_give_the_same_files(options, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("--output", tmp_path / name, "--number", 1, *options[:-1], "--seed", seed)
    a, b, c = (read(next((tmp_path / name).iterdir())) for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert a.shape != c.shape or (a != c).any()


def test_mistakes_are_told_before_anything_is_written(options, tmp_path):
    (tmp_path / "other.html").write_text("<html>")
    for words, error, message in (
        ([], ConfigError, "^--output is required: "),
        (["--output", tmp_path / "out", "--number", "0"], ConfigError, "expected a whole number from 1 on"),
        (["--output", tmp_path / "out", "--first", "-1"], ConfigError, "expected a whole number from 0 on|--first"),
        (["--output", tmp_path / "out", "--wrong", "1"], ConfigError, "unknown option --wrong"),
        (["--output", tmp_path / "out", "--report", tmp_path / "other.html"], UserError, "is not a BiSeNetV2 report"),
        (["--output", tmp_path / "out", "--dataset_dir", tmp_path / "no"], DataError, "no"),
    ):
        with pytest.raises(error, match=message):
            run(*words, *(word for word in options if "--dataset_dir" not in words or "dataset_dir" not in word))
    assert not (tmp_path / "out").exists()


@pytest.mark.once
def test_a_damaged_file_is_one_line(options, tmp_path):
    for path in (tmp_path / "data" / "leftImg8bit" / "train").glob("*/*.png"):
        path.write_bytes(b"no picture")
    done = run_script("scripts/browse_dataset.py", "--output", tmp_path / "out", *options, check=False)
    assert done.returncode == 2
    expected = r"error: .*_leftImg8bit\.png: is text, not an image that OpenCV [\d.]+ can decode; check the name\n"
    assert re.fullmatch(expected, done.stderr)
