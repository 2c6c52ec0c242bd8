"""One product for the whole suite, and the people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.journeys.asking import JOURNEYS_KEY
from tests.journeys.contract import Contract
from tests.journeys.person import Person
from tests.journeys.product import API_KEY, Product, running
from tests.journeys.willing import willing
from tests.model_server import Model


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    """What the language models of the suite are: a local server with their protocol."""
    with willing() as made:
        yield made


@pytest.fixture(scope="session")
def product(model: Model) -> Iterator[Product]:
    """The running Callboard of the suite."""
    with running(
        LLM_PROVIDERS="openai",
        OPENAI_BASE_URL=f"{model.url}/v1",
        OPENAI_API_KEY="sk-journeys",
        JOURNEYS_KEY=JOURNEYS_KEY,
    ) as made:
        yield made


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
