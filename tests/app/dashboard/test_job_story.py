"""The transcript of a job, what its watchdog noticed, what it cost, and going on after a spent budget."""

from __future__ import annotations

from typing import Any

import pytest

from app import clock
from app.dashboard.job import PARTS
from app.errors import PermanentError, StoppedByBudget
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from tests.app.dashboard.aside import acting, agent, claimed, db, job, lifecycle, submitted, timeline
from tests.app.dashboard.visiting import Visitor


def _tell(taken: Claim, *told: tuple[str, str, dict[str, Any] | None], level: str = "info") -> None:
    lines = [
        Line(at=clock.now(), kind=kind, level=level, source="agent", message=message, data=data)
        for kind, message, data in told
    ]
    timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, lines=lines))


def _news(taken: Claim, **news: Any) -> None:
    timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, **news))


CALL = ("tool", "Bash npm test", {"call_id": "t1", "name": "Bash", "arguments": {"command": "npm test"}})
ANSWER = ("tool_result", "42 passed", {"call_id": "t1", "ok": True})


class TestTheTranscript:
    def test_turns_calls_and_switches_are_told_in_order_with_answers_inside_their_calls(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        _tell(
            taken,
            ("turn", "I will run <b>the tests</b>.", {"turn": 1}),
            CALL,
            ("log", "a line of the log", None),
            ("provider", "Switched from One to Two: overloaded", {"reason": "overload"}),
            ANSWER,
            ("stage", "next", {"stage": "next"}),
        )

        soup = admin.soup(f"/jobs/{taken.job_id}?tab=transcript")

        entries = soup.select("#story > li:not([hidden])")
        assert [entry["class"][0] for entry in entries] == ["k-turn", "k-tool", "k-provider"]
        assert "I will run <b>the tests</b>." in entries[0].text
        call = entries[1]
        assert call.select_one("summary strong").text == "Bash"  # type: ignore[union-attr]
        assert "npm test" in call.select_one("summary .brief").text  # type: ignore[union-attr]
        assert ["command" in pre.text or pre.text for pre in call.select("pre")] == [True, "42 passed"]
        assert "Done" in call.text
        assert soup.select("#story > li")[-1]["data-seq"] == "6"
        assert "a line of the log" not in soup.select_one("#story").text  # type: ignore[union-attr]
        log = admin.soup(f"/jobs/{taken.job_id}?tab=log").select("#log > li:not([hidden])")
        assert [line.select_one(".msg").text for line in log] == ["a line of the log"]  # type: ignore[union-attr]

    def test_it_goes_on_from_the_cursor_and_an_answer_that_comes_later_completes_its_call(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        _tell(taken, ("turn", "one", None), CALL)
        address = f"/ui/jobs/{taken.job_id}/story"
        first = admin.soup(f"{address}?after=0")
        assert "In flight" in first.select_one("li.k-tool").text  # type: ignore[union-attr]
        assert admin.get(f"{address}?after=2").status_code == 204

        _tell(taken, ANSWER)
        second = admin.soup(f"{address}?after=2")

        call = second.select_one("li.k-tool")
        assert call is not None
        assert (call["id"], call["hx-swap-oob"]) == ("e-2", "outerMorph")
        assert "42 passed" in call.text
        (marker,) = second.select("li[hidden]")
        assert marker["data-seq"] == "3"
        assert admin.get(f"{address}?after=3").status_code == 204

    def test_calls_of_two_attempts_with_one_id_are_not_confused(self, admin: Visitor) -> None:
        taken = claimed()
        _tell(taken, CALL)
        lifecycle.release(taken)
        again = acting.claim()
        _tell(again, CALL, ANSWER)

        calls = admin.soup(f"/jobs/{taken.job_id}?tab=transcript").select("#story li.k-tool")

        assert ["Done" in call.text for call in calls] == [False, True]

    def test_a_failed_call_and_an_answer_without_its_call_are_shown_as_what_they_are(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        _tell(taken, CALL, ("tool_result", "exit 1", {"call_id": "t1", "ok": False}))
        _tell(taken, ("tool_result", "from nowhere", {"call_id": "t9", "ok": True}))

        entries = admin.soup(f"/jobs/{taken.job_id}?tab=transcript").select("#story > li:not([hidden])")

        assert any("Failed" in entry.text and "exit 1" in entry.text for entry in entries)
        assert any("from nowhere" in entry.text for entry in entries)

    def test_one_who_does_not_begin_is_asked_less_often_and_nobody_after_the_end(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        address = f"/ui/jobs/{taken.job_id}/story?after=0"
        assert admin.get(address).headers["HX-Poll"] == "2000ms"
        db.run("UPDATE jobs SET started_at = started_at - interval '31 s'")
        assert admin.get(address).headers["HX-Poll"] == "5000ms"
        _tell(taken, ("turn", "one", None))
        assert admin.get(address).headers["HX-Poll"] == "2000ms"
        lifecycle.complete(taken, {})
        assert admin.get(address).headers["HX-Poll"] == "stop"

    def test_nothing_that_a_model_or_a_provider_says_becomes_markup(self, admin: Visitor) -> None:
        evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)> [x](javascript:alert(1))'
        taken = claimed()
        call = {"call_id": evil, "name": evil, "arguments": {evil: evil}}
        _tell(
            taken, ("turn", evil, None), ("tool", evil, call), ("provider", evil, None), ("log", evil, None)
        )
        _tell(taken, ("tool_result", evil, {"call_id": evil, "ok": True}))
        _news(taken, pins={"model": evil, "provider": evil}, stage=evil, current_step=evil)
        with db.quick():
            lifecycle.complete(
                taken, {"report": evil, "result": evil, "model_used": evil, "produced_by": evil}
            )

        parts = [f"/jobs/{taken.job_id}?tab={part.name}" for part in PARTS]
        for page in (*parts, f"/jobs/compare?a={taken.job_id}&b={taken.job_id}"):
            soup = admin.soup(page)
            assert not soup.select("script:not([src]), [onerror], a[href^=javascript]")
            assert not [image for image in soup.select("img[src=x]") if image.has_attr("onerror")]

    def test_odd_figures_of_a_call_break_no_page(self, admin: Visitor) -> None:
        taken = claimed()
        _tell(
            taken, ("tool", "x", {"call_id": [1], "name": 5}), ("tool", "y", {"call_id": None, "name": None})
        )
        assert "In flight" in admin.soup(f"/jobs/{taken.job_id}?tab=transcript").text
        _tell(taken, ("tool_result", "z", {"call_id": [1], "ok": {}}))
        assert "z" in admin.soup(f"/ui/jobs/{taken.job_id}/story?after=2").text

    def test_as_text(self, admin: Visitor) -> None:
        taken = claimed()
        _tell(taken, ("turn", "<i>one</i>", None), CALL, ("log", "not this", None))

        answer = admin.get(f"/jobs/{taken.job_id}/transcript.txt")

        assert answer.mimetype == "text/plain"
        assert [line.partition(" ")[2] for line in answer.text.splitlines()] == [
            "turn: <i>one</i>",
            "tool: Bash npm test",
        ]

    def test_it_is_content(self, viewer: Visitor, user: Visitor) -> None:
        taken = claimed()
        _tell(taken, ("turn", "secret words", None))
        assert "secret words" not in viewer.get(f"/jobs/{taken.job_id}").text
        assert viewer.get(f"/jobs/{taken.job_id}?tab=transcript").status_code == 403
        for path in (f"/ui/jobs/{taken.job_id}/story", f"/jobs/{taken.job_id}/transcript.txt"):
            assert viewer.get(path).status_code == 403, path
            assert user.get(path).status_code == 404, path


class TestTheWatchdogsBadge:
    def test_a_stalled_job_says_since_when_and_what_it_said_last(
        self, admin: Visitor, viewer: Visitor
    ) -> None:
        taken = claimed()
        since = "2026-11-21T10:00:00.000Z"
        _news(taken, watchdog={"state": "stalled", "since": since, "last": "Bash npm test"})

        badge = admin.soup(f"/jobs/{taken.job_id}").select_one("#watchdog")

        assert badge is not None
        assert "No progress" in badge.text
        assert "Bash npm test" in badge.text
        assert badge.select_one("time")["data-rel"] == "for"  # type: ignore[index]
        seen = viewer.soup(f"/jobs/{taken.job_id}").select_one("#watchdog")
        assert seen is not None
        assert "npm" not in seen.text

    def test_one_in_circles_is_called_so_and_one_that_moves_again_is_not_mentioned(
        self, admin: Visitor
    ) -> None:
        taken = claimed()
        news = {"since": "2026-11-21T10:00:00.000Z", "last": "Read a.txt"}
        _news(taken, watchdog=news | {"state": "looping"})
        assert "Going in circles" in admin.soup(f"/jobs/{taken.job_id}").select_one("#watchdog").text  # type: ignore[union-attr]
        _news(taken, watchdog=news | {"state": "ok"})
        assert admin.soup(f"/jobs/{taken.job_id}").select_one("#watchdog") is None


class TestWhatItCost:
    def test_the_cost_stands_in_the_head_and_with_each_attempt_what_it_ran_with(self, admin: Visitor) -> None:
        taken = claimed()
        usage = {"input_tokens": 12_000, "output_tokens": 345, "cost_usd": None, "cost_status": "unpriced"}
        _news(taken, usage=usage, pins={"provider": "ollama", "model": "llama", "session_id": "s-1"})

        soup = admin.soup(f"/jobs/{taken.job_id}")

        assert soup.select_one("#cost").text == "12,345 tok, unpriced"  # type: ignore[union-attr]
        assert "$" not in soup.select_one("#status").text  # type: ignore[union-attr]
        attempts = admin.soup(f"/jobs/{taken.job_id}?tab=attempts")
        assert "ollama · llama" in attempts.select_one("#attempt-1").text  # type: ignore[union-attr]

    def test_a_result_says_when_no_real_model_made_it(self, admin: Visitor) -> None:
        taken = claimed()
        lifecycle.complete(taken, {"demo": True, "produced_by": "offline tools"})

        labels = [badge.text for badge in admin.soup(f"/jobs/{taken.job_id}").select("#summary .badge")]

        assert "Demo model" in labels
        assert "Produced by offline tools" in labels


def _stopped(owner: str, **budget: float) -> str:
    agent("spender", budget={"usd": 2.0})
    job_id = str(submitted("spender", submitted_by=owner, budget=budget or None))
    taken = acting.claim()
    _news(taken, checkpoint={"page": 7})
    error = StoppedByBudget("the budget of $1.00 for this job is spent")
    lifecycle.fail(taken, error, Reason.STOPPED_BUDGET, partial={"report": "# Half of it"})
    return job_id


class TestGoingOn:
    def test_a_stopped_job_shows_what_it_had_and_how_to_go_on(self, user: Visitor) -> None:
        job_id = _stopped(user.user_id, usd=1)

        soup = user.soup(f"/jobs/{job_id}")

        assert "Stopped by its budget" in soup.select_one("#overview").text  # type: ignore[union-attr]
        assert "Trying the same again will not help" not in soup.text
        assert "The result as far as it got" in soup.select_one("#summary").text  # type: ignore[union-attr]
        assert soup.select_one("#summary .prose h1").text == "Half of it"  # type: ignore[union-attr]
        assert [field["name"] for field in soup.select("#raise input")] == ["usd"]

    def test_raising_goes_on_as_a_new_job_from_the_checkpoint(self, user: Visitor) -> None:
        job_id = _stopped(user.user_id, usd=1)

        answer = user.post(f"/jobs/{job_id}/resume", {"usd": "0.5"})

        new = job(answer.headers["Location"].rsplit("/", 1)[1])
        assert (new["options"]["budget"], new["checkpoint"]) == ({"usd": 1.5}, {"page": 7})
        noted = db.value("SELECT details->>'new_job_id' FROM audit_log WHERE action = 'job.resumed'")
        assert noted == new["job_id"]

    @pytest.mark.parametrize("amount", ["nonsense", "nan", "inf", "-1", "1e9", "2.00"])
    def test_odd_amounts_and_more_than_one_may_are_refused_and_nothing_is_submitted(
        self, user: Visitor, amount: str
    ) -> None:
        job_id = _stopped(user.user_id, usd=1)

        page = user.post(f"/jobs/{job_id}/resume", {"usd": amount}, follow=True)

        assert "Not resumed" in page.text
        assert db.value("SELECT count(*) FROM jobs") == 1

    def test_more_than_the_agents_budget_is_offered_to_admins_only(
        self, user: Visitor, admin: Visitor
    ) -> None:
        job_id = _stopped(user.user_id)

        assert user.soup(f"/jobs/{job_id}").select("#raise input") == []
        assert [field["value"] for field in admin.soup(f"/jobs/{job_id}").select("#raise input")] == ["2.0"]
        answer = admin.post(f"/jobs/{job_id}/resume", {"usd": "3"})
        assert job(answer.headers["Location"].rsplit("/", 1)[1])["options"]["budget"] == {"usd": 5}

    def test_others_and_other_jobs_are_not_resumed(
        self, user: Visitor, admin: Visitor, viewer: Visitor
    ) -> None:
        job_id = _stopped(admin.user_id, usd=1)
        assert user.post(f"/jobs/{job_id}/resume", {"usd": "1"}).status_code == 404
        assert viewer.post(f"/jobs/{job_id}/resume", {"usd": "1"}).status_code == 403
        taken = claimed()
        lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
        assert admin.post(f"/jobs/{taken.job_id}/resume", {"usd": "1"}).status_code == 409


def test_what_stands_in_the_way_is_linked(admin: Visitor) -> None:
    agent("narrow", max_concurrent=1)
    taken = claimed("narrow", task_name="The one before")
    job_id = submitted("narrow")

    why = admin.soup(f"/jobs/{job_id}").select_one("#why")

    assert why is not None
    assert [a["href"] for a in why.select(".held a")] == [f"/jobs/{taken.job_id}"]
    assert "The one before" in why.text


def test_jobs_of_others_in_the_way_are_counted_and_not_named(user: Visitor) -> None:
    agent("narrow", max_concurrent=1)
    taken = claimed("narrow", task_name="Secret name")
    job_id = submitted("narrow", submitted_by=user.user_id)

    why = user.soup(f"/jobs/{job_id}").select_one("#why")

    assert why is not None
    assert "1 job, of others" in why.text
    assert taken.job_id not in str(why)
    assert "Secret name" not in why.text
