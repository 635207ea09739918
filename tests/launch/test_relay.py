"""The relay before MindSpore 2.0's scheduler, with a server of the test's own in the scheduler's place."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest

from scripts import run_rank
from src.base.errors import UserError
from src.distributed import scheduler
from src.distributed.scheduler import LOOPBACK, free_port
from src.launch.relay import relay
from src.utils import entry, local_adapter
from tests.run_helpers import ROOT


@contextlib.asynccontextmanager
async def relayed(handler, delay: float):
    """Let `handler` serve behind a relay; yield what connects to the relay."""
    own, end, listener = free_port(), asyncio.Event(), socket.socket()
    listener.bind((LOOPBACK, 0))
    port = listener.getsockname()[1]
    async with await asyncio.start_server(handler, LOOPBACK, own):
        task = asyncio.create_task(relay(listener, own, delay=delay, end=end.wait()))
        await asyncio.sleep(0.1)
        yield lambda: asyncio.open_connection(LOOPBACK, port), end
        end.set()
        await task
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, port)


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


def test_an_answer_is_held_up():
    async def ask() -> float:
        async with relayed(echo, 0.3) as (connect, _):
            reader, writer = await connect()
            start = time.monotonic()
            writer.write(b"who am I?")
            assert await reader.readexactly(9) == b"who am I?"
            writer.close()
            return time.monotonic() - start

    assert asyncio.run(ask()) >= 0.3


def test_what_a_rank_says_is_not_held_up():
    async def say() -> bytes:
        heard = asyncio.Queue()

        async def listen(reader, writer):
            heard.put_nowait(await reader.readexactly(5))
            writer.write(b"yes")
            await reader.read()
            writer.close()

        async with relayed(listen, 2.0) as (connect, _):
            reader, writer = await connect()
            writer.write(b"here!")
            said = await asyncio.wait_for(heard.get(), 1.5)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
            writer.close()
        return said

    assert asyncio.run(say()) == b"here!"


def test_ranks_get_their_own_answers_whole_and_in_order():
    async def ask(connect, data: bytes) -> bytes:
        reader, writer = await connect()
        writer.write(data)
        got = await reader.readexactly(len(data))
        writer.close()
        return got

    async def ask_all() -> None:
        messages = [bytes([number]) * 99 + bytes(range(256)) * 2000 for number in range(5)]
        async with relayed(echo, 0.01) as (connect, _):
            assert await asyncio.gather(*(ask(connect, data) for data in messages)) == messages

    asyncio.run(ask_all())


def test_what_is_held_up_in_the_end_arrives():
    async def ask() -> bytes:
        async with relayed(echo, 0.3) as (connect, end):
            reader, writer = await connect()
            writer.write(b"bye")
            await asyncio.sleep(0.1)  # the answer is on its way
            end.set()
            answer = await reader.readexactly(3)
            writer.close()
        return answer

    assert asyncio.run(ask()) == b"bye"


def test_who_leaves_is_missed_on_the_other_side():
    async def leave() -> None:
        left = asyncio.Queue()

        async def listen(reader, writer):
            if await reader.read(1) != b"q":  # with it the scheduler leaves first
                left.put_nowait("rank")
            writer.close()

        async with relayed(listen, 0.01) as (connect, _):
            reader, writer = await connect()
            writer.write(b"q")
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
            _, writer = await connect()
            writer.close()
            assert await asyncio.wait_for(left.get(), 30) == "rank"

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("version", "module"),
    [((2, 0), "src.launch.relay"), ((2, 7), "src.launch.scheduler_process"), ((2, 10), "src.launch.scheduler_process")],
)
def test_which_versions_have_a_relay(monkeypatch, tmp_path, version, module):
    """What is started is a program that writes down its arguments and ends."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    monkeypatch.setattr(scheduler.sys, "executable", str(program))
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    with pytest.raises(UserError, match="did not start"):
        scheduler.start_scheduler(LOOPBACK, free_port(), 2, {}, answer_delay=local_adapter.scheduler_answer_delay())
    assert (tmp_path / "arguments").read_text().split() == ["-m", module]


@pytest.mark.parametrize("start", [lambda: entry.run_entry(None), lambda: run_rank.main([])])
def test_a_script_in_the_schedulers_role_has_a_relay_too(monkeypatch, start):
    """A job whose processes were started by hand, with MS_ROLE."""
    started = []
    monkeypatch.setenv("MS_ROLE", "MS_SCHED")
    monkeypatch.setenv("MS_TOPO_TIMEOUT", "3600")  # so that what is changed is undone
    monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "3600")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: (2, 0))
    monkeypatch.setattr(run_rank, "end_with_parent", lambda number: None)

    def execute(program: str, words: list[str]) -> None:
        started.append(words)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execute)
    with pytest.raises(SystemExit):
        start()
    assert started == [[sys.executable, "-m", "src.launch.relay"]]


def test_what_the_relay_lacks_is_one_line():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MS_")}
    words = [sys.executable, "-m", "src.launch.relay"]
    with socket.create_server((LOOPBACK, 0)) as taken:
        told = {"MS_SCHED_HOST": LOOPBACK, "MS_SCHED_PORT": str(taken.getsockname()[1]), "MS_WORKER_NUM": "2"}
        for more, reason in (({}, "a scheduler needs the variables MS_SCHED_HOST"), (told, "Address already in use")):
            done = subprocess.run(
                words, cwd=ROOT, env={**environment, **more}, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert reason in done.stderr
