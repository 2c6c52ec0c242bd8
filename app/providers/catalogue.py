"""Which providers there are: those that come with Callboard, and what admins make of them.

Each start fills in what the settings say, but never a column that an admin has set (`admin_set`). Keys are never
kept: a provider names the variable of the workers' environment in which its key is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from app.db import Row, db, storable
from app.errors import Conflict, Invalid
from app.providers import keys, pools, queries
from app.providers.pools import breaker_of

PROVIDER_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
KINDS = ("openai", "anthropic")
BILLINGS = ("api", "subscription", "local")
LIMITS = ("requests_per_minute", "tokens_per_minute", "max_concurrent")
CHANGEABLE = ("title", "kind", "base_url", "key_name", "model", "billing", "enabled", *LIMITS)
# Another address or key is another service: what the old one did says nothing about it.
ANOTHER_SERVICE = frozenset({"kind", "base_url", "key_name"})
_LIFT = f"CASE WHEN p.state = 'closed' THEN clock_timestamp() + interval '{pools.LIFT_SECONDS} s' END"
LARGEST_LIMIT = 2_000_000_000
# The demo runs inside the worker, which chooses a port when it is first asked.
DEMO_URL, DEMO_MODEL = "http://127.0.0.1/v1", "smollm2-135m-instruct"


class Wanted(Protocol):
    """What the catalogue needs of the settings; rooms do not import them."""

    @property
    def llm_providers(self) -> tuple[str, ...]:
        """The common order."""

    @property
    def ollama_base_url(self) -> str:
        """Where Ollama is."""

    @property
    def ollama_model(self) -> str:
        """Its model."""

    @property
    def hf_model(self) -> str:
        """Hugging Face's."""

    @property
    def gemini_model(self) -> str:
        """Gemini's."""

    @property
    def anthropic_model(self) -> str:
        """Anthropic's."""

    @property
    def openai_base_url(self) -> str:
        """Where OpenAI is."""

    @property
    def openai_model(self) -> str:
        """OpenAI's."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A provider that comes with Callboard."""

    provider_id: str
    title: str
    base_url: str
    model: str
    key_name: str | None = None
    kind: str = "openai"
    billing: str = "api"
    demo: bool = False


def known(wanted: Wanted) -> list[Known]:
    """The providers that come with Callboard, as the settings want them."""
    return [
        Known(provider_id="ollama", title="Ollama", base_url=with_version(wanted.ollama_base_url),
              model=wanted.ollama_model, billing="local"),
        Known(provider_id="huggingface", title="Hugging Face", base_url="https://router.huggingface.co/v1",
              model=wanted.hf_model, key_name="HF_TOKEN"),
        Known(provider_id="gemini", title="Gemini", model=wanted.gemini_model, key_name="GEMINI_API_KEY",
              base_url="https://generativelanguage.googleapis.com/v1beta/openai"),
        Known(provider_id="anthropic", title="Anthropic", base_url="https://api.anthropic.com",
              model=wanted.anthropic_model, key_name="ANTHROPIC_API_KEY", kind="anthropic"),
        Known(provider_id="openai", title="OpenAI", base_url=wanted.openai_base_url.rstrip("/"),
              model=wanted.openai_model, key_name="OPENAI_API_KEY"),
        Known(provider_id="local-demo", title="Local demo model", base_url=DEMO_URL, model=DEMO_MODEL,
              billing="local", demo=True),
    ]  # fmt: skip


def with_version(url: str) -> str:
    """Ollama's address as people write it, with the path under which it speaks OpenAI's protocol."""
    return url.rstrip("/") if urlsplit(url).path.strip("/") else url.rstrip("/") + "/v1"


def seed(wanted: Wanted) -> None:
    """Have the providers that come with Callboard; what an admin has set stays."""
    places = {provider_id: place for place, provider_id in enumerate(wanted.llm_providers, 1)}
    for one in known(wanted):
        db.run(
            _SEED,
            **{name: getattr(one, name) for name in Known.__dataclass_fields__},
            position=None if one.demo else places.get(one.provider_id),
        )


_FILLED = ("title", "kind", "base_url", "key_name", "model", "billing", "position")
_SEED = f"""
    INSERT INTO providers AS p (provider_id, demo, source, {", ".join(_FILLED)})
    VALUES (%(provider_id)s, %(demo)s, 'settings', {", ".join(f"%({name})s" for name in _FILLED)})
    ON CONFLICT (provider_id) DO UPDATE SET demo = excluded.demo,
        {", ".join(f"{n} = CASE WHEN '{n}' = ANY (p.admin_set) THEN p.{n} ELSE excluded.{n} END" for n in _FILLED)}
    WHERE p.source = 'settings'"""


def add(provider_id: str, values: dict[str, Any]) -> Row:
    """A provider of one's own: anything that speaks OpenAI's (or Anthropic's) protocol. At the end of the order.

    Jobs that are held because no other takes calls now are tried again.
    `values`: base_url and model, and what else of CHANGEABLE is to differ from the usual.
    """
    wrong = _complaints(values)
    wrong += [(f"/{name}", "is required") for name in ("base_url", "model") if not values.get(name)]
    if not PROVIDER_ID.fullmatch(provider_id) or len(provider_id) > 50:
        wrong.append(
            ("/provider_id", "must be lower-case letters, digits and single hyphens, at most 50 characters")
        )
    if wrong:
        raise Invalid("This cannot be a provider.", wrong)
    row = {"title": provider_id, "kind": "openai", "billing": "api", "key_name": None, "enabled": True}
    row |= dict.fromkeys(LIMITS) | values
    added = db.run(
        f"""INSERT INTO providers (provider_id, source, admin_set, position, lift_until, {", ".join(CHANGEABLE)})
            VALUES (%(id)s, 'admin', %(all)s, (SELECT 1 + coalesce(max(position), 0) FROM providers),
                    clock_timestamp() + interval '{pools.LIFT_SECONDS} s',
                    {", ".join(f"%({name})s" for name in CHANGEABLE)})
            ON CONFLICT DO NOTHING""",
        id=provider_id,
        all=[*CHANGEABLE, "position"],
        **{name: _clean(name, row[name]) for name in CHANGEABLE},
    )
    if not added:
        raise Conflict(f"there is a provider {provider_id!r} already")
    return queries.get(provider_id)


def change(provider_id: str, values: dict[str, Any]) -> Row:
    """Set columns of CHANGEABLE; later starts leave them alone. Jobs that are held for it are tried again."""
    row = _locked(provider_id)
    wrong = _complaints(values)
    if wrong:
        raise Invalid("This cannot be set.", wrong)
    given = {name: _clean(name, value) for name, value in values.items() if name in CHANGEABLE}
    if given:
        db.run(
            f"""UPDATE providers p SET {", ".join(f"{name} = %({name})s" for name in given)}, updated_at = now(),
                   admin_set = ARRAY(SELECT DISTINCT unnest(admin_set || %(names)s::text[])),
                   lift_until = {_LIFT}
                WHERE provider_id = %(id)s""",
            id=provider_id,
            names=list(given),
            **given,
        )
    if any(given.get(name, row[name]) != row[name] for name in ANOTHER_SERVICE):
        reset(provider_id)
        db.run(
            "UPDATE providers SET health_status = NULL, health_reason = NULL, last_ok_at = NULL WHERE provider_id = %(id)s",
            id=provider_id,
        )
    return queries.get(provider_id)


def place(provider_id: str, position: int | None) -> Row:
    """Put a provider at that place of the common order, counted from 1; None takes it out of the order."""
    row = queries.get(provider_id)
    if row["demo"] and position is not None:
        raise Conflict(
            f"{row['title']} answers only agents that name it: a demo model must not do real work by accident"
        )
    rows = db.rows("SELECT provider_id, position FROM providers ORDER BY provider_id FOR UPDATE")
    order = sorted(
        (r for r in rows if r["position"] is not None), key=lambda r: (r["position"], r["provider_id"])
    )
    ids = [r["provider_id"] for r in order if r["provider_id"] != provider_id]
    if position is not None:
        ids.insert(max(0, position - 1), provider_id)
    db.run(
        f"""UPDATE providers p SET position = o.place, updated_at = now(),
               admin_set = ARRAY(SELECT DISTINCT unnest(p.admin_set || ARRAY['position'])),
               lift_until = CASE WHEN p.provider_id = %(id)s THEN {_LIFT} ELSE p.lift_until END
           FROM providers q LEFT JOIN unnest(%(ids)s::text[]) WITH ORDINALITY AS o(provider_id, place)
                ON o.provider_id = q.provider_id
           WHERE q.provider_id = p.provider_id AND (o.place IS NOT NULL OR p.provider_id = %(id)s)""",
        ids=ids,
        id=provider_id,
    )
    return queries.get(provider_id)


def move(provider_id: str, by: int) -> Row:
    """Move a provider in the common order: -1 is one place up. One that is not in it comes in at the end."""
    order = [row["provider_id"] for row in queries.every() if row["position"] is not None]
    if provider_id not in order:
        return place(provider_id, len(order) + 1)
    return place(provider_id, max(1, order.index(provider_id) + 1 + by))


def remove(provider_id: str) -> None:
    """Forget a provider of one's own; those that come with Callboard can only be switched off."""
    row = _locked(provider_id)
    if row["source"] != "admin":
        raise Conflict(f"{row['title']} comes with Callboard; switch it off instead", allowed=["disable"])
    db.run("DELETE FROM providers WHERE provider_id = %(id)s", id=provider_id)


def reset(provider_id: str) -> Row:
    """Close a provider's breaker and fill its pools: somebody knows that it is well again."""
    row = _locked(provider_id)
    pools.write_breaker(provider_id, breaker_of(row).reset(), recovered=True)
    db.run(
        "UPDATE providers SET request_room = NULL, token_room = NULL, refilled_at = now() WHERE provider_id = %(id)s",
        id=provider_id,
    )
    return queries.get(provider_id)


def note_health(found: dict[str, tuple[str, str | None]]) -> None:
    """Keep what a worker found out about providers: {provider_id: (status, reason)}."""
    db.run(
        """UPDATE providers p SET health_status = f.status, health_reason = f.reason, health_at = now()
           FROM unnest(%(ids)s::text[], %(statuses)s::text[], %(reasons)s::text[]) AS f(provider_id, status, reason)
           WHERE p.provider_id = f.provider_id""",
        ids=list(found),
        statuses=[status for status, _ in found.values()],
        reasons=[reason and storable(reason) for _, reason in found.values()],
    )


def recovered() -> list[str]:
    """The agents that may wait for a provider that takes calls again, for a while after it recovered."""
    rows = db.rows(
        """SELECT DISTINCT a.agent_id FROM providers p JOIN agents a
           ON CASE WHEN a.providers IS NULL THEN p.position IS NOT NULL AND NOT p.demo
                   ELSE p.provider_id = ANY (a.providers) END
           WHERE p.lift_until IS NOT NULL AND p.enabled AND p.state = 'closed' ORDER BY a.agent_id"""
    )
    db.run("UPDATE providers SET lift_until = NULL WHERE lift_until <= clock_timestamp()")
    return [row["agent_id"] for row in rows]


def _locked(provider_id: str) -> Row:
    queries.get(provider_id)  # says NotFound
    return db.row("SELECT * FROM providers WHERE provider_id = %(id)s FOR UPDATE", id=provider_id) or {}


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, str):
        value = storable(value.strip())
        return value.rstrip("/") if name == "base_url" else value or None
    return value


def _complaints(values: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with values, as (pointer, words); each is checked only if it is given."""
    checks = {
        "base_url": _wrong_url,
        "model": _wrong_text(200),
        "title": _wrong_text(100),
        "key_name": lambda name: keys.complaint(name.strip()) if name and name.strip() else None,
        "kind": _wrong_choice(KINDS),
        "billing": _wrong_choice(BILLINGS),
        **dict.fromkeys(LIMITS, _wrong_limit),
    }
    told = [(name, checks[name](value)) for name, value in values.items() if name in checks]
    return [(f"/{name}", words) for name, words in told if words]


def _wrong_text(longest: int) -> Any:
    def look(value: Any) -> str | None:
        fits = isinstance(value, str) and 0 < len(value.strip()) <= longest
        return None if fits else f"must be a text of 1 to {longest} characters"

    return look


def _wrong_choice(choices: tuple[str, ...]) -> Any:
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


def _wrong_limit(value: Any) -> str | None:
    if value is None or (isinstance(value, int) and 1 <= value <= LARGEST_LIMIT):
        return None
    return f"must be a whole number from 1 to {LARGEST_LIMIT:,}; nothing means no limit"


def _wrong_url(value: Any) -> str | None:
    try:
        parts = urlsplit(str(value).strip())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or len(str(value)) > 500 or any(mark in str(value).strip() for mark in " \t\r\n\x00"):
        return "must be an address like https://models.example.org/v1"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must carry no user name, password, query or fragment; the key is named by key_name"
    return None
