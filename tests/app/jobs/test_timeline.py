"""What a job says: batched, in order, read by cursor without gaps or repeats."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from app import clock
from app.db import db
from app.errors import TemporaryError
from app.jobs import lifecycle, timeline
from app.jobs.claims import Claim
from app.jobs.timeline import LONGEST_MESSAGE, Line, Report
from tests import acting
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("quick")


def _line(message: str, level: str = "info", kind: str = "log", data: dict[str, Any] | None = None) -> Line:
    return Line(at=clock.now(), kind=kind, level=level, source="agent", message=message, data=data)


def _report(claim: Claim, *lines: Line, **news: Any) -> Report:
    return Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=list(lines), **news)


@pytest.fixture
def claim(quick: Engine) -> Claim:
    with db.quick():
        return acting.claimed()


@pytest.mark.usefixtures("here")
class TestWriting:
    def test_one_report_is_one_write_of_everything(self, claim: Claim) -> None:
        version = acting.job(claim.job_id)["version"]
        assert timeline.write(
            _report(claim, _line("a"), _line("b"), progress=40, stage="s", current_step="t", process_id=7,
                    usage={"tokens": 1.0}, checkpoint={"at": 2})
        )  # fmt: skip
        row = acting.job(claim.job_id)
        shown = [
            row[c]
            for c in ("progress", "stage", "current_step", "process_id", "usage", "checkpoint", "last_seq")
        ]
        assert shown == [40, "s", "t", 7, {"tokens": 1.0}, {"at": 2}, 2]
        assert row["version"] == version + 1

    def test_what_is_not_said_stays(self, claim: Claim) -> None:
        timeline.write(_report(claim, progress=40, stage="s"))
        timeline.write(_report(claim, _line("a")))
        row = acting.job(claim.job_id)
        assert (row["progress"], row["stage"]) == (40, "s")

    @pytest.mark.parametrize(
        "settle",
        [
            lambda c: lifecycle.retry_later(c, TemporaryError(), 0),
            lambda c: lifecycle.release(c),
            acting.rescue,
            lambda c: lifecycle.complete(c, {}),
        ],
        ids=["failed", "released", "lost", "completed"],
    )
    def test_an_attempt_keeps_what_it_used_and_ran_with_however_it_ends(
        self, claim: Claim, settle: Callable[[Claim], object]
    ) -> None:
        timeline.write(_report(claim, pins={"provider": "p"}))
        timeline.write(_report(claim, usage={"input_tokens": 5}))
        timeline.write(_report(claim, pins={"provider": "p", "model": "m"}))
        settle(claim)
        (attempt,) = timeline.attempts(claim.job_id)
        assert (attempt["pins"], attempt["usage"]) == ({"provider": "p", "model": "m"}, {"input_tokens": 5})

    @pytest.mark.parametrize("change", [{"fence": 2}, {"lease_id": lifecycle.new_id()}])
    def test_only_the_holder_is_heard(self, claim: Claim, change: dict[str, Any]) -> None:
        report = Report(**{**vars(_report(claim, _line("a"), progress=9)), **change})
        assert not timeline.write(report)
        assert (timeline.log(claim.job_id), acting.job(claim.job_id)["progress"]) == ([], 0)

    def test_nothing_is_heard_after_the_settle(self, claim: Claim) -> None:
        lifecycle.complete(claim, {})
        assert not timeline.write(_report(claim, _line("late")))
        assert [e["kind"] for e in timeline.events(claim.job_id)] == ["complete"]

    def test_text_that_postgres_refuses_is_made_fit(self, claim: Claim) -> None:
        timeline.write(_report(claim, _line("nul \x00 here" + "x" * LONGEST_MESSAGE), current_step="a\x00b"))
        (line,) = timeline.log(claim.job_id)
        assert line["message"].startswith("nul \N{REPLACEMENT CHARACTER} here")
        assert len(line["message"]) == LONGEST_MESSAGE
        assert acting.job(claim.job_id)["current_step"] == "a\N{REPLACEMENT CHARACTER}b"

    @pytest.mark.parametrize(
        "data",
        [{"nul": "a\x00b"}, {"lone": "\ud800"}, {"huge": 2**80}, {"odd": object()}, {"nan": float("nan")}],
    )
    def test_odd_data_never_stops_a_line(self, claim: Claim, data: dict[str, Any]) -> None:
        timeline.write(_report(claim, _line("odd", data=data)))
        (line,) = timeline.log(claim.job_id)
        assert list(line["data"]) == list(data)

    def test_a_lone_surrogate_in_any_text_never_stops_a_report(self, claim: Claim) -> None:
        assert timeline.write(
            _report(claim, _line("a \ud800 b"), stage="s\ud800", current_step="t\x00\ud800")
        )
        assert len(timeline.log(claim.job_id)) == 1


@pytest.mark.usefixtures("here")
class TestReading:
    def test_a_cursor_goes_on_exactly_where_it_was(self, claim: Claim) -> None:
        for start in (0, 3, 6):
            timeline.write(_report(claim, *(_line(str(start + n)) for n in range(3))))
        seen: list[str] = []
        cursor = 0
        while lines := timeline.log(claim.job_id, after=cursor, limit=2):
            seen += [line["message"] for line in lines]
            cursor = lines[-1]["seq"]
        assert seen == [str(n) for n in range(9)]
        assert [line["message"] for line in timeline.newest(claim.job_id, 2)] == ["7", "8"]

    def test_sequence_numbers_go_on_across_attempts(self, claim: Claim) -> None:
        timeline.write(_report(claim, _line("first")))
        lifecycle.release(claim)
        again = acting.claim("w2")
        assert again is not None
        timeline.write(_report(again, _line("second")))
        assert [(e["seq"], e["attempt"]) for e in timeline.log(claim.job_id)] == [(1, 1), (2, 2)]

    def test_a_level_keeps_that_and_worse(self, claim: Claim) -> None:
        timeline.write(
            _report(claim, *(_line(level, level) for level in ("debug", "info", "warning", "error")))
        )
        assert [e["message"] for e in timeline.log(claim.job_id, level="warning")] == ["warning", "error"]

    def test_events_hold_lines_and_stages_in_one_order(self, claim: Claim) -> None:
        timeline.write(_report(claim, _line("a"), _line("s", kind="stage"), _line("b")))
        assert [e["kind"] for e in timeline.events(claim.job_id)] == ["log", "stage", "log"]
        assert [e["message"] for e in timeline.log(claim.job_id)] == ["a", "b"]

    def test_history_and_attempts_tell_the_whole_story(self, claim: Claim) -> None:
        lifecycle.release(claim)
        assert [(m["from_status"], m["to_status"], m["reason"]) for m in timeline.history(claim.job_id)] == [
            (None, "queued", None),
            ("queued", "running", None),
            ("running", "queued", "released"),
        ]
        (attempt,) = timeline.attempts(claim.job_id)
        assert (attempt["attempt"], attempt["worker_id"], attempt["outcome"]) == (1, "w1", "released")
        assert attempt["duration_seconds"] >= 0


def test_a_reader_beside_a_writer_misses_nothing_and_sees_nothing_twice(claim: Claim) -> None:
    lines, size = 40, 5

    def say() -> None:
        with db.quick():
            for start in range(0, lines, size):
                timeline.write(_report(claim, *(_line(str(start + n)) for n in range(size))))

    seen: list[int] = []

    def read() -> bool:
        with db.quick():
            seen.extend(
                line["seq"] for line in timeline.log(claim.job_id, after=seen[-1] if seen else 0, limit=7)
            )
        return len(seen) >= lines

    writer = threading.Thread(target=say)
    writer.start()
    until(read, every=0.001)
    writer.join()
    assert seen == list(range(1, lines + 1))


@pytest.mark.usefixtures("here")
def test_the_log_and_the_story_are_apart_and_both_are_events(claim: Claim) -> None:
    kinds = ("log", "turn", "stage", "tool", "log", "tool_result", "provider", "budget", "watchdog")
    timeline.write(_report(claim, *(_line(kind, kind=kind, data={"call_id": "c"}) for kind in kinds)))
    lifecycle.complete(claim, {})
    story = ["turn", "tool", "tool_result", "provider", "budget", "watchdog"]
    assert [e["kind"] for e in timeline.log(claim.job_id)] == ["log", "log"]
    assert [e["kind"] for e in timeline.story(claim.job_id)] == story
    assert [e["kind"] for e in timeline.story(claim.job_id, after=6, limit=1)] == ["provider"]
    assert [e["kind"] for e in timeline.newest_story(claim.job_id, 2)] == ["budget", "watchdog"]
    assert [e["kind"] for e in timeline.events(claim.job_id)] == [*kinds, "complete"]
    assert {key: call["seq"] for key, call in timeline.tool_calls(claim.job_id, ["c", "x"]).items()} == {
        (1, "c"): 4
    }
