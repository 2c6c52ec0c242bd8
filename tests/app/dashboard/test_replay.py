"""Replaying a job by the form, and two jobs side by side."""

from __future__ import annotations

import pytest

from app import clock
from app.agents import registry
from app.errors import PermanentError
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from tests.app.dashboard.aside import agent, claimed, job, lifecycle, submitted, timeline
from tests.app.dashboard.visiting import Visitor

ONE = {"type": "object", "required": ["path"], "properties": {"path": {"type": "string", "maxLength": 10}}}
TWO = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}


@pytest.fixture(autouse=True)
def first() -> None:
    """The first version of an agent."""
    agent("played", parameters=ONE)


def _second() -> None:
    agent("played", parameters=TWO)
    registry.forget()


def _done(
    user: Visitor, path: str = "/a", result: dict[str, object] | None = None, tools: tuple[str, ...] = ()
) -> str:
    claim: Claim = claimed("played", parameters={"path": path}, submitted_by=user.user_id)
    lines = [
        Line(
            at=clock.now(),
            kind="tool",
            level="info",
            source="agent",
            message=f"calls {name}",
            data={"name": name},
        )
        for name in tools
    ]
    if lines:
        timeline.write(Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines))
    lifecycle.complete(claim, result or {"report": f"# About {path}\nall well"})
    return claim.job_id


def test_the_form_begins_with_the_jobs_parameters_and_sends_a_pinned_job(user: Visitor) -> None:
    done = _done(user)
    assert user.soup(f"/jobs/{done}").select(f'a[href="/jobs/{done}/replay"]')
    _second()

    soup = user.soup(f"/jobs/{done}/replay")
    assert soup.select_one('[name="p.path"]')["value"] == "/a"  # type: ignore[index]
    answer = user.post(f"/jobs/{done}/replay", {"p.path": "/b", "version": "pinned"})
    made = job(answer.headers["Location"].rsplit("/", 1)[1])

    assert (made["parameters"], made["pinned"], made["replay_of_job_id"]) == ({"path": "/b"}, True, done)
    assert made["agent_version"] == job(done)["agent_version"]
    assert made["submitted_by"] == user.user_id


def test_the_present_definition_has_its_own_form(user: Visitor) -> None:
    done = _done(user)
    _second()

    soup = user.soup(f"/jobs/{done}/replay?version=current")
    assert [field["name"] for field in soup.select('main [name^="p."]')] == ["p.file"]
    answer = user.post(f"/jobs/{done}/replay", {"p.file": "x", "version": "current"})
    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert (made["pinned"], made["agent_version"]) == (False, registry.get("played").version)


def test_what_is_wrong_stands_beside_its_field(user: Visitor) -> None:
    done = _done(user)
    answer = user.post(f"/jobs/{done}/replay", {"p.path": "far too long for it"})

    assert (answer.status_code, "too long" in answer.text) == (422, True)


def test_parameters_without_a_field_go_along(user: Visitor) -> None:
    agent("loose", parameters={"type": "object"})
    claim = claimed("loose", parameters={"deep": {"x": 1}}, submitted_by=user.user_id)
    lifecycle.complete(claim, {"ok": True})

    assert "deep" in user.soup(f"/jobs/{claim.job_id}/replay").select_one("#kept").text  # type: ignore[union-attr]
    answer = user.post(f"/jobs/{claim.job_id}/replay")
    assert job(answer.headers["Location"].rsplit("/", 1)[1])["parameters"] == {"deep": {"x": 1}}


def test_a_job_that_is_not_over_is_not_replayed(user: Visitor) -> None:
    waiting = submitted("played", parameters={"path": "/a"}, submitted_by=user.user_id)

    assert user.get(f"/jobs/{waiting}/replay").status_code == 409
    assert not user.soup(f"/jobs/{waiting}").select('a[href$="/replay"]')


def test_only_their_own_jobs_are_replayed_and_compared(
    user: Visitor, admin: Visitor, viewer: Visitor
) -> None:
    mine, theirs = _done(user), _done(admin)

    assert [who.get(f"/jobs/{theirs}/replay").status_code for who in (user, viewer, admin)] == [404, 403, 200]
    assert user.post(f"/jobs/{theirs}/replay", {"p.path": "x"}).status_code == 404
    assert [who.get(f"/jobs/compare?a={mine}&b={theirs}").status_code for who in (user, viewer, admin)] == [
        404,
        403,
        200,
    ]
    assert user.get(f"/jobs/compare?a={mine}&b=nothing").status_code == 404


def test_the_page_of_a_job_says_what_became_of_its_definition(user: Visitor) -> None:
    done = _done(user)
    assert "changed since" not in user.soup(f"/jobs/{done}").select_one(".kv").text  # type: ignore[union-attr]
    _second()

    facts = user.soup(f"/jobs/{done}").select_one(".kv")
    assert facts is not None
    assert "Ran with v1; changed since: +1 −1" in " ".join(facts.text.split())
    assert user.get(str(facts.select('a[href*="against"]')[0]["href"])).status_code == 200


def test_a_replay_leads_to_the_comparison(user: Visitor) -> None:
    done = _done(user)
    replayed = user.post(f"/jobs/{done}/replay", {"p.path": "/b"}).headers["Location"].rsplit("/", 1)[1]

    (link,) = user.soup(f"/jobs/{replayed}").select('a[href^="/jobs/compare"]')
    soup = user.soup(str(link["href"]))
    assert "Would run with" in user.get(f"/jobs/{replayed}").text
    assert {line.text.strip() for line in soup.select(".diff .add")} >= {'+  "path": "/b"'}


def test_reports_and_tools_are_compared_line_by_line(user: Visitor) -> None:
    a = _done(user, "/a", {"report": "one\ntwo", "n": 1}, tools=("read", "write"))
    b = _done(user, "/a", {"report": "one\n<i>three</i>", "n": 1}, tools=("read",))
    soup = user.soup(f"/jobs/compare?a={a}&b={b}")

    texts = {
        card.select_one("h2").text: card for card in soup.select("main section.card") if card.select_one("h2")
    }  # type: ignore[union-attr]
    assert "the same" in texts["Input"].text
    assert [line.text.strip() for line in texts["Output"].select(".diff .add")] == ["+<i>three</i>"]
    assert [line.text.strip() for line in texts["Tools in order"].select(".diff .del")] == ["-write"]


def test_a_failure_is_compared_by_its_error(user: Visitor) -> None:
    a = _done(user)
    claim = claimed("played", parameters={"path": "/a"}, submitted_by=user.user_id)
    lifecycle.fail(claim, PermanentError("no such file"), Reason.PERMANENT)

    assert "no such file" in user.soup(f"/jobs/compare?a={a}&b={claim.job_id}").text
