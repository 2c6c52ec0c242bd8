"""Finding things by a word: jobs, runs, schedules, agents, templates, sessions and what is in them, as far as one may see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.accounts.permissions import Principal, may, own_only
from app.agents import registry
from app.db import Row
from app.jobs import queries as jobs
from app.kept import Kept
from app.observe import logs
from app.providers import embedding
from app.replica import may_lag
from app.schedules import queries as schedules
from app.sessions import search as sessions
from app.sessions.meaning import Meant
from app.workflows import queries as workflows
from app.workflows import templates

log = logs.get("search")

LONGEST = 200
MOST = 50


QUESTION_SECONDS = 3.0
"""So long a search waits for the meaning of its question, and then goes by words."""


@dataclass(frozen=True)
class Question:
    """A question of which the meaning was asked for: `meant` is None, with `note` saying why, if there is none."""

    meant: Meant | None = None
    note: str = ""


_questions = Kept(3600.0, 200)


def question(text: str, model: str, secret: Callable[[str], str | None]) -> Question:
    """What `text` means to `model`, the setting EMBEDDING_MODEL; what was asked lately is not asked again.

    `secret` answers the key in a variable of this process. It fails with a note, never with an error.
    """
    words = " ".join(text[:LONGEST].replace("\x00", "").split())
    if not words:
        return Question()
    if not model:
        return Question(note="Search by meaning is off here (EMBEDDING_MODEL); this search went by words.")

    def ask() -> Meant:
        (vector,) = embedding.place(model, secret).vectors([words], seconds=QUESTION_SECONDS)
        return Meant(model, tuple(vector))

    try:
        return Question(meant=_questions.answer((model, words), ask))
    except embedding.NotEmbedded as wrong:
        log.warning("search.by_words", why=wrong.message)
        return Question(note=_NOTES.get(wrong.kind, _NOTES[""]) + " This search went by words.")


_NOTES = {
    "auth": "The web process has no key for the provider of EMBEDDING_MODEL, or a wrong one.",
    "": "The provider of EMBEDDING_MODEL cannot be asked now.",
}


@may_lag
def find(
    text: str,
    who: Principal,
    *,
    kinds: tuple[str, ...] = (),
    limit: int = 5,
    session_id: str | None = None,
    meant: Meant | None = None,
) -> dict[str, list[Row]]:
    """What `text` is found in, by kind (all of KINDS, or those named), each at most `limit`, the newest first.

    Each {kind, id, title, detail, status, path, excerpt}; `detail` says what it is, `status` is None where there is none,
    and `excerpt` is what was found in a session, with what fits between [[ and ]]. An empty text finds nothing. Jobs and
    runs are also found by the beginning of their id; what is in sessions is sorted by how well it fits. `session_id`
    finds only that session and what is in it; with `meant`, what is in sessions is also found by its meaning.
    """
    words = text.strip()[:LONGEST].replace("\x00", "")
    wanted = [kind for kind in KINDS if kind in kinds] if kinds else list(KINDS)
    if not words:
        return {kind: [] for kind in wanted}
    where = _Where(session_id=session_id, meant=meant)
    return {kind: _of_kind(kind, words, who, limit, where) for kind in wanted}


@dataclass(frozen=True)
class _Where:
    session_id: str | None
    meant: Meant | None


def _of_kind(kind: str, words: str, who: Principal, limit: int, where: _Where) -> list[Row]:
    if not may(who, KINDS[kind][0]):
        return []
    if kind in sessions.KINDS:
        return _in_sessions(kind, words, who, limit, where)
    return [] if where.session_id is not None else KINDS[kind][1](words, who, limit)


@may_lag
def suggest(text: str, who: Principal) -> list[str]:
    """What somebody who typed `text` may mean: completed, or put right, with words of sessions they may read."""
    return sessions.suggest(text[:LONGEST], who)


def _jobs(text: str, who: Principal, limit: int) -> list[Row]:
    chosen = jobs.Filter(owner=own_only(who, "view_task"), text=text, in_errors=may(who, "view_task_content"))
    return [
        _found("jobs", row["job_id"], row["task_name"] or row["agent_id"], row["agent_id"], row["status"])
        for row in jobs.page(chosen, limit=limit)
    ]


def _workflows(text: str, who: Principal, limit: int) -> list[Row]:
    rows = workflows.page(own_only(who, "view_workflow"), q=text, limit=limit)
    return [
        _found("workflows", row["workflow_id"], row["name"], row["template_name"] or "", row["status"])
        for row in rows
    ]


def _schedules(text: str, who: Principal, limit: int) -> list[Row]:
    rows = schedules.page(schedules.Filter(owner=own_only(who, "view_schedule"), text=text), limit=limit)
    return [
        _found("schedules", row["schedule_id"], row["name"] or _target(row), _target(row), row["status"])
        for row in rows
    ]


def _target(row: Row) -> str:
    return str(row["agent_id"] or row["template_name"] or "a workflow")


def _agents(text: str, _who: Principal, limit: int) -> list[Row]:
    word = text.lower()
    fits = [
        agent
        for agent in registry.all_agents()
        if word in f"{agent.agent_id} {agent.agent_name} {agent.team} {agent.description}".lower()
    ]
    fits.sort(key=lambda agent: (not agent.agent_id.startswith(word), agent.agent_id))
    return [_found("agents", agent.agent_id, agent.agent_name, agent.agent_id) for agent in fits[:limit]]


def _templates(text: str, who: Principal, limit: int) -> list[Row]:
    rows = templates.page(who.user_id, who.role == "admin", q=text, limit=limit)
    return [
        _found("workflow-templates", row["name"], row["title"] or row["name"], row["name"]) for row in rows
    ]


def _in_sessions(kind: str, text: str, who: Principal, limit: int, where: _Where | None = None) -> list[Row]:
    inside = where or _Where(None, None)
    return [
        _found(kind, row["id"], row["title"], row["session_title"])
        | {"path": row["path"], "excerpt": row["excerpt"] if kind != "sessions" else ""}
        for row in sessions.find(
            text, who, kinds=(kind,), limit=limit, session_id=inside.session_id, meant=inside.meant
        )
    ]


def _found(kind: str, found_id: str, title: str, detail: str, status: str | None = None) -> Row:
    shown = detail if detail != title else ""
    return {
        "kind": kind,
        "id": found_id,
        "title": title,
        "detail": shown,
        "status": status,
        "path": f"/{kind}/{found_id}",
        "excerpt": "",
    }


KINDS: dict[str, tuple[str, Callable[[str, Principal, int], list[Row]]]] = {
    "jobs": ("view_task", _jobs),
    "workflows": ("view_workflow", _workflows),
    "schedules": ("view_schedule", _schedules),
    "agents": ("view_agents", _agents),
    "templates": ("view_templates", _templates),
    "sessions": ("view_session", partial(_in_sessions, "sessions")),
    "memories": ("view_session_content", partial(_in_sessions, "memories")),
    "messages": ("view_session_content", partial(_in_sessions, "messages")),
    "artifacts": ("view_session_content", partial(_in_sessions, "artifacts")),
}
