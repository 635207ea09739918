"""Write the class maps of a folder of inputs with a checkpoint's network on the CPU; files as scripts/infer_model.py.

Usage: python -m tools.device_check.predict CHECKPOINT INPUTS RESULTS [section.key=value ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import src.utils.local_adapter  # noqa: F401 - before NumPy and MindSpore
from src.config.schema_base import EXPORT
from src.modules.factory import create_network
from src.offline.manifest import result_name
from src.state import checkpoint
from src.utils.config import parse_config
from src.utils.runtime import init_device
from tools.device_check.result import ROOT
from tools.streets.shapes import SIZE


def main(source: str, inputs: Path, results: Path, options: Sequence[str] = ()) -> None:
    """Write the class map (H, W) int32 of each input, which has the size of the tiny data set."""
    init_device("CPU", 0, 0, None)
    import numpy as np
    from mindspore import Tensor

    config = parse_config(["--config", str(ROOT / "config/bisenetv2_tiny.yml"), *options], EXPORT)
    network = create_network(config, aux_heads=False).set_train(False)
    checkpoint.restore_network(network, checkpoint.read_checkpoint(source), source)
    results.mkdir()
    for path in sorted(inputs.glob("*.bin")):
        image = np.fromfile(path, np.float32).reshape(1, 3, *SIZE)
        network(Tensor(image)).asnumpy()[0].argmax(0).astype(np.int32).tofile(results / result_name(path.stem))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
