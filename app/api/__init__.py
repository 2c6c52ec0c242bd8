"""The JSON API: a table of contents of every path, with its other names.

Each path is listed here, each method of it is a view in the file named on the left; an operation that is
missing here, or a line without operation, stops the start. The documents' `/tasks` paths answer the same.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from app.api import (
    access,
    agent_import,
    agent_versions,
    agents,
    alerts,
    analytics,
    answered,
    api_keys,
    approval_policies,
    approvals,
    artifacts,
    audit,
    auth_endpoints,
    backups,
    budgets,
    bulk_actions,
    content,
    deliveries,
    dlq,
    docs,
    doctor,
    errors,
    for_models,
    glue,
    health,
    hooks,
    job_compare,
    job_family,
    job_quality,
    job_status,
    job_story,
    jobs,
    limits,
    metrics,
    notifications,
    notify_rules,
    openapi,
    polling,
    prices,
    providers,
    quality_gates,
    queues,
    relay,
    request_id,
    saved_views,
    scaling,
    schedules,
    search,
    security,
    session_parts,
    session_webhook,
    sessions,
    traced,
    users,
    webhook_endpoints,
    workers,
    workflow_templates,
    workflows,
)

VIEWS = (
    agent_import, agent_versions, agents, alerts, analytics, api_keys, approval_policies, approvals, artifacts, audit, auth_endpoints, backups, budgets, bulk_actions, content, deliveries, dlq, doctor, for_models, health, hooks, job_compare, job_family, job_quality, job_status, job_story, jobs, metrics,
    notifications, notify_rules, openapi, polling,
    prices, providers, quality_gates, queues, relay, saved_views, scaling, schedules, search, security, session_parts, session_webhook, sessions, users, webhook_endpoints, workers, workflow_templates, workflows,
)  # fmt: skip

CONTENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # path                                      methods             also answers at
    # jobs.py
    ("/api/v1/jobs",                            "GET POST",         ("/api/v1/tasks", "/api/tasks")),
    ("/api/v1/jobs/bulk",                       "POST",             ("/api/v1/tasks/bulk",)),
    ("/api/v1/jobs/<job_id>",                   "GET PATCH DELETE", ("/api/v1/tasks/<job_id>",
                                                                     "/api/tasks/<job_id>")),
    ("/api/v1/jobs/<job_id>/cancel",            "POST",             ("/api/v1/tasks/<job_id>/cancel",)),
    ("/api/v1/jobs/<job_id>/retry",             "POST",             ("/api/v1/tasks/<job_id>/retry",)),
    ("/api/v1/jobs/<job_id>/replay",            "POST",             ("/api/v1/tasks/<job_id>/replay",)),
    ("/api/v1/jobs/<job_id>/resume",            "POST",             ("/api/v1/tasks/<job_id>/resume",)),
    # job_compare.py
    ("/api/v1/jobs/compare",                    "GET",              ()),
    # job_family.py
    ("/api/v1/jobs/<job_id>/tree",              "GET",              ("/api/v1/tasks/<job_id>/tree",)),
    ("/api/v1/jobs/<job_id>/tree/cancel",       "POST",             ("/api/v1/tasks/<job_id>/tree/cancel",)),
    # job_quality.py
    ("/api/v1/jobs/<job_id>/drafts",            "GET",              ("/api/v1/tasks/<job_id>/drafts",)),
    ("/api/v1/jobs/<job_id>/drafts/<number>",   "GET",              ("/api/v1/tasks/<job_id>/drafts/<number>",)),
    ("/api/v1/jobs/<job_id>/drafts/<before>/diff/<after>", "GET",   ("/api/v1/tasks/<job_id>/drafts/<before>/diff/<after>",)),
    ("/api/v1/quality/analytics",               "GET",              ()),
    # analytics.py
    ("/api/v1/analytics",                       "GET",              ()),
    # job_status.py
    ("/api/v1/jobs/<job_id>/status",            "GET",              ("/api/v1/tasks/<job_id>/status",
                                                                     "/api/ai/jobs/<job_id>/status")),
    ("/api/v1/jobs/status",                     "GET",              ("/api/v1/tasks/status",)),
    # job_story.py
    ("/api/v1/jobs/<job_id>/logs",              "GET",              ("/api/v1/tasks/<job_id>/logs",)),
    ("/api/v1/jobs/<job_id>/events",            "GET",              ("/api/v1/tasks/<job_id>/events",)),
    ("/api/v1/jobs/<job_id>/history",           "GET",              ("/api/v1/tasks/<job_id>/history",)),
    ("/api/v1/jobs/<job_id>/attempts",          "GET",              ("/api/v1/tasks/<job_id>/attempts",)),
    ("/api/v1/jobs/<job_id>/explain",           "GET",              ("/api/v1/tasks/<job_id>/explain",)),
    # artifacts.py
    ("/api/v1/jobs/<job_id>/artifacts",         "GET",              ("/api/v1/tasks/<job_id>/artifacts",)),
    ("/api/v1/artifacts/<artifact_id>",         "GET",              ()),
    # content.py
    ("/api/v1/content/blog-posts",              "POST",             ("/api/content/blog-posts",)),
    # dlq.py
    ("/api/v1/dlq/tasks",                       "GET",              ()),
    ("/api/v1/dlq/tasks/<dlq_id>",              "GET",              ()),
    ("/api/v1/dlq/tasks/<dlq_id>/resubmit",     "POST",             ()),
    ("/api/v1/dlq/groups",                      "GET",              ()),
    ("/api/v1/dlq/groups/<path:group_key>/resubmit", "POST",        ()),
    ("/api/v1/dlq/groups/<path:group_key>/resolve", "POST",         ()),
    ("/api/v1/dlq/groups/<path:group_key>/ignore", "POST",          ()),
    ("/api/v1/dlq/groups/<path:group_key>/reopen", "POST",          ()),
    # bulk_actions.py
    ("/api/v1/bulk-actions",                    "GET POST",         ()),
    ("/api/v1/bulk-actions/<bulk_id>",          "GET",              ()),
    ("/api/v1/bulk-actions/<bulk_id>/abort",    "POST",             ()),
    # agents.py, and what begins with agent_
    ("/api/v1/agents",                          "GET",              ("/api/agents",)),
    ("/api/v1/agents/<agent_id>",               "GET PATCH DELETE", ("/api/agents/<agent_id>",)),
    ("/api/v1/agents/<agent_id>/schema",        "GET",              ("/api/agents/<agent_id>/schema",)),
    ("/api/v1/agents/<agent_id>/health",        "GET",              ()),
    ("/api/v1/agents/<agent_id>/docs",          "GET",              ()),
    ("/api/v1/agents/import",                   "POST",             ()),
    ("/api/v1/agents/<agent_id>/versions",      "GET",              ()),
    ("/api/v1/agents/<agent_id>/versions/<version>", "GET",         ()),
    ("/api/v1/agents/<agent_id>/versions/<before>/diff/<after>", "GET", ()),
    # workflows.py, approvals.py
    ("/api/v1/workflows",                       "GET POST",         ()),
    ("/api/v1/workflows/validate",              "POST",             ()),
    ("/api/v1/workflows/analytics",             "GET",              ()),
    ("/api/v1/workflows/<workflow_id>",         "GET",              ()),
    ("/api/v1/workflows/<workflow_id>/steps/<step_id>", "GET",      ()),
    ("/api/v1/workflows/<workflow_id>/cancel",  "POST",             ()),
    ("/api/v1/workflows/<workflow_id>/pause",   "POST",             ()),
    ("/api/v1/workflows/<workflow_id>/resume",  "POST",             ()),
    ("/api/v1/workflows/<workflow_id>/retry",   "POST",             ()),
    ("/api/v1/approvals",                       "GET",              ()),
    ("/api/v1/approvals/<approval_id>",         "GET",              ()),
    ("/api/v1/approvals/<approval_id>/answer",  "POST",             ()),
    # approval_policies.py
    ("/api/v1/approval-policies",               "GET POST",         ()),
    ("/api/v1/approval-policies/<policy_id>",   "GET PUT DELETE",   ()),
    # quality_gates.py
    ("/api/v1/quality/gates",                   "GET",              ()),
    ("/api/v1/quality/gates/<name>",            "GET PUT DELETE",   ()),
    ("/api/v1/quality/gates/<name>/versions",   "GET",              ()),
    ("/api/v1/quality/check",                   "POST",             ()),
    # workflow_templates.py
    ("/api/v1/workflow-templates",              "GET POST",         ()),
    ("/api/v1/workflow-templates/<name>",       "GET DELETE",       ()),
    ("/api/v1/workflow-templates/<name>/run",   "POST",             ()),
    ("/api/v1/workflow-templates/<name>/versions", "GET",           ()),
    ("/api/v1/workflow-templates/<name>/versions/<version>", "GET", ()),
    ("/api/v1/workflow-templates/<name>/versions/<version>/restore", "POST", ()),
    # queues.py, workers.py, scaling.py
    ("/api/v1/queues",                          "GET",              ()),
    ("/api/v1/queues/stats",                    "GET",              ()),
    ("/api/v1/queues/<pool>/pause",             "POST",             ()),
    ("/api/v1/queues/<pool>/resume",            "POST",             ()),
    ("/api/v1/scaling",                         "GET",              ()),
    ("/api/v1/workers",                         "GET",              ()),
    ("/api/v1/workers/<worker_id>",             "GET",              ()),
    ("/api/v1/workers/<worker_id>/drain",       "POST",             ()),
    ("/api/v1/workers/<worker_id>/resume",      "POST",             ()),
    ("/api/v1/workers/<worker_id>/stop",        "POST",             ()),
    # budgets.py
    ("/api/v1/budgets",                         "GET POST",         ()),
    ("/api/v1/budgets/<budget_id>",             "GET PATCH DELETE", ()),
    ("/api/v1/usage",                           "GET",              ()),
    ("/api/v1/jobs/<job_id>/usage",             "GET",              ("/api/v1/tasks/<job_id>/usage",)),
    # providers.py, prices.py
    ("/api/v1/providers",                       "GET POST",         ()),
    ("/api/v1/providers/<provider_id>",         "GET PATCH DELETE", ()),
    ("/api/v1/providers/<provider_id>/reset",   "POST",             ()),
    ("/api/v1/models",                          "GET",              ("/api/models", "/api/models/health")),
    ("/api/v1/prices",                          "GET PUT DELETE",   ()),
    # schedules.py
    ("/api/v1/schedules",                       "GET POST",         ()),
    ("/api/v1/schedules/recurring",             "POST",             ()),
    ("/api/v1/schedules/upcoming",              "GET",              ()),
    ("/api/v1/schedules/preview",               "POST",             ()),
    ("/api/v1/schedules/<schedule_id>",         "GET PATCH DELETE", ()),
    ("/api/v1/schedules/<schedule_id>/run",     "POST",             ()),
    ("/api/v1/schedules/<schedule_id>/pause",   "POST",             ()),
    ("/api/v1/schedules/<schedule_id>/resume",  "POST",             ()),
    ("/api/v1/schedules/<schedule_id>/fires",   "GET",              ()),
    # notifications.py, deliveries.py
    ("/api/v1/notifications",                   "GET",              ()),
    ("/api/v1/notifications/<notification_id>/read", "POST",        ()),
    ("/api/v1/notifications/read-all",          "POST",             ()),
    ("/api/v1/deliveries",                      "GET",              ()),
    ("/api/v1/deliveries/<delivery_id>",        "GET",              ()),
    ("/api/v1/deliveries/<delivery_id>/redeliver", "POST",          ()),
    # webhook_endpoints.py, notify_rules.py
    ("/api/v1/webhook-endpoints",               "GET POST",         ()),
    ("/api/v1/webhook-endpoints/<endpoint_id>", "GET PATCH DELETE", ()),
    ("/api/v1/webhook-endpoints/<endpoint_id>/rotate", "POST",      ()),
    ("/api/v1/webhook-endpoints/<endpoint_id>/test", "POST",        ()),
    ("/api/v1/callback-secret",                 "GET",              ()),
    ("/api/v1/callback-secret/rotate",          "POST",             ()),
    ("/api/v1/notify-rules",                    "GET POST",         ()),
    ("/api/v1/notify-rules/<rule_id>",          "GET PATCH DELETE", ()),
    ("/api/v1/notify-channels",                 "GET",              ()),
    ("/api/v1/notify-channels/<name>/test",     "POST",             ()),
    # hooks.py, relay.py
    ("/hooks/<slug>",                           "POST",             ()),
    ("/api/v1/webhooks/github",                 "POST",             ()),
    ("/api/v1/hooks",                           "GET POST",         ()),
    ("/api/v1/hooks/<hook_id>",                 "GET PATCH DELETE", ()),
    ("/api/v1/hooks/<hook_id>/rotate",          "POST",             ()),
    ("/api/v1/hooks/<hook_id>/rules",           "GET POST",         ()),
    ("/api/v1/hooks/<hook_id>/rules/order",     "PUT",              ()),
    ("/api/v1/hooks/<hook_id>/rules/try",       "POST",             ()),
    ("/api/v1/hooks/<hook_id>/rules/<rule_id>", "GET PATCH DELETE", ()),
    ("/api/v1/hooks/<hook_id>/deliveries",      "GET",              ()),
    ("/api/v1/hooks/<hook_id>/deliveries/<delivery_id>", "GET",     ()),
    ("/api/v1/hooks/<hook_id>/deliveries/<delivery_id>/replay", "POST", ()),
    ("/api/v1/relay/events",                    "GET",              ()),
    # sessions.py, session_parts.py, session_webhook.py
    ("/api/v1/sessions",                        "GET POST",         ()),
    ("/api/v1/sessions/<session_id>",           "GET PATCH DELETE", ()),
    ("/api/v1/sessions/<session_id>/restore",   "POST",             ()),
    ("/api/v1/sessions/<session_id>/events",    "GET",              ()),
    ("/api/v1/sessions/<session_id>/summary",   "GET POST",         ()),
    ("/api/v1/sessions/<session_id>/export",    "GET",              ()),
    ("/api/v1/sessions/<session_id>/messages",  "GET POST",         ()),
    ("/api/v1/sessions/<session_id>/memories",  "GET POST",         ()),
    ("/api/v1/sessions/<session_id>/memories/<path:key>", "GET DELETE", ()),
    ("/api/v1/sessions/<session_id>/artifacts", "GET POST",         ()),
    ("/api/v1/sessions/<session_id>/artifacts/<artifact_id>", "GET DELETE", ()),
    ("/api/v1/sessions/<session_id>/jobs",      "GET POST",         ()),
    ("/api/v1/webhooks/session",                "POST",             ()),
    # saved_views.py
    ("/api/v1/saved-views",                     "GET POST",         ()),
    ("/api/v1/saved-views/<view_id>",           "DELETE",           ()),
    # search.py
    ("/api/v1/search",                          "GET",              ()),
    ("/api/v1/search/suggest",                  "GET",              ()),
    # auth_endpoints.py
    ("/api/v1/auth/login",                      "POST",             ()),
    ("/api/v1/auth/refresh",                    "POST",             ()),
    ("/api/v1/auth/logout",                     "POST",             ()),
    ("/api/v1/auth/password",                   "POST",             ()),
    ("/api/v1/auth/forgot",                     "POST",             ()),
    ("/api/v1/auth/reset",                      "POST",             ()),
    ("/api/v1/auth/logins",                     "GET DELETE",       ()),
    ("/api/v1/auth/logins/<login_id>",          "DELETE",           ()),
    ("/api/v1/me",                              "GET",              ()),
    # api_keys.py, users.py
    ("/api/v1/api-keys",                        "GET POST",         ()),
    ("/api/v1/api-keys/<key_id>",               "GET DELETE",       ()),
    ("/api/v1/users",                           "GET POST",         ()),
    ("/api/v1/users/<user_id>",                 "GET PATCH",        ()),
    ("/api/v1/users/<user_id>/logins",          "GET DELETE",       ()),
    ("/api/v1/users/<user_id>/unlock",          "POST",             ()),
    ("/api/v1/users/<user_id>/invite-link",     "POST",             ()),
    # health.py, metrics.py, openapi.py, for_models.py
    ("/healthz",                                "GET",              ()),
    ("/api/health",                             "GET",              ("/readyz",)),
    ("/api/health/db",                          "GET",              ()),
    ("/api/health/redis",                       "GET",              ()),
    ("/api/health/workers",                     "GET",              ()),
    ("/api/health/polling",                     "GET",              ()),
    # security.py
    ("/api/v1/security",                        "GET",              ()),
    # alerts.py
    ("/api/v1/alerts",                          "GET",              ()),
    ("/api/v1/alerts/<alert_id>/acknowledge",   "POST",             ()),
    ("/api/v1/alert-rules",                     "GET",              ()),
    ("/api/v1/alert-rules/<rule>",              "PATCH",            ()),
    # backups.py
    ("/api/v1/backups",                         "GET POST",         ()),
    ("/api/v1/backups/<backup_id>",             "GET",              ()),
    # doctor.py
    ("/api/v1/doctor",                          "GET",              ()),
    # audit.py
    ("/api/v1/audit",                           "GET",              ()),
    ("/api/v1/audit/verify",                    "GET",              ()),
    ("/api/v1/audit/access",                    "GET",              ()),
    # polling.py
    ("/api/v1/polling/report",                  "POST",             ()),
    ("/api/metrics",                            "GET",              ()),
    ("/metrics",                                "GET",              ()),
    ("/api/openapi.json",                       "GET",              ()),
    ("/llms.txt",                               "GET",              ()),
)  # fmt: skip

ALIASES = {(method, path): also for path, methods, also in CONTENTS for method in methods.split()}


def register(app: Flask, version: str) -> None:
    """Add the API and its docs to `app`; raises RuntimeError if contents and operations differ."""
    _compare()
    answered.init_app(app)
    request_id.init_app(app)
    traced.init_app(app)
    access.init_app(app)
    limits.init_app(app)
    errors.init_app(app)
    polling.init_app(app)
    blueprint = Blueprint("api", __name__)
    for operation in glue.OPERATIONS:
        glue.mount(blueprint, operation, ALIASES[operation.method, operation.path])
    blueprint.after_request(limits.describe)
    blueprint.after_request(limits.note_refused)
    blueprint.after_request(_harden)
    app.register_blueprint(blueprint)
    app.register_blueprint(docs.blueprint)
    whole = openapi.document(glue.OPERATIONS, ALIASES, version)
    app.extensions["callboard-openapi"] = openapi.as_bytes(whole)


def _compare() -> None:
    listed = set(ALIASES)
    built = {(operation.method, operation.path) for operation in glue.OPERATIONS}
    if listed != built:
        msg = f"app/api/__init__.py and the views differ: {sorted(listed ^ built)}"
        raise RuntimeError(msg)


def _harden(response: Response) -> Response:
    """No answer of the API is a page, belongs into a shared cache, or is somebody else's to embed."""
    headers = response.headers
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Vary"] = "Authorization, X-API-Key"
    return response
