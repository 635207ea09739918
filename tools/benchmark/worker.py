"""Child processes that do the measured work, controlled by JSON objects, one per line, over pipes.

Each piece of work runs in a separate process, so that its peak memory is its own and thread pools of two frameworks
never share a process. A child that waits for a command uses no CPU, so children of several frameworks can alternate.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import UserError
from src.base.memory import peak_memory_mb
from src.distributed.child_process import end_with_parent, module_environment
from tools.benchmark.onednn import OutputCollector

ROOT = Path(__file__).resolve().parents[2]
Commands = dict[str, Callable[..., dict]]


class ChildError(RuntimeError):
    """A child process died; `code` is its exit code."""

    def __init__(self, command: str, code: int, words: str) -> None:
        super().__init__(f"{command!r} failed in a child process, exit code {code}:\n{words}")
        self.code = code


class Worker:
    """A child process that runs `serve`; use it as a context manager, which ends the child.

    Args:
        command: program and arguments of the child.
        spec: keyword arguments for the child's `build`.
        environment: variables to set in addition to those of this process.

    Attributes:
        start_seconds: from the start of the process until everything was built.
        built: the answer of `build`.

    Raises:
        UserError: the child reports a user error.
        ChildError: the child died; the message has the end of its standard error.
    """

    def __init__(self, command: Sequence[str], spec: dict, environment: Mapping[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        start = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=module_environment({**os.environ, **(environment or {})}),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            preexec_fn=lambda: end_with_parent(signal.SIGTERM),
        )
        assert self.process.stdin is not None  # they are pipes
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout
        try:
            self.built = self.ask("build", **spec)
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - start

    def ask(self, command: str, **arguments: Any) -> dict:
        """Send a command and wait for its answer."""
        with suppress(BrokenPipeError):  # reported when the answer is missing
            self.questions.write(json.dumps({"command": command, **arguments}) + "\n")
            self.questions.flush()
        line = self.answers.readline()
        if not line:
            code = self.process.wait()
            raise ChildError(command, code, self._tail())
        answer = json.loads(line)
        if "user_error" in answer:
            raise UserError(answer["user_error"])
        return answer

    def _tail(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-3000:]

    def close(self) -> None:
        """End the child."""
        with suppress(BrokenPipeError):
            self.questions.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
        self.errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(build: Callable[..., tuple[dict, Commands]]) -> None:
    """Answer commands from standard input until it ends.

    Args:
        build: called by the first command; returns its answer and the further commands by name.
    """
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries write to standard output, too
    commands: Commands = {"peak": lambda: {"peak_mb": peak_memory_mb()}}
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("command")
        try:
            if name == "build":
                answer, more = build(**request)
                commands.update(more)
            else:
                answer = commands[name](**request)
        except UserError as err:
            answer = {"user_error": str(err)}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


def step_commands(step: Callable[[], object]) -> Commands:
    """Make the commands 'run' and 'profile' for a function without arguments."""

    def profile(times: int) -> dict:
        collector = OutputCollector()
        return {"steps": [collector.collect(lambda: timed(step, 1)[0]) for _ in range(times)]}

    return {"run": lambda times: {"ms": timed(step, times)}, "profile": profile}


def timed(step: Callable[[], object], times: int) -> list[float]:
    """Call `step` several times; return the milliseconds of each call."""
    samples = []
    for _ in range(times):
        start = time.perf_counter()
        step()
        samples.append((time.perf_counter() - start) * 1000)
    return samples


def random_image(shape: Sequence[int]) -> np.ndarray:
    """Return the random float32 image of `shape` (N, 3, H, W) that every runtime gets."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def last_line(done: subprocess.CompletedProcess) -> str:
    """Return the last line that a program wrote to standard error, or else to standard output."""
    return (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
