"""Check 9: the speed of a step at every execution level that MindSpore has, each in a separate process."""

from __future__ import annotations

import dataclasses

from src.utils import local_adapter
from tools.device_check.result import Result, Settings, nearest_to_bound
from tools.device_check.worker import in_process

LEVELS = ("O0", "O1", "O2")
DEPTHWISE = ("grouped", "repeat")
MOST = 10.0  # accepted time of a step, in forward passes
MOST_AI_CPU = 0.01  # accepted share of one AI CPU operator in the time of a step


def check_speed(settings: Settings) -> Result:
    """Check 9: compare the full step with the forward pass, and on Ascend the AI CPU's share; name the fastest forms.

    A backward pass is about two forward passes; far more means that an operator has no kernel for the device.
    """
    code, figures, log = in_process("times", settings)
    if figures is None:
        return Result(float("inf"), 1.0, "the forward pass", f"see {log}", {"exit code": code})
    best = min(DEPTHWISE, key=figures.__getitem__)
    chosen = [f"net_args.depthwise_expand={best}"]
    steps = {figures["level"] or "auto": figures[best]}
    for level in other_levels(settings, figures["level"]):
        options = (*settings.options, *chosen, f"jit_level={level}")
        _, found, _ = in_process("step_time", dataclasses.replace(settings, options=options), f"step_time_{level}")
        if found:  # MindSpore may reject a level; see the log
            steps[level] = found["step"]
    if len(steps) > 1:  # on Ascend
        chosen.append(f"jit_level={min(steps, key=steps.__getitem__)}")
        figures |= {f"step at {level}": step for level, step in steps.items()}
    parts = {"step": (min(steps.values()) / figures["forward"], MOST)}
    if settings.device_target != "CPU":
        options = (*settings.options, *chosen)
        _, shares, _ = in_process("on_ai_cpu", dataclasses.replace(settings, options=options))
        figures["operators on the AI CPU"] = "unknown" if shares is None else str(shares)
        parts["AI CPU"] = (max((shares or {}).values(), default=0.0), MOST_AI_CPU)
    details = {name: value if isinstance(value, str) else round(value, 1) for name, value in figures.items()}
    details["take"] = " ".join(chosen)
    return Result(
        nearest_to_bound(parts),
        1.0,
        "the forward pass, and the profiler, parts of the bounds",
        "an operator without a kernel for the device: the details or train.py --run_profiler True name it; report it",
        details,
    )


def other_levels(settings: Settings, own: str) -> tuple[str, ...]:
    """Return the execution levels to compare with that of training; none but on Ascend with MindSpore 2.3 or later."""
    if settings.device_target == "CPU" or local_adapter.mindspore_version() < (2, 3):
        return ()
    if local_adapter.rank_table_sets_jit_level():
        return ()
    return tuple(level for level in LEVELS if level != own)
