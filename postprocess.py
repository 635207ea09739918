"""Score the results of an offline inference: ``python postprocess.py --result_path DIR --label_path DIR``.

``--help`` lists every option. Does not import MindSpore.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from src.base import claims
from src.base.paths import user_path
from src.offline import scoring
from src.offline.folders import beside
from src.offline.manifest import read_manifest
from src.utils.config import Parser, boolean
from src.utils.entry import run_entry
from src.utils.metrics import class_table, iou


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Score as configured by the command line; return 0."""
    args = parse_args(argv)
    manifest = read_manifest(args.label_path.parent)
    results = scoring.check_results(manifest, args.result_path, args.label_path)
    images = args.images_path if args.save_images else None
    if images is not None:
        claims.hold_folder(images, "scoring", "--images_path")
        scoring.prepare_images(manifest, images)
    matrix = scoring.count(manifest, results, args.label_path, images)
    scores = iou(matrix.counts)
    sys.stdout.write(scoring.result_block(len(results), scores))
    sys.stdout.write(class_table(scores, manifest.class_names) + "\n")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("postprocess.py", description=__doc__)
    parser.add_argument(
        "--result_path", type=user_path, default=Path("result_Files"), help="results (default %(default)s)"
    )
    parser.add_argument(
        "--label_path",
        type=user_path,
        default=Path("preprocess_Result/label"),
        help="labels, with the manifest one level above (default %(default)s)",
    )
    parser.add_argument("--save_images", type=boolean, default=None, help="write colour overlays (default False)")
    parser.add_argument(
        "--images_path",
        type=user_path,
        default=None,
        help="write them to this folder (default: images beside the results)",
    )
    args = parser.parse_args(argv)
    if args.save_images is None:
        args.save_images = args.images_path is not None
    args.images_path = args.images_path or beside(args.result_path, "images")
    return args


if __name__ == "__main__":
    run_entry(main)
