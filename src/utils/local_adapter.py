"""What depends on the machine, the launcher and the MindSpore version, and nothing else.

The only module that reads launcher and device environment variables and the only one that knows MindSpore versions.
MindSpore is imported inside the functions: this module runs before MindSpore loads.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from src.base.cores import cpu_has_avx512, divide_cores
from src.base.early_imports import import_without_signals
from src.base.errors import UserError
from src.distributed import placement as placement_module
from src.distributed.mpi_cluster import meet
from src.distributed.placement import MPIRUN, OWN_SCHEDULER, SINGLE, Placement, integer, place

logger = logging.getLogger(__name__)

ONEDNN_ISA = "ONEDNN_MAX_CPU_ISA"
HCCL_TIMEOUT_SECONDS = 600  # for the first contact of the ranks; CANN's own 120 are short for a data set to appear
SLOW_START_SECONDS = 3600  # with downloads before it; CANN takes up to 7200
FIRST_910 = ("", "ascend910")  # by `ascend_chip`; an unknown chip is treated as the first 910 everywhere
_notes: list[str] = []  # of `cap_onednn`, logged by `init_device` once there is a logger


def mindspore_version() -> tuple[int, ...]:
    """Return the version of the installed MindSpore, e.g. (2, 8, 0), without importing it; () if there is none."""
    for package in ("mindspore", "mindspore-ascend", "mindspore-gpu"):
        try:
            text = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
    return ()


def prepare_environment() -> None:
    """Do what must be done before NumPy and MindSpore load: where a launcher has started several, divide the cores."""
    with contextlib.suppress(UserError):  # said by `init_device`, where there is a log
        divide_cores(*discover_rank().local_place)  # before NumPy starts threads
    import_without_signals("numpy")


def cap_onednn() -> None:
    """Let oneDNN do without AVX-512 where that is slow, unless the user has decided; before the first network runs."""
    # The oneDNN 3.10 in MindSpore 2.9 and 2.10 has no fast convolution for AVX-512 and takes its reference
    # implementation, hundreds of times slower. Its AVX2 kernels are fine. 2.8 and older need no cap and lose by one.
    if mindspore_version() >= (2, 9) and ONEDNN_ISA not in os.environ and cpu_has_avx512():
        os.environ[ONEDNN_ISA] = "AVX2"
        why = "the oneDNN of MindSpore 2.9 and later is extremely slow with AVX-512"
        _notes.append(f"{ONEDNN_ISA}=AVX2 set: {why}; set {ONEDNN_ISA} yourself to override")


def early_notes() -> list[str]:
    """Return what `cap_onednn` did, for the log, which did not exist then."""
    return list(_notes)


def onednn_capped_here() -> bool:
    """Return whether `cap_onednn`, and not the user, has capped oneDNN's instruction set."""
    return any(note.startswith(ONEDNN_ISA) for note in _notes)


def on_cpu() -> bool:
    """Return whether networks made now will run on the CPU."""
    import mindspore as ms

    return ms.get_context("device_target") == "CPU"


def writes_lasting_casts() -> bool:
    """Return whether later versions can run a Cast in front of other operators in the MindIR written here; 2.0: no."""
    return mindspore_version() >= (2, 1)


def onnx_exporter() -> Callable[..., None]:
    """Return what writes a network as ONNX; MindSpore 2.8 and later announce the end of the other way."""
    import mindspore as ms

    return ms.onnx.export if hasattr(ms, "onnx") else functools.partial(ms.export, file_format="ONNX")


def custom_gradients_stay_right() -> bool:
    """Return whether a cell's own `bprop` is right in every step; in MindSpore 2.0 with PyNative only in the first."""
    import mindspore as ms

    return mindspore_version() >= (2, 1) or ms.get_context("mode") == ms.GRAPH_MODE


def recomputes_in_order() -> bool:
    """Return whether recomputed operators run before what needs all gradients; some do not in MindSpore 2.0."""
    return mindspore_version() >= (2, 1)


def discover_rank() -> Placement:
    """Return which process of its job this is.

    Raises:
        UserError: the launcher's variables contradict each other or are incomplete.
    """
    return place(os.environ)


def job_identity() -> tuple[str, ...]:
    """Return what the processes of this job on this host have in common, and another job has not."""
    return placement_module.job_identity(os.environ)


def scratch_folder(cache: Path = Path("/cache")) -> Path:
    """Return a folder for what a cloud job fetches: /cache where the platform has it, else one in the job's folder."""
    for folder in (cache, Path(os.environ.get("MA_JOB_DIR", ""))):
        if folder != Path() and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path("cache").absolute()


def expect_slow_start() -> None:
    """Give the ranks an hour for their first contact: each host fetches its data before. msrun sets 600 s itself."""
    os.environ.setdefault("HCCL_CONNECT_TIMEOUT", str(SLOW_START_SECONDS))
    told = integer(os.environ, "MS_TOPO_TIMEOUT") or 0
    os.environ["MS_TOPO_TIMEOUT"] = str(max(told, SLOW_START_SECONDS))


def ascend_chip() -> str:
    """Return the name of the Ascend chip, e.g. 'ascend910b'; "" where MindSpore, 2.0, does not tell."""
    from mindspore._c_expression import MSContext

    context = MSContext.get_instance()
    return context.get_ascend_soc_version() if hasattr(context, "get_ascend_soc_version") else ""


def ascend_cards(devices: Path = Path("/dev")) -> int:
    """Return the number of Ascend devices that the driver shows."""
    return len([path for path in devices.glob("davinci*") if path.name[len("davinci") :].isdigit()])


def ascend_found() -> bool:
    """Return whether a job here will run on Ascend unless it says otherwise; without importing MindSpore."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.version("mindspore-ascend"))
    return ascend_cards() > 0


def clusters_on_ascend() -> bool:
    """Return whether MindSpore connects processes on Ascend without mpirun or a rank table; documented since 2.1."""
    return mindspore_version()[:2] != (2, 0)


def saturates() -> bool:
    """Return whether networks made now run on a chip that computes the largest number where others compute infinity.

    The Ascend 910 (A1) always does, the 910B and later ones where MS_ASCEND_CHECK_OVERFLOW_MODE asks for it. MindSpore
    2.0 does not know that variable and asks the chip's register on every Ascend.
    """
    import mindspore as ms

    if ms.get_context("device_target") != "Ascend":
        return False
    asked_for = os.environ.get("MS_ASCEND_CHECK_OVERFLOW_MODE") == "SATURATION_MODE"
    return mindspore_version() < (2, 1) or asked_for or ascend_chip() in FIRST_910


def is_scheduler() -> bool:
    """Return whether this process is the scheduler of a job, which trains nothing."""
    return os.environ.get("MS_ROLE") == "MS_SCHED"


def choose_device(
    device_target: str | None, device_id: int | None, placement: Placement | None = None
) -> tuple[str, int]:
    """Return the device to use: what was asked for, else Ascend where MindSpore finds one, else the CPU.

    Without a number it is DEVICE_ID, then ASCEND_DEVICE_ID, then the rank table's, then the rank's on the host. Under
    mpirun the variables are the same for all ranks and mean nothing.

    Raises:
        UserError: one number was given for several processes.
    """
    import mindspore as ms

    if device_target is None:  # the context's default is the best device with a plug-in, in every version since 2.0
        device_target = "Ascend" if ms.get_context("device_target") == "Ascend" else "CPU"
        logger.info("device target: %s (chosen; --device_target overrides)", device_target)
    placement = placement or Placement(SINGLE)
    if placement.local_size > 1 and device_id is not None:
        raise UserError(f"--device_id {device_id}: each of {placement.local_size} processes takes a device of its own")
    names = () if placement.launcher == MPIRUN else ("DEVICE_ID", "ASCEND_DEVICE_ID")
    told = [integer(os.environ, name) for name in names]
    candidates = (device_id, *told, placement.device_id, placement.local_rank)
    return device_target, next(number for number in candidates if number is not None)


def set_device(device_target: str, device_id: int) -> None:
    """Select the device.

    Raises:
        UserError: MindSpore has no such device on this machine.
    """
    import mindspore as ms

    if device_target == "CPU" == ms.get_context("device_target"):
        return  # the default without an accelerator; setting it again in a process that has computed is an error
    try:
        if hasattr(ms, "set_device"):  # 2.5 and later, where set_context(device_target=...) is deprecated
            ms.set_device(device_target, 0 if device_target == "CPU" else device_id)
        elif device_target == "CPU":
            ms.set_context(device_target=device_target)
        else:
            ms.set_context(device_target=device_target, device_id=device_id)
    except (RuntimeError, ValueError) as err:
        raise UserError(
            f"MindSpore {ms.__version__} finds no {device_target} device {device_id} here; try device CPU"
        ) from err


def convolutions_are_float16() -> bool:
    """Return whether convolutions on any Ascend are float16 whatever is asked: MindSpore 2.0 registers no other."""
    return mindspore_version() < (2, 1)


def preferred_jit_level() -> str:
    """Return the execution level to set on Ascend by default, "" for MindSpore's own.

    MindSpore 2.5 and later take O0 on all but the first Ascend 910, which optimises next to nothing; published
    convolutional networks are trained with O2, the graph engine. That engine is deprecated from 2.9 on.
    """
    return "O2" if (2, 5) <= mindspore_version() < (2, 9) else ""


def own_jit_level() -> str:
    """Return the execution level that MindSpore takes on this Ascend when none is set; "" before 2.5: not known."""
    level = "O2" if ascend_chip() in FIRST_910 else "O0"
    return level if mindspore_version() >= (2, 5) else ""


def rank_table_sets_jit_level() -> bool:
    """Return whether MindSpore takes O2 whatever was set, as it does where a table, and no scheduler, has the ranks."""
    return mindspore_version() >= (2, 3) and placement_module.has_rank_table(os.environ)


def start_profiler(folder: Path) -> Callable[[], None]:
    """Let MindSpore's profiler record from now on; return what ends that and writes the results to `folder`."""
    import mindspore as ms

    if hasattr(ms.profiler, "profile"):  # 2.5 and later, where Profiler is deprecated
        handler = ms.profiler.tensorboard_trace_handler(str(folder))
        profiler = ms.profiler.profile(start_profile=False, on_trace_ready=handler)
        profiler.start()
        return profiler.stop
    return ms.Profiler(output_path=str(folder)).analyse


@functools.cache  # MindSpore 2.5 and later take the number once in a process
def set_cpu_threads(number: int) -> None:
    """Let the CPU kernels use `number` threads."""
    import mindspore as ms

    if hasattr(ms, "device_context") and hasattr(ms.device_context, "cpu"):  # 2.5 and later
        ms.device_context.cpu.op_tuning.threads_num(number)
    else:
        ms.set_context(runtime_num_threads=number)


def scheduler_answer_delay() -> float:
    """Return the seconds by which a scheduler's answers to the ranks of a job on the CPU are held up.

    A rank of MindSpore 2.0 misses an answer that comes before it has begun to wait; 2.7 and later lose none.
    """
    return 0.2 if mindspore_version() < (2, 1) else 0.0


def init_cluster() -> int:
    """Let MindSpore connect the processes of the job; return this one's rank."""
    import mindspore as ms
    from mindspore.communication import get_rank, init

    os.environ.setdefault("HCCL_CONNECT_TIMEOUT", str(HCCL_TIMEOUT_SECONDS))
    if mindspore_version() < (2, 1):  # 2.0 asks for certificates otherwise
        ms.set_ps_context(enable_ssl=False)
    init()
    return get_rank()


def has_own_scheduler() -> bool:
    """Return whether the scheduler of this process's job is one that scripts/launch_ranks.py has started."""
    return bool(os.environ.get(OWN_SCHEDULER))


def meet_by_mpi(placement: Placement) -> None:
    """Tell MindSpore where the scheduler is that rank 0 starts under mpirun, which does not know of any."""
    os.environ.update(meet(placement, os.environ, scheduler_answer_delay()))
