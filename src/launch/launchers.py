"""The launchers: each starts the ranks of a job, waits for them, and returns the job's exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from src.base.errors import UserError
from src.base.files import make_folder
from src.distributed.placement import LOCAL_SIZE, OWN_SCHEDULER, read_rank_table
from src.distributed.scheduler import start_scheduler, stop_scheduler
from src.launch.job import Job
from src.launch.processes import run_together
from src.launch.runners import RUN_RANK
from src.utils.local_adapter import ascend_found, clusters_on_ascend, scheduler_answer_delay

ROOT = Path(__file__).resolve().parents[2]
TAIL_OPTION = "--tail_worker_log"
# Seconds between mpirun's SIGTERM and SIGKILL, as named by Open MPI 4 and 5: the default of one second is too short
# for a step and a checkpoint, and a minute is too long for ranks that wait for a dead one.
MPIRUN_PATIENCE = ("OMPI_MCA_odls_base_sigkill_timeout", "PRTE_MCA_odls_base_sigkill_timeout")
STOP_SECONDS = 20
CONNECT_SECONDS = 600  # until the ranks of all machines have connected
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "HCCL_CONNECT_TIMEOUT", "ONEDNN_MAX_CPU_ISA")


def choose_launcher(environment: Mapping[str, str], job: Job) -> str:
    """Return the launcher named by LAUNCHER, or the default.

    Raises:
        UserError: the launcher is not available here, or MindSpore supports none of those available on Ascend.
    """
    name = environment.get("LAUNCHER", "")
    if not name:
        return "ranktable" if environment.get("RANK_TABLE_FILE") else _default_launcher(environment, job)
    if name not in LAUNCHERS:
        raise UserError(f"LAUNCHER must be one of {', '.join(LAUNCHERS)}, got {name!r}")
    if name == "ranktable" and not environment.get("RANK_TABLE_FILE"):
        raise UserError("LAUNCHER=ranktable needs RANK_TABLE_FILE in the environment")
    if name == "mpirun" and not find_program("mpirun"):
        raise UserError("LAUNCHER=mpirun: there is no mpirun on PATH")
    if name == "msrun" and not find_program("msrun"):
        raise UserError("LAUNCHER=msrun: there is no msrun; MindSpore has it since 2.3")
    return name


def _default_launcher(environment: Mapping[str, str], job: Job) -> str:
    """Return the first available launcher: on Ascend msrun, which MindSpore documents first, elsewhere mpirun."""
    on_ascend = job.device_target == "Ascend" if job.device_target else ascend_found()
    programs = ["mpirun", "msrun"] if job.node_num == 1 else ["msrun"]
    if on_ascend and not (job.hosts or job.hostfile or environment.get("HOSTFILE")):  # only mpirun takes those
        programs.sort(key="msrun".__ne__)
    there = next(filter(find_program, programs), None)
    if there is None and on_ascend and not clusters_on_ascend():
        raise UserError(
            "MindSpore 2.0 on Ascend needs a rank table or mpirun: set RANK_TABLE_FILE, or install Open MPI, which "
            "reaches other machines by --hosts"
        )
    return there or "cluster"


def find_program(name: str) -> str | None:
    """Return the program installed beside this interpreter, or else the one on PATH; None if there is none."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def rank_command(job: Job) -> list[str]:
    """Return the command of one rank."""
    script, *options = job.train_command()
    watch = [] if job.hang_minutes is None else ["--hang_minutes", str(job.hang_minutes)]
    return [sys.executable, str(RUN_RANK), *watch, str(ROOT / script), *options]


def mpirun_command(job: Job, environment: Mapping[str, str]) -> list[str]:
    """Return the command line of mpirun, with the options that this Open MPI has.

    Raises:
        UserError: it is not Open MPI; others pass the rank in variables that MindSpore does not read.
    """
    mpirun = find_program("mpirun") or "mpirun"
    version = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    if "Open MPI" not in version and "OpenRTE" not in version:
        raise UserError(f"mpirun is not Open MPI but {version.splitlines()[:1]}; use LAUNCHER=msrun")
    command = [mpirun, "--allow-run-as-root", "-n", str(job.device_num)]
    merge = "--merge-stderr-to-stdout"
    if subprocess.run([*command[:2], merge, "--version"], capture_output=True, check=False).returncode == 0:
        command.append(merge)
    if job.hosts:
        command += ["--host", job.hosts]
    elif job.hostfile:
        command += ["--hostfile", job.hostfile]
    # The ranks divide the cores themselves: bound to one core, mpirun's default, a rank could not feed its device.
    command += ["--bind-to", "none", "--oversubscribe"]
    for name in PASSED_ON:
        if name in environment:
            command += ["-x", name]
    return [*command, *rank_command(job)]


def msrun_command(job: Job, log_dir: Path) -> list[str]:
    """Return the command line of msrun; both worker counts and --join differ from its defaults."""
    options = [
        f"--worker_num={job.device_num}",
        f"--local_worker_num={job.local_num}",
        f"--master_addr={job.address}",
        f"--master_port={job.port}",
        f"--node_rank={job.node_rank}",
        f"--log_dir={log_dir}",
        "--join=True",
        f"--cluster_time_out={CONNECT_SECONDS}",
    ]
    msrun = [sys.executable, find_program("msrun") or "msrun"]
    if TAIL_OPTION in subprocess.run([*msrun, "--help"], capture_output=True, text=True, check=False).stdout:
        # Not in 2.3; by default msrun starts `tail -f` for all ranks, which keeps running if msrun is killed.
        options.append(f"{TAIL_OPTION}=-2")
    return [*msrun, *options, *rank_command(job)[1:]]


def run_with_mpirun(job: Job, environment: Mapping[str, str]) -> int:
    """Run the job with mpirun; return its exit code."""
    patience = {name: str(STOP_SECONDS) for name in MPIRUN_PATIENCE}
    return run_together([mpirun_command(job, environment)], [{**patience, **environment}], signal_runners=True)


def run_with_msrun(job: Job, environment: Mapping[str, str]) -> int:
    """Run the job with msrun, showing the output of rank 0 and, after a failure, its report; return its exit code."""
    log_dir = _log_folder(job, f"msrun_{job.node_rank}")
    # msrun starts its workers as "python"
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    variables = {**environment, "PATH": path, LOCAL_SIZE: str(job.local_num)}
    command, shown = msrun_command(job, log_dir), log_dir / f"worker_{job.node_rank * job.local_num}.log"
    shown.write_bytes(b"")
    return run_together([command], [variables], shown=shown, reports=log_dir, signal_runners=True)


def run_with_rank_table(job: Job, environment: Mapping[str, str]) -> int:
    """Run one process for each device that the rank table lists for machine `node_rank`; return the exit code."""
    servers = read_rank_table(Path(environment["RANK_TABLE_FILE"]))
    if job.node_rank >= len(servers):
        raise UserError(f"--node_rank {job.node_rank}: RANK_TABLE_FILE lists {len(servers)} machines")
    devices = servers[job.node_rank]
    variables = [
        {**environment, "RANK_ID": str(rank), "RANK_SIZE": str(job.device_num), "DEVICE_ID": str(device)}
        for rank, device in devices.items()
    ]
    logs = [_log_folder(job) / f"output_{rank}.log" for rank in devices]
    return run_together([rank_command(job)] * len(devices), variables, logs=logs)


def run_with_cluster(job: Job, environment: Mapping[str, str]) -> int:
    """Run this machine's ranks, and on machine 0 the scheduler, as a dynamic cluster; return the exit code."""
    ranks = range(job.node_rank * job.local_num, (job.node_rank + 1) * job.local_num)
    common = {
        **environment,
        "MS_ROLE": "MS_WORKER",
        "MS_SCHED_HOST": job.address,
        "MS_SCHED_PORT": str(job.port),
        "MS_WORKER_NUM": str(job.device_num),
        LOCAL_SIZE: str(job.local_num),
        OWN_SCHEDULER: "1",
    }
    variables = [{**common, "MS_NODE_ID": str(rank), "DEVICE_ID": str(rank - ranks[0])} for rank in ranks]
    scheduler = None
    if job.node_rank == 0:
        with (_log_folder(job) / "scheduler.log").open("wb") as log:
            scheduler = start_scheduler(
                job.address, job.port, job.device_num, environment, answer_delay=scheduler_answer_delay(), output=log
            )
    try:
        # All share the console: MindSpore 2.0 numbers the ranks itself, so rank 0, which logs, is not known here.
        return run_together([rank_command(job)] * len(ranks), variables)
    finally:
        if scheduler is not None:
            stop_scheduler(scheduler)


def _log_folder(job: Job, *below: str) -> Path:
    """Return the folder of the run's logs, or one below it; create it if missing."""
    folder = Path(job.save_dir).resolve().joinpath("logs", *below)
    make_folder(folder)
    return folder


LAUNCHERS = {
    "mpirun": run_with_mpirun,
    "msrun": run_with_msrun,
    "ranktable": run_with_rank_table,
    "cluster": run_with_cluster,
}
