"""Train on several devices: choose a launcher, start the ranks, and end all of them when one fails.

Usage: python scripts/launch_ranks.py DEVICE_NUM BATCH_SIZE SAVE_DIR [options of this script] [train.py options]
DEVICE_NUM counts all devices of all machines, BATCH_SIZE is per device. LAUNCHER=mpirun|msrun|ranktable|cluster in the
environment selects the launcher; the default is ranktable if RANK_TABLE_FILE is set, mpirun with --hosts, --hostfile or
HOSTFILE, else the first available one: on the CPU of mpirun, msrun and cluster, on Ascend of msrun (MindSpore 2.3 and
later), mpirun and cluster (2.1 and later). With cluster this script starts the processes without a launcher.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.paths import expand_path
from src.launch.job import Job, check_job
from src.launch.launchers import LAUNCHERS, choose_launcher
from src.launch.restarts import run_with_restarts
from src.utils.config import Parser, whole_number
from src.utils.entry import run_entry


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Run the job to its end; return its exit code."""
    job = parse_args(argv)
    launcher = choose_launcher(os.environ, job)
    if launcher == "mpirun" and not job.hosts:
        job = dataclasses.replace(job, hostfile=job.hostfile or os.environ.get("HOSTFILE") or None)
    check_job(job, launcher, os.environ)
    print(
        f"launcher: {launcher}, {job.device_num} devices on {machines_text(job)}, "
        f"{job.batch_size} images a device, {job.device_num * job.batch_size} in total",
        flush=True,
    )
    goes_on = any(word.lstrip("-").startswith(("auto_resume", "modelarts")) for word in job.options)
    claims.hold_launch(job.save_dir, job.node_rank, wait=goes_on)
    return run_with_restarts(LAUNCHERS[launcher], job, os.environ, launcher)


def machines_text(job: Job) -> str:
    """Say on how many machines a job runs, or which file names them."""
    if job.hostfile:
        return f"the machines of {job.hostfile}"
    count = len({entry.partition(":")[0] for entry in job.hosts.split(",")}) if job.hosts else job.node_num
    return "1 machine" if count == 1 else f"{count} machines"


def parse_args(argv: Sequence[str] | None) -> Job:
    """Read the command line; options that this script does not have are passed to train.py."""
    parser = Parser("scripts/launch_ranks.py", description=__doc__)
    parser.add_argument("device_num", type=positive, metavar="DEVICE_NUM", help="devices of all machines")
    parser.add_argument("batch_size", type=positive, metavar="BATCH_SIZE", help="images a step and device")
    parser.add_argument(
        "save_dir", type=expand_path, metavar="SAVE_DIR", help="folder of the run; on storage that all machines share"
    )
    parser.add_argument("--hosts", default=None, help="mpirun: host:devices,host:devices")
    parser.add_argument(
        "--hostfile", type=expand_path, default=None, help="mpirun: file of hosts (or HOSTFILE in the environment)"
    )
    parser.add_argument("--node_num", type=positive, default=1, help="msrun, cluster: number of machines, default 1")
    parser.add_argument("--node_rank", type=whole_number, default=0, help="msrun, cluster: number of this one, from 0")
    parser.add_argument("--master_addr", default=None, help="msrun, cluster: address of machine 0")
    parser.add_argument("--master_port", type=positive, default=None, help="msrun, cluster: port there (default 8118)")
    parser.add_argument(
        "--restarts",
        type=whole_number,
        default=0,
        metavar="N",
        help="start a job that failed again from its newest complete checkpoint, N times at most, default 0; not after "
        "a user's mistake, a stop that was asked for, or when no step was finished since the last start",
    )
    parser.add_argument(
        "--hang_minutes",
        type=minutes,
        default=None,
        metavar="M",
        help="after M minutes without a finished step write the stacks of all ranks to logs/rank_N.stacks and end with "
        "exit code 75; counts from the first finished step of each start",
    )
    args, rest = parser.parse_known_args(argv)
    return Job(**vars(args), options=tuple(rest))


def positive(text: str) -> int:
    """Read 1, 2, 3, ..."""
    number = whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1, got 0")
    return number


def minutes(text: str) -> float:
    """Read a positive number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number of minutes, got {text!r}")
    return number


if __name__ == "__main__":
    run_entry(main)
