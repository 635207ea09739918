"""The relay before MindSpore 2.0's scheduler, with a server of the test's own in the scheduler's place."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from src.utils import local_adapter, scheduler
from src.utils.errors import UserError
from src.utils.relay import relay
from src.utils.scheduler import LOOPBACK, free_port

FOR_EVER = 3600.0


@contextlib.asynccontextmanager
async def relayed(handler, delay: float):
    """Let `handler` serve behind a relay; yield what connects to the relay."""
    own, port = free_port(), free_port()
    end = asyncio.Event()
    async with await asyncio.start_server(handler, LOOPBACK, own):
        task = asyncio.create_task(relay((LOOPBACK, port), (LOOPBACK, own), delay, end.wait()))
        await asyncio.sleep(0.1)
        yield lambda: asyncio.open_connection(LOOPBACK, port)
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
        async with relayed(echo, 0.3) as connect:
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

        async with relayed(listen, FOR_EVER) as connect:
            reader, writer = await connect()
            writer.write(b"here!")
            said = await asyncio.wait_for(heard.get(), 30)
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
        async with relayed(echo, 0.01) as connect:
            assert await asyncio.gather(*(ask(connect, data) for data in messages)) == messages

    asyncio.run(ask_all())


def test_who_leaves_is_missed_on_the_other_side():
    async def leave() -> None:
        left = asyncio.Queue()

        async def listen(reader, writer):
            if await reader.read(1) == b"q":  # the scheduler leaves first
                writer.close()
            else:
                left.put_nowait("rank")

        async with relayed(listen, 0.01) as connect:
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
    [((2, 0), "src.utils.relay"), ((2, 7), "src.utils.scheduler"), ((2, 10), "src.utils.scheduler")],
)
def test_which_versions_have_a_relay(monkeypatch, tmp_path, version, module):
    """What is started is a program that writes down its arguments and ends."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    monkeypatch.setattr(scheduler.sys, "executable", str(program))
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    with pytest.raises(UserError, match="did not start"):
        scheduler.start_scheduler(LOOPBACK, free_port(), 2, {})
    assert (tmp_path / "arguments").read_text().split() == ["-m", module]
