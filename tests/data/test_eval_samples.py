"""Evaluation samples, and class maps brought back to the size of the label."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.data.cityscapes import LabelCoding
from src.data.eval_samples import EvalSamples, restore_class_map, unique_stems
from src.data.image_files import read_image, read_label
from tests.dataset_helpers import MEAN, STD, make_data, write_cityscapes, write_png


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"), {"val": 3})


def test_evaluation_samples_keep_the_labels_size(tmp_path):
    write_cityscapes(tmp_path, {"val": 3}, size=(40, 96))
    samples = EvalSamples(make_data(tmp_path, target_size=(64, 128)), num_classes=19)
    assert len(samples) == 3
    sample = samples[1]
    assert (sample.image.shape, sample.image.dtype) == ((3, 64, 128), np.float32)
    assert (sample.label.shape, sample.label.dtype) == ((40, 96), np.uint8)
    assert sample.fitted == (53, 128)  # 40 * 128 / 96 = 53.33
    assert sample.original == (40, 96)
    assert sample.stem == "aachen_000002_000019_leftImg8bit"
    picture = cv2.resize(read_image(sample.image_path), (128, 53)).astype(np.float64)
    expected = (np.pad(picture, ((0, 11), (0, 0), (0, 0))) / 255 - MEAN) / STD
    np.testing.assert_allclose(sample.image, expected.transpose(2, 0, 1), atol=1e-6)
    raw = read_label(sample.label_path)
    table = LabelCoding("cityscapes", 19, 255).table
    assert [sample.label[index] for index in np.ndindex(40, 96)] == [table[raw[index]] for index in np.ndindex(40, 96)]


def test_evaluation_without_labels(tmp_path):
    write_cityscapes(tmp_path, {"test": 1})
    (tmp_path / "gtFine/test/aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    sample = EvalSamples(make_data(tmp_path), num_classes=19, split="test")[0]
    assert sample.label is None
    assert sample.label_path is None
    assert sample.original == (48, 96)


def test_evaluation_reads_ahead_in_order(cityscapes):
    samples = EvalSamples(make_data(cityscapes, workers=3), num_classes=19)
    ahead = list(samples.read_ahead())
    assert [sample.stem for sample in ahead] == [samples[index].stem for index in range(3)]
    for index, sample in enumerate(ahead):
        np.testing.assert_array_equal(sample.image, samples[index].image)
        np.testing.assert_array_equal(sample.label, samples[index].label)
    assert [sample.stem for sample in samples.read_ahead([2, 0])] == [ahead[2].stem, ahead[0].stem]


def test_evaluation_reports_bad_files_by_name(tmp_path):
    write_cityscapes(tmp_path, {"val": 3})
    bad = tmp_path / "gtFine/val/zurich/zurich_000001_000019_gtFine_labelIds.png"
    write_png(bad, np.full((48, 96), 77, np.uint8))
    reading = EvalSamples(make_data(tmp_path), num_classes=19).read_ahead()
    assert [next(reading).stem[:13] for _ in range(2)] == ["aachen_000000", "aachen_000002"]
    with pytest.raises(DataError, match=f"{bad}: label values 77: no Cityscapes label ids"):
        next(reading)


@pytest.mark.parametrize(
    ("fitted", "label_size"),
    [
        ((64, 128), (64, 128)),
        ((53, 128), (40, 96)),
        ((64, 85), (360, 480)),
        ((64, 64), (200, 200)),
        ((40, 128), (40, 128)),
    ],
)
def test_class_maps_are_cut_and_brought_to_the_labels_size(fitted, label_size):
    pred = np.random.default_rng(0).integers(0, 19, (64, 128)).astype(np.int32)
    restored = restore_class_map(pred, fitted, label_size)
    assert restored.dtype == np.uint8
    assert restored.shape == label_size
    for y, x in np.ndindex(*label_size):
        # whole numbers: floor(y * fitted / label) without rounding
        assert restored[y, x] == pred[y * fitted[0] // label_size[0], x * fitted[1] // label_size[1]]


def test_a_perfect_prediction_stays_perfect(tmp_path):
    """Through the whole geometry: a label painted into the network's size comes back as it was."""
    write_cityscapes(tmp_path, {"val": 1}, size=(48, 80))
    sample = EvalSamples(make_data(tmp_path, target_size=(128, 160)), num_classes=19)[0]
    assert sample.fitted == (96, 160)
    pred = np.zeros((128, 160), np.int64)
    pred[:96, :160] = sample.label.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(restore_class_map(pred, sample.fitted, sample.original), sample.label)


def test_results_of_two_images_never_share_a_name():
    assert unique_stems(["/d/a/1.png", "/d/b/2.png"]) == ["1", "2"]
    assert unique_stems(["/d/a/1.png", "/d/b/1.png", "/d/b/2.png"]) == ["a_1", "b_1", "b_2"]
    assert unique_stems(["/d/a.png"]) == ["a"]
