"""Looking at everything that is watched: measure, compare, and say what is wrong and what is right again.

All that has to be remembered between two looks stands in the table, also since when something is wrong that is not
said yet. So it does not matter which process looks, how many do, or that one is restarted in between: time is
counted from the rows and not by how often somebody looked, and the partial unique index lets no subject be raised
twice. News is written in the transaction that raises or resolves, so there is none without the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import uuid_utils.compat

from app.alerts import queries
from app.alerts.hysteresis import Seen, Step, calm_since, step, wrong_since
from app.alerts.measures import Limits, Reading
from app.alerts.rules import RULES, Rule, said
from app.db import Row, db
from app.notify import outbox
from app.observe import logs

log = logs.get(__name__)

# A figure that takes longer to measure is left out of this look; it is never worth waiting for.
PATIENCE_MS = 1000
SEVERITIES = {"info": "info", "warning": "warning", "critical": "error"}


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One subject of one rule at one look."""

    rule: Rule
    threshold: float
    subject: str
    reading: Reading | None
    """None: it is no longer among those that are measured, so it is well."""
    row: Row | None
    at: datetime

    @property
    def before(self) -> Seen | None:
        """What is known of it from before."""
        if self.row is None:
            return None
        names = ("wrong_since", "seen_at", "raised_at", "calm_since")
        return Seen(**{name: self.row[name] for name in names})

    @property
    def wrong(self) -> bool:
        """Whether it is over its threshold."""
        return self.reading is not None and self.reading.value > self.threshold

    @property
    def value(self) -> float | None:
        """What was measured; what was measured last if it is no longer there."""
        if self.reading:
            return self.reading.value
        return self.row["value"] if self.row else None

    @property
    def message(self) -> str:
        """All of it in one sentence."""
        about = f"; {self.reading.about}" if self.reading and self.reading.about else ""
        name = f" ({self.subject})" if self.subject else ""
        value, most = said(self.value, self.rule.unit), said(self.threshold, self.rule.unit)
        return f"{self.rule.title}{name}: {value}, over the limit of {most}{about}."


def look(limits: Limits, *, rules: tuple[Rule, ...] = RULES, at: datetime | None = None) -> dict[str, int]:
    """Look once, inside a transaction; answers how many alerts were raised and resolved.

    `at` is now by the clock of Postgres, which all processes share.
    """
    db.run(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
    at = at or db.value("SELECT now()")
    changed, rows = queries.changed(), _open_rows()
    done = {"raised": 0, "resolved": 0}
    for rule in rules:
        own = changed.get(rule.name, {})
        known = {row["subject"]: row for row in rows if row["rule"] == rule.name}
        if not own.get("enabled", True):
            close(rule.name)
            continue
        readings = _measured(rule, limits)
        if readings is None:
            continue
        for subject in readings | known:
            case = _Case(
                rule=rule,
                threshold=rule.threshold if own.get("threshold") is None else own["threshold"],
                subject=subject,
                reading=readings.get(subject),
                row=known.get(subject),
                at=at,
            )
            _settle(case, done)
    for name in {row["rule"] for row in rows} - {rule.name for rule in rules}:
        close(name)
    return done


def close(rule: str) -> None:
    """Nobody watches this any more: what is open of it ends, and nobody is told."""
    db.run("DELETE FROM alerts WHERE rule = %(rule)s AND raised_at IS NULL", rule=rule)
    db.run(
        "UPDATE alerts SET resolved_at = now() WHERE rule = %(rule)s AND resolved_at IS NULL",
        rule=rule,
    )


def _open_rows() -> list[Row]:
    return db.rows("SELECT * FROM alerts WHERE resolved_at IS NULL ORDER BY alert_id FOR UPDATE")


def _measured(rule: Rule, limits: Limits) -> dict[str, Reading] | None:
    """The readings by subject; None if it cannot be measured now: then nothing is known, and nothing changes."""
    db.run("SAVEPOINT measuring")
    try:
        found = rule.measure(limits)
    except Exception:  # one broken figure must not blind us for all others
        db.run("ROLLBACK TO SAVEPOINT measuring")  # raises if it is Postgres that is away
        log.warning("alert.not_measured", rule=rule.name, exc_info=True)
        return None
    db.run("RELEASE SAVEPOINT measuring")
    return {reading.subject[:200]: reading for reading in found}


def _settle(case: _Case, done: dict[str, int]) -> None:
    match step(case.before, wrong=case.wrong, at=case.at, patience=case.rule.patience):
        case Step.SUSPECT:
            _write(case, raised_at=None)
        case Step.DROP:
            db.run("DELETE FROM alerts WHERE alert_id = %(id)s", id=case.row and case.row["alert_id"])
        case Step.RAISE:
            _raise(case, done)
        case Step.WORRY:
            _go_on(case)
        case Step.CALM:
            assert case.before is not None
            _update(case, calm_since=calm_since(case.before, case.at))
        case Step.RESOLVE:
            _resolve(case)
            done["resolved"] += 1


def _raise(case: _Case, done: dict[str, int]) -> None:
    written = _write(case, raised_at=case.at)
    if written["raised_at"] != case.at:  # somebody else was quicker
        return
    done["raised"] += 1
    log.warning("alert.raised", rule=case.rule.name, subject=case.subject, value=case.value)
    if _cooled_down(case):
        _tell(case, written["alert_id"])


def _write(case: _Case, *, raised_at: datetime | None) -> Row:
    """Remember what is wrong, and since when; answers {alert_id, raised_at} of the one open row."""
    row = db.row(
        """INSERT INTO alerts (alert_id, rule, subject, severity, message, value, worst, threshold, wrong_since,
                   raised_at, seen_at)
               VALUES (%(id)s, %(rule)s, %(subject)s, %(severity)s, %(message)s, %(value)s, %(value)s, %(threshold)s,
                   %(since)s, %(raised_at)s, %(at)s)
               ON CONFLICT (rule, subject) WHERE resolved_at IS NULL DO UPDATE SET
                   message = excluded.message, value = excluded.value, threshold = excluded.threshold,
                   worst = greatest(alerts.worst, excluded.worst), wrong_since = excluded.wrong_since,
                   raised_at = coalesce(alerts.raised_at, excluded.raised_at), seen_at = excluded.seen_at
               RETURNING alert_id::text, raised_at""",
        id=str(uuid_utils.compat.uuid7()),
        rule=case.rule.name,
        subject=case.subject,
        severity=case.rule.severity,
        message=case.message,
        value=case.value,
        threshold=case.threshold,
        since=wrong_since(case.before, case.at),
        raised_at=raised_at,
        at=case.at,
    )
    assert row is not None
    return row


def _update(case: _Case, *, calm_since: datetime | None) -> None:
    db.run(
        """UPDATE alerts SET seen_at = %(at)s, value = %(value)s, worst = greatest(worst, %(value)s),
               threshold = %(threshold)s, calm_since = %(calm_since)s WHERE alert_id = %(id)s""",
        at=case.at,
        value=case.value,
        threshold=case.threshold,
        calm_since=calm_since,
        id=case.row and case.row["alert_id"],
    )


def _go_on(case: _Case) -> None:
    """It is still wrong; tell again after a long time, or now if the cooldown kept us from it before."""
    assert case.row is not None
    _update(case, calm_since=None)
    db.run(
        "UPDATE alerts SET message = %(message)s WHERE alert_id = %(id)s",
        message=case.message,
        id=case.row["alert_id"],
    )
    if case.row["acknowledged_at"] is not None:
        return
    told_at = case.row["told_at"]
    due = case.at - told_at >= case.rule.repeat if told_at else _cooled_down(case)
    if due:
        _tell(case, str(case.row["alert_id"]), again=told_at is not None)


def _resolve(case: _Case) -> None:
    assert case.row is not None
    db.run(
        "UPDATE alerts SET resolved_at = %(at)s, seen_at = %(at)s, calm_since = %(since)s WHERE alert_id = %(id)s",
        at=case.at,
        since=case.before and calm_since(case.before, case.at),
        id=case.row["alert_id"],
    )
    log.info("alert.resolved", rule=case.rule.name, subject=case.subject)
    if case.row["told_at"] is not None:
        worst = said(case.row["worst"], case.rule.unit)
        _news(
            case,
            "alert.resolved",
            str(case.row["alert_id"]),
            title=f"Over: {_titled(case)}",
            body=f"It is right again. At worst it was {worst}; the limit is {said(case.threshold, case.rule.unit)}.",
            severity="success",
        )


def _cooled_down(case: _Case) -> bool:
    """Whether nobody was told of this subject within the cooldown; what others tell of, nobody is told here."""
    if case.rule.told_as:
        return False
    last = db.value(
        """SELECT max(told_at) FROM alerts
           WHERE rule = %(rule)s AND subject = %(subject)s AND raised_at > %(at)s::timestamptz - interval '30 days'""",
        rule=case.rule.name,
        subject=case.subject,
        at=case.at,
    )
    return last is None or case.at - last >= case.rule.cooldown


def _tell(case: _Case, alert_id: str, *, again: bool = False) -> None:
    db.run("UPDATE alerts SET told_at = %(at)s WHERE alert_id = %(id)s", at=case.at, id=alert_id)
    _news(
        case,
        "alert.raised" if case.subject else case.rule.lone_event,
        alert_id,
        title=f"Still: {_titled(case)}" if again else _titled(case),
        body=f"{case.message} {case.rule.do}".strip(),
        severity=SEVERITIES[case.rule.severity],
    )


def _titled(case: _Case) -> str:
    return f"{case.rule.title} ({case.subject})" if case.subject else case.rule.title


def _news(case: _Case, event: str, alert_id: str, **words: Any) -> None:
    outbox.tell(
        event,
        link=case.rule.link.format(subject=case.subject),
        audience=outbox.ADMINS,
        subject=("alert", alert_id),
        group_key=f"{event}:{case.rule.name}" if case.rule.grouped else None,
        data={
            "alert_id": alert_id,
            "rule": case.rule.name,
            "subject": case.subject,
            "severity": case.rule.severity,
            "value": case.value,
            "threshold": case.threshold,
        },
        **words,
    )
