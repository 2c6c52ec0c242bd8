"""Which variables of the environment may be named as a key: never Callboard's own."""

from __future__ import annotations

import re

# Callboard's own keys to its own house; neither a definition nor a provider can ask for them.
OWN = frozenset(
    [
        "DATABASE_URL",
        "DATABASE_READ_URL",
        "METRICS_TOKEN",
        "REDIS_URL",
        "SECRET_KEY",
        "JWT_SECRET",
        "JWT_SECRET_PREVIOUS",
        "ENCRYPTION_KEY",
        "ENCRYPTION_KEYS",
        "ADMIN_PASSWORD",
        "CALLBOARD_ADMIN_PASSWORD",
        "CALLBOARD_ADMIN_API_KEY",
        "WEBHOOK_SECRET",
        "PGPASSWORD",
        "SLACK_WEBHOOK_URL",
        "NOTIFY_CHANNELS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ]
)
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


def complaint(name: str) -> str | None:
    """What is wrong with `name` as the variable of a key, in words; None: nothing."""
    if not NAME.fullmatch(name):
        return "must be the name of a variable like ANTHROPIC_API_KEY, not the key itself"
    if name in OWN:
        return "is Callboard's own and cannot be sent to anybody"
    return None
