"""How things are called and drawn for people: states, reasons, times, sizes; the filters of all templates.

Every state has a word and a shape besides its colour, so that nobody has to see colours to tell them apart.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import Flask

from app import clock
from app.budgets import amounts

LONGEST_ADDRESS = 2000


class Look(NamedTuple):
    """A word, the icon that says the same, and the colour that repeats it."""

    word: str
    icon: str
    colour: str


STATES = {
    "pending": Look("Pending", "circle", "grey"),
    "queued": Look("Queued", "layers", "grey"),
    "running": Look("Running", "play", "blue"),
    "retry": Look("Retrying", "again", "amber"),
    "awaiting_input": Look("Needs you", "hand", "violet"),
    "completed": Look("Completed", "check", "green"),
    "failed": Look("Failed", "cross", "red"),
    "cancelled": Look("Cancelled", "slash", "grey"),
}

OUTCOMES = {
    "completed": STATES["completed"],
    "failed": STATES["failed"],
    "cancelled": STATES["cancelled"],
    "timeout": Look("Timed out", "clock", "red"),
    "lost": Look("Worker lost", "bolt", "amber"),
    "released": Look("Handed back", "again", "grey"),
    "asked": Look("Asked a person", "hand", "violet"),
}

# What a quality gate says. A rejected result is no failed job: another word, shape and colour.
VERDICTS = {
    "passed": Look("Passed", "medal", "green"),
    "revise": Look("To improve", "again", "amber"),
    "needs_review": Look("Needs review", "hand", "violet"),
    "rejected": Look("Rejected", "down", "amber"),
    None: Look("Not judged yet", "clock", "grey"),
}

HEALTH = {
    "ready": Look("Ready", "check", "green"),
    "degraded": Look("Degraded", "warn", "amber"),
    "unavailable": Look("Unavailable", "cross", "red"),
}

PRIORITIES = {
    "critical": Look("Critical", "flame", "red"),
    "high": Look("High", "up", "amber"),
    "normal": Look("Normal", "dash", "grey"),
    "low": Look("Low", "down", "grey"),
}

REASONS = {
    "scheduled": "not due yet",
    "released": "handed back by a stopping worker",
    "lost_worker": "its worker vanished",
    "backoff": "waits before the next attempt",
    "rate_limit": "held by a rate limit",
    "timeout": "ran out of time",
    "error": "ended with an error",
    "exhausted": "all attempts failed",
    "permanent": "an error that trying again does not cure",
    "poison": "it took its workers down",
    "by_user": "on request",
    "paused": "the queue is paused",
    "dependency": "waits for another job",
    "agent_limit": "its agent is at its limit",
    "budget": "held by a budget",
    "provider_open": "its provider is failing",
    "delegated": "waits for jobs it delegated",
    "no_worker": "no worker serves its queue",
    "stalled": "made no progress",
    "stopped_budget": "its budget is spent",
    "rejected": "the result was rejected",
    "approval": "waits for somebody's answer",
    "not_permitted": "somebody said no",
}

_UNKNOWN = Look("Unknown", "circle", "grey")


def look(name: str | None, table: dict[str, Look] | None = None) -> Look:
    """How a state is shown; an unknown one is shown under its own name."""
    found = (table or STATES).get(name or "")
    return found or _UNKNOWN._replace(word=(name or "unknown").replace("_", " ").capitalize())


def reason(name: str | None) -> str:
    """A status reason in words; empty for none."""
    return REASONS.get(name, name.replace("_", " ")) if name else ""


def moment(value: datetime | str | None) -> datetime | None:
    """A time from a row or a document, aware; None stays None."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def iso(value: datetime | str | None) -> str:
    """A time for a `datetime` attribute."""
    return clock.iso(moment(value)) or ""


def stamp(value: datetime | str | None) -> str:
    """A time as people read it without scripts: `22 Nov 2026, 01:24:05 UTC`."""
    at = moment(value)
    return at.astimezone(UTC).strftime("%-d %b %Y, %H:%M:%S UTC") if at else ""


def hour(value: datetime | str | None) -> str:
    """The time of day alone, for lines of a log."""
    at = moment(value)
    return at.astimezone(UTC).strftime("%H:%M:%S") if at else ""


def minute(value: datetime | str | None) -> str:
    """The time of day without seconds."""
    return hour(value)[:5]


def duration(seconds: float | None) -> str:
    """A length of time: `850 ms`, `4.2 s`, `3 m 05 s`, `2 h 10 m`, `4 d 3 h`; a dash for None."""
    if seconds is None:
        return "–"
    seconds = max(0.0, float(seconds))
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small:02d} {part}"
    return f"{whole} s"


def between(start: datetime | str | None, end: datetime | str | None) -> str:
    """How long it was from `start` to `end`; a dash if one of them is missing."""
    a, b = moment(start), moment(end)
    return duration((b - a).total_seconds()) if a and b else "–"


def size(amount: float) -> str:
    """A number of bytes: `812 B`, `4.1 KB`, `3.0 MB`."""
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def money(usage: dict[str, Any] | None) -> str:
    """What was used, honestly: `$0.0123, 12,345 tok`; never a price for what has none. Empty for nothing.

    `12,345 tok, unpriced` · `12,345 tok, local` · `$0.02, 12,345 tok (2,000 unpriced)` · and for what is paid
    otherwise `12,345 tok, subscription (worth $0.35)`.
    """
    told = usage or {}
    tokens = sum(
        int(told.get(f"{kind}_tokens") or 0) for kind in ("input", "output", "cache_read", "cache_write")
    )
    cost, unpriced = told.get("cost_usd"), int(told.get("unpriced_tokens") or 0)
    if not tokens and not cost:
        return ""
    counted = f"{tokens:,} tok"
    if told.get("billing") in ("local", "subscription"):
        return f"{counted}, {told['billing']}" + (f" (worth {dollars(cost)})" if cost else "")
    if not cost:
        return f"{counted}, {_unpaid(cost, told.get('cost_status'))}"
    part = f" ({unpriced:,} unpriced)" if unpriced else ""
    return f"{dollars(cost)}, {counted}{part}" if tokens else dollars(cost)


def _unpaid(cost: float | None, status: str | None) -> str:
    """Why there is no price: somebody said that it costs nothing, or nobody said anything."""
    if cost is not None:
        return "no charge"
    return "unaccounted" if status == "unaccounted" else "unpriced"


def dollars(amount: amounts.Amount) -> str:
    """US dollars, with as many digits as say something: `$12.34`, `$0.0123`, `less than $0.0001`."""
    return amounts.dollars(amount)


def web_address(text: Any) -> str:
    """An address of the web as it is; empty for everything else, above all for what a browser would run."""
    if not isinstance(text, str) or len(text) > LONGEST_ADDRESS or not text.isprintable():
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.hostname else ""


def score(value: float | None) -> str:
    """A score of 0 to 10 with one decimal; a dash for None."""
    return "–" if value is None else f"{value:.1f}"


def percent(share: float | None) -> str:
    """A share of 0 to 1: `83 %`; a dash for None."""
    return "–" if share is None else f"{100 * share:.0f} %"


def gained(value: float | None) -> str:
    """How a score changed, with its sign: `+0.9`, `−0.3`, `±0.0`; a dash for None."""
    if value is None:
        return "–"
    shown = f"{abs(value):.1f}"
    return f"±{shown}" if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def short(job_id: str | None) -> str:
    """The part of an id that differs from its neighbours': the end, because UUIDv7 begins with the time."""
    return str(job_id or "")[-8:]


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def many(count: int, word: str, more: str | None = None) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} {word if count == 1 else more or word + 's'}"


def capped(count: int, cap: int = 10_000) -> str:
    """A count that stopped at `cap`: `10,000+`."""
    return f"{cap:,}+" if count >= cap else f"{count:,}"


def register(app: Flask) -> None:
    """Make these words known to every template."""
    filters = (
        *(reason, iso, stamp, hour, minute, duration, size, short, pretty, capped, money, dollars),
        *(web_address, score, percent, gained),
    )
    app.jinja_env.filters.update({word.__name__: word for word in filters})
    app.jinja_env.globals.update(
        look=look,
        between=between,
        many=many,
        STATES=STATES,
        OUTCOMES=OUTCOMES,
        HEALTH=HEALTH,
        VERDICTS=VERDICTS,
        PRIORITIES=PRIORITIES,
    )
