"""How each fault is done and undone. A fault is a generator: it is woken until its time is over, then closed.

@fault("redis-freeze")
def frozen(product, dice):
    product.pair.redis.freeze()
    yield from lasting(product.pair.redis.thaw)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from importlib import import_module
from typing import Any

from tests.chaos.storm.product import Product

Acting = Generator[None, None, None]
Fault = Callable[[Product, random.Random], Acting]

FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """Says that this is how the kind called `name` is done."""

    def known(do: Fault) -> Fault:
        assert name not in FAULTS, name
        FAULTS[name] = do
        return do

    return known


def lasting(undo: Callable[[], Any]) -> Acting:
    """Wait until the time is over, then undo."""
    try:
        while True:
            yield
    finally:
        undo()


def at_once() -> Acting:
    """It was done, and there is nothing to undo."""
    yield


def all_faults() -> dict[str, Fault]:
    """Every fault by its kind's name."""
    for module in ("processes", "brokers", "databases", "wired", "work"):
        import_module(f"tests.chaos.storm.faults_{module}")
    return FAULTS
