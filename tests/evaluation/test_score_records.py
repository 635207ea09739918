"""Scores as JSON holds them, and the largest confusions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from src.evaluation.score_records import classes_of, confusion_lines, json_bytes, largest_confusions, scores_of
from src.utils.config import parse_config
from src.utils.metrics import Evaluation

COUNTS = np.array([[90, 6, 4], [30, 60, 10], [0, 1, 0]])


def test_the_largest_confusions_by_hand():
    found = [tuple(each) for each in largest_confusions(COUNTS, 4)]
    assert found == [(2, 1, 1, 1.0), (1, 0, 30, 0.3), (1, 2, 10, 0.1), (0, 1, 6, 0.06)]
    assert len(largest_confusions(COUNTS)) == 5
    assert largest_confusions(np.diag([3, 0, 5])) == []


def test_of_equal_shares_the_one_with_more_pixels_comes_first():
    assert [each.pixels for each in largest_confusions(np.array([[1, 1], [50, 50]]))] == [50, 1]


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_confusions_are_those_of_counting_pairs(seed):
    rng = np.random.default_rng(seed)
    pairs = list(zip(rng.integers(0, 5, 300).tolist(), rng.integers(0, 5, 300).tolist()))
    counts = np.zeros((5, 5), np.int64)
    for truth, pred in pairs:
        counts[truth, pred] += 1
    of_class = [[pair for pair in pairs if pair[0] == truth] for truth in range(5)]
    shares = {pair: of_class[pair[0]].count(pair) / len(of_class[pair[0]]) for pair in pairs if pair[0] != pair[1]}
    found = largest_confusions(counts)
    assert [each.share for each in found] == sorted(shares.values(), reverse=True)[:5]
    assert all(shares[each.truth, each.prediction] == each.share for each in found)


def test_the_lines_say_which_share_it_is():
    assert confusion_lines(COUNTS, ["road", "a b", "c"], 2) == [
        "largest confusions, in shares of the labelled pixels of the true class:",
        "  c taken for a b     100.00 %   1 pixels",
        "  a b taken for road   30.00 %  30 pixels",
    ]
    assert confusion_lines(np.diag([3, 5]), ["a", "b"]) == ["confusions: none"]


def test_scores_with_the_matrix_row_by_row():
    result = Evaluation(2, 0.5, np.array([0.5, np.nan]), 0.75, 3.0, np.array([[3, 1], [-0, 0]]))
    text = json_bytes({**scores_of(result), "class_names": ["a", "b"]}).decode()
    assert json.loads(text) == {
        "miou": 0.5,
        "iou": [0.5, None],
        "pixel_accuracy": 0.75,
        "confusion_matrix": [[3, 1], [0, 0]],
        "class_names": ["a", "b"],
    }
    assert "    [3, 1],\n    [0, 0]\n" in text


def test_text_that_looks_like_numbers_stays_as_it_is():
    record = {"name": "[\n 1,\n 2\n]", "list": [1, 2], "empty": [], "mixed": [1, None]}
    assert json.loads(json_bytes(record)) == record


def test_classes_and_their_colours():
    classes = classes_of(parse_config([], "train"))
    assert classes["class_names"][:2] == ["road", "sidewalk"]
    assert classes["class_colors"][:2] == ["#804080", "#f423e8"]
    assert len(classes["class_names"]) == len(classes["class_colors"]) == 19
