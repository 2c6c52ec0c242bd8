"""Replays: pinned to what ran, or by what is current now; and what comparing two jobs tells."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app import clock
from app.agents import registry
from app.budgets import ledger
from app.budgets.ledger import Spender
from app.budgets.tally import Part
from app.db import db
from app.errors import Conflict, InvalidParameters
from app.jobs import compare, intake, lifecycle, queries
from app.jobs.claims import Claim
from app.jobs.states import Status
from app.jobs.timeline import Line, Report, write
from tests import acting
from tests.acting import OWNER

OLD = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
NEW = {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}}


pytestmark = pytest.mark.usefixtures("here")


def _finished(**wish: object) -> str:
    taken = acting.claimed("played", **wish)
    lifecycle.complete(taken, {"ok": True})
    return taken.job_id


@pytest.fixture
def done(here: None) -> str:
    """A finished job of an agent whose definition has changed since."""
    acting.agent("played", parameters=OLD)
    job_id = _finished(parameters={"n": 1}, task_name="Play", tags=("x",))
    acting.agent("played", parameters=NEW, title="Newer")
    return job_id


def test_a_pinned_replay_is_claimed_with_the_version_that_ran(done: str) -> None:
    new = intake.replay(done, by="somebody")
    taken = acting.claim()

    assert taken is not None
    assert (taken.job_id, taken.agent_version) == (new["job_id"], acting.job(done)["agent_version"])
    assert registry.definition_of("played", taken.agent_version).title == "Played"
    made = acting.job(new["job_id"])
    assert (made["replay_of_job_id"], made["retry_of_job_id"]) == (done, None)
    assert (made["submitted_by"], made["task_name"], made["tags"]) == ("somebody", "Play", ["x"])


@pytest.mark.parametrize("verb", [intake.again, intake.replay])
def test_an_old_budget_that_is_more_than_the_agents_now_is_for_those_who_may_exceed_it(verb: Any) -> None:
    acting.agent("played", budget={"usd": 5})
    job_id = _finished(budget={"usd": 4, "tokens": 10})
    acting.agent("played", budget={"usd": 1})

    def given(**how: object) -> object:
        return acting.job(verb(job_id, by=OWNER, **how)["job_id"])["options"]["budget"]

    assert given() == {"usd": 1, "tokens": 10}
    assert given(may_exceed_budget=True) == {"usd": 4, "tokens": 10}


def test_a_replay_by_the_present_definition_moves_on_with_it(done: str) -> None:
    new = intake.replay(done, by=OWNER, parameters={"word": "w"}, version="current")
    acting.agent("played", parameters=NEW, title="Newest")
    taken = acting.claim()

    assert taken is not None
    assert (taken.job_id, taken.agent_version) == (new["job_id"], registry.get("played").version)


def test_parameters_must_fit_the_definition_that_is_to_run(done: str) -> None:
    with pytest.raises(InvalidParameters):
        intake.replay(done, by=OWNER, parameters={"word": "w"})
    with pytest.raises(InvalidParameters):
        intake.replay(done, by=OWNER, version="current")


@pytest.mark.parametrize("where", [Status.PENDING, Status.QUEUED, Status.RUNNING, Status.RETRY])
def test_only_what_is_over_is_replayed(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    with pytest.raises(Conflict):
        intake.replay(job_id, by=OWNER)


@pytest.mark.parametrize("where", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_whatever_way_it_ended_it_can_be_replayed(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    assert queries.get(intake.replay(job_id, by=OWNER)["job_id"])["pinned"] is True


def test_a_definition_that_is_gone_is_a_conflict_and_the_present_one_still_runs(done: str) -> None:
    db.run("DELETE FROM agent_versions WHERE version = %(v)s", v=acting.job(done)["agent_version"])
    with pytest.raises(Conflict, match="cannot be used any more"):
        intake.replay(done, by=OWNER)
    assert intake.replay(done, by=OWNER, parameters={"word": "w"}, version="current")


def _spend(claim: Claim, call_id: str, tokens: int, usd: str) -> None:
    spender = Spender(job_id=claim.job_id, fence=claim.fence, agent_id=claim.agent_id, submitted_by=OWNER)
    part = Part(
        call_id=call_id, part=1, provider="p", model="m", input_tokens=tokens, output_tokens=tokens // 2,
        cache_read_tokens=0, cache_write_tokens=0, reasoning_tokens=0, cost_usd=Decimal(usd), cost_status="derived",
        billing="api", price_version=None,
    )  # fmt: skip
    ledger.append(spender, [part])


def _told(claim: Claim, *tools: str, pins: dict[str, str] | None = None) -> None:
    lines = [
        Line(at=clock.now(), kind="tool", level="info", source="agent", message="calls", data={"name": tool})
        for tool in tools
    ]
    assert write(
        Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines, pins=pins)
    )


def test_two_jobs_are_compared_in_everything(done: str) -> None:
    new = intake.replay(done, by=OWNER, parameters={"word": "w"}, version="current")
    taken = acting.claim()
    assert taken is not None
    _spend(taken, "c1", 100, "0.01")
    _told(taken, "search", "read", pins={"provider": "p", "model": "m"})
    lifecycle.complete(taken, {"report": "Fine.\nVery.", "ok": True})

    found = compare.compare(done, new["job_id"], whole_definitions=True)
    second = found["b"]

    assert [found[part]["same"] for part in ("input", "definition", "output", "tools")] == [False] * 4
    assert (second["tools"], second["input_tokens"], second["output_tokens"]) == (["search", "read"], 100, 50)
    assert (second["cost_usd"], second["provider"], second["model"]) == (0.01, "p", "m")
    assert [found[side]["agent_version_number"] for side in ("a", "b")] == [1, 2]
    assert "+Very." in found["output"]["diff"].splitlines()
    assert '+  "word": "w"' in found["input"]["diff"].splitlines()


def test_a_job_is_the_same_as_itself(done: str) -> None:
    found = compare.compare(done, done, whole_definitions=False)
    assert {
        part: found[part]["same"] for part in ("input", "definition", "output", "tools")
    } == dict.fromkeys(("input", "definition", "output", "tools"), True)
