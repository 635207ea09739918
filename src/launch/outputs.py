"""What processes of a job print, on its way to this process's own output; they live on when nobody reads that."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator

CHUNK = 1 << 16
PATIENCE_SECONDS = 5.0  # for what was printed last, once the processes have ended


@contextlib.contextmanager
def lasting_outputs() -> Iterator[dict[str, int]]:
    """Yield descriptors for the standard output and error of processes, as `subprocess.Popen` takes them.

    There are none for a file or a terminal, which stay. mpirun ends its job when the reader of its output leaves, so it
    gets a pipe of this process's instead, which passes on what comes as long as somebody reads.
    """
    outputs: dict[str, int] = {}
    threads = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        if name == "stderr" and outputs and os.path.sameopenfile(1, 2):
            outputs[name] = outputs["stdout"]  # one after the other, as it came
        elif _may_end(number):
            reader, outputs[name] = os.pipe()
            threads.append(threading.Thread(target=_pass_on, args=(reader, number), daemon=True, name=name))
            threads[-1].start()
    try:
        yield outputs
    finally:
        for writer in set(outputs.values()):
            os.close(writer)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def _may_end(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _pass_on(reader: int, number: int) -> None:
    """Write what comes to a descriptor, and forget what cannot be written, until all writers have ended."""
    while data := os.read(reader, CHUNK):
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(number, data) :]
    os.close(reader)
