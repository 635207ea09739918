"""The log: who sees what, and what is kept from before there is one."""

from __future__ import annotations

import logging

from src.utils.logger import has_logging, keep_early_records, setup_logging


def lines(text: str) -> list[str]:
    return [line.split("] ", 1)[1] for line in text.splitlines()]


def test_what_is_said_before_the_log_is_in_it_once(tmp_path, capsys):
    """Console first, then a file, as in a job whose folder is known late."""
    keep_early_records()
    logging.info("first")
    assert not has_logging()
    setup_logging(None)
    logging.info("second")
    logging.error("wrong")
    setup_logging(tmp_path)
    logging.info("third")
    shown = capsys.readouterr()
    assert lines(shown.out) == ["first", "second", "third"]
    assert lines(shown.err) == ["wrong"]
    log = (tmp_path / "logs" / "rank_0.log").read_text(encoding="utf-8")
    assert lines(log) == ["first", "second", "wrong", "third"]


def test_only_rank_0_has_the_console(tmp_path, capsys):
    keep_early_records()
    logging.info("early")
    setup_logging(tmp_path, rank=3)
    logging.info("late")
    logging.error("wrong")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert lines(shown.err) == ["wrong"]
    assert lines((tmp_path / "logs" / "rank_3.log").read_text(encoding="utf-8")) == ["early", "late", "wrong"]
