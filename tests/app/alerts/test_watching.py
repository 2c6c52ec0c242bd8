"""The engine on a real database: raised once, resolved once, told once, whoever looks and whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg2.errors
import pytest
from sqlalchemy import Engine, text

from actors import sweeps
from app.alerts import changes, queries, watching
from app.alerts import rules as known
from app.alerts.measures import Limits, Reading
from app.alerts.rules import Rule
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.settings import ROOT, Settings
from app.workers import fleet
from tests import acting
from tests.waiting import until

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Figure:
    """What is measured, under a test's hand."""

    def __init__(self, **more: Any) -> None:
        self.now: dict[str, float] = {}
        self.fails: Exception | None = None
        told: dict[str, Any] = {"hold": MINUTE, "calm": 2 * MINUTE, "cooldown": 15 * MINUTE, "unit": "jobs"}
        self.rule = Rule(
            **(
                {
                    "name": "figure",
                    "title": "Too many",
                    "words": "Of all.",
                    "threshold": 10,
                    "most": 1000,
                    "severity": "critical",
                    "do": "Look.",
                    "measure": self.measure,
                }
                | told
                | more
            )
        )

    def measure(self, _limits: Limits) -> list[Reading]:
        if self.fails:
            raise self.fails
        return [Reading(subject, value, "says the test") for subject, value in self.now.items()]


class Watch:
    """Looks at a figure, at times of a test."""

    def __init__(self, *figures: Figure) -> None:
        self.rules = tuple(figure.rule for figure in figures)
        self.at = START

    def look(self, after: timedelta = timedelta(0)) -> dict[str, int]:
        self.at += after
        with db.transaction():
            return watching.look(Limits(), rules=self.rules, at=self.at)

    def go_on(self, lasts: timedelta, every: timedelta = timedelta(seconds=15)) -> tuple[int, int]:
        """Look again and again; answers how often something was raised and resolved."""
        done = [self.look(every) for _ in range(int(lasts / every))]
        return sum(each["raised"] for each in done), sum(each["resolved"] for each in done)


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> None:
    """Nothing of other tests."""


@pytest.fixture
def figure() -> Figure:
    """A figure that is well below 10."""
    return Figure()


@pytest.fixture
def watch(figure: Figure) -> Watch:
    """Somebody who looks at it."""
    return Watch(figure)


@pytest.fixture
def own_rules(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The figure is one of the rules that admins change."""
    monkeypatch.setitem(known.BY_NAME, "figure", figure.rule)
    monkeypatch.setattr(queries, "RULES", (*known.RULES, figure.rule))
    return


def told(event: str = "alert.%") -> list[str]:
    with db.quick():
        rows = db.rows(
            "SELECT event, title FROM notifications WHERE event LIKE %(event)s ORDER BY created_at",
            event=event,
        )
    return [f"{row['event'].removeprefix('alert.')}: {row['title']}" for row in rows]


def alerts(state: Any = "all") -> list[Row]:
    with db.quick():
        return queries.listing(state)


def test_raised_after_its_time_resolved_after_its_time_and_told_once_each(
    figure: Figure, watch: Watch
) -> None:
    figure.now = {"": 11}
    assert watch.go_on(MINUTE) == (0, 0)
    assert alerts() == []
    assert told() == []
    assert watch.look(timedelta(seconds=15)) == {"raised": 1, "resolved": 0}
    figure.now = {"": 90}
    watch.go_on(MINUTE)
    figure.now = {"": 10}
    assert watch.go_on(2 * MINUTE) == (0, 0)
    (alert,) = alerts("active")
    assert (alert["value"], alert["worst"], alert["threshold"], alert["state"]) == (10, 90, 10, "active")
    assert alert["wrong_since"] == START + timedelta(seconds=15)
    assert alert["calm_since"] is not None
    assert watch.look(timedelta(seconds=15)) == {"raised": 0, "resolved": 1}

    assert alerts("active") == []
    (alert,) = alerts("resolved")
    assert (alert["state"], alert["resolved_at"]) == ("resolved", watch.at)
    assert told() == ["raised: Too many", "resolved: Over: Too many"]


def test_what_is_told_says_the_figure_its_limit_and_what_to_do(figure: Figure, watch: Watch) -> None:
    figure.now = {"general": 11}
    watch.go_on(2 * MINUTE)
    with db.quick():
        news = db.row("SELECT title, body, severity, audience, data FROM notifications")
        mail = db.row("SELECT status FROM deliveries")
    assert news is not None
    assert news["title"] == "Too many (general)"
    assert news["body"] == "Too many (general): 11 jobs, over the limit of 10 jobs; says the test. Look."
    assert (news["severity"], news["audience"]) == ("error", "admins")
    assert (news["data"]["rule"], news["data"]["subject"], news["data"]["value"]) == ("figure", "general", 11)
    assert mail == {"status": "skipped"}  # nowhere to send it: it says so, and the inbox has it


def test_a_moment_is_no_alert_and_leaves_nothing(figure: Figure, watch: Watch) -> None:
    for _ in range(10):
        figure.now = {"": 99}
        watch.go_on(timedelta(seconds=45))
        figure.now = {"": 1}
        watch.look(timedelta(seconds=15))
    with db.quick():
        assert db.value("SELECT count(*) FROM alerts") == 0
    assert told() == []


def test_at_the_edge_it_is_told_once(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    for number in range(60):
        figure.now = {"": 9.99 if number % 4 else 10.01}
        watch.look(timedelta(seconds=15))
    assert len(alerts()) == 1
    assert told() == ["raised: Too many"]


def test_subjects_are_apart(figure: Figure, watch: Watch) -> None:
    figure.now = {"a": 11, "b": 5}
    watch.go_on(2 * MINUTE)
    figure.now = {"b": 50}
    watch.go_on(3 * MINUTE)
    assert {(each["subject"], each["state"]) for each in alerts()} == {("a", "resolved"), ("b", "active")}


def test_what_is_gone_from_the_measures_is_well(figure: Figure, watch: Watch) -> None:
    figure.now = {"a": 11}
    watch.go_on(2 * MINUTE)
    figure.now = {}
    assert watch.go_on(3 * MINUTE) == (0, 1)


def test_a_restart_in_between_changes_nothing(figure: Figure) -> None:
    """Each look is by a process that never looked before: all it knows stands in the table."""
    figure.now = {"": 11}
    at, done = START, []
    for number in range(40):
        if number == 12:
            figure.now = {"": 1}
        process = Watch(figure)
        process.at = at
        done.append(process.look())
        at += timedelta(seconds=15)
    assert [number for number, each in enumerate(done) if each["raised"]] == [4]
    assert [number for number, each in enumerate(done) if each["resolved"]] == [20]
    assert told() == ["raised: Too many", "resolved: Over: Too many"]


def test_while_nobody_looks_nothing_becomes_an_alert(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.look()
    assert watch.look(timedelta(hours=3)) == {"raised": 0, "resolved": 0}
    assert watch.go_on(MINUTE) == (1, 0)


def test_many_who_look_at_once_raise_and_tell_once(
    figure: Figure, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the sweep that schedulers and workers share, with its lock, and without it too."""
    impatient = Figure(hold=timedelta(0), calm=timedelta(0))
    impatient.now = {"a": 99, "b": 99}
    monkeypatch.setattr(
        sweeps.watching, "look", lambda limits, _look=watching.look: _look(limits, rules=(impatient.rule,))
    )
    everybody = Barrier(8)

    def process(_number: int) -> None:
        everybody.wait()
        sweeps.watch(settings)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(process, range(8)))
        assert sorted(told()) == ["raised: Too many (a)", "raised: Too many (b)"]
        impatient.now = {}
        list(threads.map(process, range(8)))
    assert sorted(told("alert.resolved")) == ["resolved: Over: Too many (a)", "resolved: Over: Too many (b)"]
    assert [each["state"] for each in alerts()] == ["resolved"] * 2


def test_even_without_the_lock_nobody_raises_or_tells_twice(engine: Engine) -> None:
    impatient = Figure(hold=timedelta(0))
    impatient.now = {"a": 99}
    with ThreadPoolExecutor(1) as other:
        with db.transaction():
            watching.look(Limits(), rules=(impatient.rule,), at=START)
            late = other.submit(Watch(impatient).look, timedelta(seconds=1))
            until(lambda: _waits_for_a_lock(engine))
        assert late.result(10) == {"raised": 0, "resolved": 0}
    assert len(alerts()) == 1
    assert told() == ["raised: Too many (a)"]


def _waits_for_a_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO alerts%'"
        return bool(connection.scalar(text(waiting)))


def test_an_acknowledged_one_is_not_told_again_but_its_end_is(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    (alert,) = alerts("active")
    with db.transaction():
        seen = changes.acknowledge(alert["alert_id"], by="ada")
    assert (seen["state"], seen["acknowledged_by"]) == ("acknowledged", "ada")
    watch.look(timedelta(hours=5))
    watch.look(timedelta(hours=5))
    assert told() == ["raised: Too many"]
    figure.now = {}
    watch.go_on(3 * MINUTE)
    assert told() == ["raised: Too many", "resolved: Over: Too many"]


def test_the_first_who_acknowledges_stays_and_what_is_over_cannot_be(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    (alert,) = alerts("active")
    with db.transaction():
        changes.acknowledge(alert["alert_id"], by="ada")
        assert changes.acknowledge(alert["alert_id"], by="bob")["acknowledged_by"] == "ada"
    figure.now = {}
    watch.go_on(3 * MINUTE)
    with db.transaction(), pytest.raises(Conflict):
        changes.acknowledge(alert["alert_id"], by="bob")
    with db.transaction(), pytest.raises(NotFound):
        changes.acknowledge("01890000-0000-7000-8000-000000000000", by="bob")


def test_what_goes_on_for_hours_is_told_again(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    watch.go_on(timedelta(hours=9), every=MINUTE)
    assert told() == ["raised: Too many", "raised: Still: Too many", "raised: Still: Too many"]


def test_what_comes_and_goes_is_told_once_in_its_cooldown(figure: Figure, watch: Watch) -> None:
    for _ in range(3):
        figure.now = {"": 11}
        watch.go_on(timedelta(seconds=90))
        figure.now = {"": 1}
        watch.go_on(timedelta(seconds=150))
    assert [each["state"] for each in alerts()] == ["resolved"] * 3
    assert told("alert.raised") == ["raised: Too many"]
    assert len(told("alert.resolved")) == 1  # whose beginning was not told, its end is not either


def test_what_came_in_the_cooldown_and_stays_is_told_after_it(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    figure.now = {"": 1}
    watch.go_on(3 * MINUTE)
    figure.now = {"": 11}
    watch.go_on(8 * MINUTE)
    assert len(told("alert.raised")) == 1
    watch.go_on(10 * MINUTE)
    assert told("alert.raised") == ["raised: Too many", "raised: Too many"]


def test_many_subjects_of_one_kind_are_one_piece_of_news() -> None:
    many = Figure(hold=timedelta(0), grouped=True, subject="job")
    many.now = {f"job {number}": 99 for number in range(20)}
    Watch(many).look()
    assert len(alerts("active")) == 20
    assert told() == ["raised: Too many (job 0)"]
    with db.quick():
        assert db.value("SELECT count FROM notifications") == 20


def test_what_others_tell_of_is_shown_and_not_told() -> None:
    silent = Figure(hold=timedelta(0), calm=timedelta(0), told_as="provider.down")
    silent.now = {"x": 99}
    watch = Watch(silent)
    watch.look()
    watch.look(timedelta(hours=9))
    assert len(alerts("active")) == 1
    silent.now = {}
    watch.look(MINUTE)
    assert [each["state"] for each in alerts()] == ["resolved"]
    assert told() == []


class TestRules:
    def test_a_rule_that_is_off_is_not_looked_at_and_what_was_open_ends_in_silence(
        self, figure: Figure, watch: Watch, own_rules: None
    ) -> None:
        figure.now = {"a": 11}
        watch.go_on(2 * MINUTE)
        figure.now = {"a": 11, "b": 11}
        watch.look(timedelta(seconds=15))
        with db.transaction():
            assert changes.set_rule("figure", by="ada", enabled=False)["enabled"] is False
        figure.fails = AssertionError("not to be measured")
        assert [each["state"] for each in alerts()] == ["resolved"]
        watch.go_on(5 * MINUTE)
        with db.quick():
            assert db.value("SELECT count(*) FROM alerts WHERE raised_at IS NULL") == 0
        assert told() == ["raised: Too many (a)"]

        figure.fails = None
        with db.transaction():
            changes.set_rule("figure", by="ada", enabled=True)
        assert watch.go_on(2 * MINUTE)[0] == 2

    def test_another_threshold_holds_from_the_next_look(
        self, figure: Figure, watch: Watch, own_rules: None
    ) -> None:
        figure.now = {"": 50}
        with db.transaction():
            row = changes.set_rule("figure", by="ada", threshold=50)
        assert (row["threshold"], row["usual_threshold"], row["updated_by"]) == (50, 10, "ada")
        assert watch.go_on(3 * MINUTE) == (0, 0)
        with db.transaction():
            assert changes.set_rule("figure", by="ada", threshold=None)["threshold"] == 10
        assert watch.go_on(3 * MINUTE) == (1, 0)
        with db.transaction():
            changes.set_rule("figure", by="ada", threshold=49.5)
            assert changes.set_rule("figure", by="ada", enabled=True)["threshold"] == 49.5
            changes.set_rule("figure", by="ada", threshold=51)
        assert watch.go_on(3 * MINUTE) == (0, 1)

    @pytest.mark.parametrize("threshold", [-1, 1001, float("nan"), float("inf")])
    def test_a_threshold_that_makes_no_sense_is_refused(self, threshold: float, own_rules: None) -> None:
        with db.transaction(), pytest.raises(Invalid) as refused:
            changes.set_rule("figure", by="ada", threshold=threshold)
        assert [pointer for pointer, _ in refused.value.fields] == ["/threshold"]

    def test_a_rule_that_does_not_exist(self) -> None:
        with db.transaction(), pytest.raises(NotFound):
            changes.set_rule("nothing", by="ada", enabled=False)

    def test_a_rule_that_a_release_took_away_leaves_nothing_open(self, figure: Figure, watch: Watch) -> None:
        figure.now = {"": 11}
        watch.go_on(2 * MINUTE)
        assert Watch(Figure(name="another")).look() == {"raised": 0, "resolved": 0}
        assert [each["state"] for each in alerts()] == ["resolved"]
        assert told("alert.resolved") == []


@pytest.mark.parametrize("kind", ["python", "sql", "slow"])
def test_a_figure_that_cannot_be_measured_blinds_nobody_and_is_no_all_clear(
    kind: str, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_limits: Limits) -> list[Reading]:
        if kind == "python":
            raise ZeroDivisionError
        if kind == "sql":
            db.value("SELECT 1 / 0")
        db.value("SELECT pg_sleep(20)")
        return []

    monkeypatch.setattr(watching, "PATIENCE_MS", 50)
    other = Figure(name="other", title="Other", hold=timedelta(0), calm=timedelta(0))
    other.now, figure.now = {"": 99}, {"": 11}
    watch = Watch(figure)
    watch.go_on(2 * MINUTE)
    broken = Rule(
        **{name: getattr(figure.rule, name) for name in Rule.__dataclass_fields__} | {"measure": breaks}
    )
    watch.rules = (broken, other.rule)
    assert watch.look(10 * MINUTE) == {"raised": 1, "resolved": 0}
    assert {each["rule"]: each["state"] for each in alerts()} == {"figure": "active", "other": "active"}


def test_if_postgres_goes_away_in_the_middle_nothing_is_half_done(figure: Figure, engine: Engine) -> None:
    def kill(_limits: Limits) -> list[Reading]:
        db.value("SELECT pg_terminate_backend(pg_backend_pid())")
        return []

    first = Figure(hold=timedelta(0))
    first.now = {"": 99}
    watch = Watch(first)
    watch.rules = (first.rule, Figure(name="deadly", measure=kill).rule)
    with pytest.raises((psycopg2.OperationalError, psycopg2.InterfaceError)):
        watch.look()
    assert alerts() == []
    assert told() == []


def test_what_was_over_long_ago_is_removed(figure: Figure, watch: Watch) -> None:
    figure.now = {"": 11}
    watch.go_on(2 * MINUTE)
    figure.now = {}
    watch.go_on(3 * MINUTE)
    with db.transaction():
        assert queries.purge(400) == 0
        db.run("UPDATE alerts SET resolved_at = now() - interval '401 days'")
        assert queries.purge(400) == 1


def test_the_sweep_looks_at_all_rules_by_the_clock_of_postgres(settings: Settings) -> None:
    with db.quick():
        acting.submitted()
        db.run("UPDATE upkeep SET healthy_since = now() - interval '1 hour'")
    sweeps.watch(settings)
    with db.quick():
        suspected = db.row(
            "SELECT rule, subject, raised_at, wrong_since > now() - interval '1 minute' AS fresh FROM alerts"
        )
    assert suspected == {"rule": "no_worker", "subject": "", "raised_at": None, "fresh": True}


@pytest.mark.parametrize(
    ("name", "threshold", "unit", "told"),
    [
        ("polling_failures", 5, "percent", "5 %"),
        ("polling_response", 5, "seconds", "5 s"),
        ("polling_recovery", 60, "seconds", "60 s"),
        ("slow_query", 1, "seconds", "1 s"),
        ("failed_logins", 5, "attempts", "5"),
        ("job_failures", 10, "percent", "10 %"),
        ("backlog", 1000, "jobs", "1,000"),
        ("no_worker", 60, "seconds", "60 s"),
        ("overdue_job", 0, "seconds", "0 s past the soft limit"),
        ("critical_wait", 30, "seconds", "30 s"),
    ],
)
def test_the_thresholds_are_those_that_were_asked_for_and_that_the_guide_tells(
    name: str, threshold: float, unit: str, told: str
) -> None:
    rule = known.BY_NAME[name]
    assert (rule.threshold, rule.unit) == (threshold, unit)
    guide = (ROOT / "docs" / "alerts.md").read_text().splitlines()
    (row,) = [line for line in guide if line.startswith(f"| `{name}`")]
    assert told in row


def test_every_rule_can_be_told() -> None:
    assert len(known.BY_NAME) == len(known.RULES)
    for rule in known.RULES:
        assert 0 <= rule.threshold <= rule.most
        assert rule.link.format(subject="x").startswith("/")
        assert rule.words.endswith(".")
        assert rule.do


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "jobs", "–"),
        (1204.0, "jobs", "1,204 jobs"),
        (12.0, "percent", "12 %"),
        (5.26, "percent", "5.3 %"),
        (0.4, "seconds", "0.4 s"),
        (30.0, "seconds", "30 s"),
        (9.97, "seconds", "10 s"),
        (119.0, "seconds", "119 s"),
        (450.0, "seconds", "7 m 30 s"),
        (7800.0, "seconds", "2 h 10 m"),
        (270_000.0, "seconds", "3 d 03 h"),
        (6.0, "attempts", "6 attempts"),
    ],
)
def test_figures_in_words(value: float | None, unit: str, words: str) -> None:
    assert known.said(value, unit) == words


def test_that_the_last_worker_is_gone_is_told_once_and_that_one_is_back(settings: Settings) -> None:
    def look(seconds: int) -> None:
        with db.transaction():
            watching.look(Limits(), at=db.value("SELECT now()") + timedelta(seconds=seconds))

    with db.quick():
        fleet.register("w1", hostname="h", process_id=1, pools=("general",), threads=1, release="1")
    look(0)
    with db.quick():
        db.run("UPDATE workers SET seen_at = now() - interval '70 s'")
    for seconds in range(0, 90, 15):
        look(seconds)
    with db.quick():
        fleet.beat("w1", draining=False, redis_away=False)
    for seconds in range(90, 180, 15):
        look(seconds)
    with db.quick():
        told_of = [row["event"] for row in db.rows("SELECT event FROM notifications ORDER BY created_at")]
    assert told_of == ["worker.all_gone", "alert.resolved"]
