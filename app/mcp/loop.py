"""The loop of /mcp: one thread in a web process that runs the SDK for as long as the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from threading import Event, Thread


def start(
    stay: Callable[[], AbstractAsyncContextManager[None]], seconds: float
) -> asyncio.AbstractEventLoop | None:
    """Run a loop inside of `stay()` in a thread; None if that is not entered within `seconds`."""
    loop, ready = asyncio.new_event_loop(), Event()

    async def live() -> None:
        async with stay():
            ready.set()
            await asyncio.Event().wait()

    Thread(target=loop.run_until_complete, args=(live(),), name="mcp", daemon=True).start()
    return loop if ready.wait(seconds) else None
