"""A prediction that goes on where it was interrupted, what it reads below a folder, and videos that are cut off."""

from __future__ import annotations

import json
import logging
import re
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts import predict as script
from src.base.errors import ConfigError, DataError
from src.predict.inputs import check_output, list_inputs
from src.predict.outputs import ImageWriter
from src.predict.video import predict_video
from tests.dataset_helpers import write_png
from tests.exif_helpers import emptied, exif, half, jpeg, smooth
from tests.predict.test_predict_script import NAMES, PALETTE, SHAPE, brighter_than_half, frames_of

pytestmark = pytest.mark.once

KINDS = ("class_ids", "color", "overlay")


class StoppedError(Exception):
    """Stands in for whatever ends a process in between."""


@pytest.fixture
def source(tmp_path) -> Path:
    """Five pictures, one of them in a folder below."""
    for number, name in enumerate(("a.png", "b.png", "c.png", "deep/a.png", "z.png")):
        write_png(tmp_path / "in" / name, smooth(number, SHAPE))
    return tmp_path / "in"


@pytest.fixture
def model(tmp_path) -> Path:
    """A file that is there; what it holds does not matter to the stand-in that runs it."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def asked(monkeypatch) -> list[float]:
    """The mean of every picture that a predictor was asked for, which stands in for the network."""
    asked: list[float] = []

    def predict(image: np.ndarray) -> np.ndarray:
        asked.append(float(image.mean()))
        return brighter_than_half(image)

    monkeypatch.setattr(script, "make_predictor", lambda config, args: predict)
    return asked


def predicted(model: Path, source: Path, out: Path, *more: object) -> int:
    return script.main(["--checkpoint_path", str(model), "--input", str(source), "--output", str(out), *map(str, more)])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def interrupt_at(monkeypatch, picture: str) -> None:
    """Let writing the overlay of `picture` end everything."""
    write = ImageWriter.write

    def stopping(self, name, image, class_map):
        if name == picture:
            raise StoppedError
        write(self, name, image, class_map)

    monkeypatch.setattr(ImageWriter, "write", stopping)


def test_an_interrupted_prediction_goes_on(source, model, asked, tmp_path, monkeypatch, capsys):
    assert predicted(model, source, tmp_path / "whole") == 0
    whole, means = tree(tmp_path / "whole"), list(asked)
    with monkeypatch.context() as patched:
        interrupt_at(patched, "c.png")
        with pytest.raises(StoppedError):
            predicted(model, source, tmp_path / "out")
    kept = tmp_path / "out" / "overlay" / "b.png"
    cut = tmp_path / "out" / "color" / "a.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    stamp = kept.stat().st_mtime_ns
    with pytest.raises(ConfigError, match="not empty; take an empty or a new folder, or go on there with --resume Tru"):
        predicted(model, source, tmp_path / "out")
    asked.clear()
    assert predicted(model, source, tmp_path / "out", "--resume", "True") == 0
    assert asked == [means[0], means[2]]  # c.png, and a.png, which was cut
    assert tree(tmp_path / "out") == whole
    assert kept.stat().st_mtime_ns == stamp
    assert "3 of 5 results are there already" in capsys.readouterr().out
    asked.clear()
    assert predicted(model, source, tmp_path / "out", "--resume", "True") == 0
    assert asked == []
    assert "5 of 5 results are there already" in capsys.readouterr().out
    (tmp_path / "out" / "overlay" / "z.png").unlink()
    assert predicted(model, source, tmp_path / "out", "--resume", "True") == 0
    assert asked == [pytest.approx(smooth(4, SHAPE).mean())]
    assert tree(tmp_path / "out") == whole


def test_what_cannot_be_read_is_named_again(source, model, asked, tmp_path, caplog):
    (source / "cut.jpg").write_bytes(half(jpeg(smooth(9, SHAPE), exif(1, jpeg(smooth(8, (16, 16)))))))
    (source / "emptied.jpg").write_bytes(emptied(jpeg(smooth(9, (96, 128)))))
    (source / "leads nowhere.png").symlink_to(tmp_path / "gone.png")
    for _ in range(2):
        caplog.clear()
        assert predicted(model, source, tmp_path / "out", "--resume", "True") == 2
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(asked) == 5
        assert f"{source}/cut.jpg: the file is incomplete (truncated); copy or download it again" in lines
        assert any(line.startswith(f"{source}/emptied.jpg: damaged, the decoder reports: Corrupt") for line in lines)
        assert f"{source}/leads nowhere.png: no such file" in lines


def test_going_on_with_something_else_is_refused(source, model, asked, tmp_path):
    out = tmp_path / "out"
    assert predicted(model, source, out, "--resume", "True") == 0  # nothing there: it begins
    before = tree(out)
    (tmp_path / "colors.txt").write_text("".join(f"{number} 0 0\n" for number in range(19)))
    shutil.copytree(source, tmp_path / "in2")
    begun = re.escape(f"--resume: {out} was begun otherwise: ")
    cases = {
        "flip was false, is true; take a new folder": [model, source, "--flip", "True"],
        "image_size was null, is [64, 64]; take": [model, source, "--image_size", "64", "64"],
        "palette was another one, is another one": [model, source, "--palette", tmp_path / "colors.txt"],
        f"--input was {source}; take": [model, tmp_path / "in2"],
        "net_args was another one": [model, source, "net_args.inner_upsample=nearest"],
    }
    for message, (path, folder, *more) in cases.items():
        with pytest.raises(ConfigError, match=begun + ".*" + re.escape(message)):
            predicted(path, folder, out, "--resume", "True", *more)
    same, other = tmp_path / "same.ckpt", tmp_path / "other.ckpt"
    shutil.copy(model, same)
    assert predicted(same, source, out, "--resume", "True") == 0
    other.write_bytes(b"other weights")
    with pytest.raises(ConfigError, match=begun + re.escape(f"the model was {model}; take a new folder")):
        predicted(other, source, out, "--resume", "True")
    assert tree(out) == before
    for content in ("{", "[]", '{"options": 1}', "\0"):
        (out / "prediction.json").write_text(content)
        with pytest.raises(ConfigError, match=f"--resume: {out}/prediction.json: cannot be read; take a new folder"):
            predicted(model, source, out, "--resume", "True")
    (out / "prediction.json").unlink()
    with pytest.raises(ConfigError, match=f"--resume: {out} holds no prediction.json; take a new folder"):
        predicted(model, source, out, "--resume", "True")
    assert len(asked) == 5


def test_the_record_tells_what_the_results_depend_on(source, model, asked, tmp_path):
    predicted(model, source, tmp_path / "out", "--flip", "True")
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["model"] == str(model)
    assert record["input"] == str(source)
    # printf weights | sha256sum
    assert record["sha256"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert record["options"]["flip"] is True
    assert record["options"]["class_names"][:2] == ["road", "sidewalk"]


def test_hidden_files_are_no_content(tmp_path):
    out = tmp_path / "out"
    (out / ".cache").mkdir(parents=True)
    (out / ".DS_Store").write_bytes(b"")
    check_output(out, tmp_path / "in")
    (out / "notes.txt").write_bytes(b"")
    with pytest.raises(ConfigError, match="not empty"):
        check_output(out, tmp_path / "in")


def test_links_to_folders_are_followed_once(tmp_path):
    for name in ("real/x.png", "real/deep/y.png", "in/a.png", "in/.hidden/h.png"):
        write_png(tmp_path / name, np.zeros((8, 8), np.uint8))
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "deep" / "up").symlink_to(tmp_path / "in")  # leads back
    (tmp_path / "in" / "self").symlink_to(".")
    (tmp_path / "in" / "file.png").symlink_to(tmp_path / "real" / "x.png")
    (tmp_path / "in" / "link.png").symlink_to("gone")
    (tmp_path / "in" / "link.d").symlink_to("gone")
    names = [file.name for file in list_inputs(tmp_path / "in")]
    assert names == ["a.png", "file.png", "link/deep/y.png", "link/x.png", "link.png"]
    assert [file.name for file in list_inputs(tmp_path / "in" / "link")] == [
        "deep/up/a.png",
        "deep/up/file.png",
        "deep/up/link.png",
        "deep/y.png",
        "x.png",
    ]


def video(path: Path, count: int = 40) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 12.5, SHAPE[::-1])
    for number in range(count):
        writer.write(smooth(number, SHAPE))
    writer.release()
    return path


def test_a_video_that_is_cut_off_ends_with_2(model, asked, tmp_path, caplog):
    out, source = tmp_path / "out", video(tmp_path / "drive.avi")
    whole = source.read_bytes()
    assert predicted(model, source, tmp_path / "whole") == 0
    source.write_bytes(whole[: len(whole) // 2])
    asked.clear()
    assert predicted(model, source, out) == 2
    count = len(asked)
    assert 15 <= count <= 22
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line == f"{source}: announces 40 frames, {count} could be read; cut off, copy or download it again"
    assert len(frames_of(out / "drive.mp4")) == count  # what there was is kept
    assert predicted(model, source, out, "--resume", "True") == 2  # still not whole
    source.write_bytes(whole)
    asked.clear()
    assert predicted(model, source, out, "--resume", "True") == 0
    assert len(frames_of(out / "drive.mp4")) == len(asked) == 40
    assert predicted(model, source, out, "--resume", "True") == 0
    assert len(asked) == 40
    assert {path.name for path in out.iterdir()} == {
        "drive.mp4",
        "drive_legend.png",
        "palette.txt",
        "prediction.json",
    }


def announcing(path: Path, frames: int) -> Path:
    """Change the number of frames in an AVI's two headers."""
    data = bytearray(path.read_bytes())
    main, stream = data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32
    for place in (main, stream):
        data[place : place + 4] = struct.pack("<I", frames)
    path.write_bytes(data)
    return path


def test_a_frame_or_two_less_than_announced_is_a_warning(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    source = announcing(video(tmp_path / "drive.avi"), 42)
    assert predict_video(brighter_than_half, source, tmp_path / "out", PALETTE, NAMES) == 0
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"{source}: announces 42 frames, 40 could be read")
    ]


def test_a_video_that_cannot_be_read_leaves_nothing(model, asked, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match="text.mp4: is text, not a video; check the name"):
        predicted(model, text, tmp_path / "out")
    assert not (tmp_path / "out").exists()
