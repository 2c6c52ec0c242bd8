"""GET /search: one box for everything that has a name; and the same for the command palette."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify, render_template, request, url_for

from app import search
from app.accounts.permissions import may
from app.dashboard import nav
from app.dashboard.session import asking
from app.dashboard.words import short
from app.db import Row
from app.settings import Settings

WORDS = {
    "jobs": "Jobs",
    "workflows": "Workflow runs",
    "schedules": "Schedules",
    "agents": "Agents",
    "templates": "Workflow templates",
    "sessions": "Sessions",
    "memories": "Memories",
    "messages": "Conversations",
    "artifacts": "Artifacts of sessions",
}
ON_THE_PAGE = 12
IN_THE_PALETTE = 5

# What the palette can do besides going somewhere that the menu names: words, endpoint, verb.
DOINGS = (
    ("New job", "submit", "submit_task"),
    ("Generate blog post", "blog_post", "submit_task"),
    ("New workflow", "workflow_new", "submit_workflow"),
    ("New schedule", "schedule_new", "create_schedule"),
    ("New budget", "budget_new", "manage_budgets"),
    ("New session", "session_new", "create_session"),
    ("Incoming webhooks", "hooks", "view_hooks"),
    ("Notifications", "notifications", "view_notifications"),
    ("Notification settings", "notify", "manage_webhooks"),
    ("Deliveries", "deliveries", "view_deliveries"),
    ("Bulk actions", "bulk_actions", "view_task"),
    ("Workflow templates", "workflow_templates", "view_templates"),
    ("Quality gates", "gates", "view_gates"),
    ("Approval policies", "policies", "manage_policies"),
    ("Analytics", "analytics", "view_task"),
    ("Import agents", "agents_import", "configure_agent"),
    ("Help", "help", "view_self"),
)


def page() -> str:
    """GET /search?q=&type=&semantic=: what was found, by kind; by meaning, too, if that is ticked and configured."""
    asked = request.args.get("q", "").strip()[: search.LONGEST]
    kind = request.args.get("type", "")
    kinds = (kind,) if kind in search.KINDS else ()
    settings: Settings = current_app.config["CALLBOARD"]
    semantic = bool(settings.embedding_model) and request.args.get("semantic") == "true"
    meaning = search.Question()
    if asked and semantic:
        meaning = search.question(asked, settings.embedding_model, settings.secret)
    found = search.find(
        asked, asking(), kinds=kinds, limit=search.MOST if kinds else ON_THE_PAGE, meant=meaning.meant
    )
    return render_template(
        "search/page.html",
        q=asked,
        can_mean=bool(settings.embedding_model),
        semantic=semantic,
        note=meaning.note,
        suggestions=search.suggest(asked, asking()) if asked else [],
        pieces=pieces,
        kind=kind if kinds else "",
        words=WORDS,
        found={name: hits for name, hits in found.items() if hits},
        full=search.MOST if kinds else ON_THE_PAGE,
    )


def pieces(excerpt: str) -> list[tuple[str, bool]]:
    """An excerpt in pieces, each with whether it is what was looked for."""
    first, *rest = excerpt.split("[[")
    found = [(first, False)]
    for part in rest:
        marked, _, plain = part.partition("]]")
        found += [(marked, True), (plain, False)]
    return [(text, marked) for text, marked in found if text]


def suggest() -> Response:
    """GET /ui/search?q=: for the palette, {groups: [{title, items: [{title, detail, path, status}]}]}.

    Without words the places and doings alone.
    """
    asked = request.args.get("q", "").strip()[: search.LONGEST]
    found = search.find(asked, asking(), limit=IN_THE_PALETTE)
    groups = [{"title": "Go to", "items": _places(asked.lower())}]
    groups += [{"title": WORDS[kind], "items": [_item(hit) for hit in hits]} for kind, hits in found.items()]
    return jsonify({"groups": [group for group in groups if group["items"]]})


def _places(word: str) -> list[dict[str, Any]]:
    places = [(entry.word, entry.endpoint) for entry in nav.entries()]
    places += [(words, name) for words, name, verb in DOINGS if nav.has(name) and may(asking(), verb)]
    return [
        {"title": words, "detail": "", "path": url_for(f"dashboard.{name}"), "status": None}
        for words, name in places
        if word in words.lower()
    ]


def _item(hit: Row) -> dict[str, Any]:
    detail = hit["detail"] or (
        short(hit["id"]) if hit["kind"] == "jobs" else ""
    )  # jobs without a title are many
    return {"title": hit["title"], "detail": detail, "path": hit["path"], "status": hit["status"]}
