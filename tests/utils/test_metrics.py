"""Confusion counts and scores against counting pixel by pixel."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from src.base.errors import DataError
from src.utils.metrics import ConfusionMatrix, class_table, evaluation_lines, iou, mean_iou, pixel_accuracy

ROOT = Path(__file__).resolve().parents[2]
NAN = float("nan")


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def random_maps(seed, num_classes=4, ignore_label=255, shape=(9, 14)):
    rng = np.random.default_rng(seed)
    label = rng.choice([*range(num_classes), ignore_label], shape).astype(np.uint8)
    return label, rng.integers(0, num_classes, shape).astype(np.uint8)


def matrix_of(label, pred, num_classes=4, ignore_label=255):
    matrix = ConfusionMatrix(num_classes, ignore_label)
    matrix.update(label, pred)
    return matrix


def iou_by_sets(label, pred, cls):
    valid = [i for i, value in enumerate(label.ravel().tolist()) if value != 255]
    truth = {i for i in valid if label.flat[i] == cls}
    guess = {i for i in valid if pred.flat[i] == cls}
    return len(truth & guess) / len(truth | guess) if truth | guess else NAN


# counting


@pytest.mark.parametrize(("num_classes", "ignore_label"), [(1, 1), (2, 2), (4, 255), (19, 255), (255, 255)])
def test_counts_match_counting_pixel_by_pixel(num_classes, ignore_label):
    label, pred = random_maps(0, num_classes, ignore_label)
    expected = [[0] * num_classes for _ in range(num_classes)]
    for truth, guess in zip(label.ravel().tolist(), pred.ravel().tolist()):
        if truth != ignore_label:
            expected[truth][guess] += 1
    counts = matrix_of(label, pred, num_classes, ignore_label).counts
    assert counts.dtype == np.int64
    assert counts.tolist() == expected


def test_rows_are_labels_and_columns_predictions():
    assert matrix_of(np.array([2, 2, 2]), np.array([0, 0, 1])).counts.tolist()[2] == [2, 1, 0, 0]


def test_updates_add_up():
    matrix, first, second = ConfusionMatrix(4, 255), random_maps(1), random_maps(2, shape=(2, 3, 5))
    matrix.update(*first)
    matrix.update(*second)
    assert (matrix.counts == matrix_of(*first).counts + matrix_of(*second).counts).all()
    assert matrix.counts.sum() == (first[0] != 255).sum() + (second[0] != 255).sum()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
def test_every_integer_type_counts_alike(dtype):
    label, pred = random_maps(3, ignore_label=100)
    assert (matrix_of(label.astype(dtype), pred, 4, 100).counts == matrix_of(label, pred, 4, 100).counts).all()
    assert (matrix_of(label, pred.astype(dtype), 4, 100).counts == matrix_of(label, pred, 4, 100).counts).all()


def test_views_count_like_copies_and_are_not_changed():
    label, pred = random_maps(4)
    counts = matrix_of(label[::2, ::-1].copy(), pred.T[::-1, ::2].T.copy()).counts
    before = label.copy(), pred.copy()
    assert (matrix_of(label[::2, ::-1], pred.T[::-1, ::2].T).counts == counts).all()
    assert (label == before[0]).all()
    assert (pred == before[1]).all()


def test_an_empty_map_counts_nothing():
    assert matrix_of(np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8)).counts.sum() == 0


def test_merge_adds_the_counts_of_both():
    first, second = matrix_of(*random_maps(5)), matrix_of(*random_maps(6))
    expected = first.counts + second.counts
    kept = second.counts.copy()
    first.merge(second)
    assert (first.counts == expected).all()
    assert (second.counts == kept).all()


# what is refused


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [
        (4, np.uint8, "holds 4,"),
        (254, np.uint8, "254"),
        (-1, np.int64, "-1"),
        (256, np.int64, "256"),
        (511, np.uint16, "511"),
    ],
)
def test_an_unknown_label_is_the_users_error(value, dtype, shown):
    matrix = ConfusionMatrix(4, 255)
    label = np.array([0, 1, value], dtype)
    with pytest.raises(DataError, match=f"label.*{shown}.*0..3.*ignored label 255"):
        matrix.update(label, np.zeros(3, np.uint8))
    assert matrix.counts.sum() == 0


def test_many_unknown_labels_are_not_all_listed():
    label = np.arange(100, dtype=np.uint8)
    with pytest.raises(DataError, match=r"holds 4, 5, 6, 7, 8, \.\.\., which"):
        ConfusionMatrix(4, 255).update(label, np.zeros(100, np.uint8))


@pytest.mark.parametrize("truth", [0, 255], ids=["labelled", "ignored"])
@pytest.mark.parametrize(("value", "dtype"), [(4, np.uint8), (255, np.uint8), (-1, np.int64), (256, np.int32)])
def test_a_prediction_out_of_range_is_refused(truth, value, dtype):
    matrix = ConfusionMatrix(4, 255)
    with pytest.raises(ValueError, match=f"prediction holds {value}, classes are 0..3"):
        matrix.update(np.array([0, truth], np.uint8), np.array([0, value], dtype))
    assert matrix.counts.sum() == 0


def test_other_mistakes_of_the_caller():
    matrix, label = ConfusionMatrix(4, 255), np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"label has shape \(2, 3\) but prediction \(3, 2\)"):
        matrix.update(label, label.T)
    with pytest.raises(ValueError, match="integers, got float32"):
        matrix.update(label, label.astype(np.float32))
    with pytest.raises(ValueError, match=r"cannot merge.*\(4, 255\) here and \(5, 255\)"):
        matrix.merge(ConfusionMatrix(5, 255))
    with pytest.raises(ValueError, match="cannot merge"):
        matrix.merge(ConfusionMatrix(4, 254))


@pytest.mark.parametrize("num_classes", [0, -1, 256])
def test_impossible_class_counts(num_classes):
    with pytest.raises(ValueError, match=f"num_classes must lie in 1..255, got {num_classes}"):
        ConfusionMatrix(num_classes, 255)


@pytest.mark.parametrize("ignore_label", [-1, 0, 3, 256])
def test_impossible_ignored_labels(ignore_label):
    with pytest.raises(ValueError, match=f"ignore_label must lie in 4..255, got {ignore_label}"):
        ConfusionMatrix(4, ignore_label)


# scores


@pytest.mark.parametrize("seed", range(5))
def test_iou_matches_counting_by_sets(seed):
    label, pred = random_maps(seed)
    actual = iou(matrix_of(label, pred).counts)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, [iou_by_sets(label, pred, cls) for cls in range(4)], rtol=1e-12)


def test_a_class_that_is_nowhere_has_no_score():
    label, pred = np.array([0, 0, 1, 255], np.uint8), np.array([0, 1, 3, 2], np.uint8)
    scores = iou(matrix_of(label, pred).counts)
    # 2 is predicted on the ignored pixel only; 3 is predicted but nowhere in the ground truth; 1 was never hit.
    np.testing.assert_array_equal(scores, [1 / 2, 0, NAN, 0])
    assert mean_iou(scores) == pytest.approx(1 / 6, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_pixel_accuracy_and_mean_by_counting(seed):
    label, pred = random_maps(seed)
    counts = matrix_of(label, pred).counts
    pairs = [(a, b) for a, b in zip(label.ravel().tolist(), pred.ravel().tolist()) if a != 255]
    assert pixel_accuracy(counts) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs), abs=1e-15)
    expected = math.fsum(iou_by_sets(label, pred, cls) for cls in range(4)) / 4
    assert mean_iou(iou(counts)) == pytest.approx(expected, abs=1e-15)


def test_without_a_labelled_pixel_every_score_is_nan():
    counts = matrix_of(np.full((3, 4), 255), np.zeros((3, 4), int)).counts
    assert np.isnan(iou(counts)).all()
    assert math.isnan(mean_iou(iou(counts)))
    assert math.isnan(pixel_accuracy(counts))


def test_counts_of_a_whole_set_stay_exact():
    counts = np.array([[3 * 10**12 + 1, 0], [1, 10**12]])
    assert iou(counts)[0] == (3 * 10**12 + 1) / (3 * 10**12 + 2)
    assert type(mean_iou(iou(counts))) is type(pixel_accuracy(counts)) is float


# text


def test_class_table():
    table = class_table(np.array([0.97665877, NAN, 0.5]), ["road", "traffic light", "sky"])
    assert table.split("\n") == [
        "class             IoU",
        "---------------------",
        "road           0.9767",
        "traffic light  absent",
        "sky            0.5000",
        "---------------------",
        "mean           0.7383",
    ]
    with pytest.raises(ValueError, match="3 scores but 2 class names"):
        class_table(np.zeros(3), ["road", "sky"])


def test_evaluation_lines_have_the_published_shape():
    scores = np.array([0.976658771, 0.5, NAN, 0.3333333333333333, 0.25, 0.125, 0.7309768747454519])
    scored = [score for score in scores.tolist() if score == score]  # NaN differs from itself
    assert evaluation_lines(500, scores)[:3] == [
        "Total number of images: 500",
        "=========== Evaluation Result ===========",
        "iou array: \n [0.97665877 0.5               nan 0.33333333 0.25       0.125\n 0.73097687]",
    ]
    name, value = evaluation_lines(500, scores)[3].split(": ")
    assert name == "miou"
    assert float(value) == pytest.approx(math.fsum(scored) / 6, abs=1e-15)


@pytest.mark.parametrize(
    ("scores", "line"),
    [([0.7309768747454519], "miou: 0.7309768747454519"), ([0.5, NAN], "miou: 0.5"), ([NAN], "miou: nan")],
)
def test_miou_is_written_as_a_plain_number(scores, line):
    assert evaluation_lines(1, np.array(scores))[-1] == line


@pytest.mark.parametrize(
    ("module", "absent"), [("utils.metrics", "mindspore=None, cv2=None"), ("visual.visualize", "mindspore=None")]
)
def test_modules_need_no_mindspore(module, absent):
    code = f"import sys; sys.modules.update({absent}); import src.{module}"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
