"""The watchdog: what moves its clock, what suspends it, what it calls a circle, and what follows in a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors.attempt import Attempt
from actors.execute import AttemptFailed, run_next
from actors.heartbeat import Heartbeat
from actors.middleware.dead_letter import DeadLetters
from actors.middleware.retry import Retry
from actors.post import Post
from actors.watchdog import News, Watchdog, watchdog_for
from app import clock
from app.agents.definition import Watch, parse
from app.budgets.usage import Usage
from app.db import db
from app.errors import Stalled
from app.jobs import dead_letters, timeline
from tests import acting
from tests.waiting import until


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def time() -> Clock:
    return Clock()


def _dog(time: Clock, **wish: Any) -> Watchdog:
    return Watchdog(Watch(**{"stall_seconds": 60, "repeats": 3} | wish), time)


def _state(dog: Watchdog) -> str | None:
    news = dog.look()
    return news.state if news else None


def _call(dog: Watchdog, name: str = "Read", **arguments: Any) -> None:
    dog.tool_started(f"{name}-{len(dog._calls)}", name, arguments)
    dog.tool_ended(f"{name}-{len(dog._calls) - 1}")


USED = Usage(call_id="c1", provider="p", model="m", output_tokens=1)


class TestTheClock:
    def test_silence_is_a_stall_that_is_told_once(self, time: Clock) -> None:
        dog = _dog(time)
        dog.moved("reading the file")
        time.wait(59)
        assert dog.look() is None
        time.wait(1)
        news = dog.look()
        assert news is not None
        assert (news.state, news.last, news.level) == ("stalled", "reading the file", "warning")
        assert "no progress for 60 s (last: reading the file)" in news.message
        time.wait(600)
        assert dog.look() is None

    def test_since_is_when_it_last_moved(self, time: Clock) -> None:
        dog = _dog(time)
        time.wait(90)
        news = dog.look()
        assert news is not None
        assert timedelta(seconds=90) <= clock.now() - news.since < timedelta(seconds=95)

    def test_a_word_ends_the_stall(self, time: Clock) -> None:
        dog = _dog(time)
        time.wait(61)
        assert _state(dog) == "stalled"
        dog.moved("awake")
        news = dog.look()
        assert news is not None
        assert (news.state, news.level, news.message) == ("ok", "info", "moving again")

    def test_a_token_moves_it_and_the_same_figure_again_does_not(self, time: Clock) -> None:
        dog = _dog(time)
        for tokens in range(10):
            time.wait(50)
            dog.metered(replace(USED, output_tokens=tokens))
            assert dog.look() is None
        for _ in range(2):
            time.wait(50)
            dog.metered(replace(USED, output_tokens=9))
        assert _state(dog) == "stalled"

    def test_a_tool_call_in_flight_suspends_it_and_its_end_starts_it_anew(self, time: Clock) -> None:
        dog = _dog(time)
        dog.tool_started("t1", "Bash", {"command": "npm test"})
        time.wait(10_000)
        assert dog.look() is None
        dog.tool_ended("t1")
        time.wait(59)
        assert dog.look() is None
        time.wait(1)
        assert _state(dog) == "stalled"

    def test_it_goes_on_only_when_the_last_call_has_ended(self, time: Clock) -> None:
        dog = _dog(time)
        dog.tool_started("t1", "Bash", {"command": "a"})
        dog.tool_started("t2", "Bash", {"command": "b"})
        dog.tool_ended("t1")
        time.wait(100)
        assert dog.look() is None
        dog.tool_ended("t2")
        dog.tool_ended("t2")  # twice, or one that never began, is no harm
        time.wait(60)
        assert _state(dog) == "stalled"

    def test_the_last_thing_is_the_call_in_short(self, time: Clock) -> None:
        dog = _dog(time)
        dog.tool_started("t1", "Bash", {"command": "x" * 900}, "npm test")
        dog.tool_ended("t1")
        time.wait(60)
        news = dog.look()
        assert news is not None
        assert news.last == "Bash npm test"


class TestCircles:
    def test_the_same_call_so_often_is_named(self, time: Clock) -> None:
        dog = _dog(time)
        for _ in range(2):
            _call(dog, "Read", file_path="a.txt")
        assert dog.look() is None
        _call(dog, "Read", file_path="a.txt")
        news = dog.look()
        assert news is not None
        assert (news.state, news.level) == ("looping", "warning")
        assert news.message == "going in circles: 3 of the last 3 tool calls were the same call of Read"

    def test_other_arguments_or_another_tool_are_another_call(self, time: Clock) -> None:
        dog = _dog(time)
        for n in range(9):
            _call(dog, "Read" if n % 2 else "Write", file_path=f"{n // 2}.txt")
        assert dog.look() is None

    def test_the_order_of_arguments_does_not_matter(self, time: Clock) -> None:
        dog = _dog(time)
        _call(dog, "Grep", a=1, b=2)
        _call(dog, "Grep", b=2, a=1)
        _call(dog, "Grep", a=1, b=2)
        assert _state(dog) == "looping"

    def test_calls_in_between_do_not_hide_it_and_only_the_last_ten_count(self, time: Clock) -> None:
        dog = _dog(time)
        for n in range(3):
            _call(dog, "Read", file_path="a.txt")
            _call(dog, "Write", n=n)
        assert _state(dog) == "looping"
        for n in range(6):
            _call(dog, "Edit", n=n)
        assert _state(dog) == "ok"
        spread = _dog(time)
        for n in range(3):
            _call(spread, "Read", file_path="a.txt")
            for other in range(4):
                _call(spread, "Edit", n=n, other=other)
        assert spread.look() is None

    def test_more_repeats_than_ten_are_counted_too(self, time: Clock) -> None:
        dog = _dog(time, repeats=12)
        for _ in range(11):
            _call(dog, "Read", file_path="a.txt")
        assert dog.look() is None
        _call(dog, "Read", file_path="a.txt")
        assert _state(dog) == "looping"


class TestModes:
    def test_off_is_no_watchdog(self) -> None:
        text = "---\nname: a\ndescription: d\nx-callboard: {runner: llm, watchdog: {mode: MODE}}\n---\nBody"
        assert watchdog_for(parse("a", text.replace("MODE", '"off"'))) is None
        found = watchdog_for(parse("a", text.replace("MODE", "enforce")))
        assert found is not None
        assert found.wish.mode == "enforce"

    def test_a_warning_stops_nobody(self, time: Clock) -> None:
        dog = _dog(time, mode="warn")
        time.wait(60)
        assert _state(dog) == "stalled"
        assert dog.stop is None

    @pytest.mark.parametrize("how", ["stalled", "looping"])
    def test_enforcing_stops_and_does_not_take_it_back(self, time: Clock, how: str) -> None:
        dog = _dog(time, mode="enforce")
        if how == "stalled":
            time.wait(60)
        for _ in range(3 if how == "looping" else 0):
            _call(dog, "Read", file_path="a.txt")
        news = dog.look()
        assert news is not None
        assert (news.state, dog.stop) == (how, news.message)
        dog.moved("too late")
        assert (dog.look(), dog.stop) == (None, news.message)


def test_many_threads_may_speak_at_once(time: Clock) -> None:
    dog = _dog(time, repeats=100)
    began = threading.Barrier(8)

    def speak(number: int) -> None:
        began.wait()
        for n in range(500):
            dog.tool_started(f"{number}-{n}", "Read", {"n": n})
            dog.moved(f"{number} {n}")
            dog.tool_ended(f"{number}-{n}")
            dog.look()

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.wait(60)
    assert (dog._flying, _state(dog)) == (set(), "stalled")


class TestWhatAnAttemptFeedsIt:
    @pytest.fixture
    def attempt(self, post: Post, hold: Callable[..., Attempt], time: Clock) -> Attempt:
        with db.quick():
            claim = acting.claimed()
        made = hold(claim)
        made.watchdog = _dog(time)
        return made

    @pytest.mark.parametrize(
        "speak",
        [
            lambda a: a.log("a line"),
            lambda a: a.progress(5),
            lambda a: a.stage("next"),
            lambda a: a.event("turn", "I will read it."),
            lambda a: a.event("provider", "the second one answers"),
            lambda a: a.usage(pages=1),
            lambda a: a.checkpoint({"page": 2}),
            lambda a: a.partial({"so": "far"}),
            lambda a: a.meter(USED),
            lambda a: a.tool_started("t", "Bash", {}),
        ],
        ids=[
            "log",
            "progress",
            "stage",
            "turn",
            "provider",
            "usage",
            "checkpoint",
            "partial",
            "meter",
            "tool",
        ],
    )
    def test_whatever_an_agent_says_moves_the_clock(
        self, attempt: Attempt, time: Clock, speak: Callable[[Attempt], object]
    ) -> None:
        dog = attempt.watchdog
        assert dog is not None
        time.wait(59)
        speak(attempt)
        time.wait(59)
        assert dog.look() is None

    def test_what_the_worker_says_and_asks_does_not(self, attempt: Attempt, time: Clock) -> None:
        dog = attempt.watchdog
        assert dog is not None
        attempt.soft_deadline = 0.0
        time.wait(60)
        attempt.warn_when_late()
        attempt.event("budget", "80 % are spent", level="warning")
        attempt.checkpoint()
        attempt.checkpoint_due()
        attempt.process_started(1)
        attempt.pin(model="m")
        assert _state(dog) == "stalled"

    def test_the_change_goes_into_the_row_and_the_story(self, attempt: Attempt, time: Clock) -> None:
        attempt.log("reading")
        time.wait(60)
        attempt.look()
        report = attempt.take_report()
        assert report.watchdog is not None
        assert (report.watchdog["state"], report.watchdog["last"]) == ("stalled", "reading")
        assert [(line.kind, line.level, line.source) for line in report.lines[1:]] == [
            ("watchdog", "warning", "watchdog")
        ]

    def test_a_talkative_log_hides_neither_the_story_nor_the_watchdog(
        self, attempt: Attempt, time: Clock
    ) -> None:
        attempt.max_lines = 3
        for n in range(9):
            attempt.log(str(n))
        attempt.event("turn", "one")
        for n in range(9):
            attempt.event("tool", str(n))
        time.wait(60)
        attempt.look()
        said = [(line.kind, line.message) for line in attempt.take_report().lines]
        assert [kind for kind, _ in said] == ["log", "log", "log", "turn", "tool", "tool", "watchdog"]
        assert [text for _, text in said if "the rest is not kept" in text] == ["more than 3 lines: the rest is not kept"] * 2  # fmt: skip

    def test_only_in_enforce_mode_the_checkpoint_raises(self, attempt: Attempt, time: Clock) -> None:
        time.wait(60)
        attempt.look()
        attempt.checkpoint_due()
        attempt.watchdog = _dog(time, mode="enforce")
        time.wait(60)
        attempt.look()
        with pytest.raises(Stalled, match="no progress for 60 s"):
            attempt.checkpoint_due()


def test_news_are_json_with_a_time_to_read() -> None:
    told = News("stalled", clock.now(), "x", "y").as_json()
    assert set(told) == {"state", "since", "last"}
    assert told["since"].endswith("Z")
    assert Decimal(told["since"][:4]) >= 2024


class TestInAWorker:
    """Real agents in processes of their own, a real heartbeat, and the decisions of the middleware."""

    @pytest.fixture
    def heart(self, make_post: Callable[..., Post]) -> Iterator[Heartbeat]:
        made = Heartbeat(make_post())
        made._health_at = float("inf")  # not what this is about
        made.start()
        yield made
        made.stop()

    def _submit(self, call: str, watchdog: dict[str, Any], retries: int = 1, **parameters: Any) -> str:
        with db.quick():
            acting.agent(
                "dozer",
                python={"call": f"tests.playing:{call}"},
                watchdog=watchdog,
                retry={"max_retries": retries, "base_seconds": 0.1},
            )
            return acting.submitted("dozer", parameters=parameters)

    def _work(self, heart: Heartbeat) -> None:
        try:
            run_next(heart.post)
        except AttemptFailed as failed:
            for hook in (Retry(), DeadLetters()):
                hook.after_process_message(None, None, exception=failed)

    def _job(self, job_id: str) -> dict[str, Any]:
        with db.quick():
            return acting.job(job_id)

    def _words(self, job_id: str) -> list[str]:
        with db.quick():
            return [e["message"] for e in timeline.events(job_id) if e["kind"] == "watchdog"]

    def test_a_sleepy_agent_is_seen_within_its_limit_and_goes_on(self, heart: Heartbeat) -> None:
        job_id = self._submit("sleepy", {"mode": "warn", "stall_seconds": 1}, seconds=5)
        worker = threading.Thread(target=self._work, args=(heart,))
        worker.start()

        seen = until(lambda: self._job(job_id)["watchdog"])
        worker.join()

        assert (seen["state"], seen["last"]) == ("stalled", "dozing off")
        assert self._job(job_id)["status"] == "completed"
        assert [words.partition(" for ")[0] for words in self._words(job_id)] == ["no progress"]

    def test_enforced_it_is_stopped_tried_again_and_ends_as_stalled(self, heart: Heartbeat) -> None:
        job_id = self._submit("sleepy", {"mode": "enforce", "stall_seconds": 1}, seconds=60)

        self._work(heart)
        first = self._job(job_id)
        with db.quick():
            acting.make_due(job_id)
        self._work(heart)
        last = self._job(job_id)

        assert (first["status"], first["status_reason"], first["retry_count"]) == ("retry", "stalled", 1)
        assert (last["status"], last["status_reason"], last["error"]["code"]) == (
            "failed",
            "stalled",
            "stalled",
        )
        assert last["error"]["message"].endswith("(last: dozing off)")
        assert last["result"] == {"so_far": "one thing"}
        assert len(self._words(job_id)) == 2
        with db.quick():
            letter = dead_letters.get(job_id)
            outcomes = [a["outcome"] for a in timeline.attempts(job_id)]
        assert (letter["reason"], letter["error_type"]) == ("exhausted", "Stalled")
        assert outcomes == ["failed", "failed"]

    def test_while_a_tool_call_is_in_flight_nobody_is_stopped(self, heart: Heartbeat) -> None:
        job_id = self._submit("sleepy", {"mode": "enforce", "stall_seconds": 1}, seconds=4, tool=True)

        self._work(heart)

        assert (self._job(job_id)["status"], self._words(job_id)) == ("completed", [])

    def test_a_tool_call_that_never_ends_is_ended_by_the_time_limit(self, heart: Heartbeat) -> None:
        job_id = self._submit(
            "sleepy", {"mode": "enforce", "stall_seconds": 1}, retries=0, seconds=60, tool=True
        )
        with db.quick():
            db.run("UPDATE jobs SET options = '{\"timeout\": 2}' WHERE job_id = %(id)s", id=job_id)

        self._work(heart)

        row = self._job(job_id)
        assert (row["status"], row["status_reason"], row["error"]["class"]) == (
            "failed",
            "exhausted",
            "timeout",
        )

    @pytest.mark.parametrize(("mode", "status"), [("warn", "completed"), ("enforce", "failed")])
    def test_one_that_goes_in_circles_is_named(self, heart: Heartbeat, mode: str, status: str) -> None:
        job_id = self._submit("circling", {"mode": mode, "repeats": 5}, retries=0, times=5, seconds=2.5)

        self._work(heart)

        assert self._job(job_id)["status"] == status
        assert self._words(job_id) == [
            "going in circles: 5 of the last 5 tool calls were the same call of Read"
        ]

    def test_lines_of_a_program_move_it_and_the_looks_of_its_box_do_not(self, heart: Heartbeat) -> None:
        with db.quick():
            for name, script in (
                ("talker", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"),
                ("mute", "sleep 3"),
            ):
                acting.agent(
                    name,
                    runner="command",
                    command={"argv": ["sh", "-c", script]},
                    watchdog={"mode": "warn", "stall_seconds": 1.4},
                )
            talker, mute = acting.submitted("talker"), acting.submitted("mute")

        self._work(heart)
        self._work(heart)

        assert (self._job(talker)["status"], self._words(talker)) == ("completed", [])
        assert (self._job(mute)["status"], len(self._words(mute))) == ("completed", 1)
