"""A process of its own that decodes JPEGs and tells what the decoder complains of.

libjpeg writes its complaints to standard error, without a name, and the picture is handed out all the same. Here there
is nothing else on standard error, so every complaint belongs to the file just decoded. Started by `decoder_report`;
says "ready" in a line, then reads a path in JSON a line and answers with a line: the complaints, "" for none, null for
what cannot be decoded.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import cv2
import numpy as np


def main() -> None:
    """Answer until standard input ends, as it does when the process that started this one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    cv2.setNumThreads(0)
    complaints, stderr = os.pipe()
    os.set_blocking(complaints, False)
    os.set_blocking(stderr, False)  # rather lose words than wait for ever
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
    """Decode every code of a file, but an eighth of the pixels; return whether there is a picture."""
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
