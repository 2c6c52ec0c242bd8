"""The one loop: coroutines end when their threads want them to."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from actors.models import loop
from app.errors import Cancelled


def quiet() -> None:
    """A patrol with nothing to say."""


def test_a_coroutine_answers_the_thread_that_sent_it() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    assert loop.run(double(21), quiet) == 42


def test_what_a_coroutine_raises_arrives_even_a_time_out_of_its_own() -> None:
    async def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        loop.run(late(), quiet)


def test_all_threads_share_one_loop() -> None:
    loops: list[Any] = []

    async def which() -> None:
        loops.append(asyncio.get_running_loop())

    threads = [threading.Thread(target=lambda: loop.run(which(), quiet)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loops) == 8
    assert set(loops) == {loop.running_loop()}


def test_a_patrol_that_raises_ends_the_coroutine_after_it_has_tidied_up() -> None:
    tidied: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            tidied.append("tidied")

    def stop() -> None:
        raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        loop.run(endless(), stop)

    assert tidied == ["tidied"]
    assert time.monotonic() - began < 10


def test_an_errand_is_cancelled_before_it_began_when_the_loop_is_busy() -> None:
    """Then its coroutine has never run, and still nobody waits for it."""
    busy = threading.Event()

    async def never() -> None:
        raise AssertionError("it was cancelled before")

    def stop() -> None:
        busy.set()
        raise Cancelled

    loop.running_loop().call_soon_threadsafe(busy.wait, 5)
    with pytest.raises(Cancelled):
        loop.run(never(), stop)
