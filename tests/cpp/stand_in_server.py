"""Run a MindIR for tests/cpp/stand_in.cc: bytes of inputs on standard input, bytes of outputs on standard output.

Begins with a line each for input and output: name, type and shape.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from src.utils.local_adapter import cap_onednn


def main() -> None:
    cap_onednn()
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries write to standard output, too
    import mindspore as ms
    import numpy as np

    from src.base.errors import UserError
    from src.offline.mindir import MindIRModel

    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        model = MindIRModel(sys.argv[1])
    except UserError as err:
        channel.write(f"{err}\n".encode())
        return
    for which, tensor in (("input", model.input), ("output", model.output)):
        channel.write(f"{which} {tensor.name} {tensor.dtype} {' '.join(map(str, tensor.shape))}\n".encode())
    channel.flush()
    while len(data := sys.stdin.buffer.read(model.input.num_bytes)) == model.input.num_bytes:
        channel.write(model(np.frombuffer(data, model.input.dtype).reshape(model.input.shape)).tobytes())
        channel.flush()


if __name__ == "__main__":
    main()
