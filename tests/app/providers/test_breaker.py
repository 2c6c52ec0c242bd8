"""The breaker by a clock of the test's own: a table of stories, and hypothesis against a model of a few lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.providers.breaker import KINDS, LONGEST_PAUSE, LONGEST_WISH, TRANSIENT, Breaker

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def after(*story: tuple[float, str] | tuple[float, str, float]) -> Breaker:
    """The breaker after (second, what happened[, Retry-After]); `probe ` before a word makes it the probe's."""
    breaker = Breaker()
    for second, words, *wish in story:
        probe, word = words.startswith("probe "), words.removeprefix("probe ")
        if probe:
            assert breaker.may_probe(at(second)), f"no probe may enter at {second}"
            breaker = breaker.probed()
        if word == "ok":
            breaker = breaker.succeeded(at(second), probe=probe)
        else:
            breaker = breaker.failed(at(second), word, f"{word}!", *wish, probe=probe)
    return breaker


FOUR = tuple((n, "overload") for n in range(4))
OPEN = (*FOUR, (4, "transport"))  # until 34


@pytest.mark.parametrize(
    ("story", "state", "until"),
    [
        (FOUR, "closed", None),
        (OPEN, "open", 34),
        # five in a row, of any transient kind, within a minute; not spread over more
        (((0, "throttle"), (10, "overload"), (20, "transport"), (30, "throttle"), (59, "overload")), "open", 89),
        (((0, "overload"), (20, "overload"), (30, "overload"), (40, "overload"), (60, "overload")), "closed", None),
        # the minute slides: the first has left it, the five after it have not
        (((0, "overload"), (50, "overload"), (55, "overload"), (58, "overload"), (61, "overload"), (62, "overload")),
         "open", 92),
        # an answer begins anew
        ((*FOUR, (4, "ok"), (5, "overload")), "closed", None),
        # no money, no key: at once
        (((0, "quota"),), "open", 30),
        (((0, "auth"),), "open", 30),
        # our own fault says nothing, however often
        (tuple((n, "request") for n in range(50)), "closed", None),
        ((*FOUR, (4, "request")), "closed", None),
        # a longer Retry-After wins, even one of days; a shorter one loses
        (((0, "quota", 3 * 86400),), "open", 3 * 86400),
        (((0, "quota", 5),), "open", 30),
        ((*FOUR, (4, "overload", 120)), "open", 124),
        # who says when to come back is left alone for so long, and for no longer
        (((0, "throttle", 7),), "open", 7),
        (((0, "overload", 12),), "open", 12),
        # what makes no sense is no wish
        (((0, "throttle", 0),), "closed", None),
        (((0, "throttle", -5),), "closed", None),
        (((0, "throttle", float("nan")),), "closed", None),
        (((0, "throttle", float("inf")),), "closed", None),
        (((0, "throttle", 1e300),), "open", LONGEST_WISH.total_seconds()),
        # the probe decides
        ((*OPEN, (34, "probe ok")), "closed", None),
        ((*OPEN, (34, "probe overload")), "open", 94),
        ((*OPEN, (34, "probe overload"), (94, "probe auth")), "open", 214),
        ((*OPEN, (34, "probe request")), "half_open", 34),
        ((*OPEN, (34, "probe throttle", 3)), "open", 37),
        # calls from before have no say, but may know of a longer pause
        ((*OPEN, (5, "ok")), "open", 34),
        ((*OPEN, (5, "overload"), (6, "auth"), (7, "quota")), "open", 34),
        ((*OPEN, (5, "throttle", 600)), "open", 605),
        ((*OPEN, (5, "throttle", 2)), "open", 34),
    ],
)  # fmt: skip
def test_the_table(story: tuple[tuple[float, str], ...], state: str, until: float | None) -> None:
    breaker = after(*story)

    assert breaker.state == state
    assert breaker.open_until == (None if until is None else at(until))
    assert (breaker.state == "closed") == (breaker.opened_at is None)


def test_the_pause_doubles_to_ten_minutes_and_begins_anew_after_an_answer() -> None:
    breaker, now, pauses = after((0, "auth")), START, []
    for _ in range(7):
        assert breaker.open_until is not None
        pauses.append((breaker.open_until - now).total_seconds())
        now = breaker.open_until
        breaker = breaker.probed().failed(now, "overload", "still", probe=True)

    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    again = breaker.probed().succeeded(now, probe=True).failed(now, "auth", "no")
    assert again.open_until == now + timedelta(seconds=30)


def test_a_throttle_that_names_its_time_is_no_step_of_the_doubling() -> None:
    breaker = after(
        (0, "throttle", 5), (5, "probe throttle", 5), (10, "probe throttle", 5), (15, "probe auth")
    )

    assert breaker.open_until == at(45)


def test_no_probe_before_its_time() -> None:
    breaker = after(*OPEN)

    assert [breaker.may_probe(at(s)) for s in (5, 33.9, 34, 5000)] == [False, False, True, True]
    assert not Breaker().may_probe(START)
    assert breaker.probed().may_probe(at(5)), "a probe that left without a verdict lets the next one in"


def test_since_when_it_is_open_does_not_move_with_each_failed_probe() -> None:
    assert after(*OPEN, (34, "probe overload")).opened_at == at(4)


def test_what_was_wrong_is_remembered_when_it_is_well_again() -> None:
    breaker = after((0, "auth"), (30, "probe ok"))

    assert (breaker.error_class, breaker.last_error, breaker.last_failed_at) == ("auth", "auth!", START)
    assert (breaker.failures, breaker.trips, breaker.last_ok_at) == (0, 0, at(30))
    assert breaker.reset() == breaker


def test_somebody_may_say_that_it_is_well_again() -> None:
    assert after(*OPEN).reset().state == "closed"
    assert after(*OPEN).reset().failed(at(5), "overload", "x").state == "closed"


class Play(RuleBasedStateMachine):
    """Calls that enter while it is closed and end whenever they like, probes, and time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.breaker = Breaker()
        self.under_way = 0
        self.probing = False
        self.in_a_row: list[datetime] = []

    @rule(seconds=st.sampled_from([0.5, 10, 29, 31, 61, 700]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.breaker.state == "closed")
    @rule()
    def a_call_enters(self) -> None:
        assert not self.breaker.may_probe(self.now)
        self.under_way += 1

    @precondition(lambda self: not self.probing and self.breaker.may_probe(self.now))
    @rule()
    def the_probe_enters(self) -> None:
        self.breaker, self.probing = self.breaker.probed(), True

    @precondition(lambda self: self.under_way)
    @rule(kind=st.sampled_from(KINDS), wish=st.sampled_from([None, 5.0, 4000.0]))
    def a_call_fails(self, kind: str, wish: float | None) -> None:
        self.under_way -= 1
        before = self.breaker
        self.breaker = before.failed(self.now, kind, "no", wish)
        if kind == "request":
            assert self.breaker == before
        elif before.state == "closed":
            self._judge(kind, wish)
        else:
            assert (self.breaker.state, self.breaker.trips) == (before.state, before.trips)
            assert (self.breaker.open_until or START) >= (before.open_until or START)

    def _judge(self, kind: str, wish: float | None) -> None:
        counts = kind in TRANSIENT and not (kind == "throttle" and wish)
        if counts:
            self.in_a_row = [t for t in self.in_a_row if self.now - t < timedelta(seconds=60)] + [self.now]
        trips = kind in ("quota", "auth") or len(self.in_a_row) >= 5
        assert (self.breaker.state == "open") == bool(trips or wish)
        if self.breaker.state == "open":
            least = max(wish or 0, 30 if trips else 0)
            assert self.breaker.open_until == self.now + timedelta(seconds=least)
            self.in_a_row = []

    @precondition(lambda self: self.under_way)
    @rule()
    def a_call_is_answered(self) -> None:
        self.under_way -= 1
        before = self.breaker
        self.breaker = before.succeeded(self.now)
        assert self.breaker.state == before.state
        if before.state == "closed":
            self.in_a_row = []
            assert (self.breaker.failures, self.breaker.trips) == (0, 0)

    @precondition(lambda self: self.probing)
    @rule(kind=st.sampled_from(KINDS), wish=st.sampled_from([None, 5.0, 4000.0]))
    def the_probe_fails(self, kind: str, wish: float | None) -> None:
        before, self.probing = self.breaker, False
        self.breaker = before.failed(self.now, kind, "no", wish, probe=True)
        if kind == "request":
            assert self.breaker == before
            return
        named = kind == "throttle" and wish
        assert self.breaker.state == "open"
        assert self.breaker.trips == before.trips + (0 if named else 1)
        assert self.breaker.open_until is not None
        pause = self.breaker.open_until - self.now
        usual = min(timedelta(seconds=30) * 2**before.trips, LONGEST_PAUSE)
        assert pause == timedelta(seconds=wish or 0) if named else pause >= usual

    @precondition(lambda self: self.probing)
    @rule()
    def the_probe_is_answered(self) -> None:
        self.probing = False
        self.breaker = self.breaker.succeeded(self.now, probe=True)
        self.in_a_row = []
        assert self.breaker == self.breaker.reset()
        assert self.breaker.state == "closed"

    @precondition(lambda self: self.probing)
    @rule()
    def the_probe_leaves_without_a_verdict(self) -> None:
        self.probing = False
        assert self.breaker.may_probe(self.now)

    @invariant()
    def what_the_table_demands_holds(self) -> None:
        assert (self.breaker.state == "closed") == (self.breaker.opened_at is None)
        assert (self.breaker.state == "closed") == (self.breaker.open_until is None)
        assert len(self.breaker.recent_failures) < 5


TestPlay = Play.TestCase
TestPlay.settings = settings(max_examples=80, stateful_step_count=60, derandomize=True, database=None)
