"""Every operation by every kind of caller; an operation without a line here fails."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.api import ALIASES
from app.api.glue import OPERATIONS
from app.db import db
from app.workers import fleet
from tests.app.api import flowing, world
from tests.app.api.calling import Caller
from tests.app.api.conftest import PASSWORD

NO_JOB = "0192f0c1-9d7e-7000-8000-000000000001"

# What `other` may not see does not exist for them (404); what a role lacks is forbidden (403).
# operation: (path, body), what nobody, viewer, other, owner and admin get
MATRIX: dict[str, tuple[str, Any, str]] = {
    "submit_job": ("/api/v1/jobs", {"agent_id": "test-echo"}, "401 403 201 201 201"),
    # The tests' own agents are others: who may submit is told that there is no such agent.
    "create_blog_post": ("/api/v1/content/blog-posts", {"topic": "Queues"}, "401 403 422 422 422"),
    "submit_jobs": ("/api/v1/jobs/bulk", {"tasks": [{"agent_id": "test-echo"}]}, "401 403 201 201 201"),
    "list_jobs": ("/api/v1/jobs", None, "401 200 200 200 200"),
    "get_job": ("/api/v1/jobs/{queued}", None, "401 200 404 200 200"),
    "cancel_job": ("/api/v1/jobs/{queued}", None, "401 403 404 200 200"),
    "cancel_job_by_post": ("/api/v1/jobs/{queued}/cancel", None, "401 403 404 200 200"),
    "change_job_priority": ("/api/v1/jobs/{queued}", {"priority": "high"}, "401 403 404 200 200"),
    "retry_job": ("/api/v1/jobs/{failed}/retry", None, "401 403 404 201 201"),
    "replay_job": ("/api/v1/jobs/{failed}/replay", None, "401 403 404 201 201"),
    "compare_jobs": ("/api/v1/jobs/compare?a={queued}&b={queued}", None, "401 403 404 200 200"),
    "get_job_status": ("/api/v1/jobs/{queued}/status", None, "401 200 404 200 200"),
    "get_job_statuses": ("/api/v1/jobs/status?ids={queued}", None, "401 200 200 200 200"),
    "get_job_logs": ("/api/v1/jobs/{queued}/logs", None, "401 403 404 200 200"),
    "get_job_events": ("/api/v1/jobs/{queued}/events", None, "401 403 404 200 200"),
    "get_job_history": ("/api/v1/jobs/{queued}/history", None, "401 200 404 200 200"),
    "get_job_attempts": ("/api/v1/jobs/{queued}/attempts", None, "401 403 404 200 200"),
    "get_job_tree": ("/api/v1/jobs/{queued}/tree", None, "401 200 404 200 200"),
    "cancel_job_tree": ("/api/v1/jobs/{queued}/tree/cancel", None, "401 403 404 200 200"),
    "explain_job": ("/api/v1/jobs/{queued}/explain", None, "401 200 404 200 200"),
    "list_drafts": ("/api/v1/jobs/{drafted}/drafts", None, "401 403 404 200 200"),
    "get_draft": ("/api/v1/jobs/{drafted}/drafts/1", None, "401 403 404 200 200"),
    "compare_drafts": ("/api/v1/jobs/{drafted}/drafts/1/diff/1", None, "401 403 404 200 200"),
    "get_analytics": ("/api/v1/analytics", None, "401 200 200 200 200"),
    "get_quality_analytics": ("/api/v1/quality/analytics", None, "401 200 200 200 200"),
    "list_artifacts": ("/api/v1/jobs/{queued}/artifacts", None, "401 403 404 200 200"),
    "download_artifact": ("/api/v1/artifacts/{artifact}", None, "401 403 404 200 200"),
    "list_dead_letters": ("/api/v1/dlq/tasks", None, "401 403 403 403 200"),
    "get_dead_letter": ("/api/v1/dlq/tasks/{letter}", None, "401 403 403 403 200"),
    "resubmit_dead_letter": ("/api/v1/dlq/tasks/{letter}/resubmit", None, "401 403 403 403 200"),
    "list_dead_letter_groups": ("/api/v1/dlq/groups", None, "401 403 403 403 200"),
    "resolve_group": ("/api/v1/dlq/groups/x/resolve", None, "401 403 403 403 404"),
    "ignore_group": ("/api/v1/dlq/groups/x/ignore", None, "401 403 403 403 404"),
    "reopen_group": ("/api/v1/dlq/groups/x/reopen", None, "401 403 403 403 404"),
    "create_bulk_action": ("/api/v1/bulk-actions", {"verb": "retry", "ids": [NO_JOB]}, "401 403 202 202 202"),
    "list_bulk_actions": ("/api/v1/bulk-actions", None, "401 403 200 200 200"),
    "get_bulk_action": ("/api/v1/bulk-actions/{bulk_action}", None, "401 403 404 200 200"),
    "abort_bulk_action": ("/api/v1/bulk-actions/{bulk_action}/abort", None, "401 403 404 202 202"),
    "resubmit_group": ("/api/v1/dlq/groups/x/resubmit", None, "401 403 403 403 200"),
    "list_agents": ("/api/v1/agents", None, "401 200 200 200 200"),
    "get_agent": ("/api/v1/agents/test-echo", None, "401 200 200 200 200"),
    "configure_agent": ("/api/v1/agents/test-echo", {"enabled": True}, "401 403 403 403 200"),
    "get_agent_schema": ("/api/v1/agents/test-echo/schema", None, "401 200 200 200 200"),
    "get_agent_health": ("/api/v1/agents/test-echo/health", None, "401 200 200 200 200"),
    "get_agent_docs": ("/api/v1/agents/test-echo/docs", None, "401 200 200 200 200"),
    "remove_agent": ("/api/v1/agents/test-echo", None, "401 403 403 403 409"),
    "import_agents": ("/api/v1/agents/import", {"files": [{"path": "x.md", "content": "---"}]}, "401 403 403 403 200"),
    "list_agent_versions": ("/api/v1/agents/test-echo/versions", None, "401 200 200 200 200"),
    "get_agent_version": ("/api/v1/agents/test-echo/versions/1", None, "401 200 200 200 200"),
    "compare_agent_versions": ("/api/v1/agents/test-echo/versions/1/diff/1", None, "401 200 200 200 200"),
    "submit_workflow": ("/api/v1/workflows", flowing.ECHO, "401 403 201 201 201"),
    "validate_workflow": ("/api/v1/workflows/validate", flowing.ECHO, "401 403 200 200 200"),
    "list_workflows": ("/api/v1/workflows", None, "401 200 200 200 200"),
    "get_workflow_analytics": ("/api/v1/workflows/analytics", None, "401 200 200 200 200"),
    "get_workflow": ("/api/v1/workflows/{workflow}", None, "401 200 404 200 200"),
    "get_workflow_step": ("/api/v1/workflows/{workflow}/steps/first", None, "401 200 404 200 200"),
    "cancel_workflow": ("/api/v1/workflows/{workflow}/cancel", None, "401 403 404 200 200"),
    "pause_workflow": ("/api/v1/workflows/{workflow}/pause", None, "401 403 404 200 200"),
    "resume_workflow": ("/api/v1/workflows/{workflow}/resume", None, "401 403 404 200 200"),
    "retry_workflow": ("/api/v1/workflows/{cancelled_workflow}/retry", None, "401 403 404 201 201"),
    "list_approvals": ("/api/v1/approvals", None, "401 200 200 200 200"),
    "get_approval": ("/api/v1/approvals/{approval}", None, "401 404 404 200 200"),
    "answer_approval": ("/api/v1/approvals/{approval}/answer", {"decision": "reject"}, "401 403 404 200 200"),
    "list_quality_gates": ("/api/v1/quality/gates", None, "401 200 200 200 200"),
    "get_quality_gate": ("/api/v1/quality/gates/{gate}", None, "401 200 200 200 200"),
    "save_quality_gate": (
        "/api/v1/quality/gates/{gate}", {"definition": {"checks": [{"check": "length"}]}}, "401 403 403 403 200",
    ),
    "archive_quality_gate": ("/api/v1/quality/gates/{gate}", None, "401 403 403 403 204"),
    "list_quality_gate_versions": ("/api/v1/quality/gates/{gate}/versions", None, "401 200 200 200 200"),
    "check_quality": (
        "/api/v1/quality/check", {"gate": {"checks": [{"check": "length"}]}, "text": "x"}, "401 200 200 200 200",
    ),
    "list_workflow_templates": ("/api/v1/workflow-templates", None, "401 200 200 200 200"),
    "save_workflow_template": (
        "/api/v1/workflow-templates", {"name": "{fresh}", "definition": flowing.ECHO}, "401 403 201 201 201",
    ),
    "get_workflow_template": ("/api/v1/workflow-templates/{template}", None, "401 404 404 200 200"),
    "archive_workflow_template": ("/api/v1/workflow-templates/{template}", None, "401 403 404 204 204"),
    "list_workflow_template_versions": (
        "/api/v1/workflow-templates/{template}/versions", None, "401 404 404 200 200",
    ),
    "get_workflow_template_version": (
        "/api/v1/workflow-templates/{template}/versions/1", None, "401 404 404 200 200",
    ),
    "restore_workflow_template": (
        "/api/v1/workflow-templates/{template}/versions/1/restore", None, "401 403 404 200 200",
    ),
    "run_workflow_template": ("/api/v1/workflow-templates/{template}/run", None, "401 403 404 201 201"),
    "list_queues": ("/api/v1/queues", None, "401 200 200 200 200"),
    "get_queue_stats": ("/api/v1/queues/stats", None, "401 200 200 200 200"),
    "pause_queue": ("/api/v1/queues/testing/pause", {"reason": "x"}, "401 403 403 403 200"),
    "resume_queue": ("/api/v1/queues/testing/resume", None, "401 403 403 403 200"),
    "get_scaling": ("/api/v1/scaling", None, "401 200 200 200 200"),
    "list_providers": ("/api/v1/providers", None, "401 200 200 200 200"),
    "get_provider": ("/api/v1/providers/{provider}", None, "401 200 200 200 200"),
    "add_provider": (
        "/api/v1/providers", {"provider_id": "{fresh}", "base_url": "http://h/v1", "model": "m"},
        "401 403 403 403 201",
    ),
    "change_provider": ("/api/v1/providers/{provider}", {"enabled": False}, "401 403 403 403 200"),
    "remove_provider": ("/api/v1/providers/{provider}", None, "401 403 403 403 204"),
    "reset_provider": ("/api/v1/providers/{provider}/reset", None, "401 403 403 403 200"),
    "list_models": ("/api/v1/models", None, "401 200 200 200 200"),
    "list_prices": ("/api/v1/prices", None, "401 200 200 200 200"),
    "put_price": (
        "/api/v1/prices",
        {"provider_id": "p", "model": "m", "valid_from": "2026-01-01", "input_usd": 1, "output_usd": 2},
        "401 403 403 403 200",
    ),
    "remove_price": (
        "/api/v1/prices?provider_id=p&model={price}&valid_from=2026-01-01", None, "401 403 403 403 204",
    ),
    "list_workers": ("/api/v1/workers", None, "401 200 200 200 200"),
    "get_worker": ("/api/v1/workers/{worker}", None, "401 200 200 200 200"),
    "drain_worker": ("/api/v1/workers/{worker}/drain", None, "401 403 403 403 200"),
    "resume_worker": ("/api/v1/workers/{worker}/resume", None, "401 403 403 403 200"),
    "stop_worker": ("/api/v1/workers/{worker}/stop", None, "401 403 403 403 200"),
    "list_budgets": ("/api/v1/budgets", None, "401 200 200 200 200"),
    "create_budget": (
        "/api/v1/budgets", {"name": "x", "scope": "global", "unit": "usd", "limit": 5}, "401 403 403 403 201",
    ),
    "get_budget": ("/api/v1/budgets/{budget}", None, "401 200 200 200 200"),
    "change_budget": ("/api/v1/budgets/{budget}", {"limit": 6}, "401 403 403 403 200"),
    "delete_budget": ("/api/v1/budgets/{budget}", None, "401 403 403 403 204"),
    "list_policies": ("/api/v1/approval-policies", None, "401 403 403 403 200"),
    "create_policy": ("/api/v1/approval-policies", {"name": "x"}, "401 403 403 403 201"),
    "get_policy": ("/api/v1/approval-policies/{policy}", None, "401 403 403 403 200"),
    "replace_policy": ("/api/v1/approval-policies/{policy}", {"name": "y"}, "401 403 403 403 200"),
    "delete_policy": ("/api/v1/approval-policies/{policy}", None, "401 403 403 403 204"),
    "get_usage": ("/api/v1/usage", None, "401 200 200 200 200"),
    "get_job_usage": ("/api/v1/jobs/{queued}/usage", None, "401 403 404 200 200"),
    "resume_job": ("/api/v1/jobs/{stopped}/resume", None, "401 403 404 201 201"),
    "list_schedules": ("/api/v1/schedules", None, "401 200 200 200 200"),
    "create_schedule": (
        "/api/v1/schedules",
        {"agent_id": "test-echo", "parameters": {"text": "x"}, "cron_expression": "0 2 * * *"},
        "401 403 201 201 201",
    ),
    "create_recurring_schedule": (
        "/api/v1/schedules/recurring",
        {"agent_id": "test-echo", "parameters": {"text": "x"}, "cron_expression": "0 2 * * *"},
        "401 403 201 201 201",
    ),
    "list_upcoming": ("/api/v1/schedules/upcoming", None, "401 200 200 200 200"),
    "preview_schedule": (
        "/api/v1/schedules/preview", {"cron_expression": "0 2 * * *"}, "401 200 200 200 200",
    ),
    "get_schedule": ("/api/v1/schedules/{schedule}", None, "401 200 404 200 200"),
    "change_schedule": ("/api/v1/schedules/{schedule}", {"name": "x"}, "401 403 404 200 200"),
    "delete_schedule": ("/api/v1/schedules/{schedule}", None, "401 403 404 200 200"),
    "run_schedule": ("/api/v1/schedules/{schedule}/run", None, "401 403 404 201 201"),
    "pause_schedule": ("/api/v1/schedules/{schedule}/pause", None, "401 403 404 200 200"),
    "resume_schedule": ("/api/v1/schedules/{schedule}/resume", None, "401 403 404 200 200"),
    "list_fires": ("/api/v1/schedules/{schedule}/fires", None, "401 200 404 200 200"),
    "list_notifications": ("/api/v1/notifications", None, "401 200 200 200 200"),
    "read_notification": ("/api/v1/notifications/{notification}/read", None, "401 404 404 200 404"),
    "read_notifications": ("/api/v1/notifications/read-all", None, "401 200 200 200 200"),
    "list_deliveries": ("/api/v1/deliveries", None, "401 403 200 200 200"),
    "get_delivery": ("/api/v1/deliveries/{delivery}", None, "401 403 404 200 200"),
    "redeliver": ("/api/v1/deliveries/{delivery}/redeliver", None, "401 403 404 202 202"),
    "list_endpoints": ("/api/v1/webhook-endpoints", None, "401 403 200 200 200"),
    "create_endpoint": ("/api/v1/webhook-endpoints", {"url": "https://a.example/"}, "401 403 201 201 201"),
    "get_endpoint": ("/api/v1/webhook-endpoints/{endpoint}", None, "401 403 404 200 200"),
    "change_endpoint": ("/api/v1/webhook-endpoints/{endpoint}", {"enabled": False}, "401 403 404 200 200"),
    "delete_endpoint": ("/api/v1/webhook-endpoints/{endpoint}", None, "401 403 404 204 204"),
    "rotate_endpoint": ("/api/v1/webhook-endpoints/{endpoint}/rotate", None, "401 403 404 200 200"),
    "send_test_to_endpoint": ("/api/v1/webhook-endpoints/{endpoint}/test", None, "401 403 404 202 202"),
    "get_callback_secret": ("/api/v1/callback-secret", None, "401 403 200 200 200"),
    "rotate_callback_secret": ("/api/v1/callback-secret/rotate", None, "401 403 200 200 200"),
    "receive_webhook": ("/hooks/nothing-here", {}, "404 404 404 404 404"),
    "receive_github_webhook": ("/api/v1/webhooks/github", {}, "404 404 404 404 404"),
    "list_hooks": ("/api/v1/hooks", None, "401 403 200 200 200"),
    "create_hook": ("/api/v1/hooks", {"slug": "{fresh}"}, "401 403 201 201 201"),
    "get_hook": ("/api/v1/hooks/{hook}", None, "401 403 404 200 200"),
    "change_hook": ("/api/v1/hooks/{hook}", {"enabled": False}, "401 403 404 200 200"),
    "delete_hook": ("/api/v1/hooks/{hook}", None, "401 403 404 204 204"),
    "rotate_hook": ("/api/v1/hooks/{hook}/rotate", None, "401 403 404 200 200"),
    "list_hook_rules": ("/api/v1/hooks/{hook}/rules", None, "401 403 404 200 200"),
    "add_hook_rule": (
        "/api/v1/hooks/{hook}/rules",
        {"name": "x", "events": ["*"], "action": {"kind": "job", "agent_id": "test-echo"}},
        "401 403 404 201 201",
    ),
    "order_hook_rules": ("/api/v1/hooks/{hook}/rules/order", {"rule_ids": []}, "401 403 404 200 200"),
    "try_hook_rule": (
        "/api/v1/hooks/{hook}/rules/try",
        {"events": ["*"], "action": {"kind": "job", "agent_id": "test-echo"}, "event": "push", "body": 1},
        "401 403 404 200 200",
    ),
    "get_hook_rule": ("/api/v1/hooks/{hook_rule}", None, "401 403 404 200 200"),
    "change_hook_rule": ("/api/v1/hooks/{hook_rule}", {"enabled": False}, "401 403 404 200 200"),
    "delete_hook_rule": ("/api/v1/hooks/{hook_rule}", None, "401 403 404 204 204"),
    "list_hook_deliveries": ("/api/v1/hooks/{hook}/deliveries", None, "401 403 404 200 200"),
    "get_hook_delivery": ("/api/v1/hooks/{hook_delivery}", None, "401 403 404 200 200"),
    "replay_hook_delivery": ("/api/v1/hooks/{hook_delivery}/replay", None, "401 403 404 201 201"),
    "list_relay_events": ("/api/v1/relay/events", None, "401 403 200 200 200"),
    "list_rules": ("/api/v1/notify-rules", None, "401 403 403 403 200"),
    "create_rule": (
        "/api/v1/notify-rules", {"event": "*", "channel": "email", "target": "a@example.org"},
        "401 403 403 403 201",
    ),
    "get_rule": ("/api/v1/notify-rules/{rule}", None, "401 403 403 403 200"),
    "change_rule": ("/api/v1/notify-rules/{rule}", {"enabled": False}, "401 403 403 403 200"),
    "delete_rule": ("/api/v1/notify-rules/{rule}", None, "401 403 403 403 204"),
    "list_channels": ("/api/v1/notify-channels", None, "401 403 403 403 200"),
    "send_test_to_channel": ("/api/v1/notify-channels/email/test", None, "401 403 403 403 202"),
    "login": (
        "/api/v1/auth/login", {"email": "owner@example.org", "password": PASSWORD}, "200 200 200 200 200",
    ),
    "list_saved_views": ("/api/v1/saved-views", None, "401 200 200 200 200"),
    "save_view": ("/api/v1/saved-views", {"name": "x", "filter": "status:failed"}, "401 403 201 201 201"),
    "delete_saved_view": ("/api/v1/saved-views/{view}", None, "401 403 404 204 404"),
    "get_search": ("/api/v1/search?q=x", None, "401 200 200 200 200"),
    "get_search_suggestions": ("/api/v1/search/suggest?q=x", None, "401 200 200 200 200"),
    "refresh_tokens": ("/api/v1/auth/refresh", {"refresh_token": "unknown"}, "401 401 401 401 401"),
    "logout": ("/api/v1/auth/logout", None, "401 204 204 204 204"),
    "change_password": (
        "/api/v1/auth/password", {"current_password": "wrong", "new_password": PASSWORD}, "401 422 422 422 422",
    ),
    "forgot_password": ("/api/v1/auth/forgot", {"email": "{fresh}@example.org"}, "202 202 202 202 202"),
    "reset_password": ("/api/v1/auth/reset", {"token": "x", "password": PASSWORD}, "404 404 404 404 404"),
    "list_logins": ("/api/v1/auth/logins", None, "401 200 200 200 200"),
    "end_other_logins": ("/api/v1/auth/logins", None, "401 403 200 200 200"),
    "end_login": ("/api/v1/auth/logins/{login}", None, "401 403 404 204 404"),
    "me": ("/api/v1/me", None, "401 200 200 200 200"),
    "list_api_keys": ("/api/v1/api-keys", None, "401 403 200 200 200"),
    "create_api_key": ("/api/v1/api-keys", {"name": "x"}, "401 403 201 201 201"),
    "get_api_key": ("/api/v1/api-keys/{key}", None, "401 403 404 200 200"),
    "revoke_api_key": ("/api/v1/api-keys/{key}", None, "401 403 404 200 200"),
    "list_users": ("/api/v1/users", None, "401 403 403 403 200"),
    "create_user": ("/api/v1/users", {"email": "{fresh}@example.org"}, "401 403 403 403 201"),
    "get_user": ("/api/v1/users/{user}", None, "401 403 403 403 200"),
    "change_user": ("/api/v1/users/{user}", {"name": "x"}, "401 403 403 403 200"),
    "list_user_logins": ("/api/v1/users/{user}/logins", None, "401 403 403 403 200"),
    "end_user_logins": ("/api/v1/users/{user}/logins", None, "401 403 403 403 200"),
    "unlock_user": ("/api/v1/users/{user}/unlock", None, "401 403 403 403 200"),
    "make_user_link": ("/api/v1/users/{user}/invite-link", None, "401 403 403 403 201"),
    "alive": ("/healthz", None, "200 200 200 200 200"),
    "get_health": ("/api/health", None, "200 200 200 200 200"),
    "get_database_health": ("/api/health/db", None, "200 200 200 200 200"),
    "get_redis_health": ("/api/health/redis", None, "200 200 200 200 200"),
    "get_worker_health": ("/api/health/workers", None, "200 200 200 200 200"),
    "get_polling_health": ("/api/health/polling", None, "200 200 200 200 200"),
    "report_polling": ("/api/v1/polling/report", {"seconds": 60}, "401 204 204 204 204"),
    "get_security": ("/api/v1/security", None, "401 403 403 403 200"),
    "get_doctor": ("/api/v1/doctor", None, "401 403 403 403 200"),
    "list_backups": ("/api/v1/backups", None, "401 403 403 403 200"),
    "get_backup": ("/api/v1/backups/00000000-0000-7000-8000-000000000000", None, "401 403 403 403 404"),
    "create_backup": ("/api/v1/backups", {}, "401 403 403 403 202"),
    "list_audit": ("/api/v1/audit", None, "401 403 403 403 200"),
    "verify_audit": ("/api/v1/audit/verify", None, "401 403 403 403 200"),
    "list_access": ("/api/v1/audit/access", None, "401 403 403 403 200"),
    "list_alerts": ("/api/v1/alerts", None, "401 403 403 403 200"),
    "acknowledge_alert": ("/api/v1/alerts/{alert}/acknowledge", None, "401 403 403 403 200"),
    "list_alert_rules": ("/api/v1/alert-rules", None, "401 403 403 403 200"),
    "change_alert_rule": ("/api/v1/alert-rules/backlog", {"enabled": True}, "401 403 403 403 200"),
    "get_metrics": ("/api/metrics", None, "401 200 200 200 200"),
    "get_prometheus_metrics": ("/metrics", None, "401 200 200 200 200"),
    "get_index_for_models": ("/llms.txt", None, "200 200 200 200 200"),
    "list_sessions": ("/api/v1/sessions", None, "401 200 200 200 200"),
    "create_session": ("/api/v1/sessions", {"id": "s-{fresh}"}, "401 403 201 201 201"),
    "get_session": ("/api/v1/sessions/{session}", None, "401 200 404 200 200"),
    "change_session": ("/api/v1/sessions/{session}", {"title": "x"}, "401 403 404 200 200"),
    "delete_session": ("/api/v1/sessions/{session}", None, "401 403 404 200 200"),
    "restore_session": ("/api/v1/sessions/{session}/restore", None, "401 403 404 200 200"),
    "list_session_events": ("/api/v1/sessions/{session}/events", None, "401 403 404 200 200"),
    "get_session_summary": ("/api/v1/sessions/{session}/summary", None, "401 403 404 200 200"),
    "make_session_summary": ("/api/v1/sessions/{session}/summary", None, "401 403 404 200 200"),
    "export_session": ("/api/v1/sessions/{session}/export", None, "401 403 404 200 200"),
    "list_session_messages": ("/api/v1/sessions/{session}/messages", None, "401 403 404 200 200"),
    "add_session_messages": (
        "/api/v1/sessions/{session}/messages", {"chunks": [{"speaker": "Ada", "text": "hello"}]}, "401 403 404 201 201",
    ),
    "list_session_memories": ("/api/v1/sessions/{session}/memories", None, "401 403 404 200 200"),
    "store_session_memory": (
        "/api/v1/sessions/{session}/memories", {"key": "k-{fresh}", "content": "x"}, "401 403 404 201 201",
    ),
    "get_session_memory": ("/api/v1/sessions/{session}/memories/a/b", None, "401 403 404 200 200"),
    "forget_session_memory": ("/api/v1/sessions/{session}/memories/a/b", None, "401 403 404 204 204"),
    "list_session_artifacts": ("/api/v1/sessions/{session}/artifacts", None, "401 403 404 200 200"),
    "add_session_artifact": (
        "/api/v1/sessions/{session}/artifacts", {"name": "a", "content": "x"}, "401 403 404 201 201",
    ),
    "get_session_artifact": ("/api/v1/sessions/{made}", None, "401 403 404 200 200"),
    "remove_session_artifact": ("/api/v1/sessions/{made}", None, "401 403 404 204 204"),
    "list_session_jobs": ("/api/v1/sessions/{session}/jobs", None, "401 403 404 200 200"),
    "delegate_session_job": (
        "/api/v1/sessions/{session}/jobs", {"agent_id": "test-echo", "parameters": {"text": "x"}}, "401 403 404 201 201",
    ),
    "take_session_command": (
        "/api/v1/webhooks/session", {"command": "create_session", "session_id": "w-{fresh}"}, "401 403 201 201 201",
    ),
    "openapi_document": ("/api/openapi.json", None, "200 200 200 200 200"),
}  # fmt: skip

# A viewer's key can only read, and managing keys is a write: 403. Who signed in may (test_api_keys.py).


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_each_caller_gets_what_their_role_allows(
    operation: Any, app: Flask, nobody: Caller, viewer: Caller, other: Caller, owner: Caller, admin: Caller
) -> None:
    path, body, expected = MATRIX[operation.name]
    got = []
    for caller in (nobody, viewer, other, owner, admin):
        place = _place(path, owner, app)
        more = {} if body is None else {"json": _fill(body, {"fresh": f"u{len(got)}"})}
        got.append(str(caller.call(operation.method, place, **more).status_code))

    assert " ".join(got) == expected


def _place(path: str, owner: Caller, app: Flask) -> str:
    makers = {
        "queued": lambda: world.submitted(owner.id),
        "bulk_action": lambda: world.bulk_action(owner.principal),
        "failed": lambda: world.failed(owner.id),
        "letter": lambda: world.letter(owner.id),
        "stopped": lambda: world.stopped_by_budget(owner.id),
        "drafted": lambda: world.drafted(owner.id),
        "budget": world.budget,
        "policy": world.policy,
        "alert": world.alert,
        "schedule": lambda: world.schedule(owner.id),
        "artifact": lambda: world.artifact(owner.id, app.config["CALLBOARD"].artifact_store),
        "key": lambda: owner.post("/api/v1/api-keys", json={"name": "x"}).json["key_id"],  # type: ignore[index]
        "user": lambda: owner.id,
        "session": lambda: world.session(owner.principal),
        "made": lambda: _made(owner),
        "login": lambda: world.login(owner.id),
        "view": lambda: owner.post("/api/v1/saved-views", json={"name": "y", "filter": ""}).json["view_id"],  # type: ignore[index]
        "notification": lambda: world.notification(owner.id),
        "delivery": lambda: world.delivery(owner.id),
        "endpoint": lambda: world.endpoint(owner.id),
        "hook": lambda: world.hook(owner.id),
        "hook_rule": lambda: world.hook_rule(owner.id),
        "hook_delivery": lambda: world.hook_delivery(owner.id),
        "rule": world.rule,
        "provider": world.provider,
        "price": world.price,
        "workflow": lambda: flowing.started(owner.id),
        "cancelled_workflow": lambda: flowing.cancelled(owner.id),
        "approval": lambda: flowing.asked(owner.id),
        "gate": world.gate,
        "template": lambda: flowing.template(owner.id),
        "worker": world.worker,
    }
    for word, make in makers.items():
        if "{" + word + "}" in path:
            path = path.replace("{" + word + "}", make())
    return path


def _made(owner: Caller) -> str:
    assert owner.principal is not None
    session_id = world.session(owner.principal)
    return f"{session_id}/artifacts/{world.made_in(session_id, owner.id)}"


def _fill(body: Any, words: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {name: _fill(value, words) for name, value in body.items()}
    if isinstance(body, list):
        return [_fill(value, words) for value in body]
    return body.format(**words) if isinstance(body, str) else body


def test_every_operation_has_its_line_and_every_line_its_operation() -> None:
    assert set(MATRIX) == {operation.name for operation in OPERATIONS}


def test_every_route_below_the_api_is_an_operation(app: Flask) -> None:
    known = {
        path
        for operation in OPERATIONS
        for path in (operation.path, *ALIASES[operation.method, operation.path])
    }
    ours = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")}

    assert ours <= known


def test_only_these_need_no_token() -> None:
    assert {operation.name for operation in OPERATIONS if operation.verb is None} == {
        "login", "refresh_tokens", "forgot_password", "reset_password", "openapi_document", "alive",
        "get_health", "get_database_health", "get_redis_health", "get_worker_health", "get_polling_health",
        "receive_webhook", "receive_github_webhook",  # signed (X21)
        "get_index_for_models",
    }  # fmt: skip


def test_what_others_own_looks_exactly_like_what_is_not_there(other: Caller, owner: Caller) -> None:
    theirs, nothing = world.submitted(owner.id), "01890000-0000-7000-8000-000000000000"

    for tail in ("", "/status", "/logs", "/history", "/explain", "/artifacts"):
        answers = [other.get(f"/api/v1/jobs/{job_id}{tail}").json for job_id in (theirs, nothing)]
        told = [
            answer["detail"].replace(job_id, "ID")
            for answer, job_id in zip(answers, (theirs, nothing), strict=True)
        ]  # type: ignore[index]
        assert told[0] == told[1]


def test_lists_hold_only_what_the_caller_may_see(
    owner: Caller, other: Caller, viewer: Caller, admin: Caller
) -> None:
    mine = world.submitted(owner.id)

    lists = [caller.get("/api/v1/jobs").json["jobs"] for caller in (owner, other, viewer, admin)]  # type: ignore[index]
    assert [[job["job_id"] for job in jobs] for jobs in lists] == [[mine], [], [mine], [mine]]
    batch = other.get(f"/api/v1/jobs/status?ids={mine}").json
    assert batch is not None
    assert (batch["jobs"], batch["not_found"]) == ([], [mine])


def test_viewers_see_the_status_and_nothing_of_the_content(owner: Caller, viewer: Caller) -> None:
    done, broken = world.completed(owner.id), world.failed(owner.id, "secret words")

    for job_id in (done, broken):
        for path in (f"/api/v1/jobs/{job_id}", f"/api/v1/jobs/{job_id}/status?logs=10"):
            text = viewer.get(path).get_data(as_text=True)
            assert "hello" not in text
            assert '"result"' not in text
            assert "secret words" not in text
            assert "Traceback" not in text
    assert "secret words" not in viewer.get("/api/v1/jobs").get_data(as_text=True)


def test_others_running_jobs_are_numbers_only(owner: Caller, other: Caller) -> None:
    with db.transaction():
        fleet.register(world.WORKER, hostname="h", process_id=1, pools=("general",), threads=4, release="t")
    claim = world.running(owner.id)

    mine, theirs = (caller.get("/api/v1/workers").json["workers"][0] for caller in (owner, other))  # type: ignore[index]
    assert (mine["busy"], [job["job_id"] for job in mine["jobs"]]) == (1, [claim.job_id])
    assert (theirs["busy"], theirs["jobs"]) == (1, [])


def test_a_read_key_of_an_admin_changes_nothing(make_caller: Any) -> None:
    reader = make_caller("reader", "admin", scopes=frozenset({"read"}))

    assert reader.get("/api/v1/jobs").status_code == 200
    assert reader.post("/api/v1/jobs", json={"agent_id": "test-echo"}).status_code == 403
    assert reader.get("/api/v1/dlq/tasks").status_code == 403


def test_cookies_open_nothing(app: Flask, owner: Caller) -> None:
    client = app.test_client()
    for name in ("session", "callboard", "access_token", "Authorization"):
        client.set_cookie(name, owner.key or "")

    assert client.get("/api/v1/me").status_code == 401
