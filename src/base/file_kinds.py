"""Kinds of files, recognised by content, and what to do with each; for messages that refuse a file."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

HEAD = 4096  # bytes that suffice to recognise the kind


class Kind(NamedTuple):
    """A kind of file: its name, with article, and advice on what to do with it."""

    name: str
    advice: str


_PREDICTED = "scripts/predict.py takes it as --model"
_CONVERTED = "scripts/convert_torch_checkpoint.py makes a checkpoint of it (--torch_file)"
_LOOKED_AT = "scripts/predict.py takes it as --input"
_UNUSED = "no command here reads it"
CHECKPOINT = Kind(
    "a checkpoint of MindSpore",
    "eval.py and scripts/predict.py take it as --checkpoint_path, and export.py, as --checkpoint_file, makes a model",
)
MINDIR = Kind("a MindIR", f"{_PREDICTED}, scripts/infer_model.py as --model_path; its name has to end in .mindir")
ONNX = Kind("an ONNX model", f"{_PREDICTED}, scripts/infer_model.py as --model_path; its name has to end in .onnx")
PYTORCH = Kind("a PyTorch file", _CONVERTED)
PICKLE = Kind("a Python pickle", "load it where it was made, and save its weights with torch.save")
SAFETENSORS = Kind("a safetensors file", _CONVERTED)
LITE = Kind("a model of MindSpore Lite (.ms)", "only that runtime reads it; export.py makes models for these commands")
PICTURES = ("a PNG", "a JPEG", "a TIFF", "a BMP", "a WebP")  # names of the kinds that are read as images
EMPTY = Kind("empty", "copy or download it again")
ZEROS = Kind("nothing but zero bytes", "copy or download it again")
LFS = Kind("a Git LFS pointer", "git lfs pull fetches the file that it stands for")
WEB_PAGE = Kind("a web page", "the download went wrong; fetch the file again")
TEXT = Kind("text", "check the name")
_ZIP = Kind("a ZIP archive", "unpack it first")

_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (  # offset, bytes, name, advice
    (0, b"\x89PNG\r\n\x1a\n", "a PNG", _LOOKED_AT),
    (0, b"\xff\xd8\xff", "a JPEG", _LOOKED_AT),
    (0, b"GIF8", "a GIF", "save it as PNG"),
    (0, b"II*\0", "a TIFF", _LOOKED_AT),
    (0, b"MM\0*", "a TIFF", _LOOKED_AT),
    (0, b"II+\0", "a BigTIFF", "save it as PNG"),
    (8, b"WEBP", "a WebP", _LOOKED_AT),
    (0, b"8BPS", "a Photoshop file", "save it as PNG"),
    (0, b"\0\0\0\x0cjP  \r\n", "a JPEG 2000", "save it as PNG"),
    (8, b"AVI ", "an AVI video", f"{_LOOKED_AT}; its name has to end in .avi"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video", f"{_LOOKED_AT}; its name has to end in .mkv or .webm"),
    (4, b"MSL2", *LITE),
    (4, b"TFL3", "a model of TensorFlow Lite", _UNUSED),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _UNUSED),
    (0, b"\x93NUMPY", "a NumPy array", _UNUSED),
    (0, b"%PDF", "a PDF", _UNUSED),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"BZh", "a bzip2 archive", "unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz archive", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (0, b"Rar!", "a RAR archive", "unpack it first"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"\x7fELF", "a program", _UNUSED),
    (0, b"SQLite format 3\0", "an SQLite database", _UNUSED),
    (0, b"version https://git-lfs", *LFS),
)
_STILL = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")  # brands of ISO files that are pictures
_PAGE = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)


def kind_of(data: bytes) -> Kind | None:
    """Return the kind of a file from its first `HEAD` bytes, or all of a shorter one; None if it is not known."""
    if not data:
        return EMPTY
    if not data.strip(b"\0"):
        return ZEROS
    for offset, signature, name, advice in _SIGNATURES:
        if data.startswith(signature, offset):
            return Kind(name, advice)
    return _iso(data) or _zip(data) or _model(data) or _text(data)


def kind_of_file(path: str | Path) -> Kind | None:
    """Return the kind of a file by its content; None if it is not known or the file cannot be read."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - no pipe or device is opened
            return None
        with Path(path).open("rb") as file:
            kind = kind_of(file.read(HEAD))
        if kind == _ZIP:
            with zipfile.ZipFile(path) as archive:
                return PYTORCH if any(name.endswith("/data.pkl") for name in archive.namelist()) else kind
        return kind
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def misfit(path: str | Path, kind: Kind, wanted: str) -> str:
    """Return the message that refuses a file: what it is instead of `wanted`, and what to do."""
    if kind is EMPTY:
        return f"{path}: the file is empty; {kind.advice}"
    return f"{path}: is {kind.name}, not {wanted}; {kind.advice}"


def no_text(path: str | Path, err: OSError | ValueError) -> str:
    """Return why a file could not be read as text: the system's reason, or the kind of the file."""
    if isinstance(err, OSError):
        return err.strerror or str(err)
    if not isinstance(err, UnicodeDecodeError):
        return str(err)
    kind = kind_of_file(path)
    if kind is None or kind == TEXT:
        return f"not text in UTF-8 ({err.reason} at byte {err.start}); save it so"
    return f"is {kind.name}, not text; {kind.advice}"


def _iso(data: bytes) -> Kind | None:
    if data[4:8] != b"ftyp":
        return None
    if data[8:12] in _STILL:
        return Kind("a HEIC or AVIF picture", "save it as PNG or JPEG")
    return Kind("an MP4 or MOV video", f"{_LOOKED_AT}; its name has to end in .mp4 or .mov")


def _zip(data: bytes) -> Kind | None:
    """Return the kind of a ZIP archive. A PyTorch file's first member is data.pkl or one of its neighbours."""
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    name = data[30 : 30 + int.from_bytes(data[26:28], "little")]
    if name.rpartition(b"/")[2] in (b"data.pkl", b".format_version", b".storage_alignment", b"byteorder", b"version"):
        return PYTORCH
    if name.endswith(b".npy"):
        return Kind("a NumPy archive (.npz)", _UNUSED)
    return _ZIP


def _model(data: bytes) -> Kind | None:
    """Return the kind of a file of weights or a model; BMP is among them, as its signature is too short on its own."""
    if re.match(rb"\x80[\x02-\x05]", data):
        return PYTORCH if b"l\xfc\x9cF\xf9 j\xa8P\x19." in data[:40] else PICKLE  # PyTorch's own magic number
    if data[8:9] == b"{" and data[8:].lstrip(b"{ \r\n\t")[:1] in (b'"', b"}") and data[5:8] == b"\0\0\0":
        return SAFETENSORS
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return Kind("a BMP", _LOOKED_AT)
    first = _field(data, b"\x0a")
    if first:
        content, end = first
        if re.fullmatch(rb"\d+(\.\d+)+", content) and data[end : end + 2] == b"\x12\x09":  # "MindSpore"
            return MINDIR
        tag = _field(content, b"\x0a")
        if tag and re.fullmatch(rb"[\x20-\x7e]+", tag[0]) and content[tag[1] : tag[1] + 1] in (b"\x12", b"\x1a"):
            return CHECKPOINT
    if re.match(rb"\x08[\x01-\x1e](\x12[\x00-\x7f]|\x1a|\x3a|\x42)", data):
        return ONNX
    return None


def _field(data: bytes, key: bytes) -> tuple[bytes, int] | None:
    """Return content and end of a protobuf message's first field, perhaps cut off by `HEAD`; None for another key."""
    if data[:1] != key:
        return None
    length = 0
    for number, byte in enumerate(data[1:11]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            start = 2 + number
            return data[start : start + length], start + length
    return None


def _text(data: bytes) -> Kind | None:
    if _PAGE.match(data):
        return WEB_PAGE
    if data.lstrip()[:4] == b"<svg":
        return Kind("an SVG", "save it as PNG")
    try:
        text = data.decode()
    except UnicodeDecodeError as err:
        if err.reason != "unexpected end of data":  # that is a character cut off by `HEAD`
            return None
        text = data[: err.start].decode()
    return TEXT if text and all(letter.isprintable() or letter.isspace() for letter in text) else None
