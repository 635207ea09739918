"""What eval.py refuses before it starts, so that nothing is overwritten or mixed up."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import pytest

from eval import check_outputs
from src.base.errors import ConfigError, UserError
from src.utils.config import parse_config
from tests.run_helpers import run_script


def outputs(save_dir, predictions, *, images=True):
    options = ["--checkpoint_path", "x.ckpt", "--save_dir", str(save_dir), "--save_images", str(images)]
    return parse_config([*options, *(["--save_predictions", str(predictions)] if predictions else [])], "eval")


def matches(save_dir, predictions):
    """Count what the official evaluation takes for the prediction of an image, after its own search."""
    for folder, name in ((save_dir / "images", "_leftImg8bit"), (predictions, "_pred_labelIds")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"aachen_000000_000019{name}.png").touch()
    names = [name for _, _, files in os.walk(predictions) for name in files]
    return len(fnmatch.filter(names, "aachen_000000_000019*.png"))


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("run/images", True),
        ("run", True),
        (".", True),
        ("run/images/../../run", True),
        ("link", True),
        ("run/images/predictions", False),
        ("run/predictions", False),
        ("run/images2", False),
        ("elsewhere", False),
    ],
)
def test_overlays_never_get_among_the_predictions(tmp_path, place, refused):
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "target").mkdir()
    save_dir, predictions = base / "run", base / place
    if place == "link":
        save_dir, predictions = tmp_path / "target" / "run", tmp_path / "link"
        predictions.symlink_to(tmp_path / "target", target_is_directory=True)
    if refused:
        with pytest.raises(ConfigError, match=r"^--save_predictions .*: would hold the overlays in .*images as well"):
            check_outputs(outputs(save_dir, predictions))
    else:
        assert check_outputs(outputs(save_dir, predictions)) == save_dir
    assert check_outputs(outputs(save_dir, predictions, images=False)) == save_dir
    assert check_outputs(outputs(save_dir, None)) == save_dir
    assert (matches(save_dir, predictions) > 1) == refused


def test_relative_folders_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="would hold the overlays"):
        check_outputs(outputs(tmp_path / "run", "run"))
    assert check_outputs(outputs("run", tmp_path / "other")) == Path("run")


def test_a_folder_of_predictions_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.png").touch()
    with pytest.raises(ConfigError, match="not empty; take an empty or a new folder"):
        check_outputs(outputs(tmp_path / "run", tmp_path / "old"))


def test_a_report_of_somebody_elses_is_refused_before_anything_is_done(tmp_path):
    (tmp_path / "report.html").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="exists and is not a BiSeNetV2 report"):
        check_outputs(
            parse_config(["--checkpoint_path", "x.ckpt", "--save_dir", str(tmp_path), "--report", "1"], "eval")
        )
    assert check_outputs(outputs(tmp_path, None)) == tmp_path


def test_the_mistake_gets_one_line_and_nothing_is_written(tmp_path):
    options = ["--checkpoint_path", "x.ckpt", "--save_dir", tmp_path / "run", "--save_images", "True"]
    done = run_script("eval.py", *options, "--save_predictions", tmp_path / "run", check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --save_predictions")
    assert not list(tmp_path.iterdir())
