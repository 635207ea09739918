"""A job on several devices, and the checks before it is started."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src.base.cores import usable_cores
from src.base.errors import ConfigError, UserError
from src.distributed.placement import read_rank_table
from src.distributed.scheduler import LOOPBACK
from src.utils.local_adapter import ascend_cards

DEFAULT_PORT = 8118  # msrun's own


@dataclass(frozen=True)
class Job:
    """A training on `device_num` devices of `node_num` machines."""

    device_num: int
    batch_size: int
    save_dir: str
    hosts: str | None = None
    hostfile: str | None = None
    node_num: int = 1
    node_rank: int = 0
    master_addr: str | None = None
    master_port: int | None = None
    restarts: int = 0
    hang_minutes: float | None = None
    options: tuple[str, ...] = ()

    @property
    def local_num(self) -> int:
        """Devices on this machine."""
        return self.device_num // self.node_num

    @property
    def address(self) -> str:
        """Address of machine 0."""
        return self.master_addr or LOOPBACK

    @property
    def port(self) -> int:
        """Port at which the ranks connect."""
        return self.master_port or DEFAULT_PORT

    @property
    def device_target(self) -> str | None:
        """Device target in the options, if any."""
        words = list(self.options)
        for option, following in zip(words, [*words[1:], None]):
            name, _, value = option.partition("=")
            if name in ("--device_target", "device_target"):
                return value or following
        return None

    def train_command(self) -> list[str]:
        """Return the script and options of one rank."""
        save_dir = str(Path(self.save_dir).resolve())
        return ["train.py", "--batch_size", str(self.batch_size), "--save_dir", save_dir, *self.options]


def check_job(job: Job, launcher: str, environment: Mapping[str, str]) -> None:
    """Check that the job can run.

    Raises:
        UserError: it cannot; the message is one line.
    """
    if job.device_num % job.node_num:
        raise ConfigError(f"DEVICE_NUM {job.device_num} cannot be divided evenly among {job.node_num} machines")
    if job.node_rank >= job.node_num:
        raise ConfigError(f"--node_rank {job.node_rank}: machines are numbered 0..{job.node_num - 1}")
    if launcher == "mpirun":
        _check_hosts(job)
    elif job.hosts or job.hostfile:
        raise ConfigError(f"--hosts and --hostfile are for LAUNCHER=mpirun, this is {launcher}")
    if launcher == "ranktable":
        listed = sum(map(len, read_rank_table(Path(environment["RANK_TABLE_FILE"]))))
        if listed != job.device_num:
            raise ConfigError(f"DEVICE_NUM is {job.device_num} but RANK_TABLE_FILE lists {listed} devices")
    else:
        _check_devices(job)
    if launcher in ("msrun", "cluster"):
        _check_master_address(job)


def _check_hosts(job: Job) -> None:
    if job.hosts and job.hostfile:
        raise ConfigError("--hosts and --hostfile exclude each other")
    if job.hostfile and not Path(job.hostfile).is_file():
        raise ConfigError(f"--hostfile: no such file: {job.hostfile}")
    if job.node_num > 1 or job.master_addr:
        raise ConfigError("--node_num and --master_addr are for msrun; mpirun takes --hosts or --hostfile")
    for entry in filter(None, (job.hosts or "").split(",")):
        _resolve(entry.partition(":")[0], "--hosts")


def _check_devices(job: Job) -> None:
    if job.hosts or job.hostfile:
        return  # not all devices are on this machine
    cards = ascend_cards()
    on_cpu = job.device_target == "CPU" or (job.device_target is None and not cards)
    there, kind = (usable_cores(), "CPU cores") if on_cpu else (cards, "Ascend devices")
    if job.local_num > there:
        raise UserError(f"DEVICE_NUM asks for {job.local_num} devices on this machine, which has {there} {kind}")


def _check_master_address(job: Job) -> None:
    if job.node_num > 1 and not job.master_addr:
        raise ConfigError("--master_addr: required with several machines, the address of machine 0")
    address = _resolve(job.address, "--master_addr")
    if job.node_rank > 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, job.port))
        except OSError as err:
            raise UserError(
                f"cannot listen on {job.address}, port {job.port}: {err.strerror}; give another --master_port"
            ) from err


def _resolve(name: str, option: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError as err:
        raise UserError(f"{option}: the address of {name!r} is not known: {err.strerror}") from err
