"""Metrics files that a crash or a full disk has left behind."""

from __future__ import annotations

import json
import logging
import resource

import pytest

from src.base.json_lines import append_json, read_json_lines

pytestmark = pytest.mark.once


def test_a_record_behind_a_torn_line_begins_a_new_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 3.0}\n{"step": 2, "lo')
    append_json(path, {"step": 3, "loss": 2.0})
    append_json(path, {"step": 4, "loss": 1.0})
    assert path.read_bytes().split(b"\n")[1:] == [
        b'{"step": 2, "lo',
        b'{"step": 3, "loss": 2.0}',
        b'{"step": 4, "loss": 1.0}',
        b"",
    ]
    assert [record["step"] for record in read_json_lines(path)] == [1, 3, 4]


def test_what_is_no_record_is_left_out_and_told_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "metrics.jsonl"
    good = [{"step": 5, "loss": 1.5}, {"step": 6, "loss": None}]
    bad = [
        b"\xff\xfe\x00caf\xe9",
        b"\0" * 300,
        b"[1, 2]",
        b"17",
        b'{"loss": 1}',
        b'{"step": "6"}',
        b'{"step": 6, "l',
        b'{"step": 7, "loss": [1]}',
        b"[" * 100_000,
    ]
    lines = [json.dumps(good[0]).encode(), *bad, b"", json.dumps(good[1]).encode()]
    path.write_bytes(b"\n".join(lines))
    for _ in range(3):
        assert read_json_lines(path) == good
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == f"{path}: 9 lines are unreadable and left out, the first is line 2"


def test_a_record_that_does_not_fit_leaves_nothing_of_itself(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_json(path, {"step": 1})
    whole = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 5, before[1]))  # as a disk that is full within the line
    try:
        with pytest.raises(OSError, match="No space left|File too large"):
            append_json(path, {"step": 2, "loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == whole
    append_json(path, {"step": 3})
    assert [record["step"] for record in read_json_lines(path)] == [1, 3]


def test_numbers_that_json_does_not_know(tmp_path):
    append_json(tmp_path / "m", {"step": 1, "loss": float("nan"), "scale": float("inf")})
    assert json.loads((tmp_path / "m").read_text()) == {"step": 1, "loss": None, "scale": None}
