"""What a bulk action is about: some jobs or dead letters by id, or all that fit a filter and were there by then.

A choice never grows. What was submitted after it was made is beyond its bound, and an action stops after as many as
were counted when it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.db import Row, db
from app.errors import Invalid
from app.jobs import dead_letters, queries
from app.jobs.states import FINAL, STATUSES, WAITING

MOST_IDS = 10_000
MOST = 100_000
"""Of what fits a filter, an action takes so many at most: the oldest."""
SAMPLE = 5

Filter = queries.Filter | dead_letters.Filter


class Verb(NamedTuple):
    """Something that is done to many."""

    permission: str
    """Of app/accounts/permissions.py."""
    where: str
    """The SQL condition for those it can be done to."""
    states: tuple[str, ...]
    """The states those are in that fit a filter."""
    by_id: tuple[str, ...] = ()
    """Further states in which it is done to those that somebody named."""


_NOT_FINAL = tuple(status for status in STATUSES if status not in FINAL)
VERBS: dict[str, dict[str, Verb]] = {
    "jobs": {
        "cancel": Verb("cancel_task", "jobs.status = ANY(%(bulk_states)s)", _NOT_FINAL),
        # What is completed is run again only if somebody means that very job.
        "retry": Verb(
            "retry_task", "jobs.status = ANY(%(bulk_states)s)", ("failed", "cancelled"), ("completed",)
        ),
        "priority": Verb("change_priority", "jobs.status = ANY(%(bulk_states)s)", tuple(map(str, WAITING))),
    },
    "dead_letters": {"resubmit": Verb("resubmit_dlq", "NOT dead_letters.resubmitted", ("open",))},
}


class _Table(NamedTuple):
    name: str
    id: str
    bound: str
    newest: str
    state: str
    filter: type[Filter]


# Letters of lost workers have ids that do not grow with time: their bound is a moment. That of jobs is an id, and
# a moment besides, because the clocks of those who make ids may differ.
_TABLES = {
    "jobs": _Table(
        "jobs",
        "jobs.job_id",
        "jobs.job_id <= %(bulk_upto)s::uuid AND jobs.submitted_at <= %(bulk_by)s::timestamptz",
        "SELECT job_id::text FROM jobs ORDER BY jobs.job_id DESC LIMIT 1",
        "jobs.status",
        queries.Filter,
    ),
    "dead_letters": _Table(
        "dead_letters",
        "dead_letters.dlq_id",
        "dead_letters.failed_at <= %(bulk_upto)s::timestamptz",
        """SELECT to_char(max(failed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') FROM dead_letters""",
        "CASE WHEN dead_letters.resubmitted THEN 'sent in again' ELSE 'open' END",
        dead_letters.Filter,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Some by id, or all that fit a filter."""

    subject: str
    """jobs or dead_letters."""
    verb: str
    ids: tuple[str, ...] = ()
    only: Filter | None = None
    upto: str | None = None
    """The newest there was: a job's id, or when a letter failed."""
    by: str | None = None
    """When that was."""
    query: dict[str, str] | None = None
    """The address of the list it was chosen from, for the way back."""

    def check(self) -> None:
        """Raise Invalid for what is no choice."""
        if (self.only is None) == (not self.ids):
            raise Invalid("Choose some by id, or all that fit a filter.", [("/ids", "give ids, or a filter")])
        if len(self.ids) > MOST_IDS:
            raise Invalid(
                f"At most {MOST_IDS:,} can be named; use a filter for more.",
                [("/ids", f"at most {MOST_IDS}")],
            )

    @property
    def rule(self) -> Verb:
        """What is done, and to which of them it can be done."""
        return VERBS[self.subject][self.verb]

    def bounded(self) -> Choice:
        """The same, no further than what is there now."""
        newest: str | None = db.value(_TABLES[self.subject].newest)
        now = replace(self, upto=newest, by=db.value("SELECT clock_timestamp()").isoformat())
        if not newest or not self.upto:
            return now
        told = _bound(self.subject, self.upto)
        return replace(now, upto=self.upto if told < _bound(self.subject, newest) else newest)

    def count(self, cap: int = MOST) -> int:
        """How many it can be done to, counted up to `cap`."""
        if not self.upto:
            return 0
        sql, values = self._possible()
        return int(
            db.value(f"SELECT count(*) FROM (SELECT 1 {sql} LIMIT %(bulk_cap)s) x", **values, bulk_cap=cap)
        )

    def left_alone(self, cap: int = 10_000) -> int:
        """How many fit the filter and are in a state in which it cannot be done, counted up to `cap`."""
        sql, values = self._from(f"NOT ({self.rule.where})")
        return int(
            db.value(f"SELECT count(*) FROM (SELECT 1 {sql} LIMIT %(bulk_cap)s) x", **values, bulk_cap=cap)
        )

    def first(self, limit: int, after: str | None = None) -> list[str]:
        """The ids of the next ones, in their order, behind `after`."""
        table = _TABLES[self.subject]
        if self.ids:
            return [each for each in sorted(self.ids) if after is None or each > after][:limit]
        if not self.upto:
            return []
        behind = f" AND {table.id} > %(bulk_after)s::uuid" if after else ""
        sql, values = self._possible()
        rows = db.rows(
            f"SELECT {table.id}::text AS id {sql}{behind} ORDER BY {table.id} LIMIT %(bulk_limit)s",
            **values,
            bulk_after=after,
            bulk_limit=limit,
        )
        return [row["id"] for row in rows]

    def states(self, owner: str | None) -> dict[str, int]:
        """Of those named by id: how many are in which state; those that are not there are `missing`."""
        table = _TABLES[self.subject]
        rows = db.rows(
            f"""SELECT {table.state} AS state, count(*) AS n FROM {table.name}
                WHERE {table.id} = ANY(%(ids)s::uuid[])
                  AND (%(owner)s::text IS NULL OR {table.name}.submitted_by = %(owner)s) GROUP BY 1""",
            ids=list(self.ids),
            owner=owner,
        )
        found = {row["state"]: row["n"] for row in rows}
        missing = len(set(self.ids)) - sum(found.values())
        return found | ({"missing": missing} if missing else {})

    def sample(self, owner: str | None) -> list[Row]:
        """A few of them, as lists show them."""
        ids = self.first(MOST_IDS if self.ids else SAMPLE)
        if self.subject == "dead_letters":
            return [dead_letters.get(dlq_id) for dlq_id in ids[:SAMPLE]]
        rows = queries.some(ids[: 4 * SAMPLE]).values()
        return [row for row in rows if owner is None or row["submitted_by"] == owner][:SAMPLE]

    def _possible(self) -> tuple[str, Row]:
        return self._from(self.rule.where)

    def _from(self, condition: str) -> tuple[str, Row]:
        assert self.only is not None
        table, (where, values) = _TABLES[self.subject], self.only.where()
        more = {"bulk_states": list(self.rule.states), "bulk_upto": self.upto, "bulk_by": self.by}
        return f"FROM {table.name} WHERE {where} AND {table.bound} AND {condition}", values | more

    def as_json(self) -> Row:
        """Itself for a jsonb column."""
        if self.ids:
            return {"ids": sorted(self.ids), "query": self.query}
        assert self.only is not None
        return {"filter": written(self.only), "upto": self.upto, "by": self.by, "query": self.query}

    @staticmethod
    def from_json(subject: str, verb: str, kept: Row) -> Choice:
        """What `as_json` wrote; raises ValueError if this release cannot tell what it meant."""
        only = read(_TABLES[subject].filter, kept["filter"]) if "filter" in kept else None
        return Choice(
            subject=subject,
            verb=verb,
            ids=tuple(kept.get("ids") or ()),
            only=only,
            upto=kept.get("upto"),
            by=kept.get("by"),
            query=kept.get("query"),
        )


def _bound(subject: str, text: str) -> Any:
    """What may come from outside as something to compare; Invalid if it is no bound."""
    try:
        if subject == "jobs":
            return UUID(text)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(
            "The bound cannot be read.", [("/upto", "take it as the dry run answered it")]
        ) from None


def written(only: Filter) -> Row:
    """A filter as JSON, without what it leaves open."""
    return {
        each.name: _plain(value)
        for each in fields(only)
        if (value := getattr(only, each.name)) != each.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"at": value.isoformat()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    msg = f"a filter cannot be kept with a {type(value).__name__} in it"
    raise TypeError(msg)


def read(kind: type[Filter], kept: Row) -> Filter:
    """The filter that `written` wrote.

    What this release does not know is no smaller filter but a ValueError: an action must never reach further than
    what was asked for.
    """
    if unknown := set(kept) - {each.name for each in fields(kind)}:
        msg = f"the filter has {', '.join(sorted(unknown))}, which this version does not know"
        raise ValueError(msg)
    return kind(**{name: _meant(value) for name, value in kept.items()})


def _meant(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["at"])
    return tuple(_meant(each) for each in value) if isinstance(value, list) else value
