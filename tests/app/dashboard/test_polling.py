"""Polling health: what the page says of figures, who may see it, and what pages may report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from app.dashboard.session import limiter
from app.db import Row, db
from app.polling import minutes
from app.polling.minutes import Tally
from tests.app.dashboard.visiting import Visitor, words

REPORT = "/ui/polling/report"
GOOD: dict[str, Any] = {
    "polls": 30, "unchanged": 20, "failures": 3, "timeouts": 1, "ms_sum": 6000.25, "ms_most": 5000.5,
    "ms_spread": [20, 9, 0, 0, 0, 0, 0, 0, 0, 1], "recoveries": 1, "recovery_seconds_sum": 4.5,
    "recovery_seconds_most": 4.5, "seconds": 60.1,
}  # fmt: skip
HERE = {"Sec-Fetch-Site": "same-origin"}


def keep(seen_by: str, tally: Tally, ago: int = 0) -> None:
    with db.quick():
        now = int(db.value("SELECT extract(epoch FROM date_trunc('minute', now())) / 60"))
        minutes.keep(seen_by, {now - ago: tally})


def send(
    who: Visitor, report: Any = GOOD, headers: dict[str, str] | None = None, kind: str = "text/plain"
) -> int:
    data = report if isinstance(report, str | bytes) else json.dumps(report)
    return who.client.post(
        REPORT, data=data, content_type=f"{kind};charset=UTF-8", headers=HERE if headers is None else headers
    ).status_code


def reported() -> list[Row]:
    with db.quick():
        return db.rows("SELECT * FROM polling_minutes WHERE seen_by = 'client'")


class TestPage:
    def test_with_nothing_known_it_says_so(self, admin: Visitor) -> None:
        page = admin.soup("/polling")
        assert "Healthy" in words(page.select_one("#s-limits header"))
        assert "no open page reported" in words(page.select_one("#s-limits header"))
        assert [words(badge) for badge in page.select(".limits .badge")] == ["Too little to tell"] * 4
        assert "An open page that can be seen reports once a minute" in words(
            page.select_one("#s-chart-pages")
        )
        assert not page.select(".chart")

    def test_within_and_over_the_limits_by_words_and_what_to_do(self, admin: Visitor) -> None:
        keep(
            "server",
            Tally(
                polls=100,
                ms_sum=700,
                ms_most=40,
                ms_spread=[100] + [0] * 9,
                queries=200,
                query_ms_sum=90,
                query_ms_most=12,
            ),
        )
        keep(
            "client",
            Tally(
                polls=100,
                failures=12,
                timeouts=2,
                ms_sum=4000,
                ms_most=90,
                ms_spread=[100] + [0] * 9,
                pages=3,
            ),
        )
        page = admin.soup("/polling")
        assert "Degraded" in words(page.select_one("#s-limits header"))
        assert "3 open pages reported" in words(page.select_one("#s-limits header"))
        failed = words(page.select_one("#limit-failure_rate"))
        assert "12 % of at most 5 %" in failed
        assert "Over the limit" in failed
        assert "40 ms of at most 5 s Within" in words(page.select_one("#limit-response_seconds"))
        assert "12 ms of at most 1 s Within" in words(page.select_one("#limit-query_seconds"))
        assert "Failed polls: 12 %." in words(page.select_one("#s-limits .notice"))
        table = [[words(cell) for cell in row.select("th, td")] for row in page.select("#s-views tbody tr")]
        assert ["Failed", "0", "12, 2 of them not in time"] in table
        assert ["Queries per poll", "2.0", "–"] in table
        assert len(page.select("#s-chart-server .chart g")) == 120

    def test_a_day_has_its_own_parts(self, admin: Visitor) -> None:
        keep("server", Tally(polls=5, failures=1, ms_sum=50, ms_most=20), ago=600)
        day = admin.soup("/polling?window=24h")
        assert len(day.select("#s-chart-server .chart g")) == 2 * 96
        assert "5 polls, 1 failed. A column is 15 minutes." in words(day.select_one("#s-chart-server"))
        assert day.select_one(".region[hx-get='/ui/polling?window=24h']")
        assert "Nobody polled in this time." in words(admin.soup("/polling").select_one("#s-chart-server"))
        assert "Nobody polled" in words(admin.soup("/polling?window=nonsense").select_one("#s-chart-server"))

    @pytest.mark.parametrize("path", ["/polling", "/ui/polling", "/alerts", "/ui/alerts"])
    def test_only_admins_see_it(self, path: str, admin: Visitor, user: Visitor, viewer: Visitor) -> None:
        assert [each.get(path).status_code for each in (admin, user, viewer)] == [200, 403, 403]

    def test_the_menu_has_both_for_admins(self, admin: Visitor, user: Visitor) -> None:
        for who, there in ((admin, True), (user, False)):
            nav = who.soup("/").select_one("nav[aria-label=Main]")
            assert nav is not None
            for path in ("/alerts", "/polling"):
                assert bool(nav.select(f"a[href='{path}']")) is there


class TestReports:
    @pytest.mark.parametrize("kind", ["text/plain", "application/json"])
    def test_a_beacon_is_taken_from_everybody_who_is_signed_in(self, kind: str, viewer: Visitor) -> None:
        assert send(viewer, kind=kind) == 204
        (row,) = reported()
        assert (row["polls"], row["failures"], row["pages"], row["ms_spread"][9]) == (30, 3, 1, 1)

    def test_who_is_not_signed_in_is_sent_away(self, stranger: Visitor) -> None:
        assert send(stranger) == 401
        assert reported() == []

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, 204),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
            ({"Origin": "http://localhost"}, 204),
            ({"Origin": "http://localhost.example.org"}, 403),
            ({"Origin": "https://localhost"}, 403),
            ({"Origin": "null"}, 403),
            ({}, 403),
        ],
    )
    def test_only_our_own_pages_may_send_one(
        self, headers: dict[str, str], status: int, viewer: Visitor
    ) -> None:
        assert send(viewer, headers=headers) == status
        assert bool(reported()) is (status == 204)

    def test_other_forms_still_need_their_token(self, admin: Visitor) -> None:
        assert admin.client.post("/alert-rules/backlog", data={}, headers=HERE).status_code == 400

    @pytest.mark.parametrize(
        ("report", "status"),
        [
            ("", 400), ("{", 400), (b"\xff\xfe", 400), ("NaN", 400), ('{"polls": NaN, "seconds": 1}', 400), ("[" * 900, 400),
            ("null", 422), ("[]", 422), ('{"polls": 1e400, "seconds": 1}', 422), ('{"seconds": -1}', 422), ("5", 422),
            (GOOD | {"polls": -30}, 422), (GOOD | {"polls": 10**18}, 422), (GOOD | {"ms_spread": [30] + [1] * 9}, 422),
            (GOOD | {"<script>": 1}, 422), (GOOD | {"ms_sum": "1; DROP TABLE jobs"}, 422),
            (json.dumps(GOOD) + " " * 4000, 413), ("x" * 1_000_000, 413),
        ],
        ids=lambda each: repr(each)[:30],
    )  # fmt: skip
    def test_what_is_no_report_changes_nothing(self, report: Any, status: int, user: Visitor) -> None:
        assert send(user, report) in ({status, 400} if status == 422 else {status})
        assert reported() == []

    def test_reading_is_no_way_to_report(self, user: Visitor) -> None:
        assert user.get(REPORT).status_code == 405

    def test_one_person_cannot_flood_it(self, user: Visitor, viewer: Visitor, app: Flask) -> None:
        limiter.reset()
        codes = [send(user, {"seconds": 1}) for _ in range(125)]
        assert codes[:120] == [204] * 120
        assert codes[120:] == [429] * 5
        assert send(viewer) == 204
        limiter.reset()
