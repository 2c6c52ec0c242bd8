"""The desk of an attempt: chains with what is missing, places and verdicts, and Postgres away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from actors import desk as desks
from actors import sweeps
from actors.attempt import Attempt
from actors.desk import Desk
from actors.models import local_demo
from actors.post import Post
from actors.runners.base import Context, Refused, Work
from app.agents import registry
from app.db import Row, db, make_engine
from app.errors import Held, TemporaryError
from app.jobs import lifecycle
from app.jobs.states import Reason
from app.providers import catalogue, queries
from app.settings import Settings
from tests import acting

ACME: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "title": "Acme"}


@pytest.fixture
def providers(quick: Engine, settings: Settings) -> None:
    """Those that come with Callboard."""
    with db.transaction():
        catalogue.seed(settings)
    desks._known.last = []


@pytest.fixture
def make_desk(make_post: Callable[..., Post], providers: None) -> Callable[..., Desk]:
    """A desk of a running job, at a post with these settings."""

    def make(**settings: Any) -> Desk:
        post = make_post(**settings)
        with db.quick():
            return Desk(post, acting.claimed())

    return make


@pytest.fixture
def without_postgres(quick: Engine) -> Iterator[Callable[[], None]]:
    """Call it, and Postgres is away from then on."""
    nowhere = make_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    yield lambda: db.open(nowhere)
    db.open(quick)


def add(provider_id: str = "acme", **values: Any) -> None:
    with db.transaction():
        catalogue.add(provider_id, ACME | values)


def row(provider_id: str = "acme") -> Row:
    with db.quick():
        return queries.get(provider_id)


# -- the chain


def test_the_common_order_says_what_each_lacks(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(anthropic_api_key="sk-ant")
    with db.transaction():
        catalogue.change("gemini", {"enabled": False})
    chain = desk.chain(None)

    assert {spec.provider_id: spec.missing for spec in chain} == {
        "ollama": None,
        "huggingface": "set HF_TOKEN for the workers",
        "anthropic": None,
        "openai": "set OPENAI_API_KEY for the workers",
    }
    (anthropic,) = [spec for spec in chain if spec.provider_id == "anthropic"]
    assert (anthropic.api_key, anthropic.kind, anthropic.model) == (
        "sk-ant",
        "anthropic",
        "claude-sonnet-5-5",
    )
    assert desk.keys == {"anthropic": "sk-ant"}


def test_a_chain_of_ones_own_may_name_a_demo_and_says_what_is_off_or_unknown(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-acme")
    add(key_name="ACME_KEY")
    with db.transaction():
        catalogue.change("openai", {"enabled": False})
    chain = make_desk().chain(["local-demo", "openai", "acme", "nobody"])

    assert [(s.provider_id, s.demo, s.missing) for s in chain] == [
        ("local-demo", True, local_demo.missing()),
        ("openai", False, "OpenAI is switched off by an admin"),
        ("acme", False, None),
        ("nobody", False, "there is no provider 'nobody'; an admin can add it on the page Providers"),
    ]
    assert chain[2].api_key == "sk-acme"


def test_a_local_model_that_never_answered_is_not_set_up_and_one_that_did_is_only_away(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    with db.transaction():
        catalogue.note_health({"ollama": ("unavailable", "nothing answers at http://localhost:11434/v1")})
    assert desk.chain(["ollama"])[0].missing == "nothing answers at http://localhost:11434/v1"

    with desk.enter("ollama", tokens=1) as admission:
        admission.succeeded(input_tokens=1, output_tokens=1)
    assert desk.chain(["ollama"])[0].missing is None


# -- places and verdicts


def test_a_call_takes_a_place_until_it_is_over(make_desk: Callable[..., Desk]) -> None:
    add(max_concurrent=1, tokens_per_minute=1000)
    desk = make_desk()
    with desk.enter("acme", tokens=600) as admission:
        with pytest.raises(Refused) as refused:
            desk.enter("acme", tokens=1)
        admission.succeeded(input_tokens=50, output_tokens=50)
        assert row()["calls"] == 0

    assert (refused.value.reason, refused.value.message) == ("places", "all 1 places of Acme are taken")
    assert refused.value.until is not None
    assert row()["last_ok_at"] is not None
    with desk.enter("acme", tokens=880):
        pass
    with db.quick():
        found = db.row("SELECT job_id::text, fence FROM provider_passes")
    assert found is None


def test_a_pass_names_the_attempt_it_belongs_to(make_desk: Callable[..., Desk]) -> None:
    add()
    desk = make_desk()
    with desk.enter("acme", tokens=1), db.quick():
        found = db.row("SELECT job_id::text AS job_id, fence FROM provider_passes")

    assert found == {"job_id": desk.claim.job_id, "fence": desk.claim.fence}


def test_the_first_verdict_counts(make_desk: Callable[..., Desk]) -> None:
    add()
    desk = make_desk()
    with desk.enter("acme", tokens=1) as admission:
        admission.succeeded(input_tokens=1, output_tokens=1)
        admission.failed("auth", "too late")

    assert (row()["state"], row()["error_class"]) == ("closed", None)


def test_leaving_without_a_verdict_is_neutral(make_desk: Callable[..., Desk]) -> None:
    add()
    desk = make_desk()
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), desk.enter("acme", tokens=1):
            raise ZeroDivisionError

    assert (row()["state"], row()["failures"], row()["calls"], row()["last_ok_at"]) == ("closed", 0, 0, None)


def test_failures_open_it_with_the_time_the_provider_asked_for(make_desk: Callable[..., Desk]) -> None:
    add()
    desk = make_desk()
    desk.enter("acme", tokens=1).failed("quota", "no credit until Monday", 3 * 86400)
    with pytest.raises(Refused) as refused:
        desk.enter("acme", tokens=1)

    assert refused.value.reason == "open"
    assert refused.value.until is not None
    assert (refused.value.until - row()["now"]).total_seconds() > 3 * 86400 - 10


def test_a_key_that_a_provider_repeats_is_not_kept(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(anthropic_api_key="sk-ant-secret")
    desk.chain(None)
    desk.enter("anthropic", tokens=1).failed("auth", "invalid x-api-key: sk-ant-secret!")

    assert row("anthropic")["last_error"] == "invalid x-api-key: (the key)!"


def test_what_is_off_is_refused(make_desk: Callable[..., Desk]) -> None:
    add(enabled=False)
    with pytest.raises(Refused, match="switched off") as refused:
        make_desk().enter("acme", tokens=1)

    assert (refused.value.reason, refused.value.until) == ("disabled", None)


def test_the_heartbeat_keeps_the_place_of_a_long_answer(make_desk: Callable[..., Desk]) -> None:
    add(max_concurrent=1)
    desk = make_desk()
    with desk.enter("acme", tokens=1), db.quick():
        db.run("UPDATE provider_passes SET expires_at = now() + interval '1 s'")
        desk.look()
        assert db.value("SELECT expires_at < now() + interval '5 s' FROM provider_passes"), "not yet due"
        desk._renewed_at -= 3600
        desk.look()
        assert db.value("SELECT expires_at > now() + interval '50 s' FROM provider_passes")


def test_the_heartbeat_looks_at_the_desk_of_each_attempt(
    make_desk: Callable[..., Desk], hold: Callable[..., Attempt]
) -> None:
    add()
    desk = make_desk()
    attempt = hold(desk.claim)
    attempt.desk = desk
    with desk.enter("acme", tokens=1), db.quick():
        db.run("UPDATE provider_passes SET expires_at = now()")
        desk._renewed_at -= 3600
        attempt.look()
        assert db.value("SELECT expires_at > now() + interval '50 s' FROM provider_passes")


# -- Postgres away


def test_while_postgres_is_away_calls_are_let_through_and_the_chain_is_the_last_one(
    make_desk: Callable[..., Desk], without_postgres: Callable[[], None]
) -> None:
    add(enabled=False)
    desk = make_desk()
    before = desk.chain(None)
    without_postgres()

    with desk.enter("acme", tokens=1) as admission:
        admission.failed("auth", "nobody hears it")
    assert desk.chain(None) == before


def test_a_verdict_that_postgres_does_not_hear_harms_nobody(
    make_desk: Callable[..., Desk], without_postgres: Callable[[], None], quick: Engine
) -> None:
    add()
    desk = make_desk()
    admission = desk.enter("acme", tokens=1)
    without_postgres()
    admission.succeeded(input_tokens=1, output_tokens=1)
    db.open(quick)

    assert row()["calls"] == 1, "until it expires"
    assert desk._tickets == {}, "nobody renews it any more"


def test_without_any_chain_the_job_is_tried_again_later(
    make_desk: Callable[..., Desk], without_postgres: Callable[[], None]
) -> None:
    desk = make_desk()
    without_postgres()

    with pytest.raises(TemporaryError, match="Postgres does not answer"):
        desk.chain(None)


# -- those that wait


def held_job(agent_id: str = "waiter") -> str:
    acting.agent(agent_id, providers=["acme"])
    claim = acting.claimed(agent_id)
    registry.hold(agent_id, "provider_open", "Acme is away", until=None, subject="acme")
    lifecycle.hold(claim, Reason.PROVIDER_OPEN, None)
    return claim.job_id


def test_the_probe_that_succeeds_calls_those_that_wait(make_desk: Callable[..., Desk]) -> None:
    add()
    desk = make_desk()
    desk.enter("acme", tokens=1).failed("quota", "no credit")
    with db.quick():
        job_id = held_job()
        db.run("UPDATE providers SET open_until = now()")
    probe = desk.enter("acme", tokens=1)
    with db.quick():
        assert acting.status(job_id) == "retry"
    probe.succeeded(input_tokens=1, output_tokens=1)

    with db.quick():
        assert acting.status(job_id) == "queued"
        assert registry.holds("waiter") == []


def test_what_the_probe_missed_the_sweep_finds(make_desk: Callable[..., Desk], settings: Settings) -> None:
    add()
    make_desk()
    with db.quick():
        job_id = held_job()
        db.run("UPDATE provider_passes SET expires_at = now() - interval '1 m'")
    with db.transaction():
        catalogue.reset("acme")
    sweeps.sweep(settings)

    with db.quick():
        assert acting.status(job_id) == "queued"


def test_a_hold_with_a_time_ends_by_itself(make_desk: Callable[..., Desk]) -> None:
    add()
    make_desk()
    with db.quick():
        job_id = held_job()
        assert acting.claim() is None
        db.run("UPDATE agent_holds SET until = now()")
        acting.make_due(job_id)
        claim = acting.claim()
    assert claim is not None
    assert claim.job_id == job_id


def test_a_job_that_a_runner_hands_back_waits_for_the_provider_and_burns_nothing(
    post: Post, providers: None, run_with: Callable[..., None]
) -> None:
    from actors import execute

    add()

    def run(_work: Work, context: Context) -> dict[str, Any]:
        desk = Desk(post, context.claim)  # type: ignore[attr-defined]
        desk.enter("acme", tokens=1).failed("quota", "no credit", 3600)
        try:
            desk.enter("acme", tokens=1)
        except Refused as refused:
            raise Held("provider_open", refused.message, until=refused.until, agent_wide=True) from refused
        return {}

    run_with(run)
    with db.quick():
        acting.agent("asker", providers=["acme"])
        job_id = acting.submitted("asker")
    assert execute.run_next(post)
    with db.quick():
        kept = acting.job(job_id)
        (hold,) = registry.holds("asker")
    assert (kept["status"], kept["status_reason"], kept["retry_count"]) == ("retry", "provider_open", 0)
    assert (kept["run_at"] - row()["now"]).total_seconds() > 3500
    assert hold["until"] == kept["run_at"]
