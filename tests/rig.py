"""The test session's Postgres and broker, shared by all xdist workers, and fixtures for their parts.

    TEST_DATABASE_URL, TEST_REDIS_URL   use these servers instead; whatever is in them may be lost

With xdist the controller starts the pair before its workers; without it the first test that needs one
does. The template database is migrated once; each worker gets a clone.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
import redis
from psycopg2 import sql

from tests.services import TEMPLATE, Pair, cloned, execute, libpq, migrate, pair, with_database

# Run by .ci/run, and by nobody who does not name them.
SLOW = {"journeys", "browser", "chaos", "long", "hosts", "bench", "slow", "docs"}
REDIS_DATABASES = 16

_shared = ExitStack()  # what this process started and has to stop
_urls: dict[str, str] = {}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the slow suites out unless they are named on the command line."""
    if collection_path.name not in SLOW or collection_path.parent.name != "tests":
        return None
    named = [
        Path(arg.partition("::")[0]).resolve() for arg in config.invocation_params.args if "tests" in str(arg)
    ]
    return None if any(path.is_relative_to(collection_path) for path in named) else True


def pytest_collection_finish() -> None:
    """Thousands of tests and every module stay to the end: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """xdist's controller, for each worker: tell it the URLs."""
    node.workerinput["rig"] = _start()  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    _shared.close()


def _start() -> dict[str, str]:
    """The URLs of a migrated template and of a broker; starts what the environment does not name."""
    if not _urls:
        given = {key: os.environ.get(f"TEST_{key}", "") for key in ("DATABASE_URL", "REDIS_URL")}
        if not all(given.values()):
            started: Pair = _shared.enter_context(pair())
            given["DATABASE_URL"] = given["DATABASE_URL"] or started.postgres.url
            given["REDIS_URL"] = given["REDIS_URL"] or started.redis.url
        _make_template(given["DATABASE_URL"])
        _urls.update(given)
    return _urls


def _make_template(url: str) -> None:
    """An empty database with today's schema; on a given server the old one is replaced."""
    if os.environ.get("TEST_DATABASE_URL"):
        template = sql.Identifier(TEMPLATE)
        execute(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(template))
        execute(url, sql.SQL("CREATE DATABASE {}").format(template))
    migrate(with_database(url, TEMPLATE))


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> dict[str, str]:
    """DATABASE_URL (of the template: clone it, do not use it) and REDIS_URL of this session."""
    handed: dict[str, str] | None = getattr(request.config, "workerinput", {}).get("rig")
    return handed or _start()


@pytest.fixture(scope="session")
def database_url(rig: dict[str, str]) -> Iterator[str]:
    """This worker's own migrated database; tests leave it as they found it (savepoint or DELETE)."""
    with cloned(rig["DATABASE_URL"]) as url:
        yield url


@pytest.fixture
def fresh_database(rig: dict[str, str]) -> Iterator[str]:
    """A migrated, empty database for one test with several processes or real commits."""
    with cloned(rig["DATABASE_URL"]) as url:
        yield url


@pytest.fixture
def connection(fresh_database: str) -> Iterator[psycopg2.extensions.connection]:
    """A plain connection to this test's fresh database."""
    opened = psycopg2.connect(libpq(fresh_database))
    yield opened
    opened.close()


@pytest.fixture
def redis_url(rig: dict[str, str], worker_number: int) -> str:
    """This worker's own, empty Redis database."""
    base, _, _ = rig["REDIS_URL"].partition("?")
    url = f"{base}?db={worker_number % REDIS_DATABASES}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0 for the first xdist worker, or without xdist."""
    name: str = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))
