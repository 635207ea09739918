"""scripts/predict.py as a user runs it: folders with bad files in them, videos, and every mistake's one line."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import predict as script
from src.base.errors import DataError, UserError
from src.predict.video import VideoReader, predict_video, written_video
from tests.dataset_helpers import png_bytes
from tests.run_helpers import run_script

pytestmark = pytest.mark.once

SCRIPT = "scripts/predict.py"
COLORS = {0: (128, 64, 128), 2: (70, 70, 70), 8: (107, 142, 35), 10: (70, 130, 180), 13: (0, 0, 142)}  # Cityscapes'
PALETTE = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)
NAMES = ("red", "green", "blue")
SHAPE = (48, 64)


def picture(seed: int, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (-(-size[0] // 16), -(-size[1] // 16), 3), np.uint8)
        .repeat(16, 0)
        .repeat(16, 1)[: size[0], : size[1]]
    )


def turned_jpeg(image: np.ndarray) -> bytes:
    """Encode an image as a JPEG whose EXIF orientation 6 asks for a quarter turn to the right."""
    data = cv2.imencode(".jpg", image)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A folder with images of every kind, and files that are none."""
    root = tmp_path_factory.mktemp("mixed")
    (root / "a").mkdir()
    (root / "b").mkdir()
    deep = picture(2, SHAPE).astype(np.uint16) * 257
    (root / "a" / "same.png").write_bytes(png_bytes(picture(0, (50, 70)), color_type=2))
    (root / "b" / "same.png").write_bytes(png_bytes(picture(1, SHAPE), color_type=2))
    (root / "alpha.png").write_bytes(png_bytes(np.dstack([picture(2, SHAPE)] * 2)[..., :4], color_type=6))
    (root / "grey.png").write_bytes(png_bytes(picture(2, SHAPE)[..., 0], color_type=0))
    (root / "turned.JPG").write_bytes(turned_jpeg(picture(3, SHAPE)))
    (root / "plain.webp").write_bytes(cv2.imencode(".webp", picture(3, SHAPE))[1].tobytes())
    (root / "cut.png").write_bytes(png_bytes(picture(4, SHAPE), color_type=2)[:-20])
    (root / "deep.png").write_bytes(png_bytes(deep, color_type=2, depth=16))
    (root / "deep.tif").write_bytes(cv2.imencode(".tif", deep)[1].tobytes())
    (root / "text.jpg").write_text("no picture")
    (root / "notes.txt").write_text("no picture")
    return root


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.slow
def test_bad_files_in_a_folder_are_named_and_the_others_are_done(mixed, weights, tmp_path):
    out = tmp_path / "out"
    given = ["--checkpoint_path", weights, "--input", mixed, "--output", out, "--device_target", "CPU"]
    done = run_script(SCRIPT, *given, check=False)
    assert done.returncode == 2
    lines = [line.split("[ERROR] ")[1] for line in done.stderr.splitlines()]
    assert lines == [
        f"{mixed}/cut.png: the file is incomplete (truncated); copy or download it again",
        f"{mixed}/deep.png: 16-bit image; save it with 8 bits a channel",
        f"{mixed}/deep.tif: 16-bit image; save it with 8 bits a channel",
        f"{mixed}/text.jpg: is text, not an image that OpenCV {cv2.__version__} can decode; check the name",
        "4 of 10 images could not be read",
    ]
    assert "predicted 6 of 10 images" in done.stdout
    assert "class_ids hold train ids 0..18, see palette.txt" in done.stdout
    sizes = {"a/same.png": (50, 70), "turned.png": SHAPE[::-1]}
    names = ["a/same.png", "alpha.png", "b/same.png", "grey.png", "plain.png", "turned.png"]
    for kind in ("class_ids", "color", "overlay"):
        found = sorted(path.relative_to(out / kind).as_posix() for path in (out / kind).rglob("*.png"))
        assert found == names
    for name in names:
        ids, color = read(out / "class_ids" / name), read(out / "color" / name)
        assert (ids.shape, ids.dtype) == (sizes.get(name, SHAPE), np.uint8)
        assert ids.max() <= 18
        for train_id, rgb in COLORS.items():
            assert (color[ids == train_id][:, ::-1] == rgb).all()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = run_script(SCRIPT, *given, check=False)
    assert again.returncode == 2
    advice = "take an empty or a new folder, or go on there with --resume True"
    assert again.stderr == f"error: --output {out}: not empty; {advice}\n"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.slow
def test_every_mistake_is_one_line(mixed, weights, tmp_path):
    good, text = mixed / "grey.png", tmp_path / "text.mp4"
    text.write_text("no video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "short.txt").write_text("1 2 3\n")
    model = ["--checkpoint_path", weights]
    cases = [
        ([*model, "--input", text], "text.mp4: is text, not a video; check the name"),
        ([*model, "--input", mixed / "notes.txt"], "notes.txt: is text, not an image that OpenCV"),
        (
            ["--checkpoint_path", good, "--input", good],
            "grey.png: is a PNG, not a checkpoint; scripts/predict.py takes it as --input",
        ),
    ]
    for number, (given, message) in enumerate(cases):
        out = tmp_path / f"out{number}"
        done = run_script(SCRIPT, *given, "--output", out, "--device_target", "CPU", check=False)
        assert done.returncode == 2, given
        (line,) = done.stderr.splitlines()
        assert re.search(message, line), line
        assert not list(out.rglob("*.png"))
    before_mindspore_starts = [
        ([*model, "--input", tmp_path / "gone.png"], "--input .*gone.png: no such file or folder"),
        ([*model, "--input", tmp_path / "empty"], "--input .*empty: holds no image"),
        ([*model, "--input", good, "--palette", tmp_path / "short.txt"], "has 1 colours, the network has 19 classes"),
        (["--mindir", good, "--input", good], "grey.png: is a PNG, and its name ends in neither .mindir nor .onnx"),
    ]
    for given, message in before_mindspore_starts:
        with pytest.raises(UserError, match=message):
            script.main([*map(str, given), "--output", str(tmp_path / "new"), "--device_target", "CPU"])
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "one of the arguments --checkpoint_path --model/--mindir is required"),
        (["--checkpoint_path", "x", "--mindir", "y"], "not allowed with argument"),
        (["--model", "y", "--flip", "True"], "--model: runs at its own size and scale"),
        (["--mindir", "y", "--image_size", "64", "64"], "--model: runs at its own size and scale"),
        (["--checkpoint_path", "x", "--image_size", "31", "64"], "--image_size: must be at least 32 32"),
        (["--checkpoint_path", "x", "--multi_scale", "perhaps"], "expected True or False, got 'perhaps'"),
        (["--checkpoint_path", "x", "--colour", "1"], "unrecognized arguments: --colour"),
    ],
)
def test_contradictions_on_the_command_line(given, message, tmp_path):
    with pytest.raises(UserError, match=message):
        script.parse_args([*given, "--input", "a.png", "--output", str(tmp_path / "out")])


def frames_of(path: Path) -> list[np.ndarray]:
    """Read a video by OpenCV alone, as RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames
        frames.append(frame[..., ::-1])


def write_video(path: Path, frames: list[np.ndarray], rate: float = 12.5) -> Path:
    height, width = frames[0].shape[:2]
    # The one writes no odd sizes, the other no fractions of a frame.
    writes = cv2.CAP_OPENCV_MJPEG if height % 2 or width % 2 else cv2.CAP_FFMPEG
    writer = cv2.VideoWriter(str(path), writes, cv2.VideoWriter_fourcc(*"MJPG"), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def brighter_than_half(image: np.ndarray) -> np.ndarray:
    """Stand in for a predictor: class 2 where an image is bright, else 0."""
    return np.where(image[..., 0] > 127, 2, 0).astype(np.uint8)


def plain_frames(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Make frames of which one more column of 8 pixels is white in each."""
    frames = [np.zeros((*size, 3), np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[:, : 8 * number] = 255
    return frames


def test_a_video_becomes_a_video_of_the_same_size_rate_and_length(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = write_video(tmp_path / "drive.avi", plain_frames(7, SHAPE))
    predict_video(brighter_than_half, source, tmp_path / "out", PALETTE, NAMES)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"drive.mp4", "drive_legend.png", "palette.txt"}
    capture = cv2.VideoCapture(str(tmp_path / "out" / "drive.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    found = frames_of(tmp_path / "out" / "drive.mp4")
    assert len(found) == 7
    for number, frame in enumerate(found):
        assert frame.shape == (*SHAPE, 3)
        expected = np.full((*SHAPE, 3), (125, 0, 0), np.uint8)  # half black, half red
        expected[:, : 8 * number] = (128, 128, 252)  # half white, half blue
        assert np.median(np.abs(frame.astype(int) - expected)) <= 8  # the codec is lossy
    legend = read(tmp_path / "out" / "drive_legend.png")[..., ::-1].reshape(-1, 3).tolist()
    assert [250, 0, 0] in legend
    assert [0, 0, 250] in legend
    assert [0, 250, 0] not in legend
    assert "48x64 (height x width), 12.5 frames/s, 7 frames" in caplog.text
    assert "out/drive.mp4: 7 frames," in caplog.text


def test_odd_sizes_lose_a_row_or_column_with_a_word(tmp_path, caplog):
    source = write_video(tmp_path / "odd.avi", plain_frames(3, (33, 65)))
    predict_video(brighter_than_half, source, tmp_path / "out", PALETTE, NAMES)
    assert frames_of(tmp_path / "out" / "odd.mp4")[0].shape == (32, 64, 3)
    assert "the last row or column of an odd one is left out" in caplog.text


def test_a_video_is_read_frame_by_frame(tmp_path):
    reader = VideoReader(write_video(tmp_path / "drive.avi", plain_frames(5, SHAPE)))
    frames = reader.frames()
    assert next(frames).max() < 20
    assert reader.capture.get(cv2.CAP_PROP_POS_FRAMES) <= 2
    assert len(list(frames)) == 4
    with pytest.raises(DataError, match="gone.avi: damaged, or not a video OpenCV can decode"):
        VideoReader(tmp_path / "gone.avi")


def write_frames(path: Path, frames: list[np.ndarray], *, stopped: bool = False) -> None:
    with written_video(path, 25, frames[0].shape[:2]) as write:
        for frame in frames:
            write(frame)
        if stopped:
            raise DataError("a frame cannot be read")


def test_no_part_of_a_video_is_left_behind(tmp_path):
    with pytest.raises(UserError, match=r"cannot write the video .*: OpenCV opens no MP4 \(mp4v\) of 1x1 pixels"):
        write_frames(tmp_path / "small.mp4", plain_frames(1, (1, 1)))
    frames = plain_frames(2, SHAPE)
    with pytest.raises(UserError, match="2 of 3 frames were written; is the disk full"):
        write_frames(tmp_path / "short.mp4", [*frames, frames[0][:8, :8]])  # OpenCV drops the last one
    with pytest.raises(DataError, match="a frame cannot be read"):
        write_frames(tmp_path / "broken.mp4", frames, stopped=True)
    assert not list(tmp_path.iterdir())
    write_frames(tmp_path / "good.mp4", frames)
    assert [path.name for path in tmp_path.iterdir()] == ["good.mp4"]


@pytest.mark.slow
def test_the_script_predicts_a_video(weights, tmp_path):
    source = write_video(tmp_path / "drive.avi", [picture(number, SHAPE) for number in range(4)])
    given = ["--checkpoint_path", weights, "--input", source, "--output", tmp_path / "out", "--device_target", "CPU"]
    done = run_script(SCRIPT, *given)
    assert len(frames_of(tmp_path / "out" / "drive.mp4")) == 4
    assert f"{tmp_path}/out/drive.mp4: 4 frames," in done.stdout
    assert done.stdout.count("compiled once") == 1
    assert done.stderr == ""
