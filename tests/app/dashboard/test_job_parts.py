"""The parts of a job's page: who may see which, what each shows, and that nothing in them is more than text."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app import clock
from app.budgets import ledger as _ledger
from app.budgets.ledger import Spender
from app.budgets.tally import Part
from app.dashboard import job_rail
from app.dashboard.job import PARTS
from app.errors import PermanentError, StoppedByBudget, TemporaryError
from app.jobs import idempotency as _idempotency
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from app.secrets import sealing
from tests.app.dashboard.aside import (
    Aside,
    acting,
    agent,
    claimed,
    db,
    lifecycle,
    submitted,
    timeline,
)
from tests.app.dashboard.visiting import Visitor, words
from tests.app.quality import drafted as _drafted

drafted, ledger, idempotency = Aside(_drafted), Aside(_ledger), Aside(_idempotency)

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(1)> [x](javascript:alert(1)) {{ 7*7 }}'
CONTENT = [part.name for part in PARTS if not part.for_everybody]
PANELS = ("summary", "outcome", "attempts", "cost", "quality", "log", "story", "events")


def _say(taken: Claim, *told: tuple[str, str], level: str = "info", source: str = "agent") -> None:
    lines = [
        Line(at=clock.now(), kind=kind, level=level, source=source, message=message) for kind, message in told
    ]
    timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, lines=lines))


def _log(taken: Claim, *messages: str, **how: str) -> None:
    _say(taken, *(("log", message) for message in messages), **how)


def _failed(message: str = "no such file", **wish: Any) -> Claim:
    taken: Claim = claimed(**wish)
    _log(taken, *(f"line {n}" for n in range(1, 31)))
    lifecycle.fail(taken, PermanentError(message), Reason.PERMANENT, "Traceback …")
    return taken


class TestWhoSeesWhat:
    @pytest.mark.parametrize("part", [part.name for part in PARTS])
    def test_each_part_has_an_address_that_says_where_one_is(self, admin: Visitor, part: str) -> None:
        taken = _failed()

        soup = admin.soup(f"/jobs/{taken.job_id}?tab={part}")

        here = soup.select("nav.parts a[aria-current=page]")
        assert [words(link) for link in here] == [each.title for each in PARTS if each.name == part]
        assert [link["href"] for link in soup.select("nav.parts a")] == [
            f"/jobs/{taken.job_id}" + ("" if each.name == "overview" else f"?tab={each.name}")
            for each in PARTS
        ]
        assert soup.select_one("#status h1") is not None

    @pytest.mark.parametrize("part", CONTENT)
    def test_content_is_not_for_viewers_nor_for_others(
        self, viewer: Visitor, user: Visitor, part: str
    ) -> None:
        taken = claimed()

        assert viewer.get(f"/jobs/{taken.job_id}?tab={part}").status_code == 403
        assert user.get(f"/jobs/{taken.job_id}?tab={part}").status_code == 404

    def test_no_fragment_and_no_download_tells_a_viewer_what_the_page_hides(self, viewer: Visitor) -> None:
        taken = claimed("test-echo", parameters={"text": "hush"})
        _log(taken, "hush")
        with_key = f"hush-{taken.job_id}"
        lifecycle.fail(taken, PermanentError(f"hush {with_key}"), Reason.PERMANENT, "hush")

        for path in (*(f"/ui/jobs/{taken.job_id}/{name}" for name in PANELS),
                     f"/jobs/{taken.job_id}/result.json", f"/jobs/{taken.job_id}/log.txt"):  # fmt: skip
            assert viewer.get(path).status_code == 403, path
        for path in (f"/jobs/{taken.job_id}", f"/jobs/{taken.job_id}?tab=json", f"/jobs/{taken.job_id}/document.json",
                     f"/ui/jobs/{taken.job_id}/overview", f"/ui/jobs/{taken.job_id}/rail"):  # fmt: skip
            answer = viewer.get(path)
            assert answer.status_code == 200, path
            assert "hush" not in answer.text, path
        soup = viewer.soup(f"/jobs/{taken.job_id}")
        assert [words(link) for link in soup.select("nav.parts a")] == ["Overview", "JSON"]

    def test_only_what_is_shown_is_embedded(self, admin: Visitor) -> None:
        taken = claimed()

        asked = {
            part.name: {
                str(region["hx-get"]).partition("?")[0].rpartition("/")[2]
                for region in admin.soup(f"/jobs/{taken.job_id}?tab={part.name}").select("main [hx-get]")
            }
            for part in PARTS
        }

        assert asked == {
            "overview": {"status", "overview", "summary", "rail"},
            "log": {"status", "log"},
            "transcript": {"status", "story"},
            "attempts": {"status", "attempts"},
            "result": {"status", "outcome"},
            "quality": {"status", "quality"},
            "cost": {"status", "cost"},
            "events": {"status", "events"},
            "json": {"status"},
        }

    def test_what_anybody_wrote_is_text_in_every_part(self, admin: Visitor) -> None:
        agent("evil", watchdog={"mode": "warn", "stall_seconds": 60})
        taken = claimed(
            "evil", parameters={EVIL: {EVIL: [EVIL]}}, task_name=EVIL[:200], tags=(EVIL[:90],),
            correlation_id=EVIL, submitted_by=admin.user_id,
        )  # fmt: skip
        for kind in (
            "log",
            "stage",
            "turn",
            "tool",
            "provider",
            "watchdog",
            "budget",
            "progress",
            "complete",
        ):
            _say(taken, (kind, EVIL), source=EVIL[:90], level="error")
        news = {"stage": EVIL, "current_step": EVIL, "pins": {"model": EVIL, "provider": EVIL}}
        news |= {"watchdog": {"state": "stalled", "since": "2026-11-21T10:00:00Z", "last": EVIL}}
        timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, **news))
        ledger.append(_spender(taken), [_call(provider=EVIL, model=EVIL)])
        running = [admin.get(f"/jobs/{taken.job_id}?tab={part.name}").text for part in PARTS]
        lifecycle.complete(
            taken,
            {
                EVIL: EVIL,
                "report": EVIL,
                "rows": [{EVIL: EVIL}],
                "patch": f"--- {EVIL}\n+++ b\n@@ -1 +1 @@\n-{EVIL}",
            },
        )
        ended = [admin.get(f"/jobs/{taken.job_id}?tab={part.name}").text for part in PARTS]
        failed = _failed(EVIL)
        ended.append(admin.get(f"/jobs/{failed.job_id}").text)
        ended.append(admin.get(f"/jobs/{taken.job_id}?tab=log&raw=1&source={EVIL}&level=<b>").text)

        for page in (*running, *ended):
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert 'href="javascript' not in page
            assert "49" not in page.partition("<main")[2].partition("javascript:alert(1)) ")[2][:4]


class TestWhyItStopped:
    def test_a_failed_job_opens_on_what_failed(self, admin: Visitor) -> None:
        taken = _failed("the file is missing\nand its copy, too")
        _failed("the file is missing\nand its copy, too")

        box = admin.soup(f"/jobs/{taken.job_id}").select_one("#overview > .stopped")

        assert box is not None
        text = words(box)
        assert words(box.select_one("strong")) == "PermanentError"
        assert words(box.select_one(".says")) == "the file is missing"
        assert "change the parameters" in text
        assert box.select_one("pre.tail").text.split()[-1] == "30"  # type: ignore[union-attr]
        assert box.select_one("pre.tail").text.count("line") == 20  # type: ignore[union-attr]
        assert "Traceback …" in text
        seen = box.select_one("a[href^='/dead-letters?group=']")
        assert "Seen 2 times in the last 24 h" in words(seen)
        assert admin.get(str(seen["href"])).status_code == 200  # type: ignore[index]
        assert "and its copy" in words(box.select_one("#error"))

    def test_others_than_admins_read_of_no_dead_letters(self, user: Visitor) -> None:
        taken = _failed(submitted_by=user.user_id)

        box = user.soup(f"/jobs/{taken.job_id}").select_one(".stopped")

        assert "no such file" in words(box)
        assert "Seen" not in words(box)
        assert box is not None
        assert not box.select("a[href^='/dead-letters']")

    def test_a_cancelled_job_says_by_whom(self, admin: Visitor, user: Visitor) -> None:
        job_id = submitted(submitted_by=user.user_id)
        admin.post(f"/jobs/{job_id}/cancel")
        email = db.value("SELECT email FROM users WHERE user_id = %(id)s", id=admin.user_id)

        assert f"Cancelled by {email}" in words(user.soup(f"/jobs/{job_id}").select_one(".stopped"))
        assert "Cancelled by you" in words(admin.soup(f"/jobs/{job_id}").select_one(".stopped"))

    def test_one_that_took_its_workers_down_names_them(self, admin: Visitor) -> None:
        taken = claimed(worker="w-broken")
        db.run(
            """UPDATE jobs SET lease_expires_at = now() - interval '1 h', lost_count = 2 WHERE job_id = %(job)s""",
            job=taken.job_id,
        )
        db.run(
            """INSERT INTO workers (worker_id, hostname, process_id, pools, threads, release, memory_bytes)
               VALUES ('w-broken', 'h', 1, '{general}', 1, 'r', 1200000000)"""
        )
        assert [each["status"] for each in lifecycle.rescue(10, max_lost=3, backoff_seconds=1)] == ["failed"]

        box = words(admin.soup(f"/jobs/{taken.job_id}").select_one(".stopped"))

        assert "look at their memory" in box
        assert "Attempt 1 was lost with its worker w-broken" in box
        assert "1.2 GB of memory" in box

    def test_a_rejected_result_leads_to_the_best_draft(self, admin: Visitor, viewer: Visitor) -> None:
        job_id = drafted.ended(6.2, 5.1, verdict="rejected")

        box = admin.soup(f"/jobs/{job_id}").select_one(".stopped")

        assert "Its quality gate rejected the result. The best draft is number 1 with 6.2 of 10" in words(box)
        assert box.select_one(f'a[href="/jobs/{job_id}/drafts/1"]') is not None  # type: ignore[union-attr]
        assert words(viewer.soup(f"/jobs/{job_id}").select_one(".stopped")) == (
            "Its quality gate rejected the result."
        )


class TestTheWay:
    def test_each_step_says_how_long_it_took_and_what_happened(self, admin: Visitor) -> None:
        taken = claimed()
        lifecycle.release(taken)
        again = acting.claim()
        lifecycle.retry_later(again, TemporaryError("busy"), 30.0)

        steps = [words(step) for step in admin.soup(f"/jobs/{taken.job_id}").select(".steps li:not(.ahead)")]

        assert [step.split(" ", 2)[0] for step in steps] == [
            "Queued",
            "Running",
            "Handed",
            "Running",
            "Waits",
        ]
        assert "waited" in steps[0]
        assert "ran" in steps[1]
        assert "handed back by a stopping worker" in steps[2]
        assert "attempt 2" in steps[3]

    def test_a_clock_that_went_back_makes_no_negative_times(self, admin: Visitor) -> None:
        taken = claimed()
        lifecycle.complete(taken, {})
        # As it was written by a machine whose clock was set back between the moves.
        db.run("ALTER TABLE job_history DISABLE TRIGGER USER")
        db.run(
            """UPDATE job_history SET at = at - interval '1 h' WHERE job_id = %(job)s AND to_status <> 'queued'""",
            job=taken.job_id,
        )
        db.run("ALTER TABLE job_history ENABLE TRIGGER USER")
        db.run(
            "UPDATE job_attempts SET started_at = started_at - interval '1 h', ended_at = started_at - interval '2 h'"
        )

        way = words(admin.soup(f"/jobs/{taken.job_id}").select_one(".steps"))
        attempt = words(admin.soup(f"/jobs/{taken.job_id}?tab=attempts").select_one("#attempt-1"))

        assert "waited 0 ms" in way
        assert "after waiting 0 ms" in attempt
        assert "ran 0 ms" in attempt
        assert "-" not in attempt.partition("Worker")[0]

    def test_held_by_a_budget_and_lost_are_said_in_plain_words(self, admin: Visitor) -> None:
        taken = claimed()
        db.run(
            "UPDATE jobs SET lease_expires_at = now() - interval '1 h' WHERE job_id = %(job)s",
            job=taken.job_id,
        )
        lifecycle.rescue(10, max_lost=3, backoff_seconds=1)

        assert "Worker lost" in words(admin.soup(f"/jobs/{taken.job_id}").select_one(".steps"))
        attempt = words(admin.soup(f"/jobs/{taken.job_id}?tab=attempts").select_one("#attempt-1"))
        assert "Its worker died or was cut off" in attempt


class TestRelatives:
    def test_an_old_job_links_to_what_ran_it_again_and_back(self, user: Visitor) -> None:
        taken = claimed(submitted_by=user.user_id)
        lifecycle.complete(taken, {})
        retry = user.post(f"/jobs/{taken.job_id}/retry").headers["Location"].rsplit("/", 1)[1]
        replay = user.post(f"/jobs/{taken.job_id}/replay").headers["Location"].rsplit("/", 1)[1]

        later = user.soup(f"/jobs/{taken.job_id}").select_one("#later")

        assert [words(li).split(" ")[0] for li in later.select("li")] == ["Replayed", "Retried"]  # type: ignore[union-attr]
        assert {a["href"] for a in later.select("a.mono")} == {f"/jobs/{retry}", f"/jobs/{replay}"}  # type: ignore[union-attr]
        assert "Retry of" in words(user.soup(f"/jobs/{retry}").select_one(".rail .kv"))
        assert user.soup(f"/jobs/{replay}").select_one(f'.kv a[href="/jobs/{taken.job_id}"]') is not None

    def test_going_on_is_called_so_and_jobs_of_others_are_not_named(
        self, user: Visitor, admin: Visitor
    ) -> None:
        agent("spender", budget={"usd": 2.0})
        job_id = str(submitted("spender", submitted_by=user.user_id))
        lifecycle.fail(acting.claim(), StoppedByBudget("spent"), Reason.STOPPED_BUDGET)
        new = admin.post(f"/jobs/{job_id}/resume", {"usd": "1"}).headers["Location"].rsplit("/", 1)[1]

        assert "Resumed as" in words(admin.soup(f"/jobs/{job_id}").select_one("#later"))
        assert "Resumes" in words(admin.soup(f"/jobs/{new}").select_one(".rail .kv"))
        assert user.soup(f"/jobs/{job_id}").select_one("#later") is None

    def test_the_idempotency_key_is_for_who_may_know_it(self, user: Visitor, viewer: Visitor) -> None:
        job_id = submitted(submitted_by=user.user_id)
        at = db.value("SELECT submitted_at FROM jobs WHERE job_id = %(job)s", job=job_id)
        idempotency.begin(user.user_id, "order-77", {})
        idempotency.finish(user.user_id, "order-77", 201, {"body": {"job_id": job_id}})
        db.run("UPDATE idempotency_keys SET created_at = %(at)s", at=at)

        assert user.soup(f"/jobs/{job_id}").select_one('[data-copy="order-77"]') is not None
        assert "order-77" not in viewer.get(f"/jobs/{job_id}").text


class TestTheRail:
    def test_its_own_budget_is_a_bar_and_what_has_no_price_is_not_nothing(self, admin: Visitor) -> None:
        agent("spender", budget={"usd": 2.0, "tokens": 1000})
        taken = claimed("spender")
        ledger.append(_spender(taken), [_call(input_tokens=900, cost_usd=None, cost_status="unpriced")])

        box = words(admin.soup(f"/jobs/{taken.job_id}").select_one("#budget"))

        assert "nothing priced of $2.00" in box
        assert "905 tokens of 1,000 tokens" in box
        assert "90 %" in box

    def test_who_was_told_is_linked_for_who_may_know(
        self, admin: Visitor, viewer: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = claimed()
        lifecycle.complete(taken, {})
        db.run(
            """INSERT INTO deliveries (delivery_id, event, channel, target, lane, callback, owner, subject_type,
                   subject_id, payload, status)
               VALUES (gen_random_uuid(), 'job.completed', 'webhook', 'https://hooks.example', 'x', true, %(me)s, 'job',
                   %(job)s, '{}', 'pending')""",
            me=admin.user_id,
            job=taken.job_id,
        )

        sent = admin.soup(f"/jobs/{taken.job_id}").select_one("#sent")

        assert "On its way Callback https://hooks.example" in words(sent)
        assert viewer.soup(f"/jobs/{taken.job_id}").select_one("#sent") is None
        assert admin.get(f"/ui/jobs/{taken.job_id}/rail").headers["HX-Poll"] == "5000ms"
        monkeypatch.setattr(job_rail, "TOLD_WITHIN", timedelta(0))
        assert admin.get(f"/ui/jobs/{taken.job_id}/rail").headers["HX-Poll"] == "5000ms"
        db.run("UPDATE deliveries SET status = 'delivered', next_at = NULL, finished_at = now()")
        assert admin.get(f"/ui/jobs/{taken.job_id}/rail").headers["HX-Poll"] == "stop"


def _lines(visitor: Visitor, path: str) -> list[str]:
    return [words(line) for line in visitor.soup(path).select("#log > li:not([hidden], .cut) .msg")]


class TestTheLog:
    def test_it_is_filtered_by_level_source_and_attempt_on_the_page_and_in_the_feed(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        _log(taken, "quiet", level="debug")
        _log(taken, "loud", level="error", source="tool")
        lifecycle.release(taken)
        again = acting.claim()
        _log(again, "later", level="error")
        page, feed = f"/jobs/{taken.job_id}?tab=log", f"/ui/jobs/{taken.job_id}/log?after=0"

        assert _lines(admin, page) == ["quiet", "ERROR loud", "ERROR later"]
        assert _lines(admin, f"{page}&level=error") == ["ERROR loud", "ERROR later"]
        assert _lines(admin, f"{page}&source=tool") == ["ERROR loud"]
        assert _lines(admin, f"{page}&attempt=2&level=warning") == ["ERROR later"]
        assert _lines(admin, f"{page}&level=odd") == ["quiet", "ERROR loud", "ERROR later"]
        assert ["quiet" in admin.get(f"{feed}&level={level}").text for level in ("debug", "error")] == [
            True,
            False,
        ]
        region = admin.soup(f"{page}&level=error&source=tool").select_one("[data-feed=log]")
        assert str(region["hx-get"]).endswith("/log?level=error&source=tool")  # type: ignore[index]
        assert words(admin.soup(page).select_one(".cut")) == "Attempt 2"
        assert "No such lines" in admin.get(f"{page}&source=nobody").text

    def test_an_attempt_that_begins_while_one_looks_gets_its_heading_once(self, admin: Visitor) -> None:
        taken = claimed()
        _log(taken, "one")
        lifecycle.release(taken)
        again = acting.claim()
        _log(again, "two")

        assert "Attempt 2" in admin.get(f"/ui/jobs/{taken.job_id}/log?after=1").text
        _log(again, "three")
        assert "Attempt 2" not in admin.get(f"/ui/jobs/{taken.job_id}/log?after=2").text

    def test_raw_entries_are_json_that_says_all(self, admin: Visitor) -> None:
        taken = claimed()
        _log(taken, 'say "it"')

        (line,) = _lines(admin, f"/jobs/{taken.job_id}?tab=log&raw=1")

        entry = json.loads(line)
        assert (entry["seq"], entry["level"], entry["message"]) == (1, "info", 'say "it"')
        assert '"seq": 2' not in admin.get(f"/ui/jobs/{taken.job_id}/log?after=1&raw=1").text

    def test_earlier_lines_are_reached_by_cursor_without_loss_or_double(self, admin: Visitor) -> None:
        taken = claimed()
        for start in range(0, 1200, 400):
            _log(taken, *(f"n{n}" for n in range(start, start + 400)))
        seen: list[str] = []
        path: str | None = f"/jobs/{taken.job_id}?tab=log"
        while path:
            soup = admin.soup(path)
            page = [words(line) for line in soup.select("#log > li:not([hidden]) .msg")]
            assert len(page) <= 500
            seen = page + seen
            link = soup.select_one("p.more:not([hidden]) #earlier")
            path = str(link["href"]) if link else None

        assert seen == [f"n{n}" for n in range(1200)]

    def test_a_page_of_the_past_is_not_fed(self, admin: Visitor) -> None:
        taken = claimed()
        _log(taken, "one", "two", "three")

        soup = admin.soup(f"/jobs/{taken.job_id}?tab=log&before=3")

        assert [words(line) for line in soup.select("#log .msg")] == ["one", "two"]
        assert soup.select("[data-feed]") == []
        assert "Back to the latest" in soup.text


class TestEvents:
    def test_words_and_moves_are_one_list_that_goes_on(self, admin: Visitor) -> None:
        taken = claimed()
        _log(taken, "one")
        soup = admin.soup(f"/jobs/{taken.job_id}?tab=events")
        assert [words(li.select_one(".msg")) for li in soup.select("#events > li")] == [
            "Queued", "Queued → Running on w1", "one",
        ]  # fmt: skip
        cursor = soup.select("#events > li")[-1]["data-seq"]
        address = f"/ui/jobs/{taken.job_id}/events?after={cursor}"
        assert admin.get(address).status_code == 204

        _log(taken, "two")
        lifecycle.complete(taken, {})

        new = admin.get(address)
        assert ("two" in new.text, "Running → Completed" in new.text, ">one<" in new.text) == (
            True,
            True,
            False,
        )
        assert new.headers["HX-Poll"] == "stop"
        assert admin.get(f"/ui/jobs/{taken.job_id}/events?after={new.headers['HX-After']}").status_code == 204

    def test_they_are_narrowed_by_kind(self, admin: Visitor) -> None:
        taken = claimed()
        _say(taken, ("log", "a line"), ("stage", "a stage"))
        page = f"/jobs/{taken.job_id}?tab=events"

        def kinds(kind: str) -> list[str]:
            return [
                words(li.select_one(".src"))
                for li in admin.soup(f"{page}&kind={kind}").select("#events > li:not([hidden])")
            ]

        assert kinds("stage") == ["stage"]
        assert kinds("move") == ["state", "state"]
        assert kinds("odd") == ["state", "state", "log", "stage"]

    def test_earlier_ones_are_reached_without_loss_or_double(self, admin: Visitor) -> None:
        taken = claimed()
        _log(taken, *(f"n{n}" for n in range(700)))
        lifecycle.complete(taken, {})
        seen: list[str] = []
        path: str | None = f"/jobs/{taken.job_id}?tab=events"
        while path:
            soup = admin.soup(path)
            seen = [words(line) for line in soup.select("#events > li:not([hidden]) .msg")] + seen
            link = next((a for a in soup.select("p.more a") if words(a) == "Earlier events"), None)
            path = str(link["href"]) if link else None

        assert seen == [
            "Queued",
            "Queued → Running on w1",
            *(f"n{n}" for n in range(700)),
            "Completed",
            "Running → Completed on w1",
        ]


def _spender(taken: Claim) -> Spender:
    return Spender(job_id=taken.job_id, fence=taken.fence, agent_id=taken.agent_id, submitted_by="ada")


def _call(**told: Any) -> Part:
    usual: dict[str, Any] = {
        "call_id": "c1", "part": 1, "provider": "house", "model": "plain-1", "input_tokens": 10, "output_tokens": 5,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0, "cost_usd": None,
        "cost_status": "unpriced", "billing": "api", "price_version": None,
    }  # fmt: skip
    return Part(**(usual | told))


class TestCost:
    def test_calls_are_listed_with_where_their_price_comes_from(self, admin: Visitor) -> None:
        taken = claimed()
        priced = _call(call_id="c2", cost_usd=Decimal("0.0125"), cost_status="derived")
        ledger.append(_spender(taken), [_call(), priced])

        box = admin.soup(f"/jobs/{taken.job_id}?tab=cost").select_one("#used")

        rows = [words(row) for row in box.select("tbody tr")]  # type: ignore[union-attr]
        assert "No price" in rows[0]
        assert "$" not in rows[0]
        assert "$0.0125" in rows[1]
        assert "From the price list" in rows[1]
        assert words(box.select_one("#used-total")) == "$0.0125, 30 tok (15 unpriced)"  # type: ignore[union-attr]
        assert "$0.00 " not in words(box)

    def test_nothing_used_is_said(self, admin: Visitor) -> None:
        assert "Nothing used yet" in admin.get(f"/jobs/{submitted()}?tab=cost").text


class TestTheDocument:
    def test_numbers_are_exact_and_the_download_is_the_whole(self, admin: Visitor) -> None:
        taken = claimed()
        lifecycle.complete(taken, {"big": 2**53 + 1, "bigger": 2**63 - 1, "text": "x" * 100_000})

        page = admin.soup(f"/jobs/{taken.job_id}?tab=json")
        whole = admin.get(f"/jobs/{taken.job_id}/document.json")

        assert str(2**53 + 1) in page.select_one("#raw").text  # type: ignore[union-attr]
        assert len(page.select_one("#raw").text) < 70_000  # type: ignore[union-attr]
        assert "Download all of it" in page.text
        assert whole.headers["Content-Disposition"].startswith("attachment")
        assert json.loads(whole.text)["result"]["bigger"] == 2**63 - 1
        assert len(json.loads(admin.get(f"/jobs/{taken.job_id}/result.json").text)["text"]) == 100_000
        assert str(2**63 - 1) in admin.soup(f"/jobs/{taken.job_id}?tab=result").select_one(".tree").text  # type: ignore[union-attr]

    def test_a_huge_result_is_cut_everywhere(self, admin: Visitor) -> None:
        taken = claimed()
        lifecycle.complete(taken, {"rows": [{"n": n, "deep": {"x": [n]}} for n in range(20_000)]})

        for part in ("overview", "result", "json"):
            assert len(admin.get(f"/jobs/{taken.job_id}?tab={part}").text) < 500_000, part

    def test_there_is_no_result_to_download_before_there_is_one(self, admin: Visitor) -> None:
        assert admin.get(f"/jobs/{submitted()}/result.json").status_code == 404


def test_a_result_is_drawn_by_what_it_is(admin: Visitor) -> None:
    taken = claimed()
    patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n"
    lifecycle.complete(taken, {"rows": [{"n": 1, "who": "<b>Ada</b>"}, {"n": 2}], "patch": patch, "plain": 3})

    soup = admin.soup(f"/jobs/{taken.job_id}?tab=result")

    table = soup.select_one("table.data")
    assert [words(th) for th in table.select("th")] == ["n", "who"]  # type: ignore[union-attr]
    assert [words(td) for td in table.select("td")] == ["1", "<b>Ada</b>", "2", ""]  # type: ignore[union-attr]
    assert [words(span) for span in soup.select(".diff .add")] == ["+new"]
    assert "plain" in words(soup.select_one(".tree"))


SECRETIVE = {
    "type": "object",
    "properties": {
        "token": {"type": "string", "writeOnly": True},
        "login": {"$ref": "#/$defs/login"},
        "open": {"type": "string"},
    },
    "$defs": {"login": {"type": "object", "properties": {"word": {"type": "string", "format": "password"}}}},
}


def test_what_the_schema_calls_secret_is_shown_nowhere(admin: Visitor) -> None:
    agent(
        "secretive",
        parameters=SECRETIVE,
        output={"type": "object", "properties": {"key": {"x-secret": True}}},
    )
    given = {"token": "s3cret-1", "login": {"word": "s3cret-2"}, "open": "seen"}
    taken = claimed("secretive", parameters=given)
    lifecycle.complete(taken, {"key": "s3cret-3", "ok": True})

    pages = {part.name: admin.get(f"/jobs/{taken.job_id}?tab={part.name}").text for part in PARTS}
    pages["document"] = admin.get(f"/jobs/{taken.job_id}/document.json").text
    pages["result.json"] = admin.get(f"/jobs/{taken.job_id}/result.json").text
    pages["compare"] = admin.get(f"/jobs/compare?a={taken.job_id}&b={taken.job_id}").text
    pages["replay"] = admin.get(f"/jobs/{taken.job_id}/replay").text

    assert [name for name, page in pages.items() if "s3cret" in page] == []
    assert "••••" in pages["overview"]
    assert "seen" in pages["overview"]
    assert "curl -X POST" in pages["overview"]


def test_a_replay_takes_the_secrets_along_that_were_not_typed_anew(admin: Visitor) -> None:
    agent("secretive", parameters=SECRETIVE)
    taken = claimed("secretive", parameters={"token": "s3cret-1", "open": "seen"})
    lifecycle.complete(taken, {})

    answer = admin.post(f"/jobs/{taken.job_id}/replay", {"p.open": "other", "version": "pinned"})

    new = answer.headers["Location"].rsplit("/", 1)[1]
    kept = db.value("SELECT parameters FROM jobs WHERE job_id = %(id)s", id=new)
    assert sealing.is_sealed(kept["token"])
    opened = sealing.opened(kept, lifecycle.owner_of(new), "/parameters")
    assert opened == {"token": "s3cret-1", "open": "other"}
