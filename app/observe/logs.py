"""Structured logs: one JSON line per event on stderr, with the ids of the request or attempt bound to it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

# What must never stand in a log line, whoever logs it.
SECRET_WORDS = ("password", "secret", "token", "api_key", "authorization", "cookie", "parameters")


def _hide_secrets(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "[hidden]"
    return event


def configure(level: str = "INFO", style: str = "json") -> None:
    """Send structlog's and the standard library's records the same way; `style` is json or console."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    render = structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Those of HTTP name every address they call, with the keys in it.
    for loud in ("apscheduler", "alembic", "dramatiq.broker", "httpx", "httpcore", "httpx2", "httpcore2"):
        logging.getLogger(loud).setLevel(max(root.level, logging.WARNING))


def get(name: str) -> Any:
    """A logger; events have names like `job.settled`, and keys instead of prose."""
    return structlog.stdlib.get_logger(name)
