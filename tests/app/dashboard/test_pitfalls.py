"""What other dashboards got wrong, walked over every page and fragment that this one has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as Xml

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.test import TestResponse

from app.dashboard import PAGES
from app.db import Base
from app.db import db as real
from app.errors import PermanentError
from app.jobs.lifecycle import owner_of
from app.jobs.states import Reason
from app.secrets import sealing
from app.workflows import runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests.app.dashboard import everything
from tests.app.dashboard.aside import agent, claim, claimed, db, lifecycle, submitted
from tests.app.dashboard.everything import HOSTILE, SECRET, Places, addresses, everywhere
from tests.app.dashboard.odd import odd_addresses, odd_queries
from tests.app.dashboard.submitting import forms
from tests.app.dashboard.visiting import Visitor

Snapshot = dict[str, tuple[int, str]]

# How the product measures itself; the figures say nothing of what somebody did.
MEASURED = {"polling_minutes"}
# Following a notification leads to what it is about and is by design how it becomes read: opening what one is told
# of, again and again, does no harm, and no program that follows links can take anything from anybody by it.
CHANGES = {"notification": {"notification_reads"}}


@pytest.fixture
def places(app: Flask, admin: Visitor) -> Places:
    """One of everything, the admin's, with hostile words in it."""
    return everything.made(app, admin.user_id)


class Seen:
    """What an admin saw on every page and fragment, and what was printed meanwhile."""

    def __init__(self) -> None:
        """Nobody has looked yet."""
        self.answers: dict[str, TestResponse] = {}
        self.printed = ""

    def soups(self) -> Iterator[tuple[str, BeautifulSoup]]:
        """(address, page) of all that are to be looked at."""
        for address, answer in self.answers.items():
            if answer.mimetype == "text/html":
                yield address, BeautifulSoup(answer.text, "html.parser")


@pytest.fixture(scope="module")
def once() -> Seen:
    """What `seen` has seen."""
    return Seen()


@pytest.fixture
def seen(once: Seen, request: pytest.FixtureRequest) -> Seen:
    """All pages are opened once for the tests that only look at them."""
    if not once.answers:
        admin, places, capfd = (request.getfixturevalue(name) for name in ("admin", "places", "capfd"))
        capfd.readouterr()
        answers = {address: admin.get(address) for address in everywhere(places)}
        for which in ("job_id", "failed", "running", "waiting"):
            for tail in ("document.json", "log.txt", "transcript.txt", "result.json"):
                answers[f"/jobs/{places[which]}/{tail}"] = admin.get(f"/jobs/{places[which]}/{tail}")
        once.answers, once.printed = answers, "".join(capfd.readouterr())
    return once


def snapshot() -> Snapshot:
    """{table: (rows, what is in them)} of the whole database."""
    each = " UNION ALL ".join(
        f"SELECT '{name}' AS name, count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS sum FROM {name} t"
        for name in sorted(set(Base.metadata.tables) - MEASURED)
    )
    return {row["name"]: (row["rows"], row["sum"]) for row in db.rows(each)}


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """The tables that are not as they were."""
    return {name for name in before if before[name] != after[name]}


class TestLooking:
    def test_no_page_and_no_fragment_changes_anything(self, admin: Visitor, places: Places) -> None:
        guilty = {}
        before = snapshot()
        for fragments in (False, True):
            for name, address in addresses("GET", places, fragments=fragments).items():
                answer = admin.get(address)
                after = snapshot()
                if changed(before, after) != CHANGES.get(name, set()):
                    guilty[name] = changed(before, after)
                before = after
                assert answer.status_code < 400, address
        assert guilty == {}

    def test_what_does_something_cannot_be_done_by_following_a_link(
        self, app: Flask, admin: Visitor, places: Places
    ) -> None:
        before = snapshot()
        for name, address in addresses("POST", places).items():
            if not _also_shows(app, address):
                assert admin.get(address).status_code == 405, name
        assert changed(before, snapshot()) == set()

    def test_signing_out_and_the_theme_are_no_links_either(self, admin: Visitor) -> None:
        assert admin.get("/sign-out").status_code == 405
        assert admin.get("/theme").status_code == 405
        assert admin.get("/agents").status_code == 200


def _also_shows(app: Flask, address: str) -> bool:
    """Whether the same address is a page to look at (`/submit/<agent_id>`), or could be the id of one (`/jobs/act`)."""
    try:
        app.url_map.bind("localhost").match(address, method="GET")
    except MethodNotAllowed:
        return False
    except HTTPException:
        return True
    return True


def _guilty(soup: BeautifulSoup) -> list[str]:
    """Elements that could run something, or that somebody's words have made."""
    return [str(tag)[:200] for tag in soup.find_all(True) if any(_faults(tag))]


def _faults(tag: Tag) -> Iterator[bool]:
    yield "xss" in (tag.get("class") or ())
    yield any(name.startswith(("on", "hx-on")) for name in tag.attrs)
    yield bool({"style", "srcdoc"} & set(tag.attrs))
    yield tag.name == "style" or (tag.name == "script" and not tag.get("src"))
    yield bool(SCRIPTED.match(str(tag.get("href") or tag.get("action") or tag.get("formaction") or "")))


SCRIPTED = re.compile(r"\s*(javascript|vbscript|data):", re.IGNORECASE)


class TestWordsOfOthers:
    def test_nothing_that_anybody_wrote_becomes_a_part_of_a_page(self, seen: Seen) -> None:
        for address, answer in seen.answers.items():
            assert answer.status_code in (200, 302, 303, 404, 405, 409), address
        shown = 0
        for address, soup in seen.soups():
            assert _guilty(soup) == [], address
            shown += "<script class=xss>" in soup.get_text()
        assert shown >= 60  # it is there to be read, on most of them

    def test_what_is_asked_by_script_is_as_safe(self, admin: Visitor, places: Places) -> None:
        for address in addresses("GET", places, fragments=True).values():
            answer = admin.client.get("/ui/look", query_string={"r": address})
            for region in answer.get_json()["regions"]:
                soup = BeautifulSoup(region["html"], "html.parser")
                assert _guilty(soup) == [], address

    def test_a_stranger_with_a_link_sees_text(self, stranger: Visitor, places: Places) -> None:
        page = stranger.get(f"/a/{places['token']}")
        assert _guilty(BeautifulSoup(page.text, "html.parser")) == []
        assert HOSTILE not in page.text

    @pytest.mark.parametrize(
        "name", ["report.md", "page.html", "drawing.svg", "table.csv", "data.json", "script>"]
    )
    def test_files_of_agents_are_downloaded_and_run_nowhere(
        self, admin: Visitor, places: Places, name: str
    ) -> None:
        answer = admin.get(f"/jobs/{places['job_id']}/artifacts/{places['artifact:' + name]}")

        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        kind = (
            ("inline", "image/svg+xml")
            if name == "drawing.svg"
            else ("attachment", "application/octet-stream")
        )
        assert (answer.headers["Content-Disposition"].partition(";")[0], answer.mimetype) == kind

    def test_what_an_agent_marks_as_secret_stands_nowhere(self, seen: Seen, places: Places) -> None:
        for address, answer in seen.answers.items():
            assert SECRET not in answer.text, address
        assert SECRET not in seen.printed
        rows = db.rows("SELECT job_id::text, parameters FROM jobs")
        assert not any(SECRET in str(row["parameters"]) for row in rows), "it is sealed"
        assert sum(SECRET in str(opened(row["job_id"], row["parameters"])) for row in rows) > 3


def opened(job_id: str, parameters: Any) -> Any:
    """Parameters of a job as its agent gets them."""
    return sealing.opened(parameters, owner_of(job_id), "/parameters")


class TestOddNames:
    def test_whatever_stands_in_an_address_it_is_answered(self, admin: Visitor, places: Places) -> None:
        for address in odd_addresses(places):
            answer = admin.get(address)
            assert answer.status_code < 500, address
            assert "Set-Cookie: x=1" not in str(answer.headers), address

    def test_whatever_stands_in_a_query_it_is_answered(self, admin: Visitor, places: Places) -> None:
        for address in odd_queries(places):
            assert admin.get(address).status_code < 500, address[:300]

    @pytest.mark.parametrize(
        "odd", ["a/b", "100%", "c#", "what?", "a&b=c", '"quoted"', "日本", "a,b", "x:y", "%2F", "it's"]
    )
    def test_a_tag_leads_to_the_jobs_that_have_it(self, admin: Visitor, odd: str) -> None:
        job_id = submitted(tags=(odd,), submitted_by=admin.user_id)
        submitted(tags=("another",), submitted_by=admin.user_id)

        link = next(
            a for a in admin.soup(f"/jobs/{job_id}").select("main a") if a.get_text(strip=True) == odd
        )
        rows = admin.soup(str(link["href"])).select("[data-row]")

        assert [row["id"] for row in rows] == [f"j-{job_id}"]

    @pytest.mark.parametrize(
        "odd", ["a/b", "100%", "c#", "what?", "a&b=c", '"quoted"', "日本", "it's", "%2F"]
    )
    def test_an_agents_error_leads_to_its_group(self, admin: Visitor, odd: str) -> None:
        taken = claimed()
        error = type(odd, (PermanentError,), {})
        lifecycle.fail(taken, error(f"broken by {odd}"), Reason.PERMANENT)

        links = {
            str(a["href"])
            for a in admin.soup("/dead-letters").select("#groups a")
            if "group=" in str(a["href"])
        }

        assert len(links) >= 1
        for link in links:
            assert f"broken by {odd}" in admin.soup(link).get_text()


class TestFigures:
    def test_large_whole_numbers_and_long_texts_are_shown_as_they_are(self, admin: Visitor) -> None:
        agent("exact")
        told: dict[str, Any] = {
            "over": 2**53 + 1,
            "most": 2**63 - 1,
            "least": -(2**63),
            "small": 1e-7,
            "text": "x" * 300,
        }
        taken = claimed("exact", submitted_by=admin.user_id, parameters=told)
        lifecycle.complete(taken, {"answer": told})
        numbers = [str(2**53 + 1), str(2**63 - 1), str(-(2**63))]

        for tab in ("overview", "result", "json"):
            text = admin.get(f"/jobs/{taken.job_id}?tab={tab}").text
            assert all(number in text for number in numbers), tab
            assert "x" * 300 in text
        for tail in ("document.json", "result.json"):
            assert all(number in admin.get(f"/jobs/{taken.job_id}/{tail}").text for number in numbers)

    def test_a_huge_value_is_cut_on_the_page_and_whole_in_the_file(self, admin: Visitor) -> None:
        agent("exact")
        rows = [{"n": n, "words": "all work and no play"} for n in range(20_000)]
        taken = claimed("exact", submitted_by=admin.user_id)
        lifecycle.complete(taken, {"rows": rows, "deep": _deep(90)})

        for tab in ("overview", "result", "json"):
            assert len(admin.get(f"/jobs/{taken.job_id}?tab={tab}").data) < 400_000, tab
        assert admin.get(f"/jobs/{taken.job_id}/result.json").get_json()["rows"][-1]["n"] == 19_999

    def test_clocks_that_disagree_make_no_negative_spans(self, admin: Visitor, places: Places) -> None:
        with real.transaction():
            real.run("ALTER TABLE jobs DISABLE TRIGGER jobs_final")  # finished jobs do not change otherwise
            _skew()
            real.run("ALTER TABLE jobs ENABLE TRIGGER jobs_final")
        for address in everywhere(places):
            text = unescape(re.sub(r"<[^>]*>", " ", admin.get(address).text))
            found = re.search(
                r"(?<![\w.\-–])[-−]\d[\d.,]* ?(?:ms|s|m|h|d|min|seconds|minutes)\b[^\n]{0,40}", text
            )
            assert not found, f"{address}: {found and found[0]}"

    def test_every_drawing_is_sound_xml(self, seen: Seen) -> None:
        assert sum(_sound(address, answer.text) for address, answer in seen.answers.items()) > 100

    def test_every_drawing_of_nothing_is_sound_xml(self, admin: Visitor) -> None:
        found = [path for verb, path, _, _ in PAGES if verb == "GET" and "<" not in path]
        assert sum(_sound(address, admin.get(address).text) for address in found) > 100


def _sound(address: str, html: str) -> int:
    """How many drawings are on a page; each must be XML without a number that is none."""
    found = list(_drawings(html))
    for text in found:
        for part in Xml.fromstring(text).iter():
            wrong = [
                v
                for v in part.attrib.values()
                if re.search(r"\b(nan|none|inf|undefined)\b", v, re.IGNORECASE)
            ]
            assert [value for value in wrong if value != "none"] == [], f"{address}: {text[:300]}"
    return len(found)


def _skew() -> None:
    """Let everything have ended before it began, and have begun before anybody asked for it."""
    real.run("""UPDATE jobs SET submitted_at = now() + interval '90 s', started_at = now() + interval '80 s',
                       queued_at = now() + interval '70 s', updated_at = now() + interval '60 s',
                       finished_at = CASE WHEN finished_at IS NOT NULL THEN now() - interval '70 s' END""")
    real.run("""UPDATE job_attempts SET started_at = now() + interval '50 s',
                       ended_at = CASE WHEN ended_at IS NOT NULL THEN now() END""")
    real.run("UPDATE workers SET seen_at = now() + interval '50 s', started_at = now() + interval '60 s'")
    real.run("UPDATE job_events SET at = now() + interval '40 s'")


def _drawings(html: str) -> Iterator[str]:
    """Each outermost <svg> as it was written; drawings may stand in drawings."""
    depth, began = 0, 0
    for tag in re.finditer(r"<(/?)svg\b[^>]*>", html):
        if not tag[1]:
            began, depth = (tag.start() if depth == 0 else began), depth + 1
        elif depth := depth - 1:
            continue
        else:
            yield html[began : tag.end()]


def _deep(levels: int) -> Any:
    value: Any = "the end"
    for _ in range(levels):
        value = {"in": value}
    return value


class TestLists:
    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("/jobs", "state=failed&tag=x"),
            ("/jobs", "q=agent:test-noop"),
            ("/workflows", "q=Trial"),
            ("/dead-letters", "window=30d"),
            ("/approvals", "kind=gate"),
            ("/deliveries", "status=failed"),
            ("/agents", "sort=success"),
            ("/costs", "by=model&days=30"),
            ("/?", "range=7d"),
        ],
    )
    def test_what_a_page_asks_again_keeps_the_filter(
        self, admin: Visitor, places: Places, path: str, query: str
    ) -> None:
        page = admin.soup(f"{path.rstrip('?')}?{query}")
        polled = [str(each["hx-get"]) for each in page.select("main [hx-get]")]

        assert polled
        wanted = query.partition("&")[0].partition("=")[2]
        assert any(wanted in each.replace("%3A", ":") for each in polled), polled

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("/jobs", "q=tag:many"),
            ("/workflows", "q=Many"),
            ("/deliveries", "status=pending"),
            ("/notifications", "unread=on"),
            ("/dead-letters", "window=30d"),
            ("/approvals", "kind=agent"),
        ],
    )
    def test_the_next_page_keeps_the_filter(self, admin: Visitor, path: str, query: str) -> None:
        """Where there is a next page at all: what is filtered by goes along, and something is there."""
        _many(admin)
        page = admin.soup(f"{path}?{query}")
        following = page.select("main a[rel=next]")
        if path in ("/jobs", "/workflows"):
            assert following
        for link in following:
            kept = parse_qs(urlsplit(str(link["href"])).query)
            name, _, value = query.partition("=")
            assert kept.get(name) == [value], link
            assert admin.get(str(link["href"])).status_code == 200

    @pytest.mark.parametrize("verb", ["cancel", "retry"])
    def test_an_action_leads_back_to_the_list_as_it_was(self, admin: Visitor, verb: str) -> None:
        job_id = submitted(tags=("kept",), submitted_by=admin.user_id)
        if verb == "retry":
            lifecycle.fail(claim(), PermanentError("no"), Reason.PERMANENT)
        bulk = {"subject": "jobs", "verb": verb, "id": job_id, "q": "tag:kept", "sure": "on"}

        for answer in (
            admin.post("/bulk-actions", bulk),
            admin.post("/jobs/act", {"do": f"{verb}:{job_id}", "q": "tag:kept"}),
        ):
            assert answer.status_code == 303
            assert parse_qs(urlsplit(answer.headers["Location"]).query)["q"] == ["tag:kept"]


def _many(admin: Visitor) -> None:
    """More than a page of jobs and of workflow runs."""
    for _ in range(52):
        submitted(tags=("many",), submitted_by=admin.user_id)
    with real.transaction():
        for _ in range(52):
            definition = read({"name": "Many", "steps": [{"step_id": "a", "agent_id": "test-noop"}]})
            runs.start(RunWish(definition=definition, submitted_by=admin.user_id))


def test_every_page_says_what_it_may_do(seen: Seen) -> None:
    for address, answer in seen.answers.items():
        if answer.mimetype == "text/html":
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy, address
            assert "unsafe" not in policy, address


class TestSecretsKept:
    """Masks stand where secrets are; what is sent back with a mask in it keeps the secret."""

    def test_a_letter_goes_in_again_with_the_secret_that_nobody_saw(
        self, admin: Visitor, places: Places
    ) -> None:
        page = admin.soup(f"/dead-letters/review?id={places['dlq_id']}")
        field = page.select_one("textarea[name=parameters]")
        assert field is not None
        edited = field.get_text().replace('"n": 9007199254740993', '"n": 7')
        assert "••••" in edited

        answer = admin.post("/dead-letters/resubmit", {"id": places["dlq_id"], "parameters": edited})

        assert answer.status_code == 303, answer.text
        job_id = answer.headers["Location"][-36:]
        new = opened(job_id, db.value("SELECT parameters FROM jobs WHERE job_id = %(id)s::uuid", id=job_id))
        assert (new["password"], new["account"]["token"], new["n"]) == (SECRET, SECRET, 7)

    def test_a_schedule_that_is_changed_keeps_its_secrets(self, admin: Visitor, places: Places) -> None:
        address = f"/schedules/{places['schedule_id']}/edit"
        form = next(f for f in forms(address, admin.soup(address)) if f.label == "Save")
        assert form.sent()["p.password"] == ["••••"]

        answer = admin.post(address, form.sent() | {"name": ["another"]})

        assert answer.status_code == 303, answer.text
        row = db.row(
            "SELECT name, parameters FROM schedules WHERE schedule_id = %(id)s::uuid",
            id=places["schedule_id"],
        )
        parameters = sealing.opened(row["parameters"], f"schedules/{places['schedule_id']}", "/parameters")
        assert (row["name"], parameters["password"]) == ("another", SECRET)
        assert parameters["account"]["token"] == SECRET


def test_no_state_is_told_by_colour_alone(seen: Seen) -> None:
    badges = 0
    for address, soup in seen.soups():
        for badge in soup.select(".badge"):
            badges += 1
            assert badge.get_text(strip=True), f"{address}: {str(badge)[:200]}"
    assert badges > 100
