"""The pages of check_dataset.py and browse_dataset.py: figures by hand, faulty files, and no foreign code."""

from __future__ import annotations

import base64
import json
import re

import cv2
import numpy as np
import pytest

from scripts import browse_dataset, check_dataset
from src.base.errors import DataError, UserError
from src.report import dataset
from src.report.dataset import Thumbnails
from tests.browser_helpers import Opened, running_browser
from tests.dataset_helpers import write_generic, write_png
from tests.report_helpers import HOSTILE

CLASSES = ["sky", HOSTILE[0], "</script><script>window.hacked=1</script>"]
NAMES = ["\"'><svg onload=window.hacked=1>.png", "<img src=x onerror=window.hacked=1>.png", "汽车 &lt;b&gt;.png"]
OPTIONS = ["data.name=generic", "num_classes=3", "data.map_label=null", f"data.class_names={json.dumps(CLASSES)}"]


def give_hostile_names(data, folder):
    """Rename the first training files in `folder`, in the list as well."""
    text = (data / "train.lst").read_text(encoding="utf-8")
    for number, name in enumerate(NAMES):
        (data / folder / f"train_{number}.png").rename(data / folder / name)
        text = text.replace(f"{folder}/train_{number}.png", f"{folder}/{name}")
    (data / "train.lst").write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    """Six training pairs with faults in files of hostile names; one label of another size."""
    data = write_generic(tmp_path / "data", {"train": 6})
    give_hostile_names(data, "labels")
    label = np.ones((480, 960), np.uint8)
    label[7, 9] = 77
    write_png(data / "labels" / NAMES[0], label)
    write_png(data / "images" / "train_0.png", np.zeros((480, 960, 3), np.uint8))
    (data / "labels" / NAMES[1]).write_bytes(b"no picture")
    (data / "labels" / NAMES[2]).unlink()
    picture = np.random.default_rng(0).integers(0, 60000, (48, 96, 3), np.uint16)
    (data / "images" / "train_3.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())  # 16 bits
    return data


def check(root, page, *words):
    return check_dataset.main(
        ["--dataset_dir", str(root), "--splits", "train", "--report", str(page), *OPTIONS, *words]
    )


def data_of(page):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="([^"]*)">(.*?)</script>', text, re.DOTALL)
    return {name: json.loads(content) for name, content in found}


def decoded(url):
    return cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_the_page_has_every_fault_with_what_can_be_seen_of_it(root, tmp_path):
    with pytest.raises(DataError, match="^4 problems: "):
        check(root, tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    kinds = [section["kind"] for section in data["page"]["sections"]]
    assert kinds == ["split", "faults", "table", "table"]
    faults = data["records-1"]
    assert [fault["kind"] for fault in faults] == [
        "label with impossible values",
        "unreadable file",
        "missing file",
        "unreadable file",
    ]
    assert [fault["path"] for fault in faults][:3] == [str(root / "labels" / name) for name in NAMES]
    assert [fault["picture"] is None for fault in faults] == [False, True, True, False]
    label = decoded(faults[0]["picture"])
    orange = (label == (255, 176, 0)).all(axis=2)
    assert 0 < orange.sum() < 200
    assert orange[:6, :8].any()  # row 7 and column 9 of 480 x 960, in a picture of 160 x 320
    assert label.shape == (160, 320, 3)
    assert decoded(faults[3]["picture"]).shape == (48, 96, 3)


@pytest.mark.once
def test_the_page_has_the_figures_of_the_json(root, tmp_path):
    with pytest.raises(DataError):
        check(root, tmp_path / "a.html", "--json", str(tmp_path / "a.json"))
    tree = json.loads((tmp_path / "a.json").read_text())
    split, _, remarks, weights = (section["data"] for section in data_of(tmp_path / "a.html")["page"]["sections"])
    colors = [cls.pop("color") for cls in split["classes"]]
    assert split == tree["splits"]["train"]
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)
    assert remarks["rows"] == [[each["split"], each["message"]] for each in tree["remarks"]]
    assert [row[1] for row in weights["rows"]] == tree["class_weights"]["map_label"]


@pytest.mark.once
def test_a_data_set_without_faults_and_one_that_is_not_there(tmp_path):
    assert check(write_generic(tmp_path / "data"), tmp_path / "a.html") == 0
    data = data_of(tmp_path / "a.html")
    assert (data["records-1"], data["page"]["sections"][1]["data"]["summary"]) == ([], "No file is faulty.")
    with pytest.raises(DataError):
        check(tmp_path / "no", tmp_path / "b.html")
    (fault,) = data_of(tmp_path / "b.html")["records-0"]
    assert (fault["kind"], fault["picture"]) == ("split that cannot be listed", None)


@pytest.mark.once
def test_a_file_of_somebody_else_is_kept(tmp_path):
    (tmp_path / "a.html").write_text("mine")
    with pytest.raises(UserError, match="is not a BiSeNetV2 report"):
        check(tmp_path / "no", tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == "mine"


@pytest.mark.once
def test_of_very_many_faults_the_first_ones_have_pictures(root, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "MOST_PICTURES", 1)
    with pytest.raises(DataError):
        check(root, tmp_path / "a.html")
    data = data_of(tmp_path / "a.html")
    assert [fault["picture"] is None for fault in data["records-1"]] == [False, True, True, True]
    assert data["page"]["sections"][1]["data"]["summary"].endswith("; pictures of the first 1")


def test_a_decoder_that_crashes_ends_itself_alone(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\nfor line in sys.stdin:\n    'bad' in line and os.abort()\n    print(line.strip(), flush=1)\n"
    )
    monkeypatch.setattr(dataset, "_PROGRAM", program)
    with Thumbnails() as thumbnails:
        assert [thumbnails(path) for path in ("a", "bad", 'b\n"汽')] == ["a", None, 'b\n"汽']


@pytest.fixture(scope="module")
def browser():
    with running_browser() as running:
        yield running


@pytest.mark.once
def test_in_a_browser_names_run_no_code_and_figures_are_those_of_the_json(browser, root, tmp_path):
    with pytest.raises(DataError):
        check(root, tmp_path / "a.html", "--json", str(tmp_path / "a.json"))
    split = json.loads((tmp_path / "a.json").read_text())["splits"]["train"]
    opened = Opened(browser, tmp_path / "a.html")
    shown = opened.values(".panel.split .counts td[data-value]")
    by_class = [value for cls in split["classes"] for value in (cls["share"], cls["pixels"], cls["images"])]
    sizes = [size["images"] for size in split["sizes"]]
    assert shown == [*sizes, *by_class, split["ignored"]["share"], split["ignored"]["pixels"]]
    assert opened.texts(".panel.split .counts tbody th")[len(sizes) : -1] == CLASSES
    opened.tab("Faulty files (4)")
    texts = opened.texts(".fault figcaption span")
    assert all(name in text for name, text in zip(NAMES, texts))
    assert (
        opened.page.evaluate("Promise.all([...document.images].map(each => each.decode())).then(all => all.length)")
        == 2
    )
    opened.tab("Class weights")
    assert opened.page.evaluate("window.hacked") is None
    opened.page.close()
    assert opened.problems == []


@pytest.mark.once
def test_samples_in_a_browser(browser, tmp_path):
    data = write_generic(tmp_path / "data", {"train": 3})
    give_hostile_names(data, "images")
    crop = "data.train_transforms.item_transforms.RandomResizeCrop.crop_size=[64,96]"
    words = ["--dataset_dir", str(data), "--number", "3", "--output", str(tmp_path / "out"), *OPTIONS, crop]
    assert browse_dataset.main([*words, "--report", str(tmp_path / "a.html")]) == 0
    opened = Opened(browser, tmp_path / "a.html")
    assert sorted(opened.texts(".item figcaption strong")) == sorted(NAMES)
    assert opened.texts(".sample-classes span:not(.swatch)") == CLASSES
    lines = [line for record in data_of(tmp_path / "a.html")["records-0"] for line in record["lines"]]
    assert opened.texts(".item figcaption span") == lines
    assert (
        opened.page.evaluate("Promise.all([...document.images].map(each => each.decode())).then(all => all.length)")
        == 6
    )
    assert opened.page.evaluate("window.hacked") is None
    opened.page.close()
    assert opened.problems == []
