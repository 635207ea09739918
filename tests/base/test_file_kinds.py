"""What a file is by its content: files that other programs wrote, and their signatures as published."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.base.file_kinds import EMPTY, TEXT, kind_of, kind_of_file, misfit, no_text

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
TENSOR = b"\x0a\x05w.one\x12\x0e\x08\x02\x12\x07Float32\x1a\x01\x00"  # MindSpore's: name, shape, type


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(2))
    return buffer.getvalue()


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
KINDS = {
    "a PNG": encoded(".png"),
    "a JPEG": encoded(".jpg"),
    "a TIFF": encoded(".tif"),
    "a BMP": encoded(".bmp"),
    "a WebP": encoded(".webp"),
    "a GIF": b"GIF89a\x02\0\x02\0",
    "a HEIC or AVIF picture": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "an MP4 or MOV video": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41",
    "an AVI video": b"RIFF\x10\0\0\0AVI LIST",
    "a MindIR": (GOLDEN / "tiny_2_0_0.mindir").read_bytes(),
    "an ONNX model": (GOLDEN / "tiny.onnx").read_bytes(),
    "a checkpoint of MindSpore": b"\x0a" + bytes([len(TENSOR)]) + TENSOR,
    "a PyTorch file": zipped("weights/data.pkl", "weights/data/0"),
    "a Python pickle": pickle.dumps({"a": 1}, protocol=4),
    "a safetensors file": struct.pack("<Q", len(HEADER)) + HEADER + bytes(4),
    "a ZIP archive": zipped("picture.png"),
    "a NumPy archive (.npz)": npz(),
    "a tar archive": tarred(),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": b"\n<!DOCTYPE html>\n<html><head></head></html>",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n\0\0",
    "text": "total_step: 3 # sch\u00f6n\n".encode(),
    "empty": b"",
    "nothing but zero bytes": bytes(100),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_known_by_its_content_whatever_it_is_called(tmp_path, name):
    path = tmp_path / "file.ckpt"
    path.write_bytes(KINDS[name])
    assert kind_of_file(path).name == name
    refusal = "the file is empty; " if name == "empty" else f"is {name}, not a checkpoint; "
    assert misfit(path, kind_of_file(path), "a checkpoint").startswith(f"{path}: {refusal}")


def test_mindspores_own_files_are_known(tmp_path):
    import mindspore as ms

    ms.save_checkpoint(
        [{"name": "a.weight", "data": ms.Tensor(np.zeros((700, 3), np.float32))}], str(tmp_path / "a.ckpt")
    )
    assert kind_of_file(tmp_path / "a.ckpt").name == "a checkpoint of MindSpore"
    for name in ("lite_late.mindir", "lite_small.mindir"):
        assert kind_of_file(GOLDEN / name).name == "a MindIR"


def test_what_is_not_known_is_nothing(tmp_path):
    assert kind_of(np.random.default_rng(0).bytes(5000)) is None
    assert kind_of_file(tmp_path) is None
    assert kind_of_file(tmp_path / "none") is None
    long = ("\u00e9" * 3000).encode()  # the beginning that is looked at ends within a letter
    assert (kind_of(long[:4095]), kind_of(b"")) == (TEXT, EMPTY)


def test_why_a_file_is_no_text(tmp_path):
    path = tmp_path / "list.lst"
    texts = {
        KINDS["a GIF"] + b"\xff": "is a GIF, not text; save it as PNG",
        b"a " * 3000 + b"\xe9": "not text in UTF-8 (unexpected end of data at byte 6000); save it so",
    }
    for data, reason in texts.items():
        path.write_bytes(data)
        with pytest.raises(UnicodeDecodeError) as error:
            path.read_text(encoding="utf-8")
        assert no_text(path, error.value) == reason
