"""One request for all regions of a page: who is told what, and what an unchanged page costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import clock
from app.dashboard import FEEDS, FRAGMENTS, actions, job_log
from app.dashboard.headers import HEADERS
from app.dashboard.look import MOST
from app.db import AWAY, Database
from app.db import db as database
from app.jobs.claims import Claim
from app.jobs.timeline import Line, Report
from app.workers import fleet
from tests.app.dashboard.aside import acting, claimed, lifecycle, submitted, timeline
from tests.app.dashboard.test_htmx import NEEDS_A_QUERY
from tests.app.dashboard.visiting import Visitor


def _look(visitor: Visitor, *regions: tuple[str, str]) -> TestResponse:
    """Look at regions as (address, ETag)."""
    query = "&".join("r=" + quote(address, safe="") for address, _ in regions)
    tags = "|".join(tag.strip('"') for _, tag in regions)
    return visitor.get(f"/ui/look?{query}", **{"If-None-Match": f'"{tags}"'})


def _answers(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text[:300]
    return list(response.get_json()["regions"])


def _page_of(visitor: Visitor, path: str) -> list[tuple[str, str]]:
    """The regions of a page and what it has of them, as its script would send them."""
    found = []
    for region in visitor.soup(path).select("[hx-poll]"):
        feed = region.get("data-feed")
        cursor = f"?after={region.get('data-after') or 10**6}" if feed else ""
        found.append((str(region["hx-get"]) + cursor, str(region.get("data-etag", ""))))
    return found


def _say(taken: Claim, *messages: str) -> None:
    lines = [Line(at=clock.now(), kind="log", level="info", source="agent", message=m) for m in messages]
    timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, lines=lines))


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent from now on."""
    sent: list[str] = []
    for name in ("rows", "row"):
        verb: Callable[..., Any] = getattr(Database, name)

        def counted(
            self: Database, statement: str, *, _verb: Callable[..., Any] = verb, **values: object
        ) -> Any:
            sent.append(" ".join(statement.split()))
            return _verb(self, statement, **values)

        monkeypatch.setattr(Database, name, counted)
    return sent


@pytest.mark.parametrize("page", ["/jobs", "/agents"])
def test_an_unchanged_page_is_one_304_that_says_when_to_come_back_for_each_region(
    admin: Visitor, page: str
) -> None:
    regions = _page_of(admin, page)
    assert len(regions) >= 2

    answer = _look(admin, *regions)

    assert answer.status_code == 304
    assert answer.data == b""
    waits = answer.headers["HX-Poll"].split(",")
    assert len(waits) == len(regions)
    assert all(wait.endswith("ms") for wait in waits)


def test_a_304_goes_without_what_guards_bodies_and_everything_else_has_it(admin: Visitor) -> None:
    regions = _page_of(admin, "/agents")

    assert set(HEADERS) & set(_look(admin, *regions).headers.keys()) == set()
    assert set(HEADERS) <= set(_look(admin, ("/ui/agents", "")).headers.keys())


@pytest.mark.parametrize("tab", ["overview", "log", "transcript", "attempts", "result"])
def test_an_unchanged_page_of_a_running_job_is_one_statement(
    admin: Visitor, statements: list[str], tab: str
) -> None:
    taken = claimed(submitted_by=admin.user_id)
    _say(taken, "hello")
    # Who was told of a job is no part of its row, and the menu counts other things.
    apart = ("/ui/nav", f"/ui/jobs/{taken.job_id}/rail")
    regions = [
        each for each in _page_of(admin, f"/jobs/{taken.job_id}?tab={tab}") if not each[0].startswith(apart)
    ]
    assert len(regions) >= 2
    _look(admin, *regions)  # who asks is known from now on
    statements.clear()

    answer = _look(admin, *regions)

    assert answer.status_code == 304
    (only,) = [text for text in statements if "FROM users" not in text]
    assert "FROM jobs WHERE job_id" in only


def test_only_what_changed_comes_and_the_others_say_when(admin: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    status, agents = f"/ui/jobs/{taken.job_id}/status", "/ui/agents"
    before = _answers(_look(admin, (status, ""), (agents, "")))
    lifecycle.cancel(taken.job_id)

    first, second = _answers(_look(admin, (status, before[0]["etag"]), (agents, before[1]["etag"])))

    assert first["etag"] != before[0]["etag"]
    assert "Cancel" in first["html"]
    assert set(second) == {"poll"}
    assert _look(admin, (status, first["etag"]), (agents, before[1]["etag"])).status_code == 304


def test_each_region_answers_its_own_query(admin: Visitor) -> None:
    submitted(submitted_by=admin.user_id, task_name="Wanted")

    found, none = _answers(_look(admin, ("/ui/jobs/table?q=Wanted", ""), ("/ui/jobs/table?q=else%26", "")))

    assert "Wanted" in found["html"]
    assert "Wanted" not in none["html"]


def test_a_feed_brings_what_is_new_and_where_to_go_on(admin: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    _say(taken, "one", "two")
    log = f"/ui/jobs/{taken.job_id}/log"

    (first,) = _answers(_look(admin, (f"{log}?after=0", "")))
    assert ["one" in first["html"], "two" in first["html"]] == [True, True]
    assert _look(admin, (f"{log}?after={first['after']}", "")).status_code == 304
    _say(taken, "three")
    (more,) = _answers(_look(admin, (f"{log}?after={first['after']}", "")))

    assert "three" in more["html"]
    assert "two" not in more["html"]
    assert more["after"] > first["after"]


def test_a_feed_that_has_more_than_fits_is_asked_again_at_once(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_log, "AT_ONCE", 2)
    taken = claimed(submitted_by=admin.user_id)
    _say(taken, "one", "two", "three")
    log, seen, cursor = f"/ui/jobs/{taken.job_id}/log", "", 0

    for _ in range(2):
        (part,) = _answers(_look(admin, (f"{log}?after={cursor}", "")))
        seen, cursor = seen + part["html"], part["after"]

    assert [seen.count(word) for word in ("one", "two", "three")] == [1, 1, 1]
    assert part["poll"] != "0ms"


def test_who_may_not_see_a_region_is_told_so_and_sees_the_others(admin: Visitor, viewer: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    base = f"/ui/jobs/{taken.job_id}"

    status, outcome, log = _answers(
        _look(viewer, (f"{base}/status", ""), (f"{base}/outcome", ""), (f"{base}/log?after=0", ""))
    )

    assert "html" in status
    assert [outcome, log] == [{"code": 403}, {"code": 403}]


def test_a_user_hears_of_no_job_of_others(admin: Visitor, user: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)

    (own,) = _answers(_look(user, (f"/ui/jobs/{taken.job_id}/status", "")))

    assert own["code"] == user.get(f"/ui/jobs/{taken.job_id}/status").status_code
    assert own["code"] in (403, 404)


def test_a_tag_of_somebody_elses_view_opens_nothing(admin: Visitor, viewer: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    outcome = f"/ui/jobs/{taken.job_id}/outcome"
    tag = _answers(_look(admin, (outcome, "")))[0]["etag"]

    assert _answers(_look(viewer, (outcome, tag))) == [{"code": 403}]


@pytest.mark.parametrize(
    "address",
    ["/jobs", "/ui/look?r=/ui/nav", "https://example.org/ui/nav", "//example.org/ui/nav", "ui/nav", "/static/js/app.js", "", "/ui/../jobs"],
)  # fmt: skip
def test_an_address_that_is_no_region_is_refused(admin: Visitor, address: str) -> None:
    answer = _look(admin, ("/ui/nav", ""), (address, ""))

    assert answer.status_code == (200 if address == "/ui/../jobs" else 400)
    if answer.status_code == 200:
        assert answer.get_json()["regions"][1] == {"code": 404}


def test_a_region_that_an_older_page_knows_is_gone_and_spoils_nothing(admin: Visitor) -> None:
    gone, nav = _answers(_look(admin, ("/ui/was/there/once", ""), ("/ui/nav", "")))

    assert gone == {"code": 404}
    assert "html" in nav


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_a_look_has_a_handful_of_regions(admin: Visitor, count: int) -> None:
    assert _look(admin, *[("/ui/nav", "")] * count).status_code == 400


def test_a_job_that_is_gone_is_a_404_of_its_own(admin: Visitor) -> None:
    gone = "/ui/jobs/019f0000-0000-7000-8000-000000000000/status"

    answers = _answers(_look(admin, (gone, ""), ("/ui/jobs/no-id/status", ""), ("/ui/nav", "")))

    assert [answer.get("code") for answer in answers] == [404, 404, None]


def test_one_broken_region_spoils_no_other_and_is_logged(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        database.run("SELECT no_such_column FROM jobs")

    agents = dict(FRAGMENTS)["/ui/agents"]
    monkeypatch.setitem(agents.__dict__, "read", broken)

    first, second = _answers(_look(admin, ("/ui/agents", ""), ("/ui/jobs/table", "")))

    assert first == {"code": 500}
    assert "html" in second
    assert "page.failed" in caplog.text


def test_while_postgres_is_away_the_whole_look_is_a_503(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise AWAY[2]("server closed the connection")

    agents = dict(FRAGMENTS)["/ui/agents"]
    monkeypatch.setitem(agents.__dict__, "read", away)

    answer = _look(admin, ("/ui/jobs/table", ""), ("/ui/agents", ""))

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_nobody_who_is_signed_out_looks(stranger: Visitor) -> None:
    assert _look(stranger, ("/ui/nav", "")).status_code == 401


def test_tags_that_do_not_fit_the_addresses_are_as_none(admin: Visitor) -> None:
    tag = _answers(_look(admin, ("/ui/agents", "")))[0]["etag"]

    answer = admin.get("/ui/look?r=/ui/agents&r=/ui/nav", **{"If-None-Match": tag})

    assert all("html" in region for region in _answers(answer))


def test_every_region_of_the_table_of_contents_can_be_looked_at(app: Flask, admin: Visitor) -> None:
    paths = [p for p, _ in (*FRAGMENTS, *FEEDS) if "<" not in p and p not in NEEDS_A_QUERY]

    for chunk in (paths[i : i + MOST] for i in range(0, len(paths), MOST)):
        regions = [(path, "") for path in chunk]
        for path, answer in zip(chunk, _answers(_look(admin, *regions)), strict=True):
            assert "html" in answer, path


def test_a_look_leaves_no_connection_behind(app: Flask, admin: Visitor) -> None:
    with app.app_context():
        before = database.engine.pool.checkedout()  # type: ignore[attr-defined]
    for path in ("/ui/nav", "/jobs"):
        _look(admin, (path, ""))
    with app.app_context():
        after = database.engine.pool.checkedout()  # type: ignore[attr-defined]

    assert after == before


def test_what_a_page_shows_first_is_what_its_first_look_knows(admin: Visitor) -> None:
    acting.claimed(submitted_by=admin.user_id)

    assert _look(admin, *_page_of(admin, "/jobs")).status_code == 304


def test_what_moves_but_looks_the_same_costs_the_page_only_another_tag(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submitted(submitted_by=admin.user_id, agent_id="test-noop")
    (region,) = [each for each in _page_of(admin, f"/jobs/{job}") if each[0].endswith("/rail")]
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=31))

    (answer,) = _answers(_look(admin, region))

    assert set(answer) == {"poll", "etag"}
    assert answer["etag"] != region[1]
    assert _look(admin, (region[0], answer["etag"])).status_code == 304


def _lasts(visitor: Visitor, job_id: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """After how many seconds what stands beside a job is drawn anew."""
    (rail,) = [each for each in _page_of(visitor, f"/jobs/{job_id}") if each[0].endswith("/rail")]
    opened = clock.now()
    for seconds in range(1, 100):
        with monkeypatch.context() as later:
            later.setattr(clock, "now", lambda: opened + timedelta(seconds=seconds))  # noqa: B023 - called in this round
            if _look(visitor, rail).status_code != 304:
                return seconds
    raise AssertionError("it is never drawn anew")


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 10), (25, 25), (80, 60)])
def test_the_further_back_a_job_waits_for_its_turn_the_seldomer_its_place_is_drawn(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch, jobs: int, seconds: int
) -> None:
    with database.transaction():
        fleet.register("w1", hostname="h", process_id=1, pools=("general",), threads=4, release="1")
    ids = [submitted(submitted_by=admin.user_id, agent_id="test-noop") for _ in range(jobs)]

    assert _lasts(admin, ids[-1], monkeypatch) in (seconds - 1, seconds)  # the page was drawn a moment before


def test_what_people_may_change_is_drawn_sooner_than_what_stands_beside_a_running_job(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = claimed(submitted_by=admin.user_id).job_id
    waits_for_a_worker = submitted(submitted_by=admin.user_id, agent_id="test-noop")

    assert _lasts(admin, waits_for_a_worker, monkeypatch) in (19, 20)
    assert _lasts(admin, running, monkeypatch) in (59, 60)


@pytest.fixture
def shared(configure: Callable[..., None]) -> None:
    """Pages hear what others read within the last minute, so that nothing here is a matter of speed."""
    configure(poll_shared_ms=60_000)
    actions.forget()


def _job_regions(visitor: Visitor, job_id: str) -> list[tuple[str, str]]:
    rail = f"/ui/jobs/{job_id}/rail"
    return [
        each for each in _page_of(visitor, f"/jobs/{job_id}") if not each[0].startswith(("/ui/nav", rail))
    ]


@pytest.mark.usefixtures("shared")
def test_what_others_read_a_moment_ago_is_not_read_again(admin: Visitor, statements: list[str]) -> None:
    taken = claimed(submitted_by=admin.user_id)
    regions = _job_regions(admin, taken.job_id)
    assert _look(admin, *regions).status_code == 304
    statements.clear()

    assert _look(admin, *regions).status_code == 304

    assert [text for text in statements if "jobs" in text] == []


@pytest.mark.usefixtures("shared")
def test_of_many_pages_one_asks_what_is_new_and_each_hears_of_its_own_job(
    admin: Visitor, statements: list[str], configure: Callable[..., None]
) -> None:
    quiet, changed, gone = (claimed(submitted_by=admin.user_id) for _ in range(3))
    pages = [_job_regions(admin, taken.job_id) for taken in (quiet, changed, gone)]
    for page in pages:
        _look(admin, *page)
    lifecycle.cancel(changed.job_id)
    with database.transaction():
        database.run("DELETE FROM jobs WHERE job_id = %(job)s", job=gone.job_id)
    statements.clear()
    configure(poll_shared_ms=0.001)  # what is known is too old now
    assert _look(admin, *pages[0]).status_code == 304
    configure(poll_shared_ms=60_000)

    (asked,) = [text for text in statements if "jobs" in text]
    assert "unnest" in asked
    assert any("html" in answer for answer in _answers(_look(admin, *pages[1])))
    assert {answer.get("code") for answer in _answers(_look(admin, *pages[2]))} == {404}


@pytest.mark.usefixtures("shared")
def test_for_what_is_drawn_the_row_is_read_and_no_glimpse_before_it(
    admin: Visitor, statements: list[str], configure: Callable[..., None]
) -> None:
    taken = claimed(submitted_by=admin.user_id)
    page = _page_of(admin, f"/jobs/{taken.job_id}")
    _look(admin, *page)
    _say(taken, "something new")
    configure(poll_shared_ms=0.001)
    statements.clear()

    assert any("html" in answer for answer in _answers(_look(admin, *page)))

    by_key = [text for text in statements if "FROM jobs WHERE job_id = %(job)s" in text]
    assert {"traceparent" in text for text in by_key} == {True}
    runs_again = [text for text in statements if "retry_of_job_id = %(job)s" in text]
    assert runs_again == []  # what has not ended is not run again


@pytest.mark.usefixtures("shared")
def test_who_asks_by_hand_gets_what_is_there_now(admin: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    regions = _job_regions(admin, taken.job_id)
    _look(admin, *regions)
    lifecycle.cancel(taken.job_id)
    query = "&".join("r=" + quote(address, safe="") for address, _ in regions)
    tags = '"' + "|".join(tag.strip('"') for _, tag in regions) + '"'

    assert _look(admin, *regions).status_code == 304
    assert admin.get(f"/ui/look?{query}&now=1", **{"If-None-Match": tags}).status_code == 200


@pytest.mark.usefixtures("shared")
def test_what_others_read_is_not_told_to_who_may_not_see_it(admin: Visitor, user: Visitor) -> None:
    taken = claimed(submitted_by=admin.user_id)
    regions = _job_regions(admin, taken.job_id)
    assert _look(admin, *regions).status_code == 304

    assert _answers(_look(user, *regions)) == [{"code": 404}] * len(regions)
