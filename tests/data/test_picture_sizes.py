"""What files tell of their size, and that nothing beyond data.max_pixels is ever decoded."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import preprocess
from scripts import check_dataset
from src.base.errors import DataError
from src.data import image_files
from src.data.cityscapes import LabelCoding, read_pair
from src.data.decoder_report import DecoderReports
from src.data.eval_samples import EvalSamples
from src.data.image_files import read_image, read_label
from src.data.picture_sizes import stored_size
from src.data.preflight import preflight
from src.data.train_samples import create_train_samples
from tests.dataset_helpers import make_data, png_bytes, write_generic, write_png

SHAPE = (37, 53)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
LIMIT = ["data.max_pixels=4608"]  # the 48x96 of most pictures below
CLASSES = ["data.name=generic", "num_classes=3", "data.map_label=null"]


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, IMAGE, options)[1].tobytes()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", ()),
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".bmp", ()),
        (".webp", ()),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),  # without loss
        (".tif", ()),
        (".ppm", ()),
        (".ppm", (cv2.IMWRITE_PXM_BINARY, 0)),
        (".jp2", ()),
        (".pam", ()),
        (".ras", ()),
        (".pfm", ()),
        (".hdr", ()),
    ],
)
def test_sizes_are_those_of_what_opencv_wrote(suffix, options):
    image = IMAGE.astype(np.float32) if suffix in (".pfm", ".hdr") else IMAGE
    assert stored_size(cv2.imencode(suffix, image, options)[1].tobytes()) == SHAPE


def tiff(order: str, *, big: bool = False, kind: int = 4) -> bytes:
    """Write the head of a TIFF of 70000x90000 pixels by hand; kind 3 holds 16 bits: 7000x9000."""
    height, width = (7000, 9000) if kind == 3 else (70000, 90000)
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + {3: "H", 4: "I", 16: "Q"}[kind], 0)
    entries = b""
    for tag, number in ((254, 0), (256, width), (257, height)):
        packed = struct.pack(order + {2: "H", 4: "I", 8: "Q"}[len(value)], number)
        room = 8 if big else 4
        entries += struct.pack(order + "HH" + ("Q" if big else "I"), tag, kind, 1) + packed.ljust(room, b"\0")
    if big:
        return mark + struct.pack(order + "HHHQQ", 43, 8, 0, 16, 3) + entries
    return mark + struct.pack(order + "HIH", 42, 8, 3) + entries


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (tiff("<"), (70000, 90000)),
        (tiff(">"), (70000, 90000)),
        (tiff("<", kind=3), (7000, 9000)),
        (tiff(">", kind=3), (7000, 9000)),
        (tiff("<", big=True), (70000, 90000)),
        (tiff(">", big=True, kind=16), (70000, 90000)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 90000, -70000), (70000, 90000)),  # from the top down
        (b"BM" + bytes(12) + struct.pack("<IHH", 12, 9000, 7000), (7000, 9000)),  # of OS/2
        (b"GIF89a" + struct.pack("<HH", 9000, 7000), (7000, 9000)),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x8f\x5f\x01" + b"\x6f\x11\x01", (70000, 90000)),
        (b"P5\n# a remark\n90000\n70000 255\n", (70000, 90000)),
        (b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">II", 90000, 70000), (70000, 90000)),
        (b"\0\0\0\x1cftypavif" + bytes(40) + b"ispe\0\0\0\0" + struct.pack(">II", 9000, 7000), (7000, 9000)),
    ],
)
def test_sizes_in_heads_written_by_hand(head, size):
    assert stored_size(head) == size
    assert stored_size(head[:11]) in (None, (7000, 9000))  # only a GIF has told it by then


def test_damaged_heads_tell_a_size_or_none():
    """Four thousand heads with up to six bytes replaced; one sends to byte 2 to the power of 63."""
    rng = np.random.default_rng(0)
    heads = [encoded(suffix) for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".jp2", ".pam", ".ras")]
    heads += [tiff("<"), tiff(">", big=True, kind=16)]
    for number in range(4000):
        head = bytearray(heads[number % len(heads)][: rng.integers(3, 100)])
        for place in rng.integers(2, len(head), rng.integers(0, 7)):
            head[place] = rng.integers(256)
        size = stored_size(bytes(head))
        assert size is None or min(size) >= 0
    assert stored_size(b"II+\0\x08\0\0\0" + b"\xff" * 8) is None


@pytest.mark.parametrize("data", [b"", b"P", b"P9 3 3", b"text", b"BM", b"RIFF\0\0\0\0WAVEfmt ", b"\x89PNG\r\n\x1a\n"])
def test_what_tells_no_size(data):
    assert stored_size(data) is None


def bomb(height: int, width: int) -> bytes:
    """Return a grey PNG of zeros that is whole, and a thousand times smaller than its pixels."""
    packer, row = zlib.compressobj(9), bytes(1 + width)
    content = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    whole = png_bytes(np.zeros((1, 1), np.uint8), color_type=0)
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (head, b"IDAT" + content)
    middle = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return whole[:8] + middle + whole[-12:]


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """The sizes, in bytes, of the files that are decoded in this process."""
    seen, decode = [], cv2.imdecode

    def imdecode(data, flags):
        seen.append(len(data))
        return decode(data, flags)

    monkeypatch.setattr(image_files.cv2, "imdecode", imdecode)
    return seen


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_a_picture_beyond_the_limit_is_not_decoded(tmp_path, decoded, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encoded(suffix))
    message = r"37x53 pixels \(height x width\), more than data\.max_pixels=1960; cut it into parts, or raise the key$"
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        read_image(str(path), max_pixels=37 * 53 - 1)
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        read_label(str(path), max_pixels=37 * 53 - 1)
    assert not decoded
    assert read_image(str(path), max_pixels=37 * 53).shape == (*SHAPE, 3)
    assert len(decoded) == 1


def test_the_limit_of_old_lets_large_photographs_pass_and_stops_bombs(tmp_path, decoded):
    """Nine hundred million pixels in less than a megabyte, by 30 rows that stand for 30,000: the head decides."""
    data = bytearray(bomb(30, 30000))
    data[20:24] = struct.pack(">I", 30000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "b.png").write_bytes(data)
    with pytest.raises(DataError, match=r"b\.png: 30000x30000 pixels .*, more than data\.max_pixels=200000000"):
        read_image(str(tmp_path / "b.png"))
    assert not decoded


def test_a_picture_without_pixels_is_damaged(tmp_path, capfd):
    (tmp_path / "x.png").write_bytes(png_bytes(np.zeros((5, 0), np.uint8), color_type=0))
    with pytest.raises(DataError, match=r"x\.png: damaged, its header says 5x0 pixels"):
        read_image(str(tmp_path / "x.png"))
    assert capfd.readouterr().err == ""  # libpng would have its say there


@pytest.mark.parametrize(("color_type", "depth"), [(5, 8), (0, 3), (2, 4), (3, 16), (7, 1)])
def test_a_picture_of_no_known_kind_is_damaged(tmp_path, capfd, color_type, depth):
    data = bytearray(png_bytes(np.zeros((5, 5), np.uint8), color_type=0))
    data[24:26] = depth, color_type
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(DataError, match=rf"damaged, its header says colour type {color_type} with {depth} bits"):
        read_image(str(tmp_path / "x.png"))
    assert capfd.readouterr().err == ""


def test_a_jpeg_beyond_the_limit_is_sent_to_no_decoder(tmp_path, monkeypatch):
    (tmp_path / "x.jpg").write_bytes(encoded(".jpg"))
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a decoder was started"))
    with DecoderReports() as reports, pytest.raises(DataError, match=r"x\.jpg: 37x53 pixels"):
        reports.check(str(tmp_path / "x.jpg"), 1000)


@pytest.fixture
def root(tmp_path) -> Path:
    """Six training and three validation pairs of 48x96 pixels, of each split one pair of 48x104."""
    root = write_generic(tmp_path / "data")
    for level, split in enumerate(("train", "val")):
        write_png(root / f"images/{split}_1.png", np.full((48, 104, 3), level, np.uint8))
        write_png(root / f"labels/{split}_1.png", np.zeros((48, 104), np.uint8))
    return root


def too_large(root: Path, name: str) -> str:
    shown = "48x104 pixels (height x width), more than data.max_pixels=4608"
    return f"{root / name}: {shown}; cut it into parts, or raise the key"


def limited(root: Path, limit: int = 4608):
    data = make_data(root, name="generic")
    return type(data)(**{**vars(data), "max_pixels": limit})


def test_the_look_before_training_names_what_is_too_large(root, decoded):
    with pytest.raises(DataError) as caught:
        preflight(limited(root), num_classes=3, splits=("train", "val"), seed=1)
    names = ("images/train_1.png", "labels/train_1.png", "images/val_1.png", "labels/val_1.png")
    assert str(caught.value).split("\n") == [too_large(root, name) for name in names]
    assert len(decoded) == 5 + 2  # the other labels
    assert preflight(limited(root, 4992), num_classes=3, splits=("train",), seed=1) == {"train": 6}


def test_unlabelled_pictures_of_any_format_are_looked_at(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((48, 96, 3), np.uint8))
    (tmp_path / "b.webp").write_bytes(cv2.imencode(".webp", np.zeros((48, 104, 3), np.uint8))[1].tobytes())
    (tmp_path / "test.lst").write_text("a.png\nb.webp\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.webp: 48x104 pixels"):
        preflight(limited(tmp_path), num_classes=3, splits=("test",), seed=1)


def test_samples_of_training_and_evaluation_keep_the_limit(root):
    train = create_train_samples(limited(root), num_classes=3, seed=1)
    val = EvalSamples(limited(root), num_classes=3)
    for read in (lambda: train.read((0, 1)), lambda: val[1]):
        with pytest.raises(DataError, match=r"images/\w+_1\.png: 48x104 pixels"):
            read()
    assert train.read((0, 0))[1].shape == (32, 64)
    assert val[0].original == (48, 96)
    pair = str(root / "images/train_0.png"), str(root / "labels/train_1.png")
    with pytest.raises(DataError, match=r"labels/train_1\.png: 48x104 pixels"):
        read_pair(*pair, LabelCoding("generic", 3, 255), 4608)


def test_check_dataset_names_what_is_too_large_and_reads_the_others(root, capsys):
    given = ["--dataset_dir", str(root), *CLASSES]
    with pytest.raises(DataError, match="^4 problems: 4 unreadable files$"):
        check_dataset.main([*given, *LIMIT])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        f"{split}: {too_large(root, f'{kind}/{split}_1.png')}"
        for split in ("train", "val")
        for kind in ("images", "labels")
    ]
    assert "  sizes, height x width: 5 of 48x96" in lines
    assert check_dataset.main(given) == 0


def test_preprocessing_keeps_the_limit_and_leaves_nothing_behind(root, tmp_path):
    out = tmp_path / "out"
    given = ["--data_path", str(root), "--output_path", str(out), *CLASSES, "--image_size", "64", "96"]
    with pytest.raises(DataError, match=r"images/val_1\.png: 48x104 pixels"):
        preprocess.main([*given, *LIMIT])
    assert not out.exists()
