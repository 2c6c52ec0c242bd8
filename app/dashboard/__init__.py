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
    agent_import,
    agent_limits,
    agent_versions,
    agents,
    analytics,
    approval_link,
    approvals,
    assets,
    blog_post,
    budgets,
    costs,
    dead_letters,
    deliveries,
    errors,
    gate_editor,
    gates,
    headers,
    job,
    job_quality,
    jobs,
    nav,
    notifications,
    notify,
    now,
    policies,
    pools,
    prices,
    provider_list,
    providers,
    quality,
    replay,
    schedule_form,
    schedules,
    session,
    story,
    submit,
    words,
    workflow,
    workflow_editor,
    workflow_picture,
    workflow_step,
    workflow_templates,
    workflows,
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
    ("POST",  "/pools/<pool>/pause",                      "pool_pause",    pools.pause),
    ("POST",  "/pools/<pool>/resume",                     "pool_resume",   pools.resume),
    ("GET",   "/jobs",                                    "jobs",          jobs.page),
    ("POST",  "/jobs/bulk",                               "jobs_bulk",     jobs.bulk),
    ("GET",   "/jobs/<job_id>",                           "job",           job.page),
    ("POST",  "/jobs/<job_id>/cancel",                    "job_cancel",    job.cancel),
    ("POST",  "/jobs/<job_id>/retry",                     "job_retry",     job.retry),
    ("POST",  "/jobs/<job_id>/resume",                    "job_resume",    job.resume),
    ("GET",   "/jobs/<job_id>/replay",                    "replay",        replay.page),
    ("POST",  "/jobs/<job_id>/replay",                    "replaying",     replay.submit),
    ("GET",   "/jobs/<job_id>/drafts",                    "drafts",        job_quality.compare),
    ("GET",   "/jobs/<job_id>/drafts/<number>",           "draft",         job_quality.draft),
    ("GET",   "/jobs/compare",                            "compare",       replay.compare),
    ("POST",  "/jobs/<job_id>/priority",                  "job_priority",  job.priority),
    ("GET",   "/jobs/<job_id>/log.txt",                   "job_log_text",  job.raw),
    ("GET",   "/jobs/<job_id>/transcript.txt",            "job_story_text", story.raw),
    ("GET",   "/jobs/<job_id>/artifacts/<artifact_id>",   "artifact",      job.artifact),
    ("GET",   "/dead-letters",                            "dead_letters",  dead_letters.page),
    ("GET",   "/dead-letters/<dlq_id>",                   "dead_letter",   dead_letters.detail),
    ("GET",   "/dead-letters/review",                     "dead_review",   dead_letters.review),
    ("POST",  "/dead-letters/review",                     "dead_reviewing", dead_letters.review),
    ("POST",  "/dead-letters/resubmit",                   "dead_resubmit", dead_letters.resubmit),
    ("GET",   "/agents",                                  "agents",        agents.page),
    ("GET",   "/agents/import",                           "agents_import", agent_import.page),
    ("POST",  "/agents/import",                           "agents_importing", agent_import.submit),
    ("GET",   "/agents/<agent_id>",                       "agent",         agents.detail),
    ("GET",   "/agents/<agent_id>/versions/<version>",    "agent_version", agent_versions.page),
    ("GET",   "/providers",                               "providers",     providers.page),
    ("GET",   "/add-provider",                            "provider_new",  providers.new),
    ("POST",  "/add-provider",                            "provider_add",  providers.add),
    ("GET",   "/providers/<provider_id>",                 "provider",      providers.edit),
    ("POST",  "/providers/<provider_id>",                 "provider_save", providers.save),
    ("POST",  "/providers/<provider_id>/<verb>",          "provider_act",  providers.act),
    ("POST",  "/prices",                                  "price_put",     prices.put),
    ("POST",  "/prices/remove",                           "price_remove",  prices.remove),
    ("GET",   "/costs",                                   "costs",         costs.page),
    ("GET",   "/budgets",                                 "budgets",       budgets.page),
    ("GET",   "/budgets/new",                             "budget_new",    budgets.new),
    ("POST",  "/budgets/new",                             "budget_creating", budgets.creating),
    ("GET",   "/budgets/<budget_id>",                     "budget",        budgets.edit),
    ("POST",  "/budgets/<budget_id>",                     "budget_changing", budgets.changing),
    ("POST",  "/budgets/<budget_id>/delete",              "budget_delete", budgets.delete),
    ("GET",   "/schedules",                               "schedules",     schedules.page),
    ("GET",   "/schedules/new",                           "schedule_new",  schedule_form.new),
    ("POST",  "/schedules/new",                           "schedule_creating", schedule_form.creating),
    ("GET",   "/schedules/<schedule_id>",                 "schedule",      schedules.detail),
    ("GET",   "/schedules/<schedule_id>/edit",            "schedule_edit", schedule_form.edit),
    ("POST",  "/schedules/<schedule_id>/edit",            "schedule_changing", schedule_form.changing),
    ("POST",  "/schedules/<schedule_id>/<verb>",          "schedule_act",  schedules.act),
    ("GET",   "/approvals",                               "approvals",     approvals.page),
    ("GET",   "/approvals/<approval_id>",                 "approval",      approvals.detail),
    ("POST",  "/approvals/<approval_id>",                 "approval_answering", approvals.answering),
    ("GET",   "/a/<token>",                               "approval_link", approval_link.page),
    ("POST",  "/a/<token>",                               "approval_link_answering", approval_link.answering),
    ("GET",   "/policies",                                "policies",      policies.page),
    ("GET",   "/policies/new",                            "policy_new",    policies.new),
    ("POST",  "/policies/new",                            "policy_creating", policies.creating),
    ("GET",   "/policies/<policy_id>",                    "policy",        policies.edit),
    ("POST",  "/policies/<policy_id>",                    "policy_changing", policies.changing),
    ("POST",  "/policies/<policy_id>/delete",             "policy_delete", policies.delete),
    ("GET",   "/notifications",                           "notifications", notifications.page),
    ("POST",  "/notifications/read",                      "notifications_read", notifications.read_all),
    ("GET",   "/notifications/<notification_id>",         "notification",  notifications.follow),
    ("POST",  "/notifications/<notification_id>/read",    "notification_read", notifications.read),
    ("GET",   "/deliveries",                              "deliveries",    deliveries.page),
    ("GET",   "/deliveries/<delivery_id>",                "delivery",      deliveries.detail),
    ("POST",  "/deliveries/<delivery_id>/redeliver",      "redeliver",     deliveries.redeliver),
    ("GET",   "/notify",                                  "notify",        notify.page),
    ("POST",  "/notify/test",                             "notify_test",   notify.test),
    ("POST",  "/notify/rules",                            "rule_add",      notify.add_rule),
    ("POST",  "/notify/rules/<rule_id>/remove",           "rule_remove",   notify.remove_rule),
    ("POST",  "/notify/endpoints",                        "endpoint_add",  notify.add_endpoint),
    ("POST",  "/notify/endpoints/<endpoint_id>/<verb>",   "endpoint_act",  notify.act),
    ("GET",   "/workflows",                               "workflows",     workflows.page),
    ("GET",   "/workflows/analytics",                     "workflow_analytics", workflows.figures),
    ("GET",   "/workflows/new",                           "workflow_new",  workflow_editor.page),
    ("POST",  "/workflows/new",                           "workflow_writing", workflow_editor.submit),
    ("GET",   "/workflows/<workflow_id>",                 "workflow",      workflow.page),
    ("POST",  "/workflows/<workflow_id>/<verb>",          "workflow_act",  workflow.act),
    ("GET",   "/workflows/<workflow_id>/steps/<step_id>", "workflow_step", workflow_step.page),
    ("POST",  "/workflows/<workflow_id>/steps/<step_id>/answer", "workflow_answer", workflow_step.answer),
    ("GET",   "/workflow-templates",                      "workflow_templates", workflow_templates.page),
    ("GET",   "/workflow-templates/<name>",               "workflow_template", workflow_templates.detail),
    ("POST",  "/workflow-templates/<name>/run",           "workflow_template_run", workflow_templates.run),
    ("POST",  "/workflow-templates/<name>/<verb>",        "workflow_template_act", workflow_templates.act),
    ("GET",   "/workflow-templates/<name>/versions/<version>", "workflow_template_version", workflow_templates.version),
    ("POST",  "/workflow-templates/<name>/versions/<version>/restore", "workflow_template_restore", workflow_templates.restore),
    ("GET",   "/blog-post",                               "blog_post",     blog_post.page),
    ("POST",  "/blog-post",                               "blog_post_submit", blog_post.submit),
    ("GET",   "/analytics",                               "analytics",     analytics.page),
    ("GET",   "/quality",                                 "quality",       quality.page),
    ("GET",   "/gates",                                   "gates",         gates.page),
    ("GET",   "/gates/<name>",                            "gate",          gates.detail),
    ("POST",  "/gates/<name>/<verb>",                     "gate_act",      gates.act),
    ("GET",   "/gates/<name>/versions/<version>",         "gate_version",  gates.version),
    ("POST",  "/gates/<name>/versions/<version>/restore", "gate_restore",  gates.restore),
    ("GET",   "/gate-editor",                             "gate_editor",   gate_editor.page),
    ("POST",  "/gate-editor",                             "gate_editing",  gate_editor.submit),
    ("GET",   "/submit",                                  "submit",        submit.pick),
    ("GET",   "/submit/<agent_id>",                       "submit_form",   submit.page),
    ("POST",  "/submit/<agent_id>",                       "submitting",    submit.submit),
)  # fmt: skip

FRAGMENTS: tuple[tuple[str, Panel], ...] = (
    ("/ui/nav",                    nav.PANEL),
    ("/ui/now/questions",          now.QUESTIONS),
    ("/ui/now/overview",           now.OVERVIEW),
    ("/ui/now/queues",             now.QUEUES),
    ("/ui/now/running",            now.RUNNING),
    ("/ui/now/finished",           now.FINISHED),
    ("/ui/now/failures",           now.FAILURES),
    ("/ui/jobs/tabs",              jobs.TABS_PANEL),
    ("/ui/jobs/table",             jobs.TABLE),
    ("/ui/jobs/<job_id>/status",   job.STATUS),
    ("/ui/jobs/<job_id>/outcome",  job.OUTCOME),
    ("/ui/jobs/<job_id>/quality",  job_quality.PANEL),
    ("/ui/dead-letters/groups",    dead_letters.GROUPS),
    ("/ui/dead-letters/list",      dead_letters.LETTERS),
    ("/ui/agents",                 agents.LISTING),
    ("/ui/analytics",              analytics.FIGURES),
    ("/ui/quality",                quality.FIGURES),
    ("/ui/costs",                  costs.REPORT),
    ("/ui/budgets",                budgets.LISTING),
    ("/ui/providers",              provider_list.LISTING),
    ("/ui/approvals",              approvals.LISTING),
    ("/ui/approvals/<approval_id>", approvals.STATE),
    ("/ui/notifications",          notifications.LISTING),
    ("/ui/deliveries",             deliveries.LISTING),
    ("/ui/deliveries/<delivery_id>", deliveries.STATUS),
    ("/ui/schedules",              schedules.LISTING),
    ("/ui/schedules/upcoming",     schedules.UPCOMING_PANEL),
    ("/ui/schedules/<schedule_id>", schedules.STATUS),
    ("/ui/workflows/tabs",         workflows.TABS_PANEL),
    ("/ui/workflows/table",        workflows.TABLE),
    ("/ui/workflows/<workflow_id>/status", workflow.STATUS),
    ("/ui/workflows/<workflow_id>/outcome", workflow.OUTCOME),
    ("/ui/workflows/<workflow_id>/steps/<step_id>", workflow_step.STATUS),
    ("/ui/agents/<agent_id>/limits", agent_limits.PANEL),
)  # fmt: skip

# These are no panels: their fragments answer only what is new (by cursor).
FEEDS: tuple[tuple[str, str, View], ...] = (
    ("/ui/jobs/<job_id>/log",    "ui_job_log",    job.log),
    ("/ui/jobs/<job_id>/story",  "ui_job_story",  story.more),
)  # fmt: skip


def register(app: Flask) -> None:
    """Add the pages, their fragments, the session and the security headers to `app`."""
    pages = Blueprint("dashboard", __name__)
    for method, path, name, view in PAGES:
        pages.add_url_rule(path, name, view, methods=[method])
    for path, panel in FRAGMENTS:
        pages.add_url_rule(path, panel.endpoint.partition(".")[2], panel.answer)
    for path, name, view in FEEDS:
        pages.add_url_rule(path, name, view)
    app.add_url_rule("/static/<path:path>", "static", assets.serve)
    session.register(app, pages)
    errors.register(pages, app)
    for part in (words, assets, headers, nav, agent_versions, schedules, workflow_picture, workflow):
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
