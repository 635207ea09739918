"""Run an exported model over a folder of inputs: one command for every runtime.

A .onnx runs in ONNX Runtime, on the CPU or on an Nvidia GPU. A .mindir runs in the C++ runner if MS_LITE_HOME or
LITE_HOME names a MindSpore Lite (the runner is built first), else in MindSpore, in Python.

Writes <result_path>/<stem>_0.bin for every <dataset_path>/<stem>.bin, and beside the results
time_Result/test_perform_static.txt.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.files import make_folder, write_whole
from src.base.paths import user_path
from src.offline import runner
from src.offline.descriptions import require_intact
from src.offline.folders import beside
from src.offline.inference import infer_folder, list_inputs
from src.offline.models import check_suffix, load_model
from src.utils.ascend_settings import set_op_precision
from src.utils.config import Parser, positive_number, whole_number
from src.utils.entry import run_entry
from src.utils.logger import setup_logging
from src.utils.runtime import init_device

logger = logging.getLogger(__name__)

# Precision on Ascend: MindSpore's names, by those of libmindspore.so and MindSpore Lite.
PRECISION_MODES = {
    "force_fp32": "force_fp32",
    "allow_fp32_to_fp16": "allow_fp32_to_fp16",
    "force_fp16": "force_fp16",
    "must_keep_origin_dtype": "must_keep_origin_dtype",
    "allow_mix_precision": "allow_mix_precision",
    "enforce_fp32": "force_fp32",
    "preferred_fp32": "allow_fp32_to_fp16",
    "enforce_fp16": "force_fp16",
    "enforce_origin": "must_keep_origin_dtype",
    "preferred_optimal": "allow_mix_precision",
}


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Infer as the command line says; return 0."""
    args = parse_args(argv)
    setup_logging(None)
    is_mindir = check_suffix(args.model_path) == ".mindir"
    require_intact(args.model_path)
    claims.hold_folder(args.result_path, "inference", "--result_path")
    if is_mindir and runner.lite_home():
        return runner.run(args)
    if is_mindir:
        init_device(args.device_type, args.device_id, ms_mode=0, num_threads=args.num_threads)
        set_op_precision("precision_mode", PRECISION_MODES[args.precision_mode])
    names = ("device_type", "device_id", "num_threads", "verbose")
    model = load_model(args.model_path, **{name: getattr(args, name) for name in names})
    paths = list_inputs(args.dataset_path, model.input)
    logger.info("runtime: %s", model.runtime)
    for which, tensor in (("input", model.input), ("output", model.output)):
        logger.info("%s: %s, %s %s", which, tensor.name, tensor.dtype, tensor.shown_shape)
    timings = infer_folder(model, paths, args.result_path, warmup=args.warmup)
    report = timings.report()
    time_folder = beside(args.result_path, "time_Result")
    make_folder(time_folder)
    write_whole(time_folder / "test_perform_static.txt", report.encode())
    print(report, end="")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("scripts/infer_model.py", description=__doc__)
    parser.add_argument(
        "--model_path", "--mindir_path", type=user_path, required=True, help="the model, .mindir or .onnx"
    )
    parser.add_argument("--dataset_path", type=user_path, required=True, help="folder of inputs, *.bin")
    parser.add_argument("--result_path", type=user_path, default=Path("result_Files"), help="default %(default)s")
    parser.add_argument("--device_id", type=whole_number, default=0, help="device number, default 0")
    parser.add_argument("--device_type", choices=("Ascend", "GPU", "CPU"), default="Ascend", help="default %(default)s")
    parser.add_argument(
        "--precision_mode",
        choices=PRECISION_MODES,
        default="allow_fp32_to_fp16",
        help="precision on Ascend, by either runtime's name (default %(default)s); the CPU always computes in float32",
    )
    parser.add_argument("--warmup", type=whole_number, default=1, help="runs before the clock starts, default 1")
    parser.add_argument("--num_threads", type=positive_number, help="threads on the CPU, default: all usable cores")
    parser.add_argument("--verbose", action="store_true", help="show the log lines of MindSpore Lite or ONNX Runtime")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_entry(main)
