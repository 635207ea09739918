"""Predictions where the input is odd: pipes, pictures and frames beyond the limit, rates, names the font lacks."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.base.errors import ConfigError, DataError, UserError
from src.offline.tensors import ModelError, read_model
from src.predict import video
from src.predict.images import predict_images
from src.predict.inputs import list_inputs
from src.predict.outputs import ImageWriter
from src.predict.palette import read_palette
from src.predict.settings import load_settings
from src.predict.video import VideoReader, mp4_rate, predict_video, written_video
from src.state.checkpoint import require_intact
from tests.dataset_helpers import write_png
from tests.special_files import MAKERS

pytestmark = pytest.mark.once

PALETTE = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)
NAMES = ("red", "天空", "Straße")
SHAPE = (48, 64)


def classify(image: np.ndarray) -> np.ndarray:
    """Stand in for a predictor: class 2 where an image is bright, else 0."""
    return np.where(image[..., 0] > 127, 2, 0).astype(np.uint8)


def predict(folder: Path, out: Path, max_pixels: int = 10_000) -> int:
    return predict_images(classify, list_inputs(folder), ImageWriter(out, PALETTE, NAMES), 2, max_pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_a_picture_beyond_the_limit_is_named_and_the_others_are_done(tmp_path, caplog, suffix):
    caplog.set_level(logging.INFO)
    pictures = {"a": (48, 64), "b": (100, 101), "c": (100, 100)}
    (tmp_path / "in").mkdir()
    for name, size in pictures.items():
        (tmp_path / "in" / f"{name}{suffix}").write_bytes(cv2.imencode(suffix, np.zeros((*size, 3), np.uint8))[1])
    assert predict(tmp_path / "in", tmp_path / "out") == 1
    shown = "100x101 pixels (height x width), more than data.max_pixels=10000; cut it into parts, or raise the key"
    assert f"{tmp_path}/in/b{suffix}: {shown}" in caplog.messages
    assert "predicted 2 of 3 images" in caplog.text
    for kind in ("class_ids", "color", "overlay"):
        assert sorted(path.name for path in (tmp_path / "out" / kind).iterdir()) == ["a.png", "c.png"]


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_file_is_named_and_the_others_are_done(tmp_path, caplog, kind):
    for name in ("a.png", "c.png"):
        write_png(tmp_path / "in" / name, np.zeros((*SHAPE, 3), np.uint8))
    MAKERS[kind](tmp_path / "in" / "b.png")
    assert [file.name for file in list_inputs(tmp_path / "in")] == ["a.png", "b.png", "c.png"]
    assert predict(tmp_path / "in", tmp_path / "out") == 1
    assert f"{tmp_path}/in/b.png: is {kind}, not a regular file; put the picture itself there" in caplog.messages
    assert sorted(path.name for path in (tmp_path / "out" / "class_ids").iterdir()) == ["a.png", "c.png"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["x.png", "x.mp4", "x"])
def test_an_input_that_is_no_file_is_refused(tmp_path, kind, name):
    MAKERS[kind](tmp_path / name)
    with pytest.raises(DataError, match=f"--input .*/{name}: is {kind}, no regular file; give an image, a folder or"):
        list_inputs(tmp_path / name)


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (105.611, 105.61),
        (240.123, 240.12),
        (119.88011988, 119.88),
        (29.97, 29.97),
        (23.976, 23.976),
        (65.5356, 65.54),
        (655.36, 655.4),
        (12345.678, 12346),
        (90000, 65535),
        (1e9, 65535),
        (0.5, 0.5),
        (0.0167, 0.017),
        (0.0002, 0.002),
    ],
)
def test_every_rate_can_be_written(tmp_path, rate, written):
    """The file itself tells: OpenCV opens it, and reads this rate and all frames."""
    frames = [np.full((*SHAPE, 3), 80 * number, np.uint8) for number in range(3)]
    with written_video(tmp_path / "x.mp4", mp4_rate(rate), SHAPE) as write:
        for frame in frames:
            write(frame)
    capture = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(written, rel=1e-6)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3


def write_video(path: Path, rate: float, size: tuple[int, int] = SHAPE) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), rate, size[::-1])
    assert writer.isOpened()
    for number in range(5):
        writer.write(np.full((*size, 3), 60 * number, np.uint8))
    writer.release()
    return path


def test_a_video_of_an_odd_rate_is_predicted(tmp_path, caplog):
    source = write_video(tmp_path / "x.avi", 105.611)
    assert predict_video(classify, source, tmp_path / "out", PALETTE, NAMES) == 0
    assert cv2.VideoCapture(str(tmp_path / "out" / "x.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(105.61)
    assert "nearest rate" not in caplog.text


def test_another_rate_is_told(tmp_path, caplog, monkeypatch):
    class Reader(VideoReader):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.rate = 90000.0  # which some files tell: a clock's ticks, no frames

    monkeypatch.setattr(video, "VideoReader", Reader)
    assert predict_video(classify, write_video(tmp_path / "x.avi", 25), tmp_path / "out", PALETTE, NAMES) == 0
    assert "x.mp4: written at 65535 frames/s, the nearest rate that an MP4 can have" in caplog.text


def test_a_video_that_cannot_be_written_says_what_was_asked_for(tmp_path):
    message = r"no MP4 \(mp4v\) of 48x64 pixels \(height x width\) at 105.611 frames/s"
    with pytest.raises(UserError, match=message), written_video(tmp_path / "x.mp4", 105.611, SHAPE):
        pass
    assert not list(tmp_path.iterdir())


def test_a_video_of_large_frames_is_refused_before_anything_is_written(tmp_path):
    source = write_video(tmp_path / "x.avi", 25)
    message = r"x\.avi: 48x64 pixels \(height x width\), more than data\.max_pixels=3071"
    with pytest.raises(DataError, match=message):
        predict_video(classify, source, tmp_path / "out", PALETTE, NAMES, max_pixels=48 * 64 - 1)
    assert not (tmp_path / "out").exists()
    assert VideoReader(source, 48 * 64).size == SHAPE


@pytest.mark.parametrize(("kind", "name"), [("a named pipe", "x.onnx"), ("a device", "x.ckpt"), ("a socket", "x.ckpt")])
def test_models_and_palettes_that_are_no_files(tmp_path, kind, name):
    path, what = MAKERS[kind](tmp_path / name), "model" if name == "x.onnx" else "checkpoint"
    with pytest.raises(ConfigError, match=f"{name}: is {kind}, no {what}$"):
        load_settings(path, None, multi_scale=False, flip=False, device_target="CPU", keys=[])
    with pytest.raises(UserError, match=f"{name}: is {kind}, not a "):
        read_model(path, ModelError) if what == "model" else require_intact(path)
    with pytest.raises(ConfigError, match=f"--palette .*{name}: cannot be read: is {kind}, not a regular file"):
        read_palette(path, NAMES)


def test_names_that_the_font_lacks_are_listed_by_the_id_that_is_drawn(tmp_path):
    names = ("road", "天空", "a\nb", "\ud800")
    palette = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], np.uint8)
    ImageWriter(tmp_path, palette, names)
    lines = (tmp_path / "palette.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "# R G B name, a line for each class id from 0 on",
        "# id 1 in the pictures: 天空",
        "# id 3 in the pictures: ?",
        "1 2 3 road",
        "4 5 6 天空",
        "7 8 9 a b",
        "10 11 12 ?",
    ]
    assert read_palette(tmp_path / "palette.txt", names)[1] == ("road", "天空", "a b", "?")


def test_the_legend_of_a_thin_picture_stays_small(tmp_path):
    """Below 30,000x1 pixels, text enlarged with the width took 29 times its usual height; eight times is enough."""
    image = np.zeros((1, 30000, 3), np.uint8)
    ImageWriter(tmp_path, PALETTE, NAMES).write("x.png", image, image[..., 0])
    height, width, _ = cv2.imread(str(tmp_path / "overlay" / "x.png")).shape
    assert width == 30000
    assert height <= 1 + 8 * (38 + 32)
