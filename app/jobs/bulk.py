"""Bulk actions: one thing done to many jobs or dead letters, asked for once, worked on in steps, told of as it goes.

    look (what it would touch) → create → step, step, step … → completed | aborted | failed

What it may touch is fixed when it is created (bulk_choice.py). Whoever steps is the executor's business
(actors/bulk.py); a step is one transaction of the caller: what it does, how far it is, and the new jobs are committed
together, so that nobody's death does anything twice. Two at once are told apart by a lock on the action.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from app import audit
from app.accounts import permissions
from app.accounts import queries as accounts
from app.accounts.permissions import Access, Principal
from app.agents import registry, secrecy
from app.db import Row, as_json, db, storable
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.jobs import bulk_do
from app.jobs.bulk_choice import MOST, VERBS, Choice
from app.jobs.lifecycle import new_id
from app.jobs.states import PRIORITIES
from app.secrets import sealing

KEPT_REFUSALS = 20
COLUMNS = """bulk_id::text, subject, verb, options, chosen - 'ids' AS chosen, words, status, requested_by, correlation_id,
    matched, done, refused, refusals, cursor::text, error, created_at, started_at, abort_requested_at, aborted_by,
    finished_at, jsonb_array_length(coalesce(chosen->'ids', '[]')) AS named, clock_timestamp() AS seen_at,
    (SELECT email FROM users u WHERE u.user_id::text = bulk_actions.requested_by) AS requested_by_email"""
FINAL = ("completed", "aborted", "failed")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A bulk action as somebody asks for it; nothing in it is trusted yet."""

    choice: Choice
    options: dict[str, Any] = field(default_factory=dict)
    """priority (jobs and dead letters), override_parameters (dead letters)."""
    words: str = ""
    """The choice as people would say it."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a bulk action would touch."""

    count: int
    """How many it would be done to; of more than MOST the oldest."""
    more: bool
    left_alone: dict[str, int]
    """How many it would not be done to, by why."""
    upto: str | None
    """Beyond this nothing is touched; hand it on when the action is asked for."""
    sample: list[Row]


def checked(wish: Wish, who: Principal) -> Wish:
    """The wish if it makes sense and they may, narrowed to what is theirs; Invalid, Forbidden."""
    choice = wish.choice
    if choice.verb not in VERBS.get(choice.subject, {}):
        known = "; ".join(f"{subject}: {', '.join(verbs)}" for subject, verbs in VERBS.items())
        raise Invalid("There is no such bulk action.", [("/verb", f"must be one of {known}")])
    choice = replace(choice, ids=tuple(sorted(set(choice.ids))))
    choice.check()
    _check_options(choice, wish.options)
    owner = permissions.own_only(who, choice.rule.permission)
    if choice.only is not None and choice.subject == "jobs":
        choice = replace(choice, only=_owned(choice.only, owner))
    return replace(wish, choice=choice)


def _owned(only: Any, owner: str | None) -> Any:
    return only if owner is None else replace(only, owner=owner)


def _check_options(choice: Choice, options: dict[str, Any]) -> None:
    known = {"priority": ("priority",), "resubmit": ("priority", "override_parameters")}.get(choice.verb, ())
    wrong = [(f"/options/{name}", "is not an option of this") for name in options if name not in known]
    priority = options.get("priority")
    if priority is not None and priority not in PRIORITIES:
        wrong.append(("/options/priority", f"must be one of {', '.join(PRIORITIES)}"))
    if choice.verb == "priority" and priority is None:
        wrong.append(("/options/priority", "is required"))
    if not isinstance(options.get("override_parameters") or {}, dict):
        wrong.append(("/options/override_parameters", "must be an object"))
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)


def look(wish: Wish, who: Principal) -> Look:
    """What it would touch now, without touching anything; Invalid, Forbidden."""
    choice = checked(wish, who).choice
    owner = permissions.own_only(who, choice.rule.permission)
    if choice.ids:
        return _look_at_named(choice, owner)
    choice = choice.bounded()
    count = choice.count(MOST + 1)
    left = choice.left_alone() if choice.upto else 0
    return Look(
        count=min(count, MOST),
        more=count > MOST,
        left_alone={"state": left} if left else {},
        upto=choice.upto,
        sample=choice.sample(owner),
    )


def _look_at_named(choice: Choice, owner: str | None) -> Look:
    states = choice.states(owner)
    fit = (*choice.rule.states, *choice.rule.by_id)
    return Look(
        count=sum(n for state, n in states.items() if state in fit),
        more=False,
        left_alone={state: n for state, n in states.items() if state not in fit},
        upto=None,
        sample=choice.sample(owner),
    )


def create(
    wish: Wish, who: Principal, *, at_most: int | None = None, correlation_id: str | None = None
) -> Row:
    """Write down what is to be done, to no more than fits now; answers the row.

    `at_most` is how many whoever asks was shown: if it would be more, that is a Conflict. Nothing to do is Invalid.
    """
    wish = checked(wish, who)
    choice = wish.choice if wish.choice.ids else wish.choice.bounded()
    matched = len(choice.ids) or choice.count()
    if not matched:
        raise Invalid(
            "Nothing fits: there is nothing to do.", [("/filter", "fits nothing it can be done to")]
        )
    if at_most is not None and matched > at_most:
        raise Conflict(f"it would be {matched:,} now and not {at_most:,}", allowed=["look again"])
    own = permissions.access(who, choice.rule.permission) is Access.OWNER
    bulk_id = new_id()
    db.run(
        """INSERT INTO bulk_actions (bulk_id, subject, verb, options, chosen, words, requested_by, correlation_id,
                                     matched, created_at)
           VALUES (%(id)s, %(subject)s, %(verb)s, %(options)s, %(chosen)s, %(words)s, %(by)s, %(correlation)s,
                   %(matched)s, clock_timestamp())""",
        id=bulk_id,
        subject=choice.subject,
        verb=choice.verb,
        options=as_json(
            _sealed(bulk_id, {name: value for name, value in wish.options.items() if value not in (None, {})})
        ),
        chosen=as_json(choice.as_json() | {"own": own}),
        words=storable(wish.words[:1000]),
        by=who.user_id,
        correlation=correlation_id,
        matched=matched,
    )
    row = get(bulk_id)
    _note("created", row, who.user_id)
    return row


def _sealed(bulk_id: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options as they are written down: what any agent calls secret is sealed, because letters of any may be meant."""
    names = {name for agent in registry.all_agents() for name in secrecy.names(agent.schema)}
    where = [f"/override_parameters/{sealing.escaped(name)}" for name in names]
    sealed: dict[str, Any] = sealing.seal(options, where, bulk_do.owner_of(bulk_id), "/options")
    return sealed


def just_asked(wish: Wish, who: Principal, *, within_seconds: float = 2.0) -> Row | None:
    """The action that they asked for a moment ago, if it is the very same, by id; others of theirs wait meanwhile."""
    choice = wish.choice
    db.run("SELECT pg_advisory_xact_lock(hashtextextended(%(key)s, 6))", key=f"bulk actions of {who.user_id}")
    return db.row(
        f"""SELECT {COLUMNS} FROM bulk_actions
            WHERE requested_by = %(by)s AND verb = %(verb)s AND options = %(options)s AND chosen->'ids' = %(ids)s
              AND created_at > clock_timestamp() - %(seconds)s * interval '1 s'
            ORDER BY bulk_actions.bulk_id DESC LIMIT 1""",
        by=who.user_id,
        verb=choice.verb,
        options=as_json(wish.options),
        ids=as_json(sorted(set(choice.ids))),
        seconds=within_seconds,
    )


def _note(what: str, row: Row, by: str) -> None:
    audit.record(
        f"bulk_action.{what}",
        actor=by,
        subject=row["bulk_id"],
        correlation_id=row["correlation_id"],
        details={name: row[name] for name in ("subject", "verb", "words", "matched", "done", "refused")},
    )


def get(bulk_id: str, owner: str | None = None) -> Row:
    """One action; NotFound if there is none, or if it is not `owner`'s."""
    row = db.row(
        f"""SELECT {COLUMNS} FROM bulk_actions WHERE bulk_id = %(id)s
              AND (%(owner)s::text IS NULL OR requested_by = %(owner)s)""",
        id=bulk_id,
        owner=owner,
    )
    if row is None:
        raise NotFound(f"There is no bulk action {bulk_id}.")
    return row


def page(owner: str | None = None, *, before: str | None = None, limit: int = 50) -> list[Row]:
    """Actions, newest first; `before` is the id of the last one seen."""
    return db.rows(
        f"""SELECT {COLUMNS} FROM bulk_actions WHERE (%(owner)s::text IS NULL OR requested_by = %(owner)s)
              AND (%(before)s::uuid IS NULL OR bulk_id < %(before)s::uuid)
            ORDER BY bulk_actions.bulk_id DESC LIMIT %(limit)s""",
        owner=owner,
        before=before,
        limit=limit,
    )


def abort(bulk_id: str, *, by: str) -> Row:
    """Stop before the next step; what is done stays done. Asking twice is no error, a finished one is a Conflict."""
    row = db.row(
        f"""UPDATE bulk_actions SET abort_requested_at = coalesce(abort_requested_at, clock_timestamp()),
               aborted_by = coalesce(aborted_by, %(by)s)
           WHERE bulk_id = %(id)s AND finished_at IS NULL RETURNING {COLUMNS}""",
        id=bulk_id,
        by=by,
    )
    if row is None:
        raise Conflict(f"the bulk action is {get(bulk_id)['status']} already")
    # If nobody is at it, it ends here and now.
    return _finish(row, "aborted") if _held(bulk_id) else row


def waiting(limit: int = 100) -> list[str]:
    """The ids of those that are not over, oldest first."""
    rows = db.rows(
        """SELECT bulk_id::text FROM bulk_actions WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s""",
        limit=limit,
    )
    return [row["bulk_id"] for row in rows]


def step(bulk_id: str) -> Row | None:
    """Do some more of it in the present transaction, which the caller commits; answers the row as it is then.

    None if it is over, or somebody else is at it.
    """
    if not _held(bulk_id):
        return None
    row = db.row(
        f"""SELECT {COLUMNS}, chosen AS whole FROM bulk_actions
            WHERE bulk_id = %(id)s AND finished_at IS NULL""",
        id=bulk_id,
    )
    if row is None:
        return None
    if row["abort_requested_at"]:
        return _finish(row, "aborted")
    try:
        who = _still_allowed(row)
        choice = Choice.from_json(row["subject"], row["verb"], row["whole"])
    except (Forbidden, ValueError) as wrong:
        return _finish(row, "failed", str(wrong))
    return _go_on(row, choice, who)


def _go_on(row: Row, choice: Choice, who: Principal) -> Row:
    size = min(bulk_do.BATCH[row["verb"]], row["matched"] - row["done"] - row["refused"])
    ids = choice.first(size, row["cursor"])
    outcome = bulk_do.DO[row["verb"]](bulk_do.Task(row=row, who=who), ids) if ids else bulk_do.Outcome()
    after = db.row(
        f"""UPDATE bulk_actions SET status = 'running', started_at = coalesce(started_at, %(began)s),
               done = done + %(done)s, refused = refused + %(refused)s, cursor = %(cursor)s,
               refusals = CASE WHEN jsonb_array_length(refusals) >= %(most)s THEN refusals
                               ELSE refusals || %(refusals)s END
            WHERE bulk_id = %(id)s RETURNING {COLUMNS}""",
        id=row["bulk_id"],
        began=row["seen_at"],
        done=outcome.done,
        refused=len(outcome.refusals),
        cursor=ids[-1] if ids else row["cursor"],
        most=KEPT_REFUSALS,
        refusals=as_json(outcome.refusals[: max(0, KEPT_REFUSALS - len(row["refusals"]))]),
    )
    assert after is not None
    if len(ids) < size or after["done"] + after["refused"] >= after["matched"]:
        return _finish(after, "completed")
    return after


def fail(bulk_id: str, words: str) -> Row | None:
    """End one that cannot go on, with the reason; None if it is over, or somebody else is at it."""
    if not _held(bulk_id):
        return None
    row = get(bulk_id)
    return None if row["finished_at"] else _finish(row, "failed", words)


def _finish(row: Row, status: str, error: str | None = None) -> Row:
    after = db.row(
        f"""UPDATE bulk_actions SET status = %(status)s, error = %(error)s, finished_at = clock_timestamp()
            WHERE bulk_id = %(id)s AND finished_at IS NULL RETURNING {COLUMNS}""",
        id=row["bulk_id"],
        status=status,
        error=storable(error) if error else None,
    )
    assert after is not None
    _note(status, after, after["aborted_by"] if status == "aborted" else after["requested_by"])
    return after


def _held(bulk_id: str) -> bool:
    """Whether this transaction is the one that works on it."""
    return bool(
        db.value(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%(key)s, 6))", key=f"bulk action {bulk_id}"
        )
    )


def _still_allowed(row: Row) -> Principal:
    """Whoever asked for it, as they are now; Forbidden if they may not, or not as far as then."""
    user = accounts.user(row["requested_by"])
    if user is None or not user["enabled"]:
        raise Forbidden("Whoever asked for this has no account here any more.")
    who = Principal(user_id=str(user["user_id"]), email=user["email"], role=user["role"])
    verb = VERBS[row["subject"]][row["verb"]].permission
    granted = permissions.access(who, verb)
    if granted is Access.NO or (granted is Access.OWNER and not row["whole"].get("own")):
        raise Forbidden(f"{user['email']}, who asked for this, may not do it any more: their role changed.")
    return who


def shown(row: Row) -> Row:
    """An action as it is told of: its row with `left`, `state` and `seconds_left`, without what is nobody's business.

    `state` is its status, or `stopping` between the wish to abort it and its end. `seconds_left` is a guess by how
    fast it went until now; None before there is anything to go by, and at the end.
    """
    handled = row["done"] + row["refused"]
    left = 0 if row["status"] == "completed" else max(0, row["matched"] - handled)
    is_over = row["finished_at"] is not None
    stopping = not is_over and row["abort_requested_at"] is not None
    hidden = ("chosen", "cursor", "seen_at", "named", "correlation_id")
    return {name: value for name, value in row.items() if name not in hidden} | {
        "options": secrecy.hidden(None, row["options"]),
        "left": left,
        "state": "stopping" if stopping else row["status"],
        "percent": 100 if row["status"] == "completed" else 100 * handled // max(1, row["matched"]),
        "seconds_left": None if is_over or not handled else _guess(row, handled, left),
        "query": row["chosen"].get("query"),
    }


def tag(row: Row) -> str:
    """An ETag, quoted: another one as soon as anything about the action is different."""
    names = ("bulk_id", "status", "done", "refused", "started_at", "abort_requested_at")
    return f'"{digest([row[name] for name in names])}"'


def digest(what: list[Any]) -> str:
    """A short text, another one for anything else."""
    return hashlib.blake2s(repr(what).encode(), digest_size=9).hexdigest()


def _guess(row: Row, handled: int, left: int) -> float | None:
    if row["started_at"] is None:
        return None
    return float((row["seen_at"] - row["started_at"]).total_seconds() * left / handled)
