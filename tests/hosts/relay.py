"""`python -m tests.hosts.relay SECONDS HOST:PORT=HOST:PORT ...`: a long wire; each end hears the other so much later.

The kernels that tests run on have no netem. What is said arrives in order and whole, only later.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

CHUNK = 65_536


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Hand on what comes in, each piece `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def listen() -> None:
        data = b"first"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            under_way.put_nowait((loop.time() + delay, data))

    listening = asyncio.ensure_future(listen())
    with suppress(OSError):
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(at - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    listening.cancel()
    writer.close()


async def serve(listen: str, target: str, delay: float) -> None:
    """Accept at `listen` for ever, and carry on to `target`."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        there, out = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, out, delay), carry(there, writer, delay))

    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(accept, host, int(port))
    await server.serve_forever()


async def main(delay: float, wires: list[str]) -> None:
    """All wires at once."""
    await asyncio.gather(*(serve(*wire.split("=", 1), delay) for wire in wires))  # type: ignore[call-arg]


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))
