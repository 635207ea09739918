"""What depends on the machine, the launcher and the MindSpore version, and nothing else.

The only module that reads launcher and device environment variables and the only one that knows MindSpore versions.
MindSpore is imported inside the functions: this module runs before MindSpore loads.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from src.utils.errors import UserError

logger = logging.getLogger(__name__)

ONEDNN_ISA = "ONEDNN_MAX_CPU_ISA"
OLDEST, NEWEST = (2, 0), (2, 10)
# Precision on Ascend: the name in MindSpore and in libmindspore.so, by every name in use; Lite calls them otherwise.
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
# Set by `prepare_environment`, logged by `init_device` once there is a logger.
_notes: list[str] = []


@dataclass(frozen=True)
class Runtime:
    """Where this process runs: device, its number, and its place among the processes of the job."""

    device_target: str
    device_id: int
    rank: int
    rank_size: int
    num_threads: int


def mindspore_version() -> tuple[int, ...]:
    """Return the version of the installed MindSpore, e.g. (2, 8, 0), without importing it; () if there is none."""
    for package in ("mindspore", "mindspore-ascend", "mindspore-gpu"):
        try:
            text = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
    return ()


def cpu_has_avx512(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether the CPU has AVX-512; False where that cannot be read."""
    try:
        return "avx512f" in cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False


def hold_signals() -> None:
    """Import NumPy and OpenCV so that the threads they start never receive SIGINT.

    It is for the main thread alone, which takes it between two training steps. On any other thread MindSpore's own
    handler, which is in force while a graph runs, would turn it into SIGTERM.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for name in ("numpy", "cv2"):
            with contextlib.suppress(ImportError):  # not every module of this package needs both
                importlib.import_module(name)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def prepare_environment() -> None:
    """Do what must be done before MindSpore loads; environment variables that the user has set stay."""
    hold_signals()
    # The oneDNN 3.10 in MindSpore 2.9 and 2.10 has no fast convolution for AVX-512 and takes its reference
    # implementation, hundreds of times slower. Its AVX2 kernels are fine. 2.8 and older need no cap and lose by one.
    if mindspore_version() >= (2, 9) and ONEDNN_ISA not in os.environ and cpu_has_avx512():
        os.environ[ONEDNN_ISA] = "AVX2"
        _notes.append(
            f"{ONEDNN_ISA}=AVX2 set: the oneDNN of MindSpore 2.9 and later is extremely slow with AVX-512; "
            f"set {ONEDNN_ISA} yourself to override"
        )


def onednn_capped_here() -> bool:
    """Tell whether `prepare_environment`, and not the user, has capped oneDNN's instruction set."""
    return any(note.startswith(ONEDNN_ISA) for note in _notes)


def on_cpu() -> bool:
    """Tell whether networks made now will run on the CPU."""
    import mindspore as ms

    return ms.get_context("device_target") == "CPU"


def usable_cores() -> int:
    """Return the number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _integer(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdigit():
        raise UserError(f"environment variable {name} must be a non-negative integer, got {text!r}")
    return int(text)


def discover_rank() -> tuple[int, int]:
    """Return (rank, number of processes) of this process.

    Raises:
        UserError: a launcher started more than one process.
    """
    for size_name in ("RANK_SIZE", "OMPI_COMM_WORLD_SIZE", "MS_WORKER_NUM"):
        size = _integer(size_name)
        if size is not None and size > 1:
            raise UserError(
                f"{size_name}={size}: training on several devices is not part of this version; start one process"
            )
    return 0, 1


def choose_device(device_target: str | None, device_id: int | None) -> tuple[str, int]:
    """Return the device to use: what was asked for, else Ascend where MindSpore finds one, else the CPU.

    Args:
        device_target: "Ascend", "GPU", "CPU" or None.
        device_id: device number, or None for DEVICE_ID, then ASCEND_DEVICE_ID, then 0.
    """
    import mindspore as ms

    if device_target is None:
        # The default of the context is the best device MindSpore found a plug-in for, in every version since 2.0.
        device_target = "Ascend" if ms.get_context("device_target") == "Ascend" else "CPU"
        logger.info("device target: %s (chosen; --device_target overrides)", device_target)
    candidates = (device_id, _integer("DEVICE_ID"), _integer("ASCEND_DEVICE_ID"), 0)
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
            f"MindSpore {ms.__version__} finds no {device_target} device {device_id} here; try --device_target CPU"
        ) from err


def set_precision_mode(name: str) -> None:
    """Set the precision of operators on Ascend, by any name in `PRECISION_MODES`; other devices have no such choice.

    Raises:
        UserError: this MindSpore does not take it.
    """
    import mindspore as ms

    if ms.get_context("device_target") != "Ascend":
        return
    mode = PRECISION_MODES[name]
    try:
        if hasattr(ms, "device_context") and hasattr(ms.device_context, "ascend"):  # 2.5 and later
            ms.device_context.ascend.op_precision.precision_mode(mode)
        else:
            ms.set_context(ascend_config={"precision_mode": mode})
    except (RuntimeError, ValueError) as err:
        raise UserError(f"MindSpore {ms.__version__} does not take precision mode {mode} here") from err


@functools.cache  # MindSpore 2.5 and later take the number once in a process
def set_cpu_threads(number: int) -> None:
    """Let the CPU kernels use `number` threads."""
    import mindspore as ms

    if hasattr(ms, "device_context") and hasattr(ms.device_context, "cpu"):  # 2.5 and later
        ms.device_context.cpu.op_tuning.threads_num(number)
    else:
        ms.set_context(runtime_num_threads=number)


def init_device(device_target: str | None, device_id: int | None, ms_mode: int, num_threads: int | None) -> Runtime:
    """Check the version, find rank and device, and set the MindSpore context.

    Args:
        device_target: "Ascend", "GPU", "CPU" or None for the best one.
        device_id: device number or None.
        ms_mode: 0 graph mode, 1 PyNative mode.
        num_threads: threads of the CPU kernels, None for all cores.

    Raises:
        UserError: MindSpore is missing, of an unknown version, or the device is.
    """
    version = mindspore_version()
    if not OLDEST <= version[:2] <= NEWEST:
        found = ".".join(map(str, version)) or "none"
        raise UserError(f"needs MindSpore 2.0 to 2.10, found {found}; pip install -r requirements.txt")
    rank, rank_size = discover_rank()
    import mindspore as ms

    target, number = choose_device(device_target, device_id)
    set_device(target, number)
    ms.set_context(mode=ms.PYNATIVE_MODE if ms_mode else ms.GRAPH_MODE)
    threads = num_threads or usable_cores()
    if target == "CPU":
        set_cpu_threads(threads)
    for note in _notes:
        logger.info("%s", note)
    logger.info(
        "MindSpore %s, %s mode, device %s %d, rank %d of %d, %d CPU threads",
        ms.__version__, "PyNative" if ms_mode else "graph", target, number, rank, rank_size, threads,
    )  # fmt: skip
    return Runtime(target, number, rank, rank_size, threads)
