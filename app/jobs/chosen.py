"""From what somebody asks for, in the language of app/jobs/words.py, to the jobs that it means."""

from __future__ import annotations

from app import clock
from app.accounts import queries as people
from app.accounts.permissions import Principal, may, own_only
from app.agents import registry
from app.errors import Invalid
from app.jobs import conditions, words
from app.jobs.queries import Filter
from app.jobs.states import PRIORITIES, STATUSES, Priority

NONE = "none"
"""A status that no job has: what is left when all are excluded."""


def which(asked: words.Asked, who: Principal) -> Filter:
    """The jobs that `asked` means, of those `who` may see; raises Invalid for what could not be understood."""
    if asked.complaints:
        raise Invalid(
            f"The filter cannot be read: {asked.complaints[0].message}.",
            [("/filter", f"at {each.at}: {each.message}") for each in asked.complaints],
        )
    now = clock.now()
    since, until = asked.values("since"), asked.values("until")
    return Filter(
        owner=own_only(who, "view_task"),
        in_errors=may(who, "view_task_content"),
        statuses=_statuses(asked),
        priorities=_priorities(asked),
        agents=tuple(registry.canonical(name) for name in asked.values("agent")),
        not_agents=tuple(registry.canonical(name) for name in asked.values("agent", negated=True)),
        pools=asked.values("pool"),
        not_pools=asked.values("pool", negated=True),
        tags=tuple(term.values for term in asked.all("tag")),
        not_tags=asked.values("tag", negated=True),
        since=words.moment(since[0], now) if since else None,
        until=words.moment(until[0], now) if until else None,
        verdicts=asked.values("quality"),
        workflows=asked.values("workflow"),
        schedules=asked.values("schedule"),
        submitters=tuple(_person(name, who) for name in asked.values("by")),
        ids=asked.values("id"),
        texts=asked.values(""),
        errors=tuple(term.values for term in asked.all("error")),
        cost=_cost(asked),
    )


def _statuses(asked: words.Asked) -> tuple[str, ...]:
    """Those that are wanted less those that are not: always by what they are, because that has an index."""
    wanted, unwanted = (words.statuses(asked.values("status", negated=negated)) for negated in (False, True))
    if not unwanted:
        return wanted
    left = tuple(status for status in wanted or STATUSES if status not in unwanted)
    return left or (NONE,)


def _priorities(asked: words.Asked) -> tuple[int, ...]:
    wanted, unwanted = asked.values("priority"), asked.values("priority", negated=True)
    if not unwanted:
        return tuple(int(Priority.named(word)) for word in wanted)
    left = tuple(int(Priority.named(word)) for word in wanted or PRIORITIES if word not in unwanted)
    return left or (-1,)


def _person(name: str, who: Principal) -> str:
    """The id under which a person submits; whoever sees only their own jobs learns nothing of others."""
    if name.lower() in ("me", who.email.lower()):
        return who.user_id
    if own_only(who, "view_task") is not None:
        return name
    found = people.user_by_email(name)
    return str(found["user_id"]) if found else name


def _cost(asked: words.Asked) -> tuple[str, float] | None:
    for text in asked.values("cost"):
        compared = next(sign for sign in conditions.COMPARED if text.startswith(sign))
        return compared, float(text[len(compared) :])
    return None
