"""What can happen between one worker and its servers."""

from __future__ import annotations

import random

from tests.chaos.storm.faults import Acting, Fault, fault, lasting
from tests.chaos.storm.product import Product
from tests.chaos.storm.wires import Mood

MOODS: tuple[Mood, ...] = ("cut", "hole", "reply", "slow")


def _moody(server: str, mood: Mood) -> Fault:
    def acting(product: Product, _dice: random.Random) -> Acting:
        wire = product.redis_wire if server == "redis" else product.postgres_wire
        wire.feel(mood)
        yield from lasting(lambda: wire.feel("well"))

    return acting


for _server in ("redis", "postgres"):
    for _mood in MOODS:
        fault(f"wire-{_server}-{_mood}")(_moody(_server, _mood))
