"""JPEGs that are damaged inside: cut ones with a preview, and what nobody but the decoder notices."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from src.base.errors import DataError
from src.data import decoder_report, image_files
from src.data.decoder_report import DecoderReports, reported_damage
from src.data.image_files import read_image
from src.data.prefetch import map_ahead
from src.data.preflight import preflight
from tests.data.test_check_dataset import CLASSES, run
from tests.dataset_helpers import make_data, write_generic
from tests.exif_helpers import emptied, exif, half, jpeg, smooth

pytestmark = pytest.mark.once

SIZE = (96, 192)
IMAGE = smooth(0, SIZE)
PREVIEW = jpeg(smooth(1, (24, 48)))
WITH_PREVIEW = jpeg(IMAGE, exif(6, PREVIEW))


def saved(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def old_opencv(monkeypatch) -> None:
    """Let the decoder do as OpenCV 4.5.5 to 4.10 do, which return a grey half instead of nothing."""
    monkeypatch.setattr(image_files.cv2, "imdecode", lambda data, flags: np.zeros((*SIZE, 3), np.uint8))


@pytest.mark.parametrize("progressive", [False, True])
def test_the_end_of_a_preview_is_not_that_of_the_file(tmp_path, monkeypatch, progressive):
    whole = jpeg(IMAGE, exif(1, PREVIEW), progressive=progressive)
    found = read_image(saved(tmp_path / "whole.jpg", whole + b"bytes behind"))
    assert np.abs(found.astype(int) - IMAGE).mean() < 4
    cut = saved(tmp_path / "cut.jpg", half(whole))
    assert Path(cut).read_bytes().count(b"\xff\xd9") == 1  # of the preview
    old_opencv(monkeypatch)
    with pytest.raises(DataError, match=r"cut.jpg: the file is incomplete \(truncated\)"):
        read_image(cut)
    for data in (whole[:20], whole[: whole.index(PREVIEW) + 10], whole[:2] + b"\xff" * 9):
        with pytest.raises(DataError, match="cut.jpg: the file is incomplete"):
            read_image(saved(tmp_path / "cut.jpg", data))


@pytest.fixture(scope="module")
def reports():
    with DecoderReports() as reports:
        yield reports


@pytest.mark.parametrize("progressive", [False, True])
def test_the_decoder_reports_what_it_passes_over(reports, tmp_path, capfd, progressive):
    whole = jpeg(IMAGE, progressive=progressive)
    for name, data in (("emptied", emptied(whole)), ("ended", half(whole) + b"\xff\xd9")):
        path = saved(tmp_path / f"{name}.jpg", data)
        with pytest.raises(DataError, match=rf"^{re.escape(path)}: damaged, the decoder reports: Corrupt JPEG data"):
            reports.check(path)
    with pytest.raises(DataError, match="cut.jpg: the file is incomplete"):
        reports.check(saved(tmp_path / "cut.jpg", half(whole)))
    for name, data in (("whole", whole), ("behind", whole + PREVIEW), ("text", b"no JPEG")):
        reports.check(saved(tmp_path / f"{name}.jpg", data))
    reports.check(str(tmp_path / "gone.jpg"))
    assert capfd.readouterr() == ("", "")  # of no library either


def test_complaints_belong_to_their_file_whatever_the_number_of_threads(reports, tmp_path):
    whole = jpeg(IMAGE)
    paths = [saved(tmp_path / f"{i}.jpg", emptied(whole) if i % 3 == 0 else whole) for i in range(24)]

    def named_by(path: str) -> str:
        try:
            reports.check(path)
        except DataError as err:
            return str(err).split(": ")[0]
        return ""

    assert list(map_ahead(named_by, paths, 4)) == [path if i % 3 == 0 else "" for i, path in enumerate(paths)]


def test_which_complaints_are_damage():
    assert not reported_damage("")
    assert not reported_damage("Invalid SOS parameters for sequential JPEG\n")  # of some telephones
    assert not reported_damage("Corrupt JPEG data: 16 extraneous bytes before marker 0xd9\n")
    for line in (
        "Corrupt JPEG data: 17 extraneous bytes before marker 0xd9",
        "Corrupt JPEG data: 3 extraneous bytes before marker 0xd4",  # between two restarts none is padded
        "Corrupt JPEG data: bad Huffman code",
        "Premature end of JPEG file",
    ):
        assert reported_damage(f"Warning: unknown JFIF revision number 2.01\n{line}\n") == line


def test_a_decoder_that_crashes_or_cannot_be_started(tmp_path, monkeypatch, caplog):
    path = saved(tmp_path / "a.jpg", jpeg(IMAGE))
    program = tmp_path / "program.py"
    monkeypatch.setattr(decoder_report, "_PROGRAM", program)
    program.write_text("print('\"ready\"', flush=True); input(); raise SystemExit(1)")
    with DecoderReports() as reports, pytest.raises(DataError, match="a.jpg: damaged, OpenCV's decoder crashes on it"):
        reports.check(path)
    program.write_text("raise SystemExit(1)")
    with DecoderReports() as reports:
        reports.check(path)
        reports.check(path)
    assert caplog.text.count("cannot start") == 1


def test_no_decoder_is_left_behind(tmp_path):
    path = saved(tmp_path / "a.jpg", jpeg(IMAGE))
    with DecoderReports() as reports:
        reports.check(path)
        (process,) = reports._all
        os.kill(process.pid, 0)
    assert process.returncode is not None
    with DecoderReports() as reports:
        reports.check(path)
        (process,) = reports._all
        process.stdin.close()  # as the kernel does when the parent is gone
        assert process.wait(timeout=20) == 0


@pytest.fixture
def root(tmp_path) -> Path:
    """Six training pairs with the images 1, 2 and 3 JPEGs: a whole one, a cut one with a preview, an emptied one."""
    root = write_generic(tmp_path / "data", size=SIZE)
    for number, data in enumerate((jpeg(IMAGE), half(jpeg(IMAGE, exif(1, PREVIEW))), emptied(jpeg(IMAGE))), start=1):
        (root / f"images/train_{number}.png").write_bytes(data)
    return root


EXPECTED = [
    "{}/images/train_2.png: the file is incomplete (truncated); copy or download it again",
    "{}/images/train_3.png: damaged, the decoder reports: Corrupt JPEG data: premature end of data segment; copy or "
    "download it again",
]


def test_check_dataset_names_them(root, capfd):
    with pytest.raises(DataError, match="^2 problems: 2 unreadable files$"):
        run(root, *CLASSES)
    out, err = capfd.readouterr()
    assert out.splitlines()[-2:] == [f"train: {line.format(root)}" for line in EXPECTED]
    assert not err


def test_training_and_evaluation_name_them_before_they_start(root, capfd):
    data = make_data(root, name="generic")
    with pytest.raises(DataError) as caught:
        preflight(data, num_classes=3, splits=("train",), seed=1)
    assert str(caught.value).splitlines() == [line.format(root) for line in EXPECTED]
    lines = [f"images/train_{number}.png\n" for number in range(4)]
    (root / "test.lst").write_text("".join(lines))
    with pytest.raises(DataError) as caught:  # images alone
        preflight(data, num_classes=3, splits=("test",), seed=1, labelled=False)
    assert str(caught.value).splitlines() == [line.format(root) for line in EXPECTED]
    assert capfd.readouterr() == ("", "")
