"""Processes of the product that are killed, terminated, stopped, or kept away."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from dataclasses import replace

import psutil

from tests.chaos.storm.faults import Acting, at_once, fault, lasting
from tests.chaos.storm.product import Product
from tests.fleet import Unit

SKEW_SECONDS = 300
IN_HAND, IN_HAND_SECONDS = 8, 5


def _master(unit: Unit, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        psutil.Process(unit.pid).send_signal(number)


def _away(units: list[Unit]) -> Acting:
    """Kill them, and let them be away until the time is over."""
    for unit in units:
        unit.wanted = False
        unit.signal_group(signal.SIGKILL)

    def back() -> None:
        for unit in units:
            unit.wanted = True

    yield from lasting(back)


def _frozen(unit: Unit) -> Acting:
    unit.signal_group(signal.SIGSTOP)
    yield from lasting(lambda: unit.signal_group(signal.SIGCONT))


@fault("worker-kill")
def worker_kill(product: Product, dice: random.Random) -> Acting:
    product.any_worker(dice).kill_children()
    yield from at_once()


@fault("worker-kill-group")
def worker_kill_group(product: Product, dice: random.Random) -> Acting:
    product.any_worker(dice).signal_group(signal.SIGKILL)
    yield from at_once()


@fault("worker-kill-master")
def worker_kill_master(product: Product, dice: random.Random) -> Acting:
    _master(product.any_worker(dice), signal.SIGKILL)
    yield from at_once()


@fault("workers-kill-all")
def workers_kill_all(product: Product, _dice: random.Random) -> Acting:
    for unit in product.workers:
        unit.signal_group(signal.SIGKILL)
    yield from at_once()


@fault("worker-term")
def worker_term(product: Product, dice: random.Random) -> Acting:
    _master(product.any_worker(dice), signal.SIGTERM)
    yield from at_once()


@fault("worker-term-twice")
def worker_term_twice(product: Product, dice: random.Random) -> Acting:
    unit = product.any_worker(dice)
    unit.signal_group(signal.SIGTERM)
    time.sleep(0.3)
    unit.signal_group(signal.SIGTERM)
    yield from at_once()


@fault("worker-term-kill")
def worker_term_kill(product: Product, dice: random.Random) -> Acting:
    unit = product.any_worker(dice)
    unit.signal_group(signal.SIGTERM)
    yield from lasting(lambda: unit.signal_group(signal.SIGKILL))


@fault("worker-freeze")
def worker_freeze(product: Product, dice: random.Random) -> Acting:
    """With jobs in hand that do not end before others have taken them over."""
    unit = product.any_worker(dice)
    product.errand(
        lambda: [
            product.submit("storm-stubborn", "stubborn", priority="critical", seconds=IN_HAND_SECONDS)
            for _ in range(IN_HAND)
        ]
    )
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        yield
    yield from _frozen(unit)


@fault("workers-away")
def workers_away(product: Product, _dice: random.Random) -> Acting:
    yield from _away(product.workers)


@fault("worker-clock")
def worker_clock(product: Product, dice: random.Random) -> Acting:
    skew = dice.choice((-SKEW_SECONDS, SKEW_SECONDS))
    units = [product.workers[1], product.schedulers[1]]
    before = [unit.program for unit in units]
    for unit in units:
        wrong = {**unit.program.environ, "STORM_SKEW_SECONDS": str(skew)}
        unit.program = replace(unit.program, environ=wrong)
        _master(unit, signal.SIGTERM)

    def right() -> None:
        for unit, program in zip(units, before, strict=True):
            unit.program = program
            _master(unit, signal.SIGTERM)

    yield from lasting(right)


@fault("web-kill")
def web_kill(product: Product, dice: random.Random) -> Acting:
    dice.choice(product.webs).kill_children()
    yield from at_once()


@fault("web-kill-group")
def web_kill_group(product: Product, dice: random.Random) -> Acting:
    dice.choice(product.webs).signal_group(signal.SIGKILL)
    yield from at_once()


@fault("web-term")
def web_term(product: Product, dice: random.Random) -> Acting:
    _master(dice.choice(product.webs), signal.SIGTERM)
    yield from at_once()


@fault("web-freeze")
def web_freeze(product: Product, dice: random.Random) -> Acting:
    yield from _frozen(dice.choice(product.webs))


@fault("scheduler-kill")
def scheduler_kill(product: Product, dice: random.Random) -> Acting:
    dice.choice(product.schedulers).signal_group(signal.SIGKILL)
    yield from at_once()


@fault("scheduler-term")
def scheduler_term(product: Product, dice: random.Random) -> Acting:
    _master(dice.choice(product.schedulers), signal.SIGTERM)
    yield from at_once()


@fault("scheduler-freeze")
def scheduler_freeze(product: Product, dice: random.Random) -> Acting:
    yield from _frozen(dice.choice(product.schedulers))


@fault("schedulers-away")
def schedulers_away(product: Product, _dice: random.Random) -> Acting:
    yield from _away(product.schedulers)
