"""The process's place in its job, from the variables that launchers set; pure functions of an environment.

Precedence, as in MindSpore: the dynamic cluster (MS_ROLE, which msrun sets), then mpirun, then the rank table, then a
single process. `local_adapter.discover_rank` passes the real environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src.base.errors import UserError
from src.base.json_text import read_json

CLUSTER, MPIRUN, RANK_TABLE, SINGLE = "dynamic cluster", "mpirun", "rank table", "single process"
# Variables with the same meaning; different values among them are a contradiction.
RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "MS_NODE_ID", "RANK_ID")
SIZE_NAMES = ("OMPI_COMM_WORLD_SIZE", "MS_WORKER_NUM", "RANK_SIZE")
LOCAL_SIZE = "LOCAL_RANK_SIZE"  # processes on this host; set by scripts/run_distribute_train.sh
OWN_SCHEDULER = "BISENETV2_OWN_SCHEDULER"  # set by the launcher that ends the scheduler itself, after the ranks
# Variables by which a platform or a launcher identifies a job.
JOB_NAMES = ("JOB_ID", "MA_JOB_DIR", "PMIX_NAMESPACE", "MS_SCHED_HOST", "MS_SCHED_PORT", "RANK_TABLE_FILE")
CARDS_OF_A_HOST = 8  # assumed if no variable says how many processes share a host


@dataclass(frozen=True)
class Placement:
    """A process's place in its job; `local_rank` counts on this host only."""

    launcher: str
    rank: int = 0
    rank_size: int = 1
    local_rank: int = 0
    local_size: int = 1
    device_id: int | None = None  # if the launcher's files contain it

    @property
    def local_place(self) -> tuple[int, int]:
        """Rank on this host and number of ranks on it."""
        return self.local_rank, self.local_size


def integer(environment: Mapping[str, str], name: str) -> int | None:
    """Return the value of a variable that is a non-negative integer; None if it is not set.

    Raises:
        UserError: the value is something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"environment variable {name} must be a non-negative integer, got {text!r}")
    return int(text)


def place(environment: Mapping[str, str]) -> Placement:
    """Return the place in its job of the process with this `environment`.

    Raises:
        UserError: variables contradict each other, or a required one is missing; the message names them.
    """
    rank, size = _consistent_integer(environment, RANK_NAMES), _consistent_integer(environment, SIZE_NAMES)
    if environment.get("MS_ROLE"):
        if environment["MS_ROLE"] == "MS_SCHED":  # it runs the script, but is not a rank
            return Placement(CLUSTER)
        placement = _in_cluster(environment, rank, size)
    elif environment.get("OMPI_COMM_WORLD_SIZE"):
        placement = _under_mpirun(environment, rank, size)
    elif environment.get("RANK_TABLE_FILE"):
        placement = _in_rank_table(environment, rank, size)
    else:
        placement = Placement(SINGLE)
        if size is not None and size > 1:
            raise UserError(
                f"RANK_SIZE={size} but no launcher: set RANK_TABLE_FILE and RANK_ID, or start the job with "
                "scripts/run_distribute_train.sh, mpirun or msrun"
            )
    if placement.rank >= placement.rank_size or placement.local_rank >= placement.local_size:
        raise UserError(f"rank {placement.rank} does not exist in a job of {placement.rank_size} processes")
    return placement


def scheduler_place(environment: Mapping[str, str]) -> tuple[str, int, int]:
    """Return host and port of the job's scheduler, and the number of ranks.

    Raises:
        UserError: the variables for them are missing or invalid.
    """
    host = environment.get("MS_SCHED_HOST")
    port, ranks = (integer(environment, name) for name in ("MS_SCHED_PORT", "MS_WORKER_NUM"))
    if not host or port is None or ranks is None:
        raise UserError("a scheduler needs the variables MS_SCHED_HOST, MS_SCHED_PORT and MS_WORKER_NUM")
    return host, port, ranks


def has_rank_table(environment: Mapping[str, str]) -> bool:
    """Return whether MindSpore will use a rank table; in a dynamic cluster it ignores one."""
    names = ("RANK_TABLE_FILE", "MINDSPORE_HCCL_CONFIG_PATH")
    return not environment.get("MS_ROLE") and any(environment.get(name) for name in names)


def job_identity(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return values that all processes of a job on this host share, and that differ from those of other jobs here."""
    return tuple(environment.get(name, "") for name in JOB_NAMES)


def _consistent_integer(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    values = {name: value for name in names if (value := integer(environment, name)) is not None}
    if len(set(values.values())) > 1:
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        raise UserError(
            f"environment variables contradict each other: {listed}; unset those left over from another job"
        )
    return next(iter(values.values()), None)


def _in_cluster(environment: Mapping[str, str], rank: int | None, size: int | None) -> Placement:
    if size is None:
        raise UserError("MS_ROLE is set but MS_WORKER_NUM is not; start the job with msrun or set both")
    local_size = _local_size(environment, size)
    local_rank = integer(environment, "DEVICE_ID")  # msrun sets it to the local rank
    if rank is None:
        node = integer(environment, "VC_TASK_INDEX")  # ModelArts' number of this machine
        if node is None or local_rank is None:
            raise UserError(
                "MS_ROLE is set but neither MS_NODE_ID nor RANK_ID is; give msrun --node_rank on every machine"
            )
        rank = node * local_size + local_rank
    return Placement(CLUSTER, rank, size, rank % local_size if local_rank is None else local_rank, local_size)


def _under_mpirun(environment: Mapping[str, str], rank: int | None, size: int | None) -> Placement:
    local_rank, local_size = (integer(environment, f"OMPI_COMM_WORLD_LOCAL_{name}") for name in ("RANK", "SIZE"))
    if rank is None or size is None or local_rank is None or local_size is None:
        raise UserError("OMPI_COMM_WORLD_SIZE is set but its RANK, LOCAL_RANK or LOCAL_SIZE is not; start with mpirun")
    return Placement(MPIRUN, rank, size, local_rank, local_size)


def _in_rank_table(environment: Mapping[str, str], rank: int | None, size: int | None) -> Placement:
    path = environment["RANK_TABLE_FILE"]
    servers = read_rank_table(Path(path))
    ranks = [number for server in servers for number in server]
    if size is not None and size != len(ranks):
        raise UserError(f"RANK_SIZE={size} but RANK_TABLE_FILE={path} lists {len(ranks)} devices")
    if rank is None:
        if len(ranks) == 1:
            return Placement(RANK_TABLE, device_id=servers[0][ranks[0]])
        raise UserError(f"RANK_TABLE_FILE={path} lists {len(ranks)} devices but RANK_ID is not set")
    own = next((server for server in servers if rank in server), None)
    if own is None:
        raise UserError(f"RANK_ID={rank} is not in RANK_TABLE_FILE={path}")
    return Placement(RANK_TABLE, rank, len(ranks), list(own).index(rank), len(own), own[rank])


def read_rank_table(path: Path) -> list[dict[int, int]]:
    """Return the device number of each rank, for every server in a rank table file.

    Raises:
        UserError: the file is missing or not a rank table.
    """
    try:
        table = read_json(path)
        return [
            {int(device["rank_id"]): int(device["device_id"]) for device in server["device"]}
            for server in table["server_list"]
        ]
    except OSError as err:
        raise UserError(f"RANK_TABLE_FILE: cannot read {path}: {err.strerror}") from err
    except (ValueError, KeyError, TypeError) as err:
        keys = "server_list, device, device_id, rank_id"
        raise UserError(f"RANK_TABLE_FILE: {path} is not a rank table ({keys})") from err


def _local_size(environment: Mapping[str, str], size: int) -> int:
    """Return the number of processes on this host: from the script, from ModelArts, or all up to a host's cards."""
    for name in (LOCAL_SIZE, "MA_NUM_GPUS"):
        number = integer(environment, name)
        if number:
            return min(number, size)
    return min(size, CARDS_OF_A_HOST)
