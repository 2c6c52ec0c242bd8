"""Every answered request, of pages and the API alike: counted for Prometheus, and one line of the log.

Neither ever holds an address as it was asked for, only the rule it fits. Polls, static files and questions after
health come all the time: their lines are of the level DEBUG.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache

from flask import Flask, Response, g, request

from app.api.polling import is_polled
from app.observe import logs, metrics

log = logs.get("http")
_level = logging.getLogger("http")

HEALTH = ("alive", "get_health", "get_database_health", "get_redis_health", "get_worker_health",
          "get_polling_health", "get_prometheus_metrics")  # fmt: skip
SIGN_IN = ("login", "refresh", "signing_in")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FREQUENT = ("poll", "static", "health")
NOWHERE = "nowhere"
"""Stands for the endpoint of addresses that lead nowhere."""


def init_app(app: Flask) -> None:
    """Count and log what `app` answers; called before anything else, so that all of a request is measured."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.answer_began = time.perf_counter()


def _end(response: Response) -> Response:
    began: float | None = g.pop("answer_began", None)
    if began is None:
        return response
    seconds = time.perf_counter() - began
    kind, name, method = _known(request.endpoint, request.method)
    metrics.observe(metrics.HTTP_SECONDS, seconds, kind, method)
    metrics.count(metrics.HTTP_REQUESTS, kind, name, method, str(response.status_code))
    if response.status_code in (401, 429):
        _count_refusal(response.status_code)
    level = logging.DEBUG if kind in FREQUENT else logging.INFO
    if _level.isEnabledFor(level):
        _write_line(response, level, seconds)
    return response


@lru_cache(maxsize=2000)
def _known(endpoint: str | None, method: str) -> tuple[str, str, str]:
    """Labels of the present request: the kind, the name and the method; the same for all of that endpoint."""
    kind = "poll" if is_polled() else _kind(endpoint)
    return kind, _name(endpoint), method if method in METHODS else metrics.OTHER


def _name(endpoint: str | None) -> str:
    """The operation or the page, whichever of its paths was asked."""
    return (endpoint or NOWHERE).rpartition(".")[2].partition(":")[0]


def _kind(endpoint: str | None) -> str:
    """What kind of thing is asked for: api, page, static, health; other where nothing is."""
    if _name(endpoint) in HEALTH:
        return "health"
    door = (endpoint or "").partition(".")[0]
    return {"api": "api", "dashboard": "page", "static": "static"}.get(door, metrics.OTHER)


def _count_refusal(status: int) -> None:
    signing_in = _name(request.endpoint) in SIGN_IN
    if status == 429:
        kind = "sign_in" if signing_in else "read" if request.method in ("GET", "HEAD") else "write"
        metrics.count(metrics.RATE_LIMITED, kind)
        return
    brought = "Authorization" in request.headers or "X-API-Key" in request.headers
    metrics.count(
        metrics.AUTH_FAILURES, "sign_in" if signing_in else "credential" if brought else "no_credential"
    )


def _write_line(response: Response, level: int, seconds: float) -> None:
    log.log(
        level,
        "http.answered",
        method=request.method if request.method in METHODS else metrics.OTHER,
        rule=request.url_rule.rule if request.url_rule else NOWHERE,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        user_id=_who(),
        ip=request.remote_addr,
        bytes=response.content_length,
    )


def _who() -> str | None:
    """The id of whoever asked; nobody is looked up for it."""
    principal = g.get("principal") or g.get("came_in")
    return str(principal.user_id) if principal else None
