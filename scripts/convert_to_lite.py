"""Convert an ONNX file to a MindIR with a converter that scripts/convert_to_lite.sh has found, and describe the result.

``python convert_to_lite.py MODEL.onnx OUT CONVERTER...``: CONVERTER is a command with options of converter_lite, to
which --fmk, --modelFile and --outputFile are added. Needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base.claims import hold_file
from src.base.errors import TerminatedError, UserError
from src.base.file_kinds import HEAD, ONNX, kind_of, misfit
from src.base.json_text import read_json
from src.base.paths import fitting, user_path
from src.base.special_files import special_kind

CHILD_PROCESS = Path(__file__).resolve().parents[1] / "src" / "distributed" / "child_process.py"
IR_VERSION, GRAPH, OPERATOR_SET = 1, 7, 8  # fields of ModelProto in onnx.proto
PRODUCER_VERSION = 5  # and in mind_ir.proto


class ConversionError(UserError):
    """The conversion failed because of the user's files or converter."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of the fields of a protobuf message, see protobuf.dev/programming-guides/encoding.

    Raises:
        ValueError: it is not a protobuf message, or truncated.
    """
    at = 0

    def varint() -> int:
        nonlocal at
        value = 0
        for shift in range(0, 64, 7):
            if at >= len(data):
                break
            at += 1
            value |= (data[at - 1] & 0x7F) << shift
            if data[at - 1] < 0x80:
                return value
        raise ValueError("cut off, or no protobuf message")

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        length = varint() if kind == 2 else {1: 8, 5: 4}.get(kind, len(data))
        at += length
        if at > len(data):
            raise ValueError("cut off, or no protobuf message")
        yield key >> 3, data[at - length : at]


def check_onnx(path: Path) -> None:
    """Check that a file is a complete ONNX model: converters crash on others.

    Raises:
        ConversionError: the file is missing, damaged or not an ONNX model.
    """
    if special_kind(path):
        raise ConversionError(f"cannot read the model {path}: is {special_kind(path)}, not a regular file")
    try:
        data = path.read_bytes()
    except OSError as err:
        raise ConversionError(f"cannot read the model {path}: {err.strerror}") from err
    kind = kind_of(data[:HEAD])
    if kind is not None and kind != ONNX:
        raise ConversionError(misfit(path, kind, ONNX.name))
    try:
        found = dict(fields(data))
    except ValueError as err:
        raise ConversionError(f"{path}: truncated, or no ONNX file") from err
    if not isinstance(found.get(IR_VERSION), int) or not {GRAPH, OPERATOR_SET} <= set(found):
        raise ConversionError(f"{path}: truncated, or no ONNX file")


def new_targets(out: Path) -> tuple[Path, Path]:
    """Return the model to write and the description beside it.

    Raises:
        ConversionError: one of them exists, or their folder does not.
    """
    model = out if out.suffix == ".mindir" else out.with_name(f"{out.name}.mindir")
    description = model.with_suffix(".json")
    for path in (model, description):
        if path.exists():
            raise ConversionError(f"{path} exists already; take another name")
    if not model.parent.is_dir():
        raise ConversionError(f"no such folder: {model.parent}")
    return model, description


def convert(source: Path, folder: Path, converter: list[str]) -> Path:
    """Run the converter and return the MindIR that it wrote to `folder`.

    Raises:
        ConversionError: the converter failed, or did not write a single MindIR.
    """
    words = ["--fmk=ONNX", f"--modelFile={source.resolve()}", f"--outputFile={folder / 'model'}"]
    words = [sys.executable, str(CHILD_PROCESS), str(os.getpid()), *converter, *words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log = done.stdout.decode(errors="replace")
    if "GLOG_v" in os.environ:
        sys.stderr.write(log)
    written = sorted(path.name for path in folder.iterdir())
    if done.returncode == 0 and written == ["model.mindir"]:
        return folder / "model.mindir"
    if written and written != ["model.mindir"]:
        raise ConversionError(f"the converter wrote {', '.join(written)}, no single MindIR; nothing was kept")
    reasons = re.findall(r"^\[ERROR\].*?\] \w+\] (.*)", log, re.MULTILINE) or log.strip().splitlines()[-1:]
    reason = " ".join(reasons[0].split())[:200] if reasons else f"it ended with {done.returncode}"
    raise ConversionError(f"the converter cannot convert {source}: {reason} (GLOG_v=1 shows all it says)")


def converted_description(source: Path, converted: Path, target: Path) -> dict | None:
    """Return the description of the converted model, made from that of the ONNX file; None without one.

    Raises:
        ConversionError: the file beside the ONNX file is not a description.
    """
    path = source.with_name(f"{source.stem}.onnx.json")
    if not path.exists():
        print(f"warning: no {path}: there will be no description of {target}", file=sys.stderr)
        return None
    try:
        record = read_json(path)
        record.pop("opset", None)  # of the ONNX file
        record.update(file=target.name, bytes=converted.stat().st_size, format="MINDIR")
        record["sha256"] = hashlib.sha256(converted.read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise ConversionError(f"{path}: is not the description that export.py writes beside a model") from err
    version = dict(fields(converted.read_bytes())).get(PRODUCER_VERSION)
    shown = version.decode(errors="replace") if isinstance(version, bytes) else ""
    return {**record, "converted_by": f"MindSpore Lite {shown}", "converted_from": source.name}


def publish(converted: Path, model: Path, record: dict | None, description: Path) -> None:
    """Rename both files to their final names, the model last; restore the permissions that converters remove."""
    if record is not None:
        text = converted.with_name("description")
        text.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        text.chmod(0o644)
        text.rename(description)
    converted.chmod(0o644)
    converted.rename(model)


def main(argv: list[str]) -> int:
    """Run with model, target, and converter; return the exit code."""
    if len(argv) < 3 or argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    source, (model, description) = user_path(argv[0]), new_targets(user_path(argv[1]))
    hold_file(model, "conversion", "name", description)
    new_targets(model)  # again: another process may have written them meanwhile
    check_onnx(source)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{fitting(model.name, 40)}.", dir=model.parent) as folder:
            converted = convert(source, Path(folder), argv[2:])
            publish(converted, model, converted_description(source, converted, model), description)
    except OSError as err:
        raise ConversionError(f"cannot write {model}: {err.strerror}") from err
    print(f"{model}: {model.stat().st_size} bytes, from {source}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    except TerminatedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(143)
