"""The report in a real browser: every number, tabs, sorting, filters, hover, zoom, reloading, and no foreign code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from src.data.eval_samples import EvalSample
from src.evaluation.score_records import classes_of, json_bytes
from src.report.live import write_live_report
from src.report.page import Section, write_page
from src.report.pictures import ReportPictures, jpeg_url
from src.report.runs import find_runs
from src.report.sections import write_report
from tests.browser_helpers import Opened, running_browser
from tests.dataset_helpers import write_png
from tests.report_helpers import (
    ATTACK,
    HOSTILE,
    IGNORED,
    iou_by_sets,
    make_config,
    make_pictures,
    repeat_pictures,
    write_evaluation,
    write_training,
)

pytestmark = pytest.mark.once

NAMES = [*(f"city_{number:02d}" for number in range(8)), *HOSTILE]


@pytest.fixture(scope="module")
def browser():
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def pictures():
    return make_pictures(NAMES)


@pytest.fixture(scope="module")
def written(tmp_path_factory, pictures):
    """A training and an evaluation with hostile names, in one report: its file and what the runs hold."""
    base = tmp_path_factory.mktemp("runs") / "a 'run' <script> \" # ? %41 街"
    metrics, evaluations = write_training(base / "train")
    scores = write_evaluation(base / "eval", pictures)
    write_report(base / "report.html", find_runs([base]))
    return base / "report.html", scores, metrics, evaluations


@pytest.fixture
def opened(browser, written):
    report = Opened(browser, written[0])
    yield report
    report.page.close()
    assert report.problems == []


def test_the_overview_has_the_numbers_of_eval_json(opened, written):
    _, scores, metrics, evaluations = written
    assert opened.values(".score .figure strong") == [scores["miou"], scores["pixel_accuracy"]]
    assert opened.texts(".score .figure strong") == [
        f"{100 * scores['miou']:.2f} %",
        f"{100 * scores['pixel_accuracy']:.2f} %",
    ]
    facts = dict(zip(opened.texts(".score dt"), opened.texts(".score dd")))
    assert facts["pictures"] == str(len(NAMES))
    assert facts["scales"] == "1"
    assert facts["image size (height × width)"] == "64×96"
    best = max(evaluations, key=lambda record: record["miou"])
    assert opened.values(".card:last-child dd span") == [
        metrics[-1]["step"],
        metrics[-1]["loss"],
        metrics[-1]["images_per_s"],
        best["miou"],
    ]
    assert opened.texts(".card:last-child dd span")[0] == "40 of 40"
    matrix = np.array(scores["confusion_matrix"])
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    assert opened.values(".card:nth-of-type(3) .amount") == sorted(shares.ravel().tolist(), reverse=True)[:5]


def test_the_classes_have_their_names_and_scores(opened, written):
    opened.tab("Classes")
    _, scores, *_ = written
    assert opened.texts(".classes tbody th") == list(HOSTILE)
    assert opened.values(".classes tbody td.number span") == scores["iou"]
    opened.page.get_by_role("button", name="Lowest first").click()
    assert opened.values(".classes tbody td.number span") == sorted(scores["iou"])
    assert opened.values(".classes tfoot td.number span") == [scores["miou"]]


def test_the_confusion_matrix_by_row_by_column_and_in_pixels(opened, written):
    opened.tab("Confusion")
    matrix = np.array(written[1]["confusion_matrix"])

    def shown():
        return np.array(opened.values(".matrix tbody td")).reshape(matrix.shape)

    np.testing.assert_array_equal(shown(), matrix / matrix.sum(axis=1, keepdims=True))
    opened.page.get_by_role("button", name="By predicted class").click()
    np.testing.assert_array_equal(shown(), matrix / matrix.sum(axis=0, keepdims=True))
    opened.page.get_by_role("button", name="Pixels").click()
    np.testing.assert_array_equal(shown(), matrix)
    opened.page.locator(".matrix tbody td").nth(1).hover()
    (line,) = opened.texts(".confusion .readout")
    assert line.startswith(f"{HOSTILE[0]} taken for {HOSTILE[1]}: {matrix[0, 1]:,} pixels")


def mean_scores(pictures):
    found = {}
    for name, label, prediction in zip(pictures.names, pictures.labels, pictures.predictions):
        scores = [iou_by_sets(label, prediction, cls) for cls in range(4)]
        found[name] = (np.mean([score for score in scores if score is not None]), scores)
    return found


def test_the_pictures_are_sorted_and_filtered(opened, pictures):
    opened.tab("Pictures")
    expected = mean_scores(pictures)
    ranked = sorted(NAMES, key=lambda name: expected[name][0])
    assert opened.texts(".picture .name") == ranked
    np.testing.assert_allclose(opened.values(".picture strong"), [expected[name][0] for name in ranked], rtol=1e-12)
    opened.page.get_by_role("button", name="Highest first").click()
    assert opened.texts(".picture .name") == ranked[::-1]
    opened.page.locator(".pictures").get_by_label("Class").select_option(HOSTILE[3])
    having = [name for name in NAMES if expected[name][1][3] is not None]
    assert 0 < len(having) < len(NAMES)
    assert opened.texts(".picture .name") == sorted(having, key=lambda name: (-expected[name][1][3], NAMES.index(name)))
    opened.page.get_by_label("Sort by").select_option("name")
    opened.page.get_by_role("button", name="Lowest first").click()
    assert opened.texts(".picture .name") == sorted(having)
    opened.page.locator(".pictures").get_by_label("Class").select_option("all classes")
    opened.page.get_by_label("Name has").fill("CITY_0")
    assert opened.texts(".picture .name") == NAMES[:8]
    opened.page.get_by_label("Name has").fill("汽车")
    assert opened.texts(".picture .name") == [HOSTILE[2]]


def test_a_picture_with_its_maps_and_the_class_below_the_pointer(opened, pictures):
    opened.tab("Pictures")
    page, number = opened.page, 3
    page.locator(".picture").filter(has_text=NAMES[number]).click()
    page.wait_for_selector(".stage.errors")
    label, prediction = pictures.labels[number], pictures.predictions[number]
    assert painted(page) == int(((label != prediction) & (label != IGNORED)).sum()) + int((label == IGNORED).sum())
    frame = page.locator(".stage").bounding_box()
    for row, column in ((2, 3), (10, 30), (23, 0)):
        at = ((column + 0.5) / label.shape[1], (row + 0.5) / label.shape[0])
        page.mouse.move(frame["x"] + at[0] * frame["width"], frame["y"] + at[1] * frame["height"])
        (line,) = opened.texts(".viewer .readout")
        truth = "no label" if label[row, column] == IGNORED else HOSTILE[label[row, column]]
        assert line.startswith(f"x {column}, y {row} · truth: {truth} · prediction: {HOSTILE[prediction[row, column]]}")
    page.get_by_role("tab", name="Prediction").click()
    assert painted(page) == label.size
    page.get_by_role("button", name="Zoom out").click()
    assert page.locator(".stage").bounding_box()["width"] == pytest.approx(frame["width"] / 1.5, rel=0.01)
    page.get_by_label("Strength of the colours").fill("30")
    assert page.locator(".stage canvas").evaluate("canvas => canvas.style.opacity") == "0.3"
    page.get_by_role("button", name="Next picture").click()
    ranked = sorted(NAMES, key=lambda name: mean_scores(pictures)[name][0])
    opened.wait_for(".viewer h2", ranked[ranked.index(NAMES[number]) + 1])
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def painted(page):
    """Count the pixels of the viewer's canvas that are not clear."""
    count = """canvas => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    }"""
    return page.locator(".stage canvas").evaluate(count)


def hovered(opened, chart):
    """Return step and values of the box beside the pointer, by series."""
    tip = opened.page.locator(".chart").nth(chart).locator(".tip")
    step = int(tip.locator("strong").get_attribute("data-step"))
    read = "all => all.map(each => [each.dataset.series.split('/')[1], each.querySelector('b').dataset.value ?? null])"
    return step, {
        name: None if text is None else float(text) for name, text in tip.locator("[data-series]").evaluate_all(read)
    }


def test_values_on_hover_are_those_of_the_files(opened, written):
    opened.tab("Curves")
    _, _, metrics, evaluations = written
    titles = opened.texts(".chart h2")
    page = opened.page
    for title, names, records, key in (
        ("Loss", ("loss",), metrics, "ArrowRight"),
        ("mIoU and pixel accuracy", ("miou", "pixel_accuracy"), evaluations, "ArrowRight"),
        ("Loss of each head", ("loss_main", "loss_aux2"), metrics[9::10], "PageDown"),
        ("Learning rate", ("lr",), metrics[9::10], "PageDown"),
        ("loss_scale", ("loss_scale",), metrics[9::10], "PageDown"),
    ):
        chart = titles.index(title)
        page.locator(".chart").nth(chart).locator(".plot > svg").focus()
        for record in records:
            page.keyboard.press(key)
            assert hovered(opened, chart) == (record["step"], {name: record[name] for name in names})
    page.locator(".chart").first.scroll_into_view_if_needed()
    box = page.locator(".chart .plot > svg").first.bounding_box()
    seen = set()
    for share in np.linspace(0.1, 0.97, 30):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        step, values = hovered(opened, 0)
        assert values == {"loss": metrics[step - 1]["loss"]}
        seen.add(step)
    assert len(seen) > 20
    assert {1, 40} <= seen


def test_a_chart_has_a_logarithmic_scale_and_a_table(opened, written):
    opened.tab("Curves")
    before = opened.page.locator(".chart path").first.get_attribute("d")
    opened.page.get_by_role("button", name="Logarithmic").click()
    assert opened.page.locator(".chart path").first.get_attribute("d") != before
    opened.page.get_by_text("Values as a table").first.click()
    cells = opened.texts(".chart:first-child tbody td")
    assert cells[: 2 * 40 : 2] == [str(record["step"]) for record in written[2]]
    assert [None if text == "–" else float(text) for text in cells[1::2]] == [record["loss"] for record in written[2]]


def test_numbers_too_close_to_have_ticks_between_them(browser, tmp_path):
    write_training(tmp_path / "run")
    rates = (0.01, np.nextafter(0.01, 1), 1e308, -1e308)
    records = [{"step": 2**53 - 3 + i, "lr": rate, "loss": 0.01 + i * 1e-17} for i, rate in enumerate(rates)]
    for name, shown in (("close", records[:2]), ("far", records)):
        text = "".join(json.dumps(record) + "\n" for record in shown)
        (tmp_path / "run" / "metrics.jsonl").write_text(text, encoding="utf-8")
        write_report(tmp_path / f"{name}.html", find_runs([tmp_path / "run"]))
        report = Opened(browser, tmp_path / f"{name}.html", "tab=curves")
        assert "Learning rate" in report.texts(".chart h2")
        report.page.close()
        assert report.problems == []


def test_the_configuration_shows_what_differs_and_the_environment(opened):
    opened.tab("Configuration")
    keys = opened.texts(".settings:first-of-type tbody tr.differs th code")
    assert {"total_step", "warmup_step"} <= set(keys)
    first = opened.page.locator(".settings").first
    shown = dict(
        zip(first.locator("tbody th").all_inner_texts(), first.locator("tbody td:nth-child(3)").all_inner_texts())
    )
    assert shown["total_step"] == "40"
    assert shown["log_interval"] == "7"
    assert shown["data.dataset_dir"] == ATTACK
    assert "batch_size" not in shown
    opened.page.get_by_role("button", name="All keys").click()
    assert "batch_size" in first.locator("tbody th").all_inner_texts()
    assert ATTACK in opened.page.locator(".settings").last.inner_text()


def test_tabs_follow_the_keys_and_the_address_keeps_the_view(browser, written):
    report = Opened(browser, written[0])
    page = report.page
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("End")
    assert page.get_by_role("tab", selected=True).inner_text() == "Configuration"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.get_by_label("Sort by").select_option("name")
    page.reload()
    assert page.get_by_role("tab", selected=True).inner_text() == "Pictures"
    assert report.texts(".picture .name") == sorted(NAMES)
    panel = page.get_by_role("tabpanel")
    assert panel.get_attribute("aria-labelledby") == page.get_by_role("tab", selected=True).get_attribute("id")
    page.close()
    assert report.problems == []


def test_no_text_becomes_code_and_the_policy_stops_what_would(opened):
    page = opened.page
    for tab in page.get_by_role("tablist", name="Parts of the report").get_by_role("tab").all():
        tab.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main img[src=x], main svg[onload]").count() == 0
    inject = """() => { const box = document.createElement('div');
        box.innerHTML = '<img src=x onerror="window.hacked=1"><b onclick="window.hacked=1">b</b>';
        document.body.append(box); box.querySelector('b').click();
        box.innerHTML = '<a href="javascript:window.hacked=1">a</a>'; box.querySelector('a').click(); }"""
    page.evaluate(inject)
    page.wait_for_timeout(100)
    assert page.evaluate("window.hacked") is None
    assert opened.problems
    assert all("Content Security Policy" in problem or "ERR_FILE_NOT_FOUND" in problem for problem in opened.problems)
    opened.problems.clear()


def test_an_open_page_of_a_training_reloads_and_keeps_its_view(browser, tmp_path):
    metrics, _ = write_training(tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(lines[:20]), encoding="utf-8")
    write_live_report(tmp_path / "run", ended=False)
    context = browser.new_context()
    context.clock.install()
    report = Opened(context, tmp_path / "run" / "report.html", "tab=curves&log=1")
    page = report.page
    page.evaluate("window.first = true")
    page.clock.run_for(20_000)
    assert page.evaluate("window.first")  # nothing new, no reload

    def last_step():
        page.locator(".chart .plot > svg").first.focus()
        page.keyboard.press("End")
        return hovered(report, 0)[0]

    assert last_step() == 20
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
    write_live_report(tmp_path / "run", ended=True)
    with page.expect_navigation():
        page.clock.run_for(20_000)
    assert last_step() == 40
    assert page.get_by_role("tab", selected=True).inner_text() == "Curves"
    assert page.get_by_role("button", name="Logarithmic").get_attribute("aria-pressed") == "true"
    assert json.loads(page.locator("#page").inner_text())["live"] is None  # the last one asks no more
    context.close()
    assert report.problems == []


def test_several_runs_side_by_side(browser, tmp_path, pictures):
    first = write_evaluation(tmp_path / "one", pictures)
    second = write_evaluation(tmp_path / "two", make_pictures(NAMES, seed=1))
    write_training(tmp_path / "train_a", seed=1)
    write_training(tmp_path / "train_b", steps=30, seed=2)
    names = ["one", "two", "train_a", "train_b"]
    write_report(tmp_path / "report.html", find_runs([tmp_path / name for name in names]))
    report = Opened(browser, tmp_path / "report.html")
    assert report.values(".score .delta") == [
        second["miou"] - first["miou"],
        second["pixel_accuracy"] - first["pixel_accuracy"],
    ]
    report.tab("Classes")
    assert report.values(".classes tbody .delta") == [b - a for a, b in zip(first["iou"], second["iou"])]
    report.tab("Curves")
    assert report.texts(".chart:first-child .legend button") == ["train_a", "train_b"]
    report.tab("Pictures")
    report.page.get_by_label("Evaluation").select_option("two")
    assert report.texts(".pictures .hint")[0] == f"{len(NAMES)} of {len(NAMES)} pictures"
    report.tab("Configuration")
    report.page.get_by_role("button", name="Differs between runs").click()
    assert set(report.texts(".settings:first-of-type tbody th code")) == {"total_step", "warmup_step"}
    report.page.close()
    assert report.problems == []


def test_a_training_without_evaluation(browser, tmp_path):
    write_training(tmp_path / "run")
    (tmp_path / "run" / "evaluations.jsonl").unlink()
    write_report(tmp_path / "report.html", find_runs([tmp_path / "run"]))
    report = Opened(browser, tmp_path / "report.html")
    assert report.texts("#tabs button") == ["Overview", "Curves", "Configuration"]
    assert report.texts(".overview .note") == ["There is no scored evaluation here."]
    report.tab("Curves")
    assert "mIoU and pixel accuracy" not in report.texts(".chart h2")
    report.page.close()
    assert report.problems == []


def test_an_evaluation_without_a_run_and_without_pictures(browser, tmp_path):
    write_evaluation(tmp_path / "eval", make_pictures([]))
    write_report(tmp_path / "report.html", find_runs([tmp_path / "eval"]))
    report = Opened(browser, tmp_path / "report.html")
    assert report.texts("#tabs button") == ["Overview", "Classes", "Confusion", "Pictures", "Configuration"]
    report.tab("Classes")
    assert report.texts(".classes tbody td.number") == ["absent"] * 4
    report.tab("Confusion")
    report.tab("Pictures")
    assert report.texts(".panel.pictures .note") == ["This evaluation has no pictures."]
    report.page.close()
    assert report.problems == []


def test_tables_and_galleries_of_any_page(browser, tmp_path):
    url = jpeg_url(np.full((6, 10, 3), (200, 30, 30), np.uint8))
    items = ({"image": url, "caption": f"{ATTACK} {n}", "lines": [HOSTILE[0], "flip"]} for n in range(150))
    table = {"columns": ["file", HOSTILE[1]], "rows": [[ATTACK, 3], ["b", None]], "notes": [HOSTILE[2]]}
    sections = [
        Section("table", "Files", table, [["c", 5]]),
        Section("gallery", "Samples", {"notes": ["a sheet"]}, items),
        Section("gallery", "None", {}),
        Section("unheard of", "Other", {}),
    ]
    write_page(tmp_path / "a.html", ATTACK, sections)
    report = Opened(browser, tmp_path / "a.html", "tab=gallery2")
    assert report.page.get_by_role("tab", selected=True).inner_text() == "None"
    assert report.texts("#panel-2 .note") == ["Nothing to show."]
    report.tab("Files")
    assert report.texts("#panel-0 td") == [ATTACK, "3", "b", "–", "c", "5"]
    assert report.texts("#panel-0 th") == ["file", HOSTILE[1]]
    report.tab("Samples")
    assert report.page.locator(".item").count() == 60
    report.page.get_by_role("button", name="Show more").scroll_into_view_if_needed()
    report.wait_for(".item", more_than=60)
    first = report.page.locator(".item").first
    assert first.locator("strong").inner_text() == f"{ATTACK} 0"
    assert first.locator("img").evaluate("image => image.naturalWidth") == 10
    report.tab("Other")
    assert report.texts("#panel-3 .note") == ["This page cannot show “unheard of”."]
    report.page.close()
    assert report.problems == []


def test_pictures_without_labels(browser, tmp_path):
    path = write_png(tmp_path / "photo.png", np.zeros((8, 16, 3), np.uint8))
    config = make_config(tmp_path / "run")
    write = ReportPictures(config, ["b", "a"])
    for name in ("b", "a"):
        write(EvalSample(None, None, (8, 16), (8, 16), str(path), None, name), np.ones((8, 16), np.uint8))
    (tmp_path / "run" / "eval.json").write_bytes(json_bytes({"split": "test", "images": 2, **classes_of(config)}))
    write_report(tmp_path / "report.html", find_runs([tmp_path / "run"]))
    report = Opened(browser, tmp_path / "report.html")
    assert report.texts("#tabs button") == ["Overview", "Pictures", "Configuration"]
    report.tab("Pictures")
    assert report.texts(".picture .name") == ["a", "b"]
    report.page.locator(".picture").first.click()
    report.wait_for(".stage.prediction")
    assert report.texts(".viewer [role=tab]") == ["Photograph", "Prediction"]
    assert painted(report.page) == 8 * 16
    report.page.close()
    assert report.problems == []


def test_two_thousand_pictures_beside_the_page(browser, tmp_path):
    folder = tmp_path / "many 'x' # ? %41 街"
    few = make_pictures([f"p{number:04d}" for number in range(50)], size=(8, 16))
    write_evaluation(folder, few)
    repeat_pictures(folder, 2000)
    write_report(folder / "report.html", find_runs([folder]))
    assert b"data:image" not in (folder / "report.html").read_bytes()
    report = Opened(browser, folder / "report.html")
    report.tab("Pictures")
    page = report.page
    assert page.locator(".picture").count() == 60  # as far as one can see
    page.get_by_label("Sort by").select_option("name")
    page.get_by_role("button", name="Highest first").click()
    assert report.texts(".picture .name")[0] == "p1999"
    page.mouse.wheel(0, 100_000)
    report.wait_for(".picture", more_than=60)
    page.get_by_label("Name has").fill("p1234")
    assert page.locator(".picture img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    page.locator(".picture").click()
    page.wait_for_selector(".stage.errors")
    label, prediction = few.labels[1234 % 50], few.predictions[1234 % 50]
    assert painted(page) == int(((label != prediction) | (label == IGNORED)).sum())
    page.close()
    assert report.problems == []
