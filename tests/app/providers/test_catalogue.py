"""Which providers there are: what the settings fill in, what admins change for good, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app import clock
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import lifecycle, upkeep
from app.jobs.states import Reason
from app.providers import catalogue, keys, pools, queries
from app.settings import Settings
from tests import acting

ORDER = ["ollama", "huggingface", "gemini", "anthropic", "openai"]


@pytest.fixture(autouse=True)
def inside(quick: Engine) -> Iterator[None]:
    """Each statement by itself."""
    with db.quick():
        yield


def order() -> list[str]:
    return [row["provider_id"] for row in queries.every() if row["position"] is not None]


def seed(**changes: Any) -> None:
    catalogue.seed(Settings(**changes))


# -- the seed


def test_a_first_start_has_the_common_order_and_a_demo_that_is_not_in_it() -> None:
    seed()
    rows = {row["provider_id"]: row for row in queries.every()}

    assert order() == ORDER
    assert list(rows) == [*ORDER, "local-demo"]
    assert (rows["local-demo"]["demo"], rows["local-demo"]["position"]) == (True, None)
    assert {name for name, row in rows.items() if row["billing"] == "local"} == {"ollama", "local-demo"}
    assert {name: row["key_name"] for name, row in rows.items() if row["key_name"]} == {
        "huggingface": "HF_TOKEN",
        "gemini": "GEMINI_API_KEY",
        "anthropic": "ANTHROPIC_API_KEY",
        "openai": "OPENAI_API_KEY",
    }
    assert rows["anthropic"]["kind"] == "anthropic"


def test_the_settings_say_the_order_and_the_models() -> None:
    seed(LLM_PROVIDERS="anthropic, ollama", OLLAMA_MODEL="llama9", OLLAMA_BASE_URL="http://gpu:11434/")

    assert order() == ["anthropic", "ollama"]
    ollama = queries.get("ollama")
    assert (ollama["model"], ollama["base_url"]) == ("llama9", "http://gpu:11434/v1")
    seed(OLLAMA_MODEL="llama10")
    assert (queries.get("ollama")["model"], order()) == ("llama10", ORDER)


def test_what_an_admin_set_survives_every_start() -> None:
    seed()
    catalogue.change("openai", {"model": "mine", "max_concurrent": 2, "enabled": False})
    catalogue.move("anthropic", -1)
    before = queries.get("openai")
    seed(OPENAI_MODEL="theirs", OPENAI_BASE_URL="https://proxy.example/v1", LLM_PROVIDERS="openai")
    after = queries.get("openai")

    assert (after["model"], after["max_concurrent"], after["enabled"]) == ("mine", 2, False)
    assert after["base_url"] == "https://proxy.example/v1", "that one no admin has set"
    assert order() == ["ollama", "huggingface", "anthropic", "gemini", "openai"]
    assert after["position"] == before["position"]


def test_a_start_leaves_breakers_pools_and_own_providers_alone() -> None:
    seed()
    catalogue.add("acme", {"base_url": "https://acme.example/v1", "model": "m"})
    with db.transaction():
        ticket = pools.enter("openai", tokens=1, job_id=acting.submitted(), fence=1, seconds=60)
        assert isinstance(ticket, pools.Ticket)
        pools.failed(ticket, "quota", "no credit")
    seed()

    assert queries.get("openai")["state"] == "open"
    assert order() == [*ORDER, "acme"]


def test_a_provider_of_ones_own_keeps_an_id_that_comes_with_callboard() -> None:
    catalogue.add("openai", {"base_url": "https://mine.example/v1", "model": "m"})
    seed()

    assert queries.get("openai")["base_url"] == "https://mine.example/v1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("http://proxy/ollama/v1", "http://proxy/ollama/v1"),
    ],
)
def test_ollamas_address_may_be_written_without_its_version(written: str, meant: str) -> None:
    assert catalogue.with_version(written) == meant


# -- providers of one's own


def test_one_adds_anything_that_speaks_the_protocol() -> None:
    row = catalogue.add(
        "acme-2", {"base_url": " https://acme.example/v1/ ", "model": " m ", "key_name": "ACME_KEY"}
    )

    assert (row["base_url"], row["model"], row["key_name"], row["title"]) == (
        "https://acme.example/v1", "m", "ACME_KEY", "acme-2",
    )  # fmt: skip
    with pytest.raises(Conflict):
        catalogue.add("acme-2", {"base_url": "https://acme.example/v1", "model": "m"})
    catalogue.remove("acme-2")
    with pytest.raises(NotFound):
        queries.get("acme-2")


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({}, "/base_url"),
        ({"base_url": "acme.example/v1"}, "/base_url"),
        ({"base_url": "file:///etc/passwd"}, "/base_url"),
        ({"base_url": "https://"}, "/base_url"),
        ({"base_url": "https://h:99999/v1"}, "/base_url"),
        ({"base_url": "https://user:secret@h/v1"}, "/base_url"),
        ({"base_url": "https://h/v1?key=secret"}, "/base_url"),
        ({"base_url": "https://h/v1\nX: y"}, "/base_url"),
        ({"base_url": "https://h/" + "x" * 500}, "/base_url"),
        ({"model": " "}, "/model"),
        ({"model": "m" * 201}, "/model"),
        ({"kind": "grpc"}, "/kind"),
        ({"billing": "barter"}, "/billing"),
        ({"requests_per_minute": 0}, "/requests_per_minute"),
        ({"tokens_per_minute": 2**31}, "/tokens_per_minute"),
        ({"max_concurrent": -1}, "/max_concurrent"),
        ({"key_name": "sk-ant-0815"}, "/key_name"),
        ({"key_name": "SECRET_KEY"}, "/key_name"),
    ],
)
def test_what_cannot_be_a_provider(values: dict[str, Any], pointer: str) -> None:
    given = {"model": "m"} | ({"base_url": "https://h/v1"} if values else {}) | values
    with pytest.raises(Invalid) as wrong:
        catalogue.add("acme", given)

    assert [at for at, _ in wrong.value.fields] == [pointer]
    assert queries.every() == []


@pytest.mark.parametrize("provider_id", ["", "Acme", "a--b", "-a", "a b", "a/b", "x" * 51, "ä"])
def test_what_cannot_be_an_id(provider_id: str) -> None:
    with pytest.raises(Invalid):
        catalogue.add(provider_id, {"base_url": "https://h/v1", "model": "m"})


@pytest.mark.parametrize("name", sorted(keys.OWN))
def test_none_of_callboards_own_secrets_can_be_sent_to_a_provider(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "the crown jewels")
    with pytest.raises(Invalid):
        catalogue.add("thief", {"base_url": "https://thief.example/v1", "model": "m", "key_name": name})

    assert Settings.model_construct().secret(name) is None


def test_keys_are_found_by_the_names_of_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", " sk-1 ")
    monkeypatch.setenv("EMPTY_KEY", " ")
    settings = Settings(ANTHROPIC_API_KEY="sk-ant")

    assert settings.secret("ACME_KEY") == "sk-1"
    assert settings.secret("ANTHROPIC_API_KEY") == "sk-ant"
    assert [settings.secret(name) for name in ("EMPTY_KEY", "UNSET_KEY", "HF_TOKEN", "path", "")] == [
        None
    ] * 5
    assert "sk-ant" not in repr(settings)


def test_what_comes_with_callboard_is_switched_off_not_removed() -> None:
    seed()
    with pytest.raises(Conflict, match="switch it off"):
        catalogue.remove("openai")


# -- the order


def test_a_place_in_the_order() -> None:
    seed()
    catalogue.place("openai", 1)
    assert order() == ["openai", "ollama", "huggingface", "gemini", "anthropic"]
    catalogue.place("openai", None)
    assert order() == ORDER[:-1]
    catalogue.place("openai", 99)
    assert order() == ORDER
    assert [row["position"] for row in queries.every()[:5]] == [1, 2, 3, 4, 5]
    with pytest.raises(Conflict):
        catalogue.place("local-demo", 1)


def test_the_ends_of_the_order_hold() -> None:
    seed()
    catalogue.move("ollama", -1)
    catalogue.move("openai", 1)

    assert order() == ORDER


def test_two_who_arrange_at_once_leave_an_order() -> None:
    seed()

    def shuffle(provider_id: str) -> None:
        for _ in range(10):
            with db.transaction():
                catalogue.move(provider_id, -1)

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(shuffle, ORDER))

    assert sorted(order()) == sorted(ORDER)
    assert [row["position"] for row in queries.every()[:5]] == [1, 2, 3, 4, 5]


# -- chains


def test_the_common_order_leaves_out_what_is_off_or_a_demo() -> None:
    seed()
    catalogue.change("ollama", {"enabled": False})
    rows = queries.every()

    assert [row["provider_id"] for row in queries.in_chain(rows, None)] == ORDER[1:]  # type: ignore[index]


def test_an_agent_gets_the_chain_it_names_whatever_is_in_it() -> None:
    seed()
    catalogue.change("ollama", {"enabled": False})
    chain = queries.in_chain(queries.every(), ["local-demo", "nobody", "ollama"])

    assert [found if isinstance(found, str) else found["provider_id"] for found in chain] == [
        "local-demo", "nobody", "ollama",
    ]  # fmt: skip


# -- who waits is told


@pytest.fixture
def held() -> Callable[..., str]:
    """A job that is held for a provider, of an agent that is held as well."""

    def make(agent_id: str, providers: list[str] | None = None, until: Any = None) -> str:
        from app.agents import registry

        acting.agent(agent_id, providers=providers)
        claim = acting.claimed(agent_id)
        registry.hold(agent_id, "provider_open", "all are away", until=until, subject="whatever")
        lifecycle.hold(claim, Reason.PROVIDER_OPEN, until)
        return claim.job_id

    return make


def open_up(provider_id: str = "openai") -> pools.Ticket:
    """Fail, let the pause pass, and answer the probe's ticket."""
    with db.transaction():
        ticket = pools.enter(provider_id, tokens=1, job_id=acting.submitted(due_in=600), fence=1, seconds=60)
        assert isinstance(ticket, pools.Ticket)
        pools.failed(ticket, "quota", "no credit")
    db.run("UPDATE providers SET open_until = now() WHERE provider_id = %(id)s", id=provider_id)
    with db.transaction():
        probe = pools.enter(provider_id, tokens=1, job_id=acting.submitted(due_in=600), fence=1, seconds=60)
    assert isinstance(probe, pools.Ticket)
    return probe


def go_on(job_id: str) -> None:
    """The job may be claimed, and is seen through."""
    claim = acting.claim()
    assert claim is not None
    assert claim.job_id == job_id
    lifecycle.complete(claim, {})


def close(probe: pools.Ticket) -> None:
    with db.transaction():
        pools.succeeded(probe, tokens=1)


def test_when_a_provider_answers_again_those_that_wait_for_it_go_on(
    held: Callable[..., str], bells: list[tuple[str, int]]
) -> None:
    seed()
    probe = open_up()
    common, named, other = held("common"), held("named", ["openai"]), held("other", ["anthropic"])
    assert upkeep.lift_recovered() == 0
    assert acting.claim() is None
    bells.clear()
    close(probe)

    assert upkeep.lift_recovered() == 2
    assert [acting.status(job_id) for job_id in (common, named, other)] == ["queued", "queued", "retry"]
    assert db.rows("SELECT agent_id FROM agent_holds") == [{"agent_id": "other"}]
    claimed = [acting.claim(), acting.claim()]
    assert {c.job_id for c in claimed if c} == {common, named}


def test_one_that_was_being_put_away_meanwhile_is_called_too(held: Callable[..., str]) -> None:
    seed()
    close(open_up())
    assert upkeep.lift_recovered() == 0
    late = held("late")

    assert upkeep.lift_recovered() == 1
    assert acting.status(late) == "queued"


def test_after_a_while_it_is_over(held: Callable[..., str]) -> None:
    seed()
    close(open_up())
    db.run("UPDATE providers SET lift_until = now() WHERE lift_until IS NOT NULL")
    first = held("first")
    assert upkeep.lift_recovered() == 1, "once at least, however long nobody swept"
    go_on(first)
    second = held("second")

    assert upkeep.lift_recovered() == 0
    assert acting.status(second) == "retry"


@pytest.mark.parametrize(
    "done",
    [
        lambda: catalogue.reset("openai"),
        lambda: catalogue.change("openai", {"key_name": "OTHER_KEY"}),
        lambda: catalogue.change("openai", {"base_url": "https://other.example/v1"}),
    ],
)
def test_what_an_admin_does_about_it_lets_them_go_on(
    done: Callable[[], Row], held: Callable[..., str]
) -> None:
    seed()
    open_up()
    job_id = held("common")
    row = done()

    assert (row["state"], row["trips"]) == ("closed", 0)
    assert upkeep.lift_recovered() == 1
    assert acting.status(job_id) == "queued"


def test_a_new_provider_lets_those_go_on_that_wait_for_another(held: Callable[..., str]) -> None:
    seed()
    common = held("common", until=clock.now() + timedelta(days=7))
    catalogue.add("mine", {"base_url": "http://127.0.0.1:9/v1", "model": "m"})
    assert upkeep.lift_recovered() == 1
    go_on(common)


def test_switching_one_on_lets_them_go_on_and_changing_another_thing_of_an_open_one_does_not(
    held: Callable[..., str],
) -> None:
    seed()
    catalogue.change("openai", {"enabled": False})
    job_id = held("common", ["openai"])
    assert upkeep.lift_recovered() == 0
    catalogue.change("openai", {"enabled": True})
    assert upkeep.lift_recovered() == 1
    go_on(job_id)

    open_up("gemini")
    held("another", ["gemini"])
    catalogue.change("gemini", {"model": "gemini-9"})
    assert queries.get("gemini")["state"] == "half_open"
    assert upkeep.lift_recovered() == 0


def test_a_demo_that_recovers_is_news_only_for_who_names_it(held: Callable[..., str]) -> None:
    seed()
    probe = open_up("local-demo")
    common, named = held("common"), held("named", ["local-demo"])
    close(probe)

    assert upkeep.lift_recovered() == 1
    assert [acting.status(job_id) for job_id in (common, named)] == ["retry", "queued"]


# -- how they are, in a word


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"health_status": None}, "unknown"),
        ({"health_status": "ready"}, "ready"),
        ({"health_status": "degraded"}, "degraded"),
        ({"health_status": "unavailable"}, "unavailable"),
        ({"health_status": "ready", "state": "open", "later": 60}, "open"),
        ({"health_status": "ready", "state": "open", "later": -1}, "waking"),
        ({"health_status": "ready", "state": "half_open", "later": -1}, "probing"),
        ({"health_status": "ready", "state": "open", "later": 60, "enabled": False}, "off"),
    ],
)
def test_a_word_for_how_it_is(columns: dict[str, Any], word: str) -> None:
    told = {"state": "closed", "enabled": True, "later": None, "health_status": None} | columns
    catalogue.add("acme", {"base_url": "https://h/v1", "model": "m"})
    db.run(
        """UPDATE providers SET state = %(state)s, enabled = %(enabled)s, health_status = %(health_status)s,
               opened_at = CASE WHEN %(state)s <> 'closed' THEN now() END, error_class = 'quota', last_error = 'no credit',
               open_until = now() + %(later)s * interval '1 s'""",
        **told,
    )
    row = queries.get("acme")

    assert queries.condition(row, row["now"]) == word
    assert queries.public(row)["status"] == word
    assert bool(queries.reason(row, row["now"])) == (word not in ("ready", "degraded", "unavailable"))
