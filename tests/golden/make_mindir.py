"""Write tests/golden/tiny_2_0_0.mindir, a MindIR of a tiny network; to be run with MindSpore 2.0.0.

The C++ runner, built for the library of 2.0.0, has to load a file that this version wrote.
"""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


class Tiny(nn.Cell):
    """A convolution and ReLU: (1, 3, 8, 8) float32 to (1, 2, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, weight_init="ones")

    def construct(self, image: Tensor) -> Tensor:
        return ops.relu(self.conv(image))


if __name__ == "__main__":
    if ms.__version__ != "2.0.0":
        raise SystemExit(f"needs MindSpore 2.0.0, this is {ms.__version__}")
    ms.set_context(mode=ms.GRAPH_MODE)
    target = Path(__file__).with_name("tiny_2_0_0.mindir")
    ms.export(Tiny(), Tensor(np.zeros((1, 3, 8, 8), np.float32)), file_name=str(target), file_format="MINDIR")
    target.chmod(0o644)
    print(f"wrote {target}: {target.stat().st_size} bytes")
