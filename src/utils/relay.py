"""A relay before the scheduler of a job on the CPU, which holds up its answers.

A rank of MindSpore 2.0 that asks the scheduler something misses an answer that comes before it has begun to wait, and
gives up after half a minute. So it goes where the scheduler is quicker than the rank, as on a busy machine. Here an
answer is passed on only after a while; what the ranks say is passed on at once.

Started in the scheduler's place: ``python -m src.utils.relay``, with the same variables. It starts the scheduler, on
this host alone, and ends with it; the scheduler never outlives the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Awaitable

from src.utils.child_process import end_with_parent
from src.utils.local_adapter import scheduler_answer_delay
from src.utils.scheduler import LOOPBACK, free_port, start_scheduler

CHUNK = 1 << 16


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what comes, `delay` seconds later; when one side has closed its connection, close the other's."""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(CHUNK):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()


async def _connect(
    host: str, port: int, delay: float, from_rank: asyncio.StreamReader, to_rank: asyncio.StreamWriter
) -> None:
    """Connect a rank that has come with the scheduler, until one of them leaves."""
    try:
        from_scheduler, to_scheduler = await asyncio.open_connection(host, port)
    except OSError:  # it has just ended
        to_rank.close()
        return
    await asyncio.gather(_pass_on(from_rank, to_scheduler, 0), _pass_on(from_scheduler, to_rank, delay))


async def relay(address: tuple[str, int], scheduler: tuple[str, int], delay: float, end: Awaitable) -> None:
    """Stand at `address` for the scheduler, until `end` comes.

    Args:
        address: host and port at which the ranks look for the scheduler.
        scheduler: host and port at which it really listens.
        delay: seconds by which its answers are held up.
        end: what to wait for.
    """
    server = await asyncio.start_server(functools.partial(_connect, *scheduler, delay), *address)
    try:
        await end
    finally:
        server.close()


async def main() -> None:
    """Start the scheduler of the job that the variables describe, and stand for it."""
    address = os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"])
    own = LOOPBACK, free_port()
    process = start_scheduler(*own, int(os.environ["MS_WORKER_NUM"]), os.environ, None, delay=0)
    await relay(address, own, scheduler_answer_delay(), asyncio.to_thread(process.wait))


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    asyncio.run(main())
