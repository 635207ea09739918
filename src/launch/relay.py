"""A relay before the scheduler of a job on the CPU, which holds up its answers.

A rank of MindSpore 2.0 that asks the scheduler something misses an answer that comes before it has begun to wait, and
gives up after half a minute. So it goes where the scheduler is quicker than the rank, as on a busy machine. Here an
answer is passed on only after a while; what the ranks say is passed on at once.

Started in the scheduler's place: ``python -m src.launch.relay``, with the same variables. It starts the scheduler, on
this host alone, and ends with it; the scheduler never outlives the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable

from src.base.errors import UserError
from src.distributed.child_process import end_with_parent
from src.distributed.placement import scheduler_place
from src.distributed.scheduler import LOOPBACK, free_port, start_scheduler
from src.utils.local_adapter import scheduler_answer_delay

CHUNK = 1 << 16


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what comes, `delay` seconds later; when one side has closed its connection, close the other's."""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(CHUNK):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()


async def relay(listener: socket.socket, port: int, *, delay: float, end: Awaitable) -> None:
    """Stand for the scheduler until `end` comes, and until what was held up then is passed on.

    Args:
        listener: bound to the address at which the ranks look for the scheduler; closed in the end.
        port: where the scheduler really listens, on this host.
        delay: seconds by which its answers are held up.
        end: what to wait for.
    """
    connections: set[asyncio.Task] = set()

    async def connect(from_rank: asyncio.StreamReader, to_rank: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        connections.add(task)
        try:
            from_scheduler, to_scheduler = await asyncio.open_connection(LOOPBACK, port)
        except OSError:  # it has just ended
            to_rank.close()
            return
        await asyncio.gather(_pass_on(from_rank, to_scheduler, 0), _pass_on(from_scheduler, to_rank, delay))

    server = await asyncio.start_server(connect, sock=listener)
    try:
        await end
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=delay + 1)


async def main() -> None:
    """Start the scheduler of the job that the variables describe, and stand for it."""
    host, port, rank_size = scheduler_place(os.environ)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))  # nobody else gets it while the scheduler starts; heard are the ranks afterwards
        own = free_port()
        process = start_scheduler(LOOPBACK, own, rank_size, os.environ, output=None)
        await relay(listener, own, delay=scheduler_answer_delay(), end=asyncio.to_thread(process.wait))


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    try:
        asyncio.run(main())
    except (UserError, OSError) as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(2)
