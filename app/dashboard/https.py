"""Plain http where FORCE_HTTPS is set, and by which address pages call this Callboard."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, abort, current_app, redirect, request
from werkzeug.wrappers import Response

from app.errors import Forbidden
from app.settings import Settings

# Platforms and supervisors ask from inside, where there is no https; what these answer is no secret.
OPEN_PATHS = ("/healthz", "/readyz", "/api/health")
READS = ("GET", "HEAD")
SENTENCE = (
    "This Callboard takes requests by https only. Write https:// instead of http://; a key, token or password that went "
    "with this request went unencrypted: replace it."
)


def register(app: Flask) -> None:
    """Look at every request of `app` before anything else answers it."""
    app.before_request(_demand_https)


def root() -> str:
    """The address of this Callboard for people, without a slash: BASE_URL, else the one they came by."""
    settings: Settings = current_app.config["CALLBOARD"]
    return (settings.base_url or request.host_url).rstrip("/")


def _demand_https() -> Response | None:
    settings: Settings = current_app.config["CALLBOARD"]
    if not settings.force_https or request.is_secure or _is_open(request.path):
        return None
    if request.method in READS and not _carries_a_key():
        host = urlsplit(settings.base_url).netloc or request.host
        return redirect(f"https://{host}{request.full_path.rstrip('?')}", 308)
    if request.blueprint == "dashboard":
        raise Forbidden(SENTENCE)
    return abort(403, SENTENCE)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/api/health/")


def _carries_a_key() -> bool:
    """Whether it would hide that a secret went over the wire if this were led on."""
    return "Authorization" in request.headers or "X-API-Key" in request.headers
