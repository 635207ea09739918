"""The overlays of an evaluation: names that the font lacks, and photographs within the limit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.config.schema_base import EVAL
from src.data.eval_samples import EvalSamples
from src.evaluation.predictions import PredictionWriter
from src.utils.config import parse_config
from tests.dataset_helpers import write_generic, write_png

pytestmark = pytest.mark.once


def settings(root, folder, names, *keys):
    given = ["data.name=generic", "num_classes=3", "data.map_label=null", f"data.class_names=[{names}]", *keys]
    return parse_config([*given, f"data.dataset_dir={root}", "--save_dir", str(folder), "--save_images", "True"], EVAL)


def test_names_that_the_font_lacks_are_listed_beside_the_overlays(tmp_path):
    root = write_generic(tmp_path / "data", {"val": 1})
    pictures = {}
    for folder, names in (("ids", "sky,道路,سيارة"), ("same", "sky,id 1,id 2"), ("latin", "sky,Straße,car")):
        config = settings(root, tmp_path / folder, names)
        sample = EvalSamples(config.data, num_classes=3)[0]
        PredictionWriter(config)(sample, np.arange(48 * 96, dtype=np.uint8).reshape(48, 96) % 3)
        pictures[folder] = cv2.imread(str(tmp_path / folder / "images" / "val_0.png"))
    assert (pictures["ids"] == pictures["same"]).all()
    lines = (tmp_path / "ids" / "images" / "palette.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:3] == ["# id 1 in the pictures: 道路", "# id 2 in the pictures: سيارة"]
    assert [line.split(maxsplit=3)[3] for line in lines[3:]] == ["sky", "道路", "سيارة"]
    assert [path.name for path in (tmp_path / "latin" / "images").iterdir()] == ["val_0.png"]


def test_a_photograph_that_grew_since_it_was_evaluated_is_named(tmp_path):
    root = write_generic(tmp_path / "data", {"val": 1})
    config = settings(root, tmp_path / "out", "a,b,c", "data.max_pixels=4608")
    sample = EvalSamples(config.data, num_classes=3)[0]
    write_png(root / "images/val_0.png", np.zeros((48, 97, 3), np.uint8))
    with pytest.raises(DataError, match=r"val_0\.png: 48x97 pixels .*, more than data\.max_pixels=4608"):
        PredictionWriter(config)(sample, np.zeros((48, 96), np.uint8))
