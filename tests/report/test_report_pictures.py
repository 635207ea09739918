"""What an evaluation leaves for its report: records and pictures, image by image."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.data.eval_samples import EvalSample
from src.report import pictures as report_pictures
from src.report.pictures import (
    FOLDER,
    ReportPictures,
    page_records,
    read_records,
    reduced,
    relative_url,
)
from tests.dataset_helpers import write_png
from tests.report_helpers import HOSTILE, IGNORED, iou_by_sets, make_config, make_pictures, write_evaluation

NAMES = ["a", *HOSTILE]


@pytest.fixture(scope="module")
def pictures():
    return make_pictures(NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("eval") / "run"
    write_evaluation(path, pictures)
    return path


def test_the_scores_of_each_picture(folder, pictures):
    records = list(read_records(folder))
    assert [(record["index"], record["name"]) for record in records] == list(enumerate(NAMES))
    for record, label, prediction in zip(records, pictures.labels, pictures.predictions):
        expected = [iou_by_sets(label, prediction, cls) for cls in range(4)]
        assert record["iou"] == expected
        known = [score for score in expected if score is not None]
        assert record["miou"] == pytest.approx(sum(known) / len(known), rel=1e-12)
        counted = label != IGNORED
        assert record["accuracy"] == pytest.approx((label == prediction)[counted].mean(), rel=1e-12)
        assert (record["height"], record["width"]) == label.shape


def test_the_files_of_a_picture_hold_its_maps(folder, pictures):
    for index in range(len(NAMES)):
        text = (folder / FOLDER / f"{index:06d}.js").read_text(encoding="utf-8")
        payload = json.loads(re.fullmatch(r"bisenetReport\.arrived\((.*)\);\n", text, re.DOTALL)[1])
        for name, expected in (("truth", pictures.labels), ("prediction", pictures.predictions)):
            found = np.frombuffer(zlib.decompress(base64.b64decode(payload[name])), np.uint8)
            np.testing.assert_array_equal(found.reshape(payload["height"], payload["width"]), expected[index])
        jpeg = base64.b64decode(payload["photo"].removeprefix("data:image/jpeg;base64,"))
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (24, 40, 3)
        assert payload["ignored"] == IGNORED
        assert cv2.imread(str(folder / FOLDER / f"{index:06d}.jpg")).shape == (24, 80, 3)


def test_large_pictures_are_reduced_and_class_maps_keep_their_classes():
    ids = np.random.default_rng(0).choice(np.array([0, 200], np.uint8), (1000, 3000))
    small = reduced(ids, 1024)
    assert small.shape == (341, 1024)
    assert set(np.unique(small)) == {0, 200}
    assert reduced(np.zeros((2000, 10, 3), np.uint8), 1024).shape == (1024, 5, 3)
    assert reduced(np.zeros((1, 3000), np.uint8), 256).shape == (1, 256)
    assert reduced(ids, 3000) is ids


def test_pictures_without_labels_have_no_scores(tmp_path):
    path = write_png(tmp_path / "photo.png", np.zeros((8, 16, 3), np.uint8))
    write = ReportPictures(make_config(tmp_path / "run"), ["x"])
    write(EvalSample(None, None, (8, 16), (8, 16), str(path), None, "x"), np.ones((8, 16), np.uint8))
    assert list(read_records(tmp_path / "run")) == [{"index": 0, "name": "x", "width": 16, "height": 8}]
    assert '"truth":null' in (tmp_path / "run" / FOLDER / "000000.js").read_text(encoding="utf-8")


def test_ranks_leave_records_of_their_own_and_earlier_ones_go(tmp_path, pictures):
    path = write_png(tmp_path / "photo.png", pictures.photos[0])
    config, size = make_config(tmp_path / "run"), (24, 40)
    for rank in (1, 0):
        write = ReportPictures(config, NAMES, rank)
        sample = EvalSample(None, pictures.labels[rank], size, size, str(path), None, NAMES[rank])
        write(sample, pictures.predictions[rank])
    assert [record["index"] for record in read_records(tmp_path / "run")] == [0, 1]
    ReportPictures(config, NAMES, 1)  # begins anew
    assert [record["index"] for record in read_records(tmp_path / "run")] == [0]
    report_pictures.remove_records(tmp_path / "run")
    assert not list((tmp_path / "run" / FOLDER).glob("records-*"))
    report_pictures.remove_records(tmp_path / "nowhere")


def test_a_damaged_record_is_one_line(tmp_path):
    (tmp_path / FOLDER).mkdir()
    for damaged in ('{"ind', "[]", '{"index": "0", "name": "a"}', '{"index": 0}'):
        text = '{"index": 0, "name": "a"}\n' + damaged + "\n"
        (tmp_path / FOLDER / "records-0.jsonl").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"records-0\.jsonl: line 2 is not a record: [^\n]*$"):
            list(read_records(tmp_path))


def test_addresses_are_relative_and_quoted(tmp_path):
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    folder = tmp_path / "a 'b' <c> # ? %41 街"
    address = relative_url(folder / "x.js", page)
    assert re.fullmatch(r"[\w./%~-]+", address, re.ASCII)
    assert (page.parent / unquote(address)).resolve() == (folder / "x.js").resolve()


def test_few_pictures_are_in_the_page_and_many_beside_it(folder, tmp_path):
    page = tmp_path / "report.html"
    inside, beside = (list(page_records(folder, page, 3, inline=inline)) for inline in (True, False))
    assert [record["element"] for record in inside] == [f"picture-3-{index}" for index in range(len(NAMES))]
    assert all(record["thumbnail"].startswith("data:image/jpeg;base64,") for record in inside)
    for record in beside:
        assert "element" not in record
        for name in ("thumbnail", "script"):
            assert (page.parent / unquote(record[name])).is_file()
    texts = dict(report_pictures.page_pictures(folder, 3))
    assert [json.loads(texts[record["element"]])["ignored"] for record in inside] == [IGNORED] * len(NAMES)


def test_a_picture_that_is_gone_is_one_line(tmp_path, pictures):
    write_evaluation(tmp_path / "run", pictures)
    Path(tmp_path / "run" / FOLDER / "000002.js").unlink()
    with pytest.raises(DataError, match=r"000002\.js: cannot be read: No such file or directory; [^\n]*$"):
        list(report_pictures.page_pictures(tmp_path / "run", 0))
