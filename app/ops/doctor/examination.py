"""Runs the checks: each in a thread of its own, so that none can hold up, or break, another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext

import psycopg2
import redis

from app import clock
from app.db import AWAY, db
from app.observe import logs
from app.ops.doctor.checks import BROKER, CHECKS, POSTGRES
from app.ops.doctor.findings import Check, Finding, Report, Result, Said, warning
from app.ops.doctor.place import Place

log = logs.get(__name__)

# Both together are the most that an examination takes.
FIRST_SECONDS = 2.6
THEN_SECONDS = 2.0
STATEMENT_MS = 1500
AT_ONCE = 4
"""So many connections to Postgres are used at most: a small pool is not drained."""
OTHER_SCHEMA = (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn)
AWAY_WORDS = {"postgres": "Postgres does not answer", "redis": "Redis does not answer"}


def examine(place: Place, checks: Iterable[Check] = CHECKS) -> Report:
    """Look at everything; answers within five seconds, whatever is away, frozen or broken."""
    began = time.monotonic()
    gates = _Round(place, (POSTGRES, BROKER))
    chosen = tuple(checks)
    alone = _Round(place, [check for check in chosen if not check.needs])
    found = gates.within(began + FIRST_SECONDS)
    away = {check.name for check in (POSTGRES, BROKER) if not _answers(found[check.name])}
    rest = _Round(place, [check for check in chosen if check.needs and check.needs not in away])
    results = (
        found
        | rest.within(time.monotonic() + THEN_SECONDS)
        | alone.within(began + FIRST_SECONDS + THEN_SECONDS)
    )
    skipped = {
        check.name: Result(check.name, check.title, [], [], AWAY_WORDS[check.needs])
        for check in chosen
        if check.needs in away
    }
    ordered = [(results | skipped)[check.name] for check in (POSTGRES, BROKER, *chosen)]
    return Report(clock.now(), time.monotonic() - began, ordered)


def _answers(result: Result) -> bool:
    """Whether what stands behind this check can be asked more: it told something about itself."""
    return bool(result.facts)


class _Round:
    """Checks that run at the same time."""

    def __init__(self, place: Place, checks: Iterable[Check]) -> None:
        """Start them."""
        self._checks = tuple(checks)
        self._results: dict[str, Result] = {}
        self._seats = threading.Semaphore(AT_ONCE)
        # Not a pool of threads: Python waits for those at its end, however long they hang.
        self._threads = [
            threading.Thread(target=self._run, args=(place, check), name=f"doctor {check.name}", daemon=True)
            for check in self._checks
        ]
        for thread in self._threads:
            thread.start()

    def within(self, end: float) -> dict[str, Result]:
        """The results there are at that time by the monotonic clock; who is not done has taken too long."""
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        done = dict(self._results)
        return {check.name: done.get(check.name) or _late(check) for check in self._checks}

    def _run(self, place: Place, check: Check) -> None:
        said: list[Said] = []
        skipped = ""
        try:
            with self._seats if check.needs == "postgres" else nullcontext():
                _ask(place, check, said)
        except OTHER_SCHEMA:
            skipped = "the schema is not the one this version wants"
        except Exception as broken:  # noqa: BLE001 - one broken check must not hide what the others found
            log.warning("doctor.check_failed", check=check.name, error=type(broken).__name__)
            said.append(_failed(check, broken))
        findings = [each for each in said if isinstance(each, Finding)]
        facts = [each for each in said if isinstance(each, str)]
        self._results[check.name] = Result(check.name, check.title, findings, facts, skipped)


def _ask(place: Place, check: Check, said: list[Said]) -> None:
    if check.needs != "postgres":
        said.extend(check.look(place))
        return
    with db.transaction():
        db.run("SET LOCAL transaction_read_only = on")
        db.run(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
        said.extend(check.look(place))


def _late(check: Check) -> Result:
    late = warning(
        f"{check.title} did not answer in time",
        "What cannot be looked at cannot be known to be well.",
        "Run the doctor again; if it stays so, look at the load of Postgres, Redis and this machine.",
    )
    return Result(check.name, check.title, [late], [])


def _failed(check: Check, broken: Exception) -> Finding:
    gone = isinstance(broken, (*AWAY, redis.RedisError))
    return warning(
        f"{check.title} could not be looked at: {type(broken).__name__}",
        "What cannot be looked at cannot be known to be well.",
        "It went away meanwhile: run the doctor again."
        if gone
        else "Run the doctor again; if it stays so, this is a bug: the log has `doctor.check_failed`.",
    )
