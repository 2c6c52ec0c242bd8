"""Structured logs: one JSON line per event on stderr, with the ids of the request or attempt bound to it.

Every line also says which process wrote it: `service`, `pid` and `version`. What gunicorn, Dramatiq, APScheduler,
SQLAlchemy and Python's own warnings have to say goes the same way.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from app.observe import hiding, tracing

# What must never stand in a log line, whoever logs it.
SECRET_WORDS = ("password", "secret", "token", "api_key", "authorization", "cookie", "parameters")


def _hide_secrets(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "[hidden]"
    return event


class _Process:
    """Who writes a line, and for whom: a processor."""

    def __init__(self, service: str, version: str) -> None:
        self.service, self.version = service, version

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add what is not said; a request's own id is what its job, and all that follows from it, go by."""
        if "request_id" in event:
            event.setdefault("correlation_id", event["request_id"])
        event.update(service=self.service, pid=os.getpid(), version=self.version)
        return event


def configure(level: str = "INFO", style: str = "json", *, service: str = "", version: str = "") -> None:
    """Send structlog's and the standard library's records the same way; `style` is json or console.

    `service` is what the process does: web, worker or scheduler.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        *([_Process(service, version)] if service else []),
        tracing.in_log_line,
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
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        hiding.in_log_line,
        render,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Those of HTTP name every address they call, with the keys in it.
    for loud in ("apscheduler", "alembic", "dramatiq.broker", "httpx", "httpcore", "httpx2", "httpcore2"):
        logging.getLogger(loud).setLevel(max(root.level, logging.WARNING))


def catch_the_rest() -> None:
    """Write what nobody caught, and Python's warnings, as lines too; for a process that is ours alone."""
    logging.captureWarnings(capture=True)
    sys.excepthook, threading.excepthook = _died, _thread_died


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last line of a process: what it died of."""
    if issubclass(kind, KeyboardInterrupt):
        return
    get("process").critical("process.died", exc_info=(kind, error, trace))


def _thread_died(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
        thread = told.thread.name if told.thread else ""
        trace = (told.exc_type, told.exc_value, told.exc_traceback)
        get("process").error("thread.died", thread=thread, exc_info=trace)


def get(name: str) -> Any:
    """A logger; events have names like `job.settled`, and keys instead of prose."""
    return structlog.stdlib.get_logger(name)
