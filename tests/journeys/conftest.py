"""One product for the whole suite, and the people who use it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.journeys.contract import Contract
from tests.journeys.person import Person
from tests.journeys.product import API_KEY, Product


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """A running Callboard; at the end SIGTERM must end it, and leave no process."""
    home = Path(tempfile.mkdtemp(prefix="cb-j-"))  # short: sockets lie in it
    running = Product(home)
    running.start()
    yield running
    code = running.stop()

    assert code == 0, running.said.read_text()
    assert running.processes() == []
    running.said.unlink()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def person(product: Product) -> Iterator[Callable[[str | None], Person]]:
    """Makes a caller with a credential of their own."""
    contract = Contract(httpx2.get(f"{product.url}/api/openapi.json").json())
    with ExitStack() as stack:
        yield lambda token: stack.enter_context(Person(product.url, token, contract))


@pytest.fixture(scope="session")
def admin(person: Callable[[str | None], Person]) -> Person:
    """The first admin, by API key."""
    return person(API_KEY)


@pytest.fixture(scope="session")
def nobody(person: Callable[[str | None], Person]) -> Person:
    """Somebody without a credential."""
    return person(None)
