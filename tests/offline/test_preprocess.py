"""preprocess.py: the files it writes, what it replaces and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import preprocess
from src.base.errors import ConfigError, DataError, UserError
from src.data.eval_samples import EvalSamples, unique_stems
from src.offline.inference import list_inputs
from src.offline.manifest import read_manifest
from src.offline.tensors import TensorInfo
from tests.dataset_helpers import MEAN, STD, make_data, write_cityscapes, write_generic
from tests.run_helpers import ROOT, run_script

SIZE = (64, 96)
NORMALIZE = {"mean": list(MEAN), "std": list(STD), "is_scale": True, "norm_type": "mean_std"}
RESIZE = "data.eval_transforms.item_transforms.Resize.target_size=[64,96]"


@pytest.fixture
def dataset(tmp_path):
    return write_cityscapes(tmp_path / "data", {"val": 3}, size=(40, 90))


def run(dataset, output, *options):
    arguments = ["--data_path", str(dataset), "--output_path", str(output), *map(str, options)]
    return preprocess.main([*arguments, RESIZE])


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_float32_inputs_are_those_of_the_evaluation(dataset, tmp_path):
    assert run(dataset, tmp_path / "out") == 0
    data = make_data(dataset, target_size=SIZE)
    samples = list(EvalSamples(data, num_classes=19).read_ahead())
    found = files(tmp_path / "out")
    assert len(found) == 1 + 2 * len(samples)
    for sample in samples:
        assert found[f"image/{sample.stem}.bin"] == sample.image.tobytes()
        assert found[f"label/{sample.stem}.bin"] == sample.label.tobytes()


def test_uint8_inputs_are_the_resized_pictures(dataset, tmp_path):
    run(dataset, tmp_path / "out", "--input", "uint8")
    pictures = sorted((dataset / "leftImg8bit" / "val").rglob("*.png"), key=lambda path: path.name)
    for path in pictures:
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        fitted = cv2.resize(rgb, (96, 43))  # 40x90 fits at 96 / 90 into 64x96
        expected = np.zeros((*SIZE, 3), np.uint8)
        expected[:43] = fitted
        written = np.fromfile(tmp_path / "out" / "image" / f"{path.stem}.bin", np.uint8).reshape(*SIZE, 3)
        np.testing.assert_array_equal(written, expected)


def test_the_manifest_tells_what_scoring_needs(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.input, manifest.image_size, manifest.num_classes) == ("float32", SIZE, 19)
    assert (manifest.ignore_label, manifest.complete) == (255, True)
    assert manifest.class_names[13] == "car"
    assert manifest.palette[13] == (0, 0, 142)
    assert [sample.stem for sample in manifest.samples] == list(manifest.stems)
    assert all(stem.endswith("_000019_leftImg8bit") for stem in manifest.stems)
    for sample in manifest.samples:
        assert (sample.label_size, sample.fitted) == ((40, 90), (43, 96))
        assert cv2.imread(sample.image).shape == (40, 90, 3)


def describe(path, **changes):
    record = {"input": "uint8", "image_size": [32, 64], "num_classes": 19, "normalize": NORMALIZE}
    path.with_suffix(".json").write_text(json.dumps({**record, **changes}), encoding="utf-8")
    return path


def test_the_model_decides_about_its_input(dataset, tmp_path):
    model = describe(tmp_path / "model.mindir")
    preprocess.main(["--data_path", str(dataset), "--output_path", str(tmp_path / "out"), "--mindir_path", str(model)])
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.input, manifest.image_size) == ("uint8", (32, 64))
    sizes = {len(data) for name, data in files(tmp_path / "out").items() if name.startswith("image/")}
    assert sizes == {32 * 64 * 3}


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (["--input", "float32"], {}, "input is float32, but .*model.json says that the model has uint8"),
        (["--image_size", "64", "96"], {}, r"image_size is \(64, 96\), but .* has \(32, 64\)"),
        ([], {"num_classes": 5}, "num_classes is 19, but .* has 5"),
        (
            [],
            {"input": "float32", "normalize": {**NORMALIZE, "mean": [0, 0, 0]}},
            "Normalize is .* says that the model",
        ),
        ([], {"image_size": None}, "model.json: is not the description that export.py writes"),
    ],
)
def test_a_contradiction_to_the_model_is_refused(dataset, tmp_path, options, changes, message):
    model = describe(tmp_path / "model.mindir", **changes)
    with pytest.raises(ConfigError, match=message):
        run(dataset, tmp_path / "out", "--mindir_path", model, *options)
    assert not (tmp_path / "out").exists()


def test_a_second_run_replaces_the_first_and_its_results(tmp_path):
    first = write_cityscapes(tmp_path / "first", {"val": 3})
    second = write_generic(tmp_path / "second", {"val": 2})
    output, results = tmp_path / "out", tmp_path / "results"
    run(first, output)
    results.mkdir()
    for stem in read_manifest(output).stems:
        (results / f"{stem}_0.bin").touch()
    generic = ["data.name=generic", "num_classes=3", "data.map_label=null"]
    run(second, output, "--result_path", results, *generic)
    assert set(files(output)) == {
        "manifest.json",
        *(f"{folder}/val_{i}.bin" for folder in ("image", "label") for i in range(2)),
    }
    assert not list(results.iterdir())


@pytest.mark.parametrize("place", ["out/image/mine.bin", "out/notes.txt", "results/mine_0.bin"])
def test_what_no_earlier_run_lists_is_never_touched(dataset, tmp_path, place):
    output, results = tmp_path / "out", tmp_path / "results"
    run(dataset, output)
    mine = tmp_path / place
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    before = files(tmp_path)
    with pytest.raises(ConfigError, match=f"holds {mine.name}, which no earlier run lists; take an empty folder"):
        run(dataset, output, "--result_path", results)
    assert files(tmp_path) == before


def test_a_folder_without_a_manifest_is_refused(dataset, tmp_path):
    (tmp_path / "out" / "image").mkdir(parents=True)
    (tmp_path / "out" / "image" / "a.bin").touch()
    with pytest.raises(ConfigError, match=r"holds a\.bin"):
        run(dataset, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        run(dataset, tmp_path / "file")


def test_a_run_that_stopped_half_way_can_be_repeated(dataset, tmp_path, monkeypatch):
    output = tmp_path / "out"
    real = EvalSamples.__getitem__

    def fail_at_the_last(self, index):
        if index == 2:
            raise DataError("the third is broken")
        return real(self, index)

    monkeypatch.setattr(EvalSamples, "__getitem__", fail_at_the_last)
    with pytest.raises(DataError, match="the third is broken"):
        run(dataset, output)
    assert not read_manifest(output).complete
    monkeypatch.undo()
    run(dataset, output)
    assert read_manifest(output).complete


def test_a_stop_while_clearing_can_be_repeated(dataset, tmp_path, monkeypatch):
    output, results = tmp_path / "out", tmp_path / "results"
    run(dataset, output)
    results.mkdir()
    for stem in read_manifest(output).stems:
        (results / f"{stem}_0.bin").touch()
    real, left = Path.unlink, [4]

    def stop(self, *arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(self, *arguments, **options)

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, output, "--result_path", results)
    monkeypatch.undo()
    run(dataset, output, "--result_path", results)
    assert read_manifest(output).complete
    assert not list(results.iterdir())


def test_two_pictures_of_one_name_are_refused():
    with pytest.raises(DataError, match="a_b/c.png and .*a/b_c.png would both be called a_b_c in the results; rename"):
        unique_stems(["d/a/b_c.png", "d/a_b/c.png", "d/x/y.png", "d/z/y.png"])


def test_a_damaged_manifest_is_named(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    good = json.loads(path.read_text(encoding="utf-8"))
    for text in ("{", "[]", json.dumps({**good, "samples": [{}]}), json.dumps({**good, "more": 1})):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"manifest\.json: damaged; run preprocess\.py again"):
            read_manifest(tmp_path / "out")
        with pytest.raises(ConfigError, match="not readable, so what lies beside it is unknown; take another folder"):
            run(dataset, tmp_path / "out")
    path.write_text(json.dumps({**good, "version": 2}), encoding="utf-8")
    with pytest.raises(DataError, match="version 2, expected 1"):
        read_manifest(tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_one_line(dataset, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the folder .*: Not a directory"):
        run(dataset, tmp_path / "file" / "out")


def test_a_missing_data_set_is_one_line_and_nothing_is_written(tmp_path):
    done = run_script("preprocess.py", "--data_path", tmp_path / "none", cwd=tmp_path, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no such folder" in line
    assert not list(tmp_path.iterdir())


def test_preparing_and_scoring_need_no_mindspore():
    code = (
        "import sys; sys.modules['mindspore'] = None; import preprocess, postprocess;"
        "assert preprocess.run_entry and postprocess.run_entry"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_section_of_the_data_is_left_as_it_was(dataset):
    data = make_data(dataset, target_size=SIZE)
    before = dataclasses.asdict(data)
    EvalSamples(data, num_classes=19, normalized=False)
    assert dataclasses.asdict(data) == before


def test_hidden_files_of_other_programs_neither_stop_a_second_run_nor_go(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    hidden = [tmp_path / "out" / ".DS_Store", tmp_path / "out" / "image" / "._x.bin"]
    for path in hidden:
        path.write_bytes(b"of a Mac")
    before = files(tmp_path / "out")
    run(dataset, tmp_path / "out")
    assert files(tmp_path / "out") == before
    inputs = list_inputs(tmp_path / "out" / "image", TensorInfo("image", (1, 3, *SIZE), "float32"))
    assert [path.stem for path in inputs] == sorted(read_manifest(tmp_path / "out").stems)
