"""The dashboard: a table of contents of every page and every fragment.

A page is drawn whole and works without JavaScript; a fragment (`/ui/…`) is one panel of it, asked for again
and again by static/js/poll.js. Both come from the same context function, so they cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask

from app.dashboard import (
    agents,
    assets,
    dead_letters,
    errors,
    headers,
    job,
    jobs,
    nav,
    now,
    session,
    submit,
    words,
)
from app.dashboard.htmx import Panel
from app.settings import Settings

View = Callable[..., Any]

PAGES: tuple[tuple[str, str, str, View], ...] = (
    # method  path                                        name             view
    ("GET",   "/sign-in",                                 "sign_in",       session.sign_in),
    ("POST",  "/sign-in",                                 "signing_in",    session.signing_in),
    ("POST",  "/sign-out",                                "sign_out",      session.sign_out),
    ("POST",  "/theme",                                   "theme",         session.theme),
    ("GET",   "/",                                        "now",           now.page),
    ("GET",   "/jobs",                                    "jobs",          jobs.page),
    ("POST",  "/jobs/bulk",                               "jobs_bulk",     jobs.bulk),
    ("GET",   "/jobs/<job_id>",                           "job",           job.page),
    ("POST",  "/jobs/<job_id>/cancel",                    "job_cancel",    job.cancel),
    ("POST",  "/jobs/<job_id>/retry",                     "job_retry",     job.retry),
    ("POST",  "/jobs/<job_id>/priority",                  "job_priority",  job.priority),
    ("GET",   "/jobs/<job_id>/log.txt",                   "job_log_text",  job.raw),
    ("GET",   "/jobs/<job_id>/artifacts/<artifact_id>",   "artifact",      job.artifact),
    ("GET",   "/dead-letters",                            "dead_letters",  dead_letters.page),
    ("GET",   "/dead-letters/<dlq_id>",                   "dead_letter",   dead_letters.detail),
    ("GET",   "/dead-letters/review",                     "dead_review",   dead_letters.review),
    ("POST",  "/dead-letters/review",                     "dead_reviewing", dead_letters.review),
    ("POST",  "/dead-letters/resubmit",                   "dead_resubmit", dead_letters.resubmit),
    ("GET",   "/agents",                                  "agents",        agents.page),
    ("GET",   "/agents/<agent_id>",                       "agent",         agents.detail),
    ("GET",   "/submit",                                  "submit",        submit.pick),
    ("GET",   "/submit/<agent_id>",                       "submit_form",   submit.page),
    ("POST",  "/submit/<agent_id>",                       "submitting",    submit.submit),
)  # fmt: skip

FRAGMENTS: tuple[tuple[str, Panel], ...] = (
    ("/ui/nav",                    nav.PANEL),
    ("/ui/now/overview",           now.OVERVIEW),
    ("/ui/now/queues",             now.QUEUES),
    ("/ui/now/running",            now.RUNNING),
    ("/ui/now/failures",           now.FAILURES),
    ("/ui/jobs/tabs",              jobs.TABS_PANEL),
    ("/ui/jobs/table",             jobs.TABLE),
    ("/ui/jobs/<job_id>/status",   job.STATUS),
    ("/ui/jobs/<job_id>/outcome",  job.OUTCOME),
    ("/ui/dead-letters/groups",    dead_letters.GROUPS),
    ("/ui/dead-letters/list",      dead_letters.LETTERS),
    ("/ui/agents",                 agents.LISTING),
)  # fmt: skip

# The log is no panel: its fragment answers only the lines that are new (by cursor).
LOG = ("/ui/jobs/<job_id>/log", "ui_job_log", job.log)


def register(app: Flask) -> None:
    """Add the pages, their fragments, the session and the security headers to `app`."""
    pages = Blueprint("dashboard", __name__)
    for method, path, name, view in PAGES:
        pages.add_url_rule(path, name, view, methods=[method])
    for path, panel in FRAGMENTS:
        pages.add_url_rule(path, panel.endpoint.partition(".")[2], panel.answer)
    path, name, view = LOG
    pages.add_url_rule(path, name, view)
    app.add_url_rule("/static/<path:path>", "static", assets.serve)
    session.register(app, pages)
    errors.register(pages, app)
    for part in (words, assets, headers, nav):
        part.register(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["poll_settings"] = poll_settings(app.config["CALLBOARD"])
    app.register_blueprint(pages)


def poll_settings(settings: Settings) -> str:
    """What static/js/poll.js must know, as JSON for an attribute of the page."""
    return json.dumps(
        {
            "timeout": settings.poll_timeout_ms,
            "cap": settings.poll_backoff_cap_ms,
            "trips": settings.poll_breaker_failures,
            "open": settings.poll_breaker_open_ms,
            "floor": settings.poll_min_ms,
        }
    )
