"""Learning curves, checked by where their colours lie on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from src.utils import curves
from src.utils.curves import draw_curves
from tests.picture_helpers import border, colors_of

TOTAL, MAIN, RATE, MIOU = (25, 75, 170), (205, 60, 60), (95, 85, 130), (40, 130, 60)  # colours of the curves


def record(step, loss, **others):
    heads = {f"loss_{head}": loss / 5 for head in ("main", "aux2", "aux3", "aux4", "aux5_4")}
    return {"step": step, "loss": loss, **heads, "lr": 0.05 * (1 - step / 1000), **others}


def course(count=40, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.3, count)
    return [record(10 * (i + 1), float(14 / (1 + i / 5) + 1 + noise[i])) for i in range(count)]


def places(picture, color):
    """Return rows and columns of the pixels of a colour below the legend of the losses."""
    rows, columns = np.nonzero((picture == color).all(axis=-1))
    return rows[rows > 60], columns[rows > 60]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40, 3000])
@pytest.mark.parametrize(
    "evaluations", [[], [{"step": 50, "miou": 0.3}], [{"step": 5, "miou": 0.1}, {"step": 40, "miou": 0.2}]]
)
def test_every_length_fits_onto_the_picture(count, evaluations):
    picture = draw_curves(course(count), evaluations)
    assert (picture.shape, picture.dtype) == ((900, 1400, 3), np.uint8)
    assert (border(picture) == 255).all()  # no text is cut off
    expected = {*((TOTAL, MAIN, RATE) if count else ()), *((MIOU,) if evaluations else ())}
    assert {TOTAL, MAIN, RATE, MIOU} & colors_of(picture) == expected


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1, 1e5, 1e12, 0])
def test_every_magnitude_fits_onto_the_picture(scale):
    records = [record(10**6 * i, scale * (2 + i % 3), lr=scale) for i in range(1, 12)]
    picture = draw_curves(records, [{"step": 10**6, "miou": scale}])
    assert (border(picture) == 255).all()
    assert TOTAL in colors_of(picture)


def test_heights_are_proportional_to_the_loss():
    records = [{"step": step, "loss": 4.0, "loss_main": 1.0} for step in range(0, 101, 10)]
    picture = draw_curves(records, [])
    total, main = (places(picture, color)[0] for color in (TOTAL, MAIN))
    axis = next(row for row in range(int(main.max()) + 5, 900) if (picture[row, 200:300] < 200).all())  # zero
    assert (axis - total.mean()) / (axis - main.mean()) == pytest.approx(4, abs=0.05)  # lines lie on whole pixels


def test_curves_run_from_left_to_right():
    picture = draw_curves(course(), [{"step": step, "miou": step / 1000} for step in (100, 200, 400)])
    rows, columns = places(picture, TOTAL)
    assert (columns.min(), columns.max()) == pytest.approx((90 + 1265 / 40, 1355), abs=4)  # the axis starts at step 0
    assert rows[columns < columns.min() + 20].mean() + 200 < rows[columns > columns.max() - 20].mean()  # it falls
    rows, columns = places(picture, MIOU)
    assert rows[columns == columns.min()].mean() > rows[columns == columns.max()].mean() + 100  # it rises


def test_what_is_not_finite_is_left_out():
    clean = [item for item in course() if item["step"] != 200]
    bad = {"step": 200, "loss": float("nan"), "loss_main": float("inf"), "loss_aux2": None, "lr": float("-inf")}
    records = [*clean, bad, {"step": None, "loss": 1.0}, {"loss": 2.0}]
    evaluations = [{"step": 300, "miou": float("nan")}, {"step": 200, "miou": None}, {"step": 100, "miou": 0.5}]
    assert (draw_curves(records, evaluations) == draw_curves(clean, evaluations[2:])).all()
    assert (draw_curves(records, evaluations[:2]) == draw_curves(clean, [])).all()  # no third panel either


def test_a_step_logged_again_after_resuming_counts_once():
    records, stale = course(), [record(step, 9.0) for step in (310, 330)]
    assert (draw_curves([*records[:29], *stale, *records[29:]], []) == draw_curves(records, [])).all()


def test_one_wild_step_does_not_flatten_the_rest():
    wild = course(3000)
    wild[1500] = record(wild[1500]["step"], 1e9)
    rows, columns = places(draw_curves(wild, []), TOTAL)
    assert np.ptp(rows[columns < 600]) > 150
    assert rows.min() > 65  # nor does it carry the average out of the plot


@pytest.mark.parametrize("window", [1, 3, 7, 99])
def test_smoothing_averages_neighbours(window):
    values = np.random.default_rng(0).normal(size=99)
    half = window // 2
    around = [values[max(0, i - half) : i + half + 1].tolist() for i in range(99)]
    np.testing.assert_allclose(curves._smoothed(values, window), [sum(part) / len(part) for part in around], atol=1e-12)


@pytest.mark.parametrize("high", [1e-7, 0.03, 0.052, 0.7, 1, 3.5, 14.7, 99, 1000, 160000, 3e8])
@pytest.mark.parametrize("share", [0, 0.5, 0.93])
@pytest.mark.parametrize("most", [5, 6, 12, 13])
def test_ticks_are_round_and_neither_few_nor_many(high, share, most):
    low = high * share
    values = [value for value, _ in curves._ticks(low, high, most=most)]
    gaps = np.diff(values)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-6)
    assert f"{gaps[0]:.6e}"[:8] in ("1.000000", "2.000000", "5.000000")
    assert values[0] / gaps[0] == pytest.approx(round(values[0] / gaps[0]), abs=1e-6)  # a multiple of the gap
    assert most / 3 < len(values) <= most + 1
    assert -1e-6 <= (values[0] - low) / gaps[0] <= 1.000001
    assert -1e-6 <= (high - values[-1]) / gaps[0] <= 1.000001


@pytest.mark.parametrize(
    ("span", "most", "texts"),
    [
        ((0, 160000), 8, ["0", "20000", "40000", "60000", "80000", "100000", "120000", "140000", "160000"]),
        ((0, 0.0525), 6, ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]),
        ((0.12, 0.31), 4, ["0.15", "0.20", "0.25", "0.30"]),
        ((0, 1e-6), 2, ["0", "5e-07", "1e-06"]),
    ],
)
def test_ticks_are_labelled_alike(span, most, texts):
    ticks = curves._ticks(*span, most=most)
    assert [text for _, text in ticks] == texts
    assert [float(text) for text in texts] == pytest.approx([value for value, _ in ticks])
    assert [text for _, text in curves._ticks(0, 3, most=13, least=1)] == ["0", "1", "2", "3"]  # steps are whole
