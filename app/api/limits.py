"""How often one may call: writes, polls and logins, each from a bucket of its own.

Writes are counted in Redis, for all web processes together, and in this process while Redis is away.
Polls are many and cheap, so they are counted in this process alone and never wait for Redis; a page that
polls therefore takes nothing from what its user may submit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import cast

from flask import Flask, Response, current_app, g, request
from limits import RateLimitItem, RateLimitItemPerMinute, WindowStats
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.accounts import attempts
from app.api.auth import current_principal, settings
from app.api.request_id import current as current_request_id
from app.db import AWAY, db
from app.errors import TooMany
from app.limiter import FORGOT_ADDRESS, FORGOT_NAME, limiter, storage_uri
from app.settings import Settings

LOGIN = "10 per minute;20 per hour"
"""Attempts from one address, and with one name; an account locks sooner (app/accounts/lockout.py)."""
HOOK = "50 per second;1500 per minute"
"""Webhooks to one hook from one address; many, because GitHub does not send again what was refused."""
REDIS_PATIENCE_SECONDS = 0.2
MINUTE = 60.0


def _caller() -> str:
    return current_principal().credential


def _address() -> str:
    return request.remote_addr or "nowhere"


def _login_name() -> str:
    return str(g.login_name)


class Minutes:
    """How often each caller came in their present minute, which begins when they first come.

    The library's own counter in memory starts a thread for every few counts; polls are too many for that.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Nobody came yet; `now` is in seconds since 1970."""
        self._now = now
        self._lock = Lock()
        self._counts: dict[str, tuple[float, int]] = {}
        self._swept_at = now()

    def come(self, caller: str) -> tuple[int, float]:
        """How often `caller` came with this time, and when their minute ends."""
        now = self._now()
        with self._lock:
            if now - self._swept_at >= MINUTE:
                self._counts = {who: seen for who, seen in self._counts.items() if seen[0] > now}
                self._swept_at = now
            ends_at, count = self._counts.get(caller, (0.0, 0))
            if ends_at <= now:
                ends_at, count = now + MINUTE, 0
            self._counts[caller] = (ends_at, count + 1)
        return count + 1, ends_at


_polls = Minutes()


def init_app(app: Flask) -> None:
    """Connect the limits to the settings' Redis."""
    configured: Settings = app.config["CALLBOARD"]
    app.config.setdefault("CALLBOARD_LOGIN_LIMIT", LOGIN)
    app.config["RATELIMIT_STORAGE_URI"] = storage_uri(configured.redis_url)
    if configured.redis_url:
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {
            "socket_timeout": REDIS_PATIENCE_SECONDS,
            "socket_connect_timeout": REDIS_PATIENCE_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
    limiter.init_app(app)


def write_limits() -> str:
    """The limits of writes in Flask-Limiter's words; empty when all are switched off."""
    now = settings()
    amounts = {
        "second": now.rate_limit_burst_per_second,
        "minute": now.rate_limit_per_minute,
        "hour": now.rate_limit_per_hour,
    }
    return ";".join(f"{amount} per {window}" for window, amount in amounts.items() if amount)


def _login_limit() -> str:
    return str(current_app.config["CALLBOARD_LOGIN_LIMIT"])


@limiter.shared_limit(write_limits, scope="write", key_func=_caller, exempt_when=lambda: not write_limits())
def spend_write() -> None:
    """Count one write of the caller; raises RateLimitExceeded."""


def spend_poll() -> None:
    """Count one read of the caller; raises TooMany."""
    _spend_poll(_caller())


def spend_public() -> None:
    """Count one request from this address that needs no token; raises TooMany."""
    _spend_poll(f"address:{_address()}")


def _spend_poll(caller: str) -> None:
    amount = settings().poll_limit_per_minute
    if not amount:
        return
    count, ends_at = _polls.come(caller)
    g.poll_standing = (RateLimitItemPerMinute(amount), WindowStats(ends_at, max(0, amount - count)))
    if count > amount:
        raise TooMany(f"The limit is {amount} reads a minute; slow down.")


def spend_login(name: str) -> None:
    """Count one attempt to sign in as `name` and one from this address; raises RateLimitExceeded."""
    g.login_name = name.lower()
    _spend_login()


@limiter.shared_limit(_login_limit, scope="login-address", key_func=_address)
@limiter.shared_limit(_login_limit, scope="login-name", key_func=_login_name)
def _spend_login() -> None:
    """Two limits: many names from one address, one name from many addresses."""


def spend_forgot(name: str) -> None:
    """Count one wish for a link to choose a password for `name`, and one from this address; raises RateLimitExceeded."""
    g.forgot_name = name.lower()
    _spend_forgot()


@limiter.shared_limit(lambda: _forgot_limit(FORGOT_ADDRESS), scope="forgot-address", key_func=_address)
@limiter.shared_limit(
    lambda: _forgot_limit(FORGOT_NAME), scope="forgot-name", key_func=lambda: str(g.forgot_name)
)
def _spend_forgot() -> None:
    """Two limits, as for attempts to sign in."""


def _forgot_limit(usual: str) -> str:
    return str(current_app.config.get("CALLBOARD_FORGOT_LIMIT", usual))


def spend_hook(slug: str) -> None:
    """Count one webhook to `slug` from this address; raises RateLimitExceeded."""
    g.hook_slug = slug
    _spend_hook()


@limiter.shared_limit(
    lambda: str(current_app.config.get("CALLBOARD_HOOK_LIMIT", HOOK)),
    scope="hook",
    key_func=lambda: f"{g.hook_slug}|{_address()}",
)
def _spend_hook() -> None:
    """By address as well, so that whoever forges takes nothing from whoever does not."""


def note_refused(response: Response) -> Response:
    """Write down that somebody tries to sign in again and again; what was counted alone would end at the limit."""
    if response.status_code == 429 and "login_name" in g:
        with suppress(*AWAY), db.transaction():
            attempts.limited(request.remote_addr, request_id=current_request_id())
    return response


def describe(response: Response) -> Response:
    """Tell the caller where they stand: RateLimit (IETF draft 10), X-RateLimit-* and, on 429, Retry-After."""
    standing = _standing()
    if standing is None:
        return response
    limit, window = standing
    seconds = max(1, int(window.reset_time - time.time()) + 1)
    name, remaining = limit.GRANULARITY.name, max(0, window.remaining)
    response.headers["RateLimit-Policy"] = f'"{name}";q={limit.amount};w={limit.get_expiry()}'
    response.headers["RateLimit"] = f'"{name}";r={remaining};t={seconds}'
    response.headers["X-RateLimit-Limit"] = str(limit.amount)
    response.headers["X-RateLimit-Remaining"] = str(remaining)
    response.headers["X-RateLimit-Reset"] = str(int(window.reset_time) + 1)
    if response.status_code == 429:  # a lock may last longer than any window
        said = response.headers.get("Retry-After", type=int, default=0)
        response.headers["Retry-After"] = str(max(seconds, said))
    return response


def _standing() -> tuple[RateLimitItem, WindowStats] | None:
    """The limit that tells most: the one that was hit, else the one of a minute, else the shortest."""
    counted = limiter.current_limits
    if not counted:
        return cast("tuple[RateLimitItem, WindowStats] | None", g.get("poll_standing"))
    hit = [entry for entry in counted if entry.breached]
    of_a_minute = [entry for entry in counted if entry.limit.get_expiry() == 60]
    chosen = (hit or of_a_minute or counted)[0]
    try:
        return chosen.limit, chosen.window
    except RedisError:  # went away between counting and asking; the answer is worth more than its header
        return None
