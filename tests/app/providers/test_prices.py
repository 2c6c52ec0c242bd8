"""What calls cost: own prices, the list, local machines, and never a guess."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest

from app.budgets.usage import Usage
from app.db import AWAY, db
from app.errors import Invalid, NotFound
from app.providers import prices
from app.providers.prices import Priced, price

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIST = f"genai-prices {version('genai-prices')}"
MILLION = 1_000_000

pytestmark = pytest.mark.usefixtures("quick")


def used(**amounts: Any) -> Usage:
    return Usage(call_id="c", provider="p", model="m", **amounts)


def put(model: str = "m", valid_from: date = date(2026, 1, 1), provider: str = "acme", **usd: str) -> None:
    given = {"input_usd": "1", "output_usd": "10"} | usd
    with db.transaction():
        prices.put(
            provider, model, valid_from, by="me", **{name: Decimal(amount) for name, amount in given.items()}
        )


def test_the_list_knows_what_the_providers_ask() -> None:
    found = price("openai", "gpt-4o", used(input_tokens=1000, output_tokens=100), AT)

    assert found == Priced(Decimal("0.00350000"), "derived", LIST)


def test_tokens_from_a_cache_are_cheaper_and_counted_once() -> None:
    found = price("openai", "gpt-4o", used(input_tokens=500, cache_read_tokens=500, output_tokens=100), AT)

    assert found.cost_usd == Decimal("0.00287500")


def test_writing_a_cache_costs_more_where_it_does() -> None:
    plain = price("anthropic", "claude-sonnet-4-5", used(input_tokens=1000), AT)
    written = price("anthropic", "claude-sonnet-4-5", used(cache_write_tokens=1000), AT)

    assert plain.cost_usd == Decimal("0.003")
    assert written.cost_usd == Decimal("0.00375")


@pytest.mark.parametrize(
    ("provider", "model", "known"),
    [
        ("anthropic", "claude-sonnet-5-5", True),
        ("openai", "gpt-6-sol", True),
        ("gemini", "gemini-2.5-flash", True),
        ("huggingface", "openai/gpt-oss-120b:groq", True),
        ("huggingface", "openai/gpt-oss-120b", False),
        ("huggingface", "openai/gpt-oss-120b:nobody", False),
        ("openai", "nobody-knows-it", False),
        ("my-proxy", "gpt-4o", False),
        ("", "", False),
        ("openai", "", False),
    ],
)
def test_a_model_that_is_not_in_the_list_is_unpriced_never_guessed(
    provider: str, model: str, known: bool
) -> None:
    found = price(provider, model, used(input_tokens=MILLION), AT)

    assert (found.cost_usd is not None) == known
    assert (found.status, found.version) == (("derived", LIST) if known else ("unpriced", None))


def test_the_models_that_come_with_callboard_have_prices() -> None:
    from app.providers.catalogue import known
    from app.settings import Settings

    for one in known(Settings()):
        assert prices.told(one.provider_id, one.model, one.billing) is not None, one


def test_what_runs_on_ones_own_machines_costs_nothing() -> None:
    assert price("ollama", "mistral:latest", used(input_tokens=MILLION, billing="local"), AT) == Priced(
        Decimal(0), "derived", "local"
    )


def test_what_the_provider_reported_stays() -> None:
    put(provider="p")
    told = used(input_tokens=MILLION, cost_usd=Decimal("0.07"), cost_status="reported")

    assert price("p", "m", told, AT) == Priced(Decimal("0.07"), "reported", None)


def test_a_subscriptions_call_has_its_price_by_the_card() -> None:
    found = price("anthropic", "claude-sonnet-4-5", used(input_tokens=1000, billing="subscription"), AT)

    assert (found.cost_usd, found.status) == (Decimal("0.003"), "derived")


def test_what_people_are_told_is_the_price_of_short_calls() -> None:
    """Calls of over 200,000 tokens cost more there."""
    told = prices.by_list("anthropic", "claude-sonnet-4-5")

    assert told == {"input_usd": 3, "output_usd": 15, "version": LIST}
    assert price("anthropic", "claude-sonnet-4-5", used(input_tokens=MILLION), AT).cost_usd == 6


def test_a_price_of_ones_own_wins() -> None:
    put(model="gpt-4o", provider="openai", input_usd="0.5", output_usd="4")
    found = price("openai", "gpt-4o", used(input_tokens=MILLION, output_tokens=MILLION // 2), AT)

    assert found == Priced(Decimal("2.50000000"), "derived", "own 2026-01-01")


def test_cached_tokens_cost_what_input_costs_unless_said() -> None:
    put()
    put(model="m2", cache_read_usd="0.1", cache_write_usd="0")
    tokens = used(input_tokens=MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION)

    assert price("acme", "m", tokens, AT).cost_usd == 3
    assert price("acme", "m2", tokens, AT).cost_usd == Decimal("1.1")


def test_the_price_of_the_day_holds() -> None:
    put(valid_from=date(2026, 1, 1), input_usd="1")
    put(valid_from=date(2026, 6, 1), input_usd="2")
    put(valid_from=date(2027, 1, 1), input_usd="3")
    days = [datetime(2025, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 5, 31, 23, tzinfo=UTC),
            datetime(2026, 6, 1, tzinfo=UTC), AT, datetime(2030, 1, 1, tzinfo=UTC)]  # fmt: skip

    assert [price("acme", "m", used(input_tokens=MILLION), day).cost_usd for day in days] == [
        None,
        1,
        2,
        2,
        3,
    ]


def test_a_change_holds_at_once_here_and_soon_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd is None
    put()
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd == 1
    with db.transaction():
        db.run("UPDATE prices SET input_usd = 7")  # by another process
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd == 1
    monkeypatch.setattr(prices, "CACHE_SECONDS", 0)
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd == 7
    with db.transaction():
        prices.remove("acme", "m", date(2026, 1, 1))
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd is None


def test_while_postgres_is_away_the_last_prices_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    price("acme", "m", used(), AT)

    def away() -> None:
        raise AWAY[2]

    monkeypatch.setattr(prices, "listed", away)
    monkeypatch.setattr(prices, "CACHE_SECONDS", 0)
    assert price("acme", "m", used(input_tokens=MILLION), AT).cost_usd == 1


def test_asking_again_and_again_asks_postgres_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = prices.listed
    monkeypatch.setattr(prices, "listed", lambda: asked.append(1) or real())
    prices.forget()
    for _ in range(100):
        price("acme", "m", used(input_tokens=1), AT)

    assert len(asked) == 1


def test_setting_a_price_twice_replaces_it() -> None:
    put(input_usd="1")
    put(input_usd="5", output_usd="6")
    with db.quick():
        (row,) = prices.listed()
        assert (row["input_usd"], row["changed_by"]) == (5, "me")
        with pytest.raises(NotFound):
            prices.remove("acme", "m", date(2020, 1, 1))


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"input_usd": "-0.1"}, "/input_usd"),
        ({"output_usd": "NaN"}, "/output_usd"),
        ({"cache_read_usd": "Infinity"}, "/cache_read_usd"),
        ({"cache_write_usd": "100001"}, "/cache_write_usd"),
        ({"model": " "}, "/model"),
        ({"model": "x" * 201}, "/model"),
        ({"provider": "a\x00b"}, "/provider_id"),
    ],
)
def test_what_cannot_be_a_price(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as wrong:
        put(**changes)

    assert [at for at, _ in wrong.value.fields] == [pointer]


def test_the_list_is_not_loaded_before_somebody_asks_for_a_price() -> None:
    script = "import sys; import app.providers.prices, actors.purse; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
