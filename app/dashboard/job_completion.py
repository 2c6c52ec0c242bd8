"""GET /ui/jobs/complete: what can follow in the filter bar, for whoever types there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request

from app.accounts import queries as people
from app.accounts.permissions import own_only
from app.agents import registry
from app.dashboard import views
from app.dashboard.job_filter import Wanted
from app.dashboard.session import asking
from app.jobs import recent, words
from app.jobs.states import PRIORITIES, STATUSES
from app.kept import Kept

MOST = 12
MOST_PEOPLE = 200

_recent = Kept(seconds=30, most=500)
forget = _recent.forget

MOMENTS = {
    "1h": "an hour ago",
    "24h": "a day ago",
    "7d": "a week ago",
    "30d": "thirty days ago",
    "today": "midnight, UTC",
    "yesterday": "the midnight before",
}


def complete() -> Response:
    """Answer {stem, options: [{text, label, hint}]}: `stem` is the end of `q` that an option stands in place of.

    An option with `whole` stands in place of everything: a saved view.
    """
    text = request.args.get("q", "")[-words.LONGEST :]
    name, stem = words.unfinished(text)
    options = _values(name, stem) if name else _names(stem) + _views(stem)
    response = jsonify({"stem": stem, "options": options[:MOST]})
    response.headers["Cache-Control"] = "private, max-age=10"
    return response


def _names(stem: str) -> list[dict[str, Any]]:
    """The qualifiers that begin so."""
    minus = "-" if stem.startswith("-") else ""
    plain = stem.removeprefix("-").lower()
    return [
        {"text": f"{minus}{each.name}:", "label": f"{minus}{each.name}:", "hint": each.hint}
        for each in words.QUALIFIERS.values()
        if each.name.startswith(plain) and (each.negatable or not minus)
    ]


def _views(stem: str) -> list[dict[str, Any]]:
    plain = stem.strip('"').lower()
    if not plain:
        return []
    return [
        {"text": view.wanted.text(), "whole": True, "label": view.name, "hint": "view"}
        for view in views.menu(Wanted())
        if plain in view.name.lower()
    ]


def _values(name: str, stem: str) -> list[dict[str, Any]]:
    """The values of a qualifier that fit what is typed: those that begin so first."""
    plain = stem.strip('"').lower()
    known = _KNOWN[name]() if name in _KNOWN else {}
    fitting = [value for value in known if plain in value.lower() or plain in known[value].lower()]
    fitting.sort(key=lambda value: not value.lower().startswith(plain))
    return [{"text": words.quoted(value) + " ", "label": value, "hint": known[value]} for value in fitting]


def _statuses() -> dict[str, str]:
    groups = {"waiting": "pending, queued or retry", "asking": "waits for a person's answer"}
    return groups | dict.fromkeys((s for s in STATUSES if s != "awaiting_input"), "")


def _of_late(kind: str) -> Callable[[], dict[str, str]]:
    def found() -> dict[str, str]:
        owner = own_only(asking(), "view_task")
        counted = _recent.answer((kind, owner), lambda: getattr(recent, kind)(owner))
        return {value: f"{count} of late" for value, count in counted.items()}

    return found


def _people() -> dict[str, str]:
    known = {"me": asking().email}
    if own_only(asking(), "view_task") is not None:
        return known
    everybody = _recent.answer("people", lambda: people.users(limit=MOST_PEOPLE, offset=0)[0])
    return known | {row["email"]: row["name"] or row["role"] for row in everybody}


_KNOWN: dict[str, Callable[[], dict[str, str]]] = {
    "agent": lambda: {agent.agent_id: agent.agent_name for agent in registry.all_agents()},
    "status": _statuses,
    "priority": lambda: dict.fromkeys(PRIORITIES, ""),
    "pool": lambda: dict.fromkeys(_recent.answer("pools", recent.pools), ""),
    "tag": _of_late("tags"),
    "error": _of_late("errors"),
    "quality": lambda: dict.fromkeys(words.VERDICTS, ""),
    "since": lambda: MOMENTS,
    "until": lambda: MOMENTS,
    "by": _people,
    "cost": lambda: {">0.1": "", ">1": "", ">10": ""},
}
