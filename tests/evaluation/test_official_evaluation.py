"""Our scores against those of the official Cityscapes evaluation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from src.utils.metrics import ConfusionMatrix, iou, mean_iou
from tests.official_evaluation import official_scores

# Label id and official name in the order of the train ids, written out from the data set's documentation.
CLASSES = (
    (7, "road"),
    (8, "sidewalk"),
    (11, "building"),
    (12, "wall"),
    (13, "fence"),
    (17, "pole"),
    (19, "traffic light"),
    (20, "traffic sign"),
    (21, "vegetation"),
    (22, "terrain"),
    (23, "sky"),
    (24, "person"),
    (25, "rider"),
    (26, "car"),
    (27, "truck"),
    (28, "bus"),
    (31, "train"),
    (32, "motorcycle"),
    (33, "bicycle"),
)
CLASS_IDS = [label_id for label_id, _ in CLASSES]
IGNORED_IDS = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
NOWHERE, ONLY_TRUTH, ONLY_PREDICTED, PREDICTED_ON_IGNORED = 31, 27, 28, 33  # train, truck, bus, bicycle
SHAPE = (48, 96)


def random_pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw label ids of a ground truth and of a prediction that is right at about half of the pixels."""
    absent = (NOWHERE, ONLY_PREDICTED, PREDICTED_ON_IGNORED)
    truth = rng.choice([i for i in CLASS_IDS if i not in absent] + IGNORED_IDS, SHAPE).astype(np.uint8)
    guesses = [i for i in CLASS_IDS if i not in (NOWHERE, ONLY_TRUTH, PREDICTED_ON_IGNORED)]
    pred = rng.choice(guesses, SHAPE).astype(np.uint8)
    keep = (rng.random(SHAPE) < 0.5) & np.isin(truth, guesses)
    pred[keep] = truth[keep]
    pred[np.isin(truth, IGNORED_IDS[:4])] = PREDICTED_ON_IGNORED
    return truth, pred


def train_ids(label_ids: np.ndarray) -> np.ndarray:
    result = np.full(label_ids.shape, 255, np.uint8)
    for train_id, label_id in enumerate(CLASS_IDS):
        result[label_ids == label_id] = train_id
    return result


def write_set(folder, pairs):
    """Write pairs as PNG files; return the folder of the predictions and the paths of the ground truths."""
    truths = []
    for index, (truth, pred) in enumerate(pairs):
        city = ("aachen", "bochum")[index % 2]
        stem = f"{city}_{index:06d}_000019"
        truths.append(folder / "gtFine" / "val" / city / f"{stem}_gtFine_labelIds.png")
        for path, picture in ((truths[-1], truth), (folder / "pred" / city / f"{stem}_leftImg8bit.png", pred)):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), picture)
    return folder / "pred", truths


def our_scores(pairs):
    matrix = ConfusionMatrix(19, 255)
    for truth, pred in pairs:
        matrix.update(train_ids(truth), train_ids(pred))
    return iou(matrix.counts)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_official_ones(tmp_path, seed):
    rng = np.random.default_rng(seed)
    pairs = [random_pair(rng) for _ in range(5)]
    assert {*np.unique([truth for truth, _ in pairs])} >= {*IGNORED_IDS, ONLY_TRUTH}

    official = official_scores(*write_set(tmp_path, pairs))
    ours = our_scores(pairs)

    expected = [official["classScores"][name] for _, name in CLASSES]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9, equal_nan=True)
    assert mean_iou(ours) == pytest.approx(official["averageScoreClasses"], abs=1e-9)
    by_id = dict(zip(CLASS_IDS, ours))
    # A class that is predicted on ignored pixels only is as absent as one that is nowhere.
    assert np.isnan([by_id[NOWHERE], by_id[PREDICTED_ON_IGNORED]]).all()
    assert by_id[ONLY_TRUTH] == by_id[ONLY_PREDICTED] == 0
    assert np.isnan(ours).sum() == 2


def test_a_set_of_ignored_pixels_has_no_score(tmp_path):
    pairs = [(np.full(SHAPE, 3, np.uint8), np.full(SHAPE, 7, np.uint8))]
    official = official_scores(*write_set(tmp_path, pairs))
    assert np.isnan(official["averageScoreClasses"])
    assert np.isnan(mean_iou(our_scores(pairs)))


def test_a_missing_prediction_is_an_error(tmp_path):
    predictions, truths = write_set(tmp_path, [random_pair(np.random.default_rng(0))])
    with pytest.raises(RuntimeError, match="Found no prediction for ground truth"):
        official_scores(predictions, [*truths, tmp_path / "ulm_000000_000019_gtFine_labelIds.png"])
