"""Work that harms: jobs that kill, take all memory or are too large, cancellations at the worst moment, full disks,
receivers that fail."""

from __future__ import annotations

import random
import time
from contextlib import suppress

from app.db import AWAY, db
from app.errors import CallboardError
from app.jobs import lifecycle
from tests.chaos.storm.agents import KILLER
from tests.chaos.storm.faults import Acting, at_once, fault, lasting
from tests.chaos.storm.product import NotHere, Product
from tests.webhook_receiver import CLOSE, HANG, Answer

RACES = 30


@fault("worker-poison")
def worker_poison(product: Product, _dice: random.Random) -> Acting:
    product.errand(lambda: product.submit(KILLER, "poison"))
    yield from at_once()


@fault("out-of-memory")
def out_of_memory(product: Product, _dice: random.Random) -> Acting:
    product.errand(lambda: [product.submit("storm-hog", "hog") for _ in range(2)])
    yield from at_once()


@fault("huge")
def huge(product: Product, _dice: random.Random) -> Acting:
    def submit() -> None:
        product.submit("storm-huge", "large", bytes=900_000, lines=2000)
        product.submit("storm-huge", "too-large", bytes=20_000_000)
        product.submit("storm-flood", "flood")
        product.submit("storm-echo", "echo", text="y" * 900_000)
        with suppress(CallboardError):
            product.submit("storm-echo", "huge", text="y" * 50_000_000)

    product.errand(submit)
    yield from at_once()


@fault("cancel-races")
def cancel_races(product: Product, dice: random.Random) -> Acting:
    delays = [dice.uniform(0, 0.3) for _ in range(RACES)]
    lengths = [dice.choice((0.05, 0.1, 0.3, 2)) for _ in range(RACES)]

    def race(number: int) -> None:
        agent_id, kind = (("storm-nap", "cancelled"), ("storm-tree", "cancelled-tree"))[number % 10 == 0]
        job_id = product.submit(agent_id, kind, seconds=lengths[number])
        if job_id is None:
            return
        time.sleep(delays[number])
        with suppress(CallboardError, *AWAY), db.quick():
            lifecycle.cancel(job_id)

    for at_once_ in range(4):
        product.errand(lambda first=at_once_: [race(number) for number in range(first, RACES, 4)])  # type: ignore[misc]
    yield from at_once()


@fault("disk-full")
def disk_full(product: Product, _dice: random.Random) -> Acting:
    if product.disk is None:
        raise NotHere(
            "the folder of artifacts gets a disk of its own only for root, where mounting is allowed"
        )
    filler = product.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    yield from lasting(lambda: filler.unlink(missing_ok=True))


def _answering(product: Product, answers: tuple[Answer, ...], dice: random.Random) -> Acting:
    product.receiver.choose = lambda _received: dice.choice(answers)

    def well() -> None:
        product.receiver.choose = None

    yield from lasting(well)


@fault("receiver-fails")
def receiver_fails(product: Product, dice: random.Random) -> Acting:
    yield from _answering(product, (Answer(500), Answer(503), Answer(429, {"Retry-After": "1"})), dice)


@fault("receiver-hangs")
def receiver_hangs(product: Product, dice: random.Random) -> Acting:
    yield from _answering(product, (HANG, CLOSE), dice)
