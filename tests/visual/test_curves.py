"""Learning curves, checked by where their colours lie on the picture."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest

from src.visual import curves
from src.visual.curves import draw_curves
from tests.picture_helpers import border, colors_of, is_in, written
from tests.run_helpers import ROOT

TOTAL, FAINT, RATE, MIOU = (25, 75, 170), (190, 208, 238), (95, 85, 130), (40, 130, 60)  # colours of the curves
HEADS = {  # and of the heads
    "main": (195, 50, 20),
    "aux2": (86, 180, 233),
    "aux3": (0, 158, 115),
    "aux4": (230, 159, 0),
    "aux5_4": (204, 121, 167),
}
MARK = (170, 30, 20)  # where the loss is not finite
# Left, top, right, bottom of the plots.
UPPER_LEFT, UPPER_RIGHT = (100, 85, 760, 500), (880, 85, 1540, 500)
LOWER_LEFT, LOWER_RIGHT = (100, 635, 760, 880), (880, 635, 1540, 880)
LAST = 12  # pixels between the last step and the right edge


def record(step, loss, **others):
    return {"step": step, "loss": loss, **{f"loss_{head}": loss / 5 for head in HEADS}, "lr": 0.05, **others}


def course(count=40, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.3, count)
    return [record(10 * (i + 1), float(14 / (1 + i / 5) + 1 + noise[i])) for i in range(count)]


def places(picture, color, plot):
    """Return rows and columns of the pixels of a colour in a plot."""
    left, top, right, bottom = plot
    rows, columns = np.nonzero((picture[top:bottom, left:right] == color).all(axis=-1))
    return rows + top, columns + left


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40, 3000])
@pytest.mark.parametrize(
    "evaluations", [[], [{"step": 50, "miou": 0.3}], [{"step": 5, "miou": 0.1}, {"step": 40, "miou": 0.2}]]
)
def test_every_length_fits_onto_the_picture(count, evaluations):
    picture = draw_curves(course(count), evaluations)
    assert (picture.shape, picture.dtype) == ((950, 1580, 3), np.uint8)
    assert (border(picture) == 255).all()  # no text is cut off
    expected = {*((TOTAL, HEADS["main"], RATE) if count else ()), *((MIOU,) if evaluations else ())}
    assert {TOTAL, HEADS["main"], RATE, MIOU, MARK} & colors_of(picture) == expected
    assert is_in(written("nothing to show yet"), picture) == (count == 0)


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1, 1e5, 1e12, 0])
def test_every_magnitude_fits_onto_the_picture(scale):
    records = [record(10**6 * i, scale * (2 + i % 3), lr=scale) for i in range(1, 12)]
    picture = draw_curves(records, [{"step": 10**6, "miou": scale}])
    assert (border(picture) == 255).all()
    assert TOTAL in colors_of(picture)


def test_every_curve_has_its_plot():
    picture = draw_curves(course(), [{"step": step, "miou": 0.3} for step in (100, 200)])
    for color, plot in ((TOTAL, UPPER_LEFT), (RATE, LOWER_LEFT), (MIOU, LOWER_RIGHT)):
        assert len(places(picture, color, plot)[0]) == (picture == color).all(axis=-1).sum() > 100
    wide = draw_curves(course(), [])
    assert places(wide, RATE, (100, 635, 1540, 880))[1].max() == pytest.approx(1540 - LAST, abs=3)


def test_the_legend_names_the_heads_that_were_recorded():
    records = [{"step": step, "loss": 9.0, "loss_main": 2.0, "loss_aux3": 3.0, "loss_aux4": 4.0} for step in (1, 2)]
    picture = draw_curves(records, [])
    keys = picture[60:85]
    expected = [HEADS["main"], HEADS["aux3"], HEADS["aux4"]]
    assert {*HEADS.values()} & colors_of(keys) == {*expected}
    lefts = [np.nonzero((keys == color).all(axis=-1))[1].min() for color in expected]
    assert lefts == sorted(lefts)
    assert all(is_in(written(name), keys) == (name in ("main", "aux3", "aux4")) for name in HEADS)


def test_heights_are_proportional_to_the_loss():
    """Both plots of losses begin at zero, at their bottom."""
    records = [
        {"step": step, "loss": 4.0 if step < 50 else 1.0, "loss_main": 1.0, "loss_aux2": 0.5} for step in range(100)
    ]
    picture = draw_curves(records, [])
    rows, columns = places(picture, TOTAL, UPPER_LEFT)
    high, low = rows[(columns > 150) & (columns < 380)].mean(), rows[(columns > 480) & (columns < 700)].mean()
    assert (500 - high) / (500 - low) == pytest.approx(4, abs=0.05)  # lines lie on whole pixels
    assert 85 < high < 85 + 0.1 * 415  # the axis ends a little above the largest loss
    main, aux2 = (places(picture, HEADS[name], UPPER_RIGHT)[0].mean() for name in ("main", "aux2"))
    assert (500 - main) / (500 - aux2) == pytest.approx(2, abs=0.02)


def test_curves_run_from_left_to_right():
    picture = draw_curves(course(), [{"step": step, "miou": step / 1000} for step in (100, 200, 400)])
    rows, columns = places(picture, TOTAL, UPPER_LEFT)
    width = 660 - LAST
    assert (columns.min(), columns.max()) == pytest.approx((100 + width / 40, 760 - LAST), abs=3)  # from step 0 on
    assert rows[columns < columns.min() + 20].mean() + 200 < rows[columns > columns.max() - 20].mean()  # it falls
    rows, columns = places(picture, MIOU, LOWER_RIGHT)
    assert rows[columns < 1060].mean() > rows[columns > 1500].mean() + 100  # it rises
    assert columns.min() == pytest.approx(880 + width / 4, abs=6)
    late = draw_curves([record(step, 3.0) for step in range(910, 1001, 10)], [])
    assert places(late, TOTAL, UPPER_LEFT)[1].min() < 105  # the late part of a run begins at the left edge


def test_the_best_evaluation_is_ringed_and_named():
    steps, scores = (100, 200, 300, 400), (0.1, 0.25, 0.4, 0.2)
    picture = draw_curves(course(), [{"step": step, "miou": score} for step, score in zip(steps, scores)])
    assert is_in(written("best: 0.4000 at step 300 (ringed)", color=(110, 110, 110)), picture)
    low, high = 0.1 - 0.03, 0.4 + 0.03  # a tenth of the range is left free on both sides
    for step, score in zip(steps, scores):
        x, y = 880 + (660 - LAST) * step / 400, 880 - 245 * (score - low) / (high - low)
        above = picture[round(y) - 10 : round(y) - 6, round(x)]
        assert (MIOU in colors_of(above[None])) == (step == 300)
        assert tuple(picture[round(y), round(x)]) == MIOU  # the dot


@pytest.mark.parametrize("score", [0.0372, 0.0, 1.0])
def test_a_constant_score_is_a_level_line(score):
    picture = draw_curves(course(), [{"step": step, "miou": score} for step in (100, 200, 300, 400)])
    rows, columns = np.nonzero((picture == MIOU).all(axis=-1))
    middle = rows[(columns > 1300) & (columns < 1350)]
    assert np.ptp(middle) <= 3
    assert middle.mean() == pytest.approx(880 if score == 0 else 635 + 245 / 2, abs=3)
    assert np.ptp(columns) == pytest.approx(0.75 * (660 - LAST) + 12, abs=3)  # a ring and a dot at its ends


def test_what_is_missing_or_not_finite_is_left_out():
    clean = [item for item in course() if item["step"] != 200]
    bad = {"step": 200, "loss_main": float("inf"), "loss_aux2": None, "lr": float("-inf")}
    records = [*clean, bad, {"step": None, "loss": 1.0}, {"loss": 2.0}]
    evaluations = [{"step": 300, "miou": float("nan")}, {"step": 200, "miou": None}, {"step": 100, "miou": 0.5}]
    assert (draw_curves(records, evaluations) == draw_curves(clean, evaluations[2:])).all()
    assert (draw_curves(records, evaluations[:2]) == draw_curves(clean, [])).all()  # no fourth plot either


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), None])
def test_steps_without_a_finite_total_are_counted_and_marked(loss):
    clean = [item for item in course() if item["step"] not in (100, 200)]
    picture = draw_curves([*clean, {"step": 200, "loss": loss}, {"step": 100, "loss": loss}], [])
    assert is_in(written("records: 2 not finite (marked at the top)", color=MARK), picture[:60])
    rows, columns = places(picture, MARK, UPPER_LEFT)
    assert sorted({*columns.tolist()}) == pytest.approx([100 + (660 - LAST) * share for share in (0.25, 0.5)], abs=1)
    assert rows.max() <= 96
    assert (picture[97:] == draw_curves(clean, [])[97:]).all()
    assert MARK not in colors_of(draw_curves(clean, []))


def test_a_run_that_was_never_finite_says_so():
    picture = draw_curves([record(step, float("nan")) for step in range(1, 30)], [])
    assert is_in(written("nothing to show yet"), picture[:, :800])
    assert is_in(written("records: 29 not finite (marked at the top)", color=MARK), picture[:60])
    assert RATE in colors_of(picture)


def test_a_step_logged_again_after_resuming_counts_once():
    records, stale = course(), [record(step, 9.0) for step in (310, 330)]
    assert (draw_curves([*records[:29], *stale, *records[29:]], []) == draw_curves(records, [])).all()
    broken = [record(step, float("nan")) for step in (310, 330)]  # what was finite the first time is not any more
    assert MARK in colors_of(draw_curves([*records, *broken], []))
    assert MARK not in colors_of(draw_curves([*broken, *records], []))


def test_one_wild_step_does_not_flatten_the_rest():
    clean, wild = course(3000), course(3000)
    wild[1500] = record(wild[1500]["step"], 1e9)
    picture, expected = draw_curves(wild, []), draw_curves(clean, [])
    left, top, _, bottom = UPPER_LEFT
    assert (picture[top:bottom, left - 60 : 400] == expected[top:bottom, left - 60 : 400]).all()  # axis and curves
    assert places(picture, TOTAL, UPPER_LEFT)[0].min() > 90  # nor does it carry the average out of the plot
    assert is_in(written("records: 1 above the axis", color=MARK), picture[:60])


def test_a_diverging_run_keeps_the_axis_of_the_losses_before():
    """The last third grows without bound; what came before still fills most of the plot."""
    records = course(90) + [record(900 + 10 * i, 3.0 * 2.0**i) for i in range(1, 46)]
    picture = draw_curves(records, [])
    rows, columns = places(picture, TOTAL, UPPER_LEFT)
    before = rows[columns < 100 + 600 * 0.6]
    assert np.ptp(before) > 415 / 5
    assert rows.min() == 85  # the curve leaves the plot at its top
    first = records[0]["loss"]
    above = sum(item["loss"] > 3 * first for item in records)
    assert is_in(written(f"records: {above} above the axis", color=MARK), picture[:60])


def test_the_first_loss_is_shown_however_small_the_later_ones_are():
    records = [record(1, 14.0), *(record(step, 0.3) for step in range(2, 200))]
    assert MARK not in colors_of(draw_curves(records, []))


@pytest.mark.parametrize(("count", "window"), [(40, 1), (99, 1), (100, 3), (400, 9), (16000, 321)])
def test_long_runs_are_averaged(count, window):
    picture = draw_curves(course(count), [])
    shown = window > 1
    assert is_in(written(f"average of {window} records; faint: every record", color=(110, 110, 110)), picture) == shown
    assert is_in(written(f"Loss of each head, average of {window} records", 0.65), picture) == shown
    assert (FAINT in colors_of(picture)) == shown


def test_arguments_stay_as_they_are():
    records, evaluations = course(), [{"step": 10, "miou": 0.5}]
    before = copy.deepcopy((records, evaluations))
    draw_curves(records, evaluations)
    assert (records, evaluations) == before


def test_curves_need_no_mindspore():
    code = "import sys; sys.modules.update(mindspore=None); import src.visual.curves"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


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
        ((0, 1e-6), 2, ["0", "5e-7", "1e-6"]),
        ((0, 3e-5), 3, ["0", "1e-5", "2e-5", "3e-5"]),
        ((0, 2e7), 2, ["0", "1e7", "2e7"]),
    ],
)
def test_ticks_are_labelled_alike(span, most, texts):
    ticks = curves._ticks(*span, most=most)
    assert [text for _, text in ticks] == texts
    assert [float(text) for text in texts] == pytest.approx([value for value, _ in ticks])
    assert [text for _, text in curves._ticks(0, 3, most=13, least=1)] == ["0", "1", "2", "3"]  # steps are whole


@pytest.mark.parametrize("last", [9, 400, 99999, 160000, 999999, 4000000, 9999999, 123456789, 10**12])
@pytest.mark.parametrize("share", [0, 0.93])
def test_labels_of_steps_do_not_overlap(last, share):
    picture = draw_curves([record(round(last * share) + 1, 2.0), record(last, 1.0)], [])
    labels = (picture[505:530, 60:800] < 128).any(axis=(0, 2))  # the ink below the plot, column by column
    gaps = np.diff(np.nonzero(labels)[0])
    widest_in_a_label = 12
    ticks = curves._ticks(*(last * share, last) if share else (0, last), most=6, least=1)
    assert (gaps > widest_in_a_label).sum() >= len(ticks) - 1
