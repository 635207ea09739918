"""The benchmark's section on reading training images, and scripts/measure_pipeline.py, which runs it alone."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from scripts import benchmark, measure_pipeline
from src.base.cores import usable_cores
from src.config import schema
from src.utils.config import parse_config
from tests.dataset_helpers import write_cityscapes
from tests.run_helpers import run_script
from tools.benchmark import image_sections
from tools.benchmark.sections import Settings

CAMVID = "config/bisenetv2_camvid.yml"


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory) -> Path:
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"), {"train": 4})


def read_options(*words: object) -> Settings:
    return benchmark.make_settings(benchmark.parse_args(["--only", "pipeline", *map(str, words)]))


def configure(settings: Settings, made_up: Path | None = None) -> schema.Config:
    return parse_config(image_sections.pipeline_options(settings, made_up), "train")


def test_made_up_images_go_through_the_default_configuration(tmp_path):
    config = configure(read_options("--eval_size", "64x160"), tmp_path)
    crop = config.data.train_transforms.item_transforms[0]
    assert config.data.dataset_dir == str(tmp_path)
    assert (config.batch_size, crop.crop_size, crop.base_size) == (4, (1024, 1024), 160)


def test_a_configuration_of_the_users_stays_as_it_is(cityscapes):
    settings = read_options("--config", CAMVID, "--dataset_dir", cityscapes)
    config = configure(settings)
    assert config.data.dataset_dir == str(cityscapes)
    assert config.batch_size == 8
    assert config.data.train_transforms == parse_config(["--config", CAMVID], "train").data.train_transforms


def test_batch_and_crop_of_the_command_line_win_over_the_configuration(cityscapes):
    options = ["--config", CAMVID, "--dataset_dir", cityscapes, "--batch_size", 3, "--crop_size", 64, 96]
    config = configure(read_options(*options))
    crop = config.data.train_transforms.item_transforms[0]
    assert (config.batch_size, crop.crop_size, crop.base_size) == (3, (64, 96), 480)


def test_names_of_files_are_those_of_the_folder_the_command_runs_in(cityscapes, monkeypatch):
    monkeypatch.chdir(cityscapes)
    (cityscapes / "own.yml").touch()
    settings = read_options("--config", "own.yml", "--dataset_dir", ".")
    assert (settings.config, settings.dataset_dir) == (str(cityscapes / "own.yml"), str(cityscapes))
    assert read_options("--config", CAMVID).config == CAMVID  # the repository's own, from anywhere


def test_no_images_are_made_up_for_a_data_set_of_the_users(cityscapes):
    with image_sections.made_up_images(Settings(only=("pipeline",), dataset_dir=str(cityscapes))) as made_up:
        assert made_up is None
    settings = Settings(only=("pipeline", "evaluation"), dataset_dir=str(cityscapes), eval_size=(32, 64))
    with image_sections.made_up_images(settings) as made_up:
        assert (made_up / "multi.lst").is_file()
    assert configure(settings, made_up).data.dataset_dir == str(cityscapes)


def test_the_section_measures_a_data_set_of_the_users(cityscapes, tmp_path):
    path = tmp_path / "results.json"
    options = ["--dataset_dir", cityscapes, "--workers", 2, "--batch_size", 2, "--crop_size", 32, 64, "--batches", 3]
    done = run_script("scripts/benchmark.py", "--only", "pipeline", *options, "--rounds", 2, "--json", path)
    (row,) = json.loads(path.read_text(encoding="utf-8"))["pipeline"]
    samples = row.pop("pipeline") + row.pop("decoding")
    assert row.pop("peak_mb") > 50
    assert row == {"workers": 2, "batch_size": 2, "crop_size": [32, 64], "image_size": None}
    assert len(samples) == 4
    assert all(number > 0 for sample in samples for number in sample.values())
    assert done.stdout.splitlines()[-1].startswith("2        2 of your own, crop 32x64")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "model", "--batches", "3"], "--batches: needs pipeline among --only"),
        (["--only", "train", "model", "--config", CAMVID], "--config: needs pipeline among --only"),
        (["--workers", "0"], "whole number above 0, got '0'"),
        (["--dataset_dir", "/nowhere/at/all"], "no such folder: /nowhere/at/all"),
        (["--config", "/nowhere.yml"], "/nowhere.yml"),
        (["--crop_size", "16", "64"], "crop_size"),
    ],
)
def test_a_bad_option_is_told_before_anything_is_measured(options, message, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "initial_results", None)
    assert benchmark.main(options) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


class Answers:
    """Stands in for the process that measures; its figures tell the number of threads."""

    def __init__(self, options: list[str]) -> None:
        self.config = parse_config(options, "train")

    def ask(self, command: str, batches: int = 0) -> dict:
        workers = self.config.data.num_parallel_workers
        figures = {"pipeline": {"rate": 7.3 * workers, "cpu_ms": 100.0 + batches}, "peak": {"peak_mb": 90.0}}
        return {**figures, "decoding": {"rate": 20.0 * workers, "cpu_ms": 50.0}}[command]


def test_the_forward_prints_the_lines_it_always_has(cityscapes, monkeypatch, capsys):
    started = []

    def start(settings: Settings, options: list[str], **spec: object) -> contextlib.AbstractContextManager:
        started.append(Answers(options))
        return contextlib.nullcontext(started[-1])

    monkeypatch.setattr(image_sections, "start_mindspore", start)
    options = ["--config", CAMVID, "--dataset_dir", str(cityscapes), "--workers", "1", "4"]
    assert measure_pipeline.main([*options, "--crop_size", "64", "96"]) == 0
    assert capsys.readouterr().out == (
        f"{usable_cores()} cores; batch 4, crop 64x96\n"
        "workers  pipeline images/s  (CPU ms/image)  decoding alone images/s  (CPU ms/image)\n"
        "      1                7.3           130.0                     20.0            50.0\n"
        "      4               29.2           130.0                     80.0            50.0\n"
    )
    config = started[0].config
    crop = config.data.train_transforms.item_transforms[0]
    assert (config.data.dataset_dir, config.batch_size) == (str(cityscapes), 4)
    assert (crop.crop_size, crop.base_size) == ((64, 96), 480)


@pytest.mark.parametrize("options", [["--dataset_dir", "/nowhere"], ["--torch"], ["--workers", "none"]])
def test_a_mistake_in_the_forwards_options_is_one_line_and_2(options):
    done = run_script("scripts/measure_pipeline.py", *options, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")


def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path):
    write_cityscapes(tmp_path, {"train": 2})
    label = next(tmp_path.rglob("*_labelIds.png"))
    label.write_bytes(label.read_bytes()[:-40])
    options = ["--dataset_dir", tmp_path, "--crop_size", 32, 64, "--workers", 1, "--batches", 1]
    done = run_script("scripts/measure_pipeline.py", *options, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {label}: ")
