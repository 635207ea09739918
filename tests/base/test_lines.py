"""What a line says: nothing in it that a terminal would obey; and variables that libraries would complain of."""

from __future__ import annotations

import io
import logging

import cv2
import numpy as np
import pytest

from src.base.environment import check_environment
from src.base.errors import DataError, UserError, printable
from src.base.failures import describe_failure
from src.base.log_handlers import ConsoleHandler
from src.data.image_files import read_image
from src.utils.config import parse_config

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x00", "a\\x1b[31mb\\x00"),
        ("back\rspace\b\x9b", "back\\rspace\\x08\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # would be read from right to left
        ("half \ud83d", "half \\ud83d"),
        ("路 straße 🚗\n\tsecond line", "路 straße 🚗\n\tsecond line"),
    ],
)
def test_a_terminal_obeys_nothing(text, shown):
    assert printable(text) == shown
    assert describe_failure(UserError(text)) == (2, shown)
    stream = io.StringIO()
    ConsoleHandler(stream, "there").emit(logging.LogRecord("x", logging.INFO, "", 0, "%s", (text,), None))
    assert stream.getvalue() == f"{shown}\n"


@pytest.mark.parametrize("threads", ["-4", "0", "many", "1,,2", "9" * 30])
def test_a_number_of_threads_that_openmp_would_complain_of(threads):
    with pytest.raises(UserError, match="OMP_NUM_THREADS must be a number of threads from 1 on; got"):
        check_environment({"OMP_NUM_THREADS": threads})


def test_blank_variables_are_none():
    environment = {"DEVICE_ID": " ", "OMP_NUM_THREADS": "4, 2", "GLOG_v": ""}
    check_environment(environment)
    assert "DEVICE_ID" not in environment  # MindSpore would warn of it


def test_a_device_number_has_a_limit():
    with pytest.raises(UserError, match=r"device_id: must lie in 0\.\.2147483647"):
        parse_config(["--device_id", "99999999999999999999"], "eval")


def test_a_tiff_of_large_whole_numbers_is_called_so(tmp_path):
    path = tmp_path / "depth.tif"
    assert cv2.imwrite(str(path), np.ones((4, 4), np.int32))
    with pytest.raises(DataError, match="is a TIFF with 32-bit whole numbers; save it with 8 bits a channel"):
        read_image(str(path))
