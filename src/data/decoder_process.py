"""A separate process that decodes JPEGs and reports the decoder's warnings.

libjpeg writes warnings to standard error, without a file name, and returns the picture nevertheless. In this process
nothing else writes to standard error, so every warning belongs to the file just decoded. `decoder_report` starts the
process, which writes a line "ready", then reads one path in JSON per line and answers each with one line: the warnings,
"" for none, null if the file cannot be decoded.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import cv2
import numpy as np


def main() -> None:
    """Answer until standard input is closed, at the latest when the parent process exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    cv2.setNumThreads(0)
    complaints, stderr = os.pipe()
    os.set_blocking(complaints, False)
    os.set_blocking(stderr, False)  # rather lose output than block forever
    os.dup2(stderr, 2)
    _answer("ready")
    for line in sys.stdin:
        can_decode = _decode(json.loads(line))
        said = _read_all(complaints)
        _answer(said if can_decode else None)


def _answer(value: str | None) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _decode(path: str) -> bool:
    """Decode a file at an eighth of its size, which still reads all its data; return whether there is a picture."""
    try:
        data = np.fromfile(path, np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) is not None
    except (OSError, cv2.error):
        return False


def _read_all(complaints: int) -> str:
    try:
        return os.read(complaints, 1 << 16).decode(errors="replace")
    except BlockingIOError:
        return ""


if __name__ == "__main__":
    main()
