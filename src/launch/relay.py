"""A relay in front of the scheduler of a job on the CPU, which delays its answers.

A rank of MindSpore 2.0 that asks the scheduler misses an answer that arrives before it has started to wait, and gives
up after half a minute. That happens if the scheduler is faster than the rank, as on a busy machine. The relay therefore
delays answers; requests of the ranks are forwarded at once.

Started instead of the scheduler, with the same variables: ``python -m src.launch.relay``. It starts the scheduler,
reachable from this host only, and ends with it; the scheduler never outlives the relay.
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


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Forward data `delay` seconds after it arrived; close the writer once the reader's side has closed."""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(CHUNK):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()


async def relay(listener: socket.socket, port: int, *, delay: float, end: Awaitable) -> None:
    """Relay connections to the scheduler until `end` completes and the delayed answers are delivered.

    Args:
        listener: bound to the address that the ranks connect to; closed at the end.
        port: the scheduler's own port on this host.
        delay: seconds by which answers are delayed.
        end: completes when the scheduler has ended.
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
        await asyncio.gather(_forward(from_rank, to_scheduler, 0), _forward(from_scheduler, to_rank, delay))

    server = await asyncio.start_server(connect, sock=listener)
    try:
        await end
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=delay + 1)


async def main() -> None:
    """Start the scheduler of the job that the environment variables describe, and relay its connections."""
    host, port, rank_size = scheduler_place(os.environ)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))  # reserve it while the scheduler starts; the ranks are served afterwards
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
