"""The page Audit: what it shows, what it finds, and what may be taken along."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import quote

import pytest

from actors import auditor
from app import audit
from app.dashboard.audit import harmless
from app.db import db
from app.settings import Settings
from tests.acting import submitted
from tests.app.audit.tampering import behind_its_back, written
from tests.app.dashboard.visiting import Visitor, words


def test_an_entry_says_who_did_what_to_what_from_where(admin: Visitor) -> None:
    with db.transaction():
        job_id = submitted(submitted_by=admin.user_id)
        audit.record(
            "job.cancelled",
            actor=admin.user_id,
            subject=job_id,
            ip="10.0.0.9",
            user_agent="<b>curl</b>",
            details={"why": "x"},
        )
    auditor.seal(Settings())

    row = admin.soup("/audit?action=job.cancelled").select("#s-audit tbody tr")[0]

    assert "Job cancelled" in words(row)
    assert "10.0.0.9" in words(row)
    assert "<b>curl</b>" in words(row)
    assert "link 3" in words(row)  # behind the account and the submission
    assert row.select_one(f'a[href="/jobs/{job_id}"]') is not None
    assert row.select_one(".by a") is not None  # by e-mail, and leads to all of theirs


def test_it_is_narrowed_by_who_what_when_and_words(admin: Visitor) -> None:
    with db.transaction():
        written(3, actor=admin.user_id)
        written(2, actor="")
        email = db.value("SELECT email FROM users WHERE user_id = %(id)s", id=admin.user_id)

    def count(query: str) -> int:
        return len(admin.soup(f"/audit?action=job.cancelled&{query}").select("#s-audit tbody tr"))

    assert (count(""), count(f"who={quote(email)}"), count("who=callboard")) == (5, 3, 2)
    assert (
        count("q=job-3"),
        count("subject=job-1"),
        count("since=2020-01-01"),
        count("until=2020-01-01"),
    ) == (1, 2, 5, 0)
    assert "Nothing like that" in admin.get("/audit?q=nothing-at-all").text


def test_older_entries_are_a_page_further(admin: Visitor) -> None:
    with db.transaction():
        written(60)

    first = admin.soup("/audit?action=job.cancelled")
    older = admin.soup(str(first.select_one('a[rel="next"]')["href"]))  # type: ignore[index]

    rows = [row["id"] for page in (first, older) for row in page.select("#s-audit tbody tr")]
    assert len(rows) == len(set(rows)) == 60
    assert older.select_one('a[rel="next"]') is None


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-13-01", "since=0001-01-01"])
def test_what_cannot_be_looked_for_is_said_at_its_field(admin: Visitor, query: str) -> None:
    page = admin.soup(f"/audit?{query}")
    field = page.select_one("form.filter [aria-invalid=true]")
    assert field is not None
    assert page.select_one(f"#{field['aria-describedby']}") is not None


@pytest.mark.parametrize(
    "before",
    ["x", "2026-01-01T00:00:00_1", "2026-01-01T00:00:00+00:00_x", "_", "9999-12-31T00:00:00+00:00_1"],
)
def test_an_address_of_an_older_page_that_is_none(admin: Visitor, before: str) -> None:
    assert admin.get(f"/audit?before={quote(before)}").status_code == 400


def test_how_far_the_chain_is(admin: Visitor) -> None:
    assert "Nothing is sealed yet" in words(admin.soup("/audit").select_one("#s-chain"))
    with db.transaction():
        ids = written(3)
    auditor.seal(Settings())
    auditor.verify_daily()
    sound = words(admin.soup("/audit").select_one("#s-chain"))
    assert "link 4" in sound
    assert "4 links, all as they were written" in sound
    with db.transaction():
        behind_its_back("UPDATE audit_log SET actor = 'eve' WHERE id = %(id)s", id=ids[1])
        behind_its_back("DELETE FROM audit_log WHERE action = 'audit.verified'")
    auditor.verify_daily()

    assert "The log was tampered with" in words(admin.soup("/audit").select_one(".notice.red"))


def test_a_scheduler_that_does_not_seal_is_noticed(admin: Visitor) -> None:
    with db.transaction():
        db.run("INSERT INTO audit_log (at, actor, action) VALUES (now() - interval '10 min', '', 'x.y')")

    assert "New entries are not sealed" in words(admin.soup("/audit").select_one(".notice.amber"))


def test_what_is_filtered_can_be_taken_along_and_that_is_noted(admin: Visitor) -> None:
    with db.transaction():
        audit.record(
            "x.formula", actor="=cmd|' /C calc'!A0", subject="+1", user_agent="@SUM(1)", details={"n": 1}
        )
        audit.record("x.other", actor="ada")

    answer = admin.post("/audit/download", {"format": "csv", "action": "x.formula"})
    (head, line) = list(csv.reader(io.StringIO(answer.text)))
    told = dict(zip(head, line, strict=True))
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="audit-')
    assert (told["user_id"], told["subject"], told["user_agent"]) == (
        "'=cmd|' /C calc'!A0",
        "'+1",
        "'@SUM(1)",
    )
    lines = [
        json.loads(text)
        for text in admin.post("/audit/download", {"format": "jsonl", "action": "x.*"}).text.splitlines()
    ]
    assert [each["event_type"] for each in lines] == ["x.other", "x.formula"]
    with db.quick():
        noted = db.rows("SELECT actor, details FROM audit_log WHERE action = 'audit.downloaded' ORDER BY id")
    assert [(row["actor"], row["details"]["entries"]) for row in noted] == [
        (admin.user_id, 1),
        (admin.user_id, 2),
    ]
    assert admin.post("/audit/download", {"format": "xml"}).status_code == 400


@pytest.mark.parametrize(
    ("cell", "safe"), [("=1", "'=1"), ("-1", "'-1"), ("\t=1", "'\t=1"), ("a=1", "a=1"), ("", "")]
)
def test_no_cell_is_a_formula(cell: str, safe: str) -> None:
    assert harmless(cell) == safe


def test_it_is_for_admins(user: Visitor, viewer: Visitor) -> None:
    for who in (user, viewer):
        assert who.get("/audit").status_code == 403
        assert who.post("/audit/download", {"format": "csv"}).status_code == 403
    assert user.soup("/").select_one('nav a[href="/audit"]') is None
