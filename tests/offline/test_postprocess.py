"""postprocess.py: scores from class maps and logits, the published block, pictures, and results that are not there."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

import postprocess
import preprocess
from src.base.errors import ConfigError, DataError
from src.data.eval_samples import restore_class_map
from src.offline import scoring
from src.offline.manifest import read_manifest
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import run_script

SIZE = (64, 96)


@pytest.fixture
def run(tmp_path):
    """A folder with inputs of three pictures and random class maps as results; the first map of all classes."""
    data = write_cityscapes(tmp_path / "data", {"val": 3}, size=(40, 90))
    folder = tmp_path / "run"
    output = ["--output_path", str(folder / "preprocess_Result")]
    preprocess.main(["--data_path", str(data), *output, "--image_size", *map(str, SIZE)])
    results = folder / "result_Files"
    results.mkdir()
    rng = np.random.default_rng(0)
    for stem in read_manifest(folder / "preprocess_Result").stems:
        rng.integers(0, 19, SIZE, np.int32).tofile(results / f"{stem}_0.bin")
    return folder


def score(folder, *options):
    paths = ["--result_path", folder / "result_Files", "--label_path", folder / "preprocess_Result" / "label"]
    return postprocess.main([*map(str, paths), *map(str, options)])


def iou_by_sets(folder):
    """Intersection over union of every class, pixel by pixel, with the sizes written out."""
    hits, union = np.zeros(19), np.zeros(19)
    for path in sorted((folder / "result_Files").glob("*.bin")):
        stem = path.stem[: -len("_0")]
        label = np.fromfile(folder / "preprocess_Result" / "label" / f"{stem}.bin", np.uint8).reshape(40, 90)
        class_map = np.fromfile(path, np.int32).reshape(SIZE)
        for y in range(40):
            for x in range(90):
                truth, guess = label[y, x], class_map[y * 43 // 40, x * 96 // 90]
                if truth == 255:
                    continue
                hits[truth] += truth == guess
                union[truth] += 1
                union[guess] += truth != guess
    return np.divide(hits, union, out=np.full(19, np.nan), where=union > 0)


def test_scores_and_the_published_block(run, capsys):
    assert score(run) == 0
    text = capsys.readouterr().out
    expected = iou_by_sets(run)
    block = (
        "Total number of images:  3\n"
        "=========== 310 Inference Result ===========\n"
        f"miou: {float(np.nanmean(expected))!r}\n"
        f"iou array: \n {expected}\n"
        "============================================\n"
    )
    assert text.startswith(block)
    assert text[len(block) :].splitlines()[2].split() == ["road", f"{expected[0]:.4f}"]


def test_logits_score_as_their_largest(run, capsys):
    score(run)
    expected = capsys.readouterr().out
    rng = np.random.default_rng(1)
    for path in (run / "result_Files").glob("*.bin"):
        class_map = np.fromfile(path, np.int32).reshape(SIZE)
        logits = rng.uniform(-1, 1, (19, *SIZE)).astype(np.float32)
        np.put_along_axis(logits, class_map[None], 2, axis=0)
        logits.tofile(path)
    score(run)
    assert capsys.readouterr().out == expected


def test_pictures(run):
    score(run, "--save_images", "True")
    stems = read_manifest(run / "preprocess_Result").stems
    assert {path.name for path in (run / "images").iterdir()} == {f"{stem}.png" for stem in stems}
    assert cv2.imread(str(run / "images" / f"{stems[0]}.png")).shape[1] > 2 * 90
    score(run, "--save_images", "1", "--images_path", run / "elsewhere")
    assert len(list((run / "elsewhere").iterdir())) == 3


def test_overlays_never_replace_pictures(run):
    """A data set whose pictures lie in images/, which is where overlays go by default."""
    manifest = read_manifest(run / "preprocess_Result")
    (run / "images").mkdir()
    mine = run / "images" / f"{manifest.samples[0].stem}.png"
    mine.write_bytes(b"a photograph")
    samples = (dataclasses.replace(manifest.samples[0], image=str(mine)), *manifest.samples[1:])
    dataclasses.replace(manifest, samples=samples).write(run / "preprocess_Result")
    with pytest.raises(
        ConfigError, match=f"holds {mine.name}, which is not an overlay of this run; give another --images"
    ):
        score(run, "--save_images", "True")
    mine.rename(run / "images" / "notes.txt")
    with pytest.raises(ConfigError, match=r"holds notes\.txt"):
        score(run, "--save_images", "True")
    assert [path.name for path in (run / "images").iterdir()] == ["notes.txt"]
    manifest.write(run / "preprocess_Result")
    score(run, "--images_path", run / "overlays")  # says by itself that they are wanted
    assert len(list((run / "overlays").iterdir())) == 3


def test_what_lies_beside_the_results_stays_beside_a_link(run, tmp_path):
    disk = tmp_path / "big disk"
    disk.mkdir()
    (run / "result_Files").rename(disk / "results")
    (run / "result_Files").symlink_to(disk / "results")
    score(run, "--save_images", "True")
    assert (run / "images").is_dir()
    assert [path.name for path in disk.iterdir()] == ["results"]


def test_what_is_missing_or_of_the_wrong_size_is_named(run):
    paths = sorted((run / "result_Files").iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    label = run / "preprocess_Result" / "label" / paths[2].name.replace("_0.bin", ".bin")
    label.write_bytes(label.read_bytes() + b"x")
    with pytest.raises(DataError) as caught:
        score(run)
    message = str(caught.value)
    assert f"missing: {paths[0]}" in message
    assert f"{paths[1]} has {4 * 64 * 96 - 1} bytes, expected {4 * 64 * 96} (a class map) or " in message
    assert f"{label} has {40 * 90 + 1} bytes, expected {40 * 90}" in message
    assert len(message.splitlines()) == 1


def test_many_problems_are_counted(run, monkeypatch):
    monkeypatch.setattr(scoring, "SHOWN_PROBLEMS", 2)
    for path in (run / "result_Files").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"missing: .*; missing: .*; and 1 more$"):
        score(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.full(SIZE, 19, np.int32), r"holds values 19\.\.19, classes are 0\.\.18"),
        (np.full(SIZE, 256, np.int32), r"holds values 256\.\.256"),
        (np.full(SIZE, -1, np.int32), r"holds values -1\.\.-1"),
        (np.full((19, *SIZE), np.nan, np.float32), "holds logits that are not finite"),
    ],
)
def test_a_result_that_is_no_class_map_is_refused(run, change, message):
    path = next((run / "result_Files").iterdir())
    change.tofile(path)
    with pytest.raises(DataError, match=f"{path.name}: {message}"):
        score(run)


def test_unfinished_preprocessing_is_refused(run):
    path = run / "preprocess_Result" / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "complete": False}), encoding="utf-8")
    with pytest.raises(DataError, match="preprocessing did not finish there"):
        score(run)


def test_mistakes_get_one_line(run, tmp_path):
    done = run_script("postprocess.py", "--label_path", tmp_path / "label", check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "manifest.json: no such file; preprocess.py writes it beside its folders image and label" in line
    with pytest.raises(ConfigError, match="expected True or False, got 'maybe'"):
        score(run, "--save_images", "maybe")


def test_the_class_map_is_brought_to_the_size_of_the_label():
    """The scores above rely on it: the padding is cut off first."""
    class_map = np.arange(64)[:, None] * np.ones(96, int)
    restored = restore_class_map(class_map, (43, 96), (40, 90))
    assert restored.max() == 39 * 43 // 40


def test_a_name_the_font_lacks_is_listed_beside_the_overlays(run):
    manifest = read_manifest(run / "preprocess_Result")
    dataclasses.replace(manifest, class_names=("道路", *manifest.class_names[1:])).write(run / "preprocess_Result")
    for _ in range(2):  # the list of the first time is no file of somebody else's
        score(run, "--save_images", "True")
        (run / "images" / ".DS_Store").touch()
    lines = (run / "images" / "palette.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:4] == ["# id 0 in the pictures: 道路", "128 64 128 道路", "244 35 232 sidewalk"]


@pytest.mark.parametrize("size", [(40, 91), (4000, 9000)])
def test_a_picture_that_was_changed_since_is_named(run, size):
    image = read_manifest(run / "preprocess_Result").samples[1].image
    cv2.imwrite(image, np.zeros(size, np.uint8))
    shown = "{}x{} pixels \\(height x width\\), its label 40x90".format(*size)
    with pytest.raises(DataError, match=f"{image}: has {shown}; it was changed since, run preprocess.py again"):
        score(run, "--save_images", "True")
