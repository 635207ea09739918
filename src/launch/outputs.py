"""Forward the output of a job's processes to this process's output; they survive if its reader goes away."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator

CHUNK = 1 << 16
PATIENCE_SECONDS = 5.0  # to forward the last output once the processes have ended


@contextlib.contextmanager
def lasting_outputs() -> Iterator[dict[str, int]]:
    """Yield descriptors for the standard output and error of processes, as `subprocess.Popen` takes them.

    Files and terminals need none. mpirun ends its job if the reader of its output goes away, so a pipe or socket is
    replaced by a pipe of this process, which forwards the output as long as there is a reader.
    """
    outputs: dict[str, int] = {}
    threads = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        if name == "stderr" and outputs and os.path.sameopenfile(1, 2):
            outputs[name] = outputs["stdout"]  # keep the order of the lines
        elif _is_pipe_or_socket(number):
            reader, outputs[name] = os.pipe()
            threads.append(threading.Thread(target=_forward, args=(reader, number), daemon=True, name=name))
            threads[-1].start()
    try:
        yield outputs
    finally:
        for writer in set(outputs.values()):
            os.close(writer)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def _is_pipe_or_socket(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _forward(reader: int, number: int) -> None:
    """Copy data to the descriptor `number` until all writers have ended; drop what cannot be written."""
    while data := os.read(reader, CHUNK):
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(number, data) :]
    os.close(reader)
