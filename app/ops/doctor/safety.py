"""Checks of keys, people, addresses and the audit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from app import clock
from app.audit import chain
from app.db import db
from app.ops.doctor.findings import Said, error, info, warning
from app.ops.doctor.place import Place, is_here

KEY_DAYS = 90
UNUSED_DAYS = 90
SEAL_SECONDS = 600
MANY_ADMINS = 5
DEFAULT_ADMIN = "admin@callboard.local"
NEW_KEY = {
    "signing": "The old one into SECRET_KEY_PREVIOUS, a new SECRET_KEY",
    "tokens": "The old one into JWT_SECRET_PREVIOUS, a new JWT_SECRET",
    "encryption": "callboard secrets new-key, put it first in ENCRYPTION_KEYS, then callboard secrets rotate",
}
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keys(place: Place) -> Iterator[Said]:
    """Whether cookies and tokens are signed by a key that all processes share."""
    settings = place.settings
    if settings.secret_key:
        yield "SECRET_KEY is set"
    elif place.is_public:
        yield warning(
            f"SECRET_KEY is not set; the one in {settings.home / 'secret_key'} is used",
            "A host, or a deploy, without that file makes another one: everybody is signed out.",
            'SECRET_KEY="$(openssl rand -hex 32)", the same for all processes',
        )
    else:
        yield "made at the first start"
    if place.is_public and not settings.encryption_keys:
        yield info(
            "Secrets in the database are sealed with a key made of SECRET_KEY",
            "One key for two things: who changes it for one must think of the other.",
            "ENCRYPTION_KEYS=$(callboard secrets new-key), then callboard secrets rotate",
        )


def key_ages(_place: Place) -> Iterator[Said]:
    """Whether a key is in use for longer than it should be (SEC-12)."""
    rows = db.rows(
        """SELECT kind, extract(epoch FROM now() - max(first_seen_at)) / 86400 AS days FROM secret_keys
           WHERE retired_at IS NULL GROUP BY kind ORDER BY kind"""
    )
    yield ", ".join(f"{row['kind']} {row['days']:.0f} days" for row in rows) or "nothing noted yet"
    for row in rows:
        if row["days"] > KEY_DAYS:
            yield warning(
                f"The key for {row['kind']} is {row['days']:.0f} days old",
                f"What leaks is worth something for as long as it is used; {KEY_DAYS} days are the usual end.",
                f"{NEW_KEY[row['kind']]}: docs/accounts.md#keys",
            )


def home(place: Place) -> Iterator[Said]:
    """Whether others on this machine can read the keys, or change anything."""
    folder = place.settings.home
    if not folder.exists():
        yield info(
            f"There is no folder {folder}",
            "Nothing ran here with these settings.",
            "Set CALLBOARD_HOME to the folder of the Callboard that is meant",
        )
        return
    if folder.stat().st_mode & stat.S_IWOTH:
        yield error(
            f"Everybody may write to {folder}", "They can replace keys and data.", f"chmod o-w {folder}"
        )
    for name in ("secret_key", "encryption_key", "run", "data/postgres", "data/valkey"):
        if mode := _open_to_others(folder / name):
            yield error(
                f"Others on this machine may look into {folder / name} ({mode:o})",
                "Who reads a key can sign in as anybody; who reads the data needs no sign-in.",
                f"chmod go-rwx {folder / name}",
            )
    yield str(folder)


def _open_to_others(path: Path) -> int:
    """Its mode if others may do anything there, else 0; also 0 for what is not there or not to be seen."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
    return mode if mode & FOR_OTHERS else 0


def people(place: Place) -> Iterator[Said]:
    """Whether there is an admin, not too many, and nobody who was forgotten."""
    rows = db.rows(
        """SELECT email, role, coalesce(last_login_at, created_at) < now() - %(days)s * interval '1 day' AS unused
           FROM users WHERE enabled""",
        days=UNUSED_DAYS,
    )
    admins = [row["email"] for row in rows if row["role"] == "admin"]
    yield f"{len(rows)} accounts, {len(admins)} admins"
    if not admins:
        yield error(
            "There is no admin",
            "Nobody can see alerts or change anything for others.",
            "callboard seed, with CALLBOARD_ADMIN_EMAIL and CALLBOARD_ADMIN_PASSWORD",
        )
    if len(admins) > MANY_ADMINS:
        yield info(
            f"{len(admins)} accounts are admins",
            "Each can do everything.",
            "Make those users who need not be",
        )
    if DEFAULT_ADMIN in admins and place.is_public:
        yield warning(
            f"The first admin is still {DEFAULT_ADMIN}",
            "Everybody knows that name, and mail for it goes nowhere.",
            "Make an admin with a person's address, sign in as that one, and switch the first one off",
        )
    unused = [row["email"] for row in rows if row["unused"]]
    if unused:
        yield info(
            f"{len(unused)} accounts have not signed in for {UNUSED_DAYS} days",
            "Nobody would notice if somebody else did.",
            "Switch them off at /users",
        )


def api_keys(_place: Place) -> Iterator[Said]:
    """Whether keys lie around that nobody uses, or that never end."""
    row = db.row(
        """SELECT count(*) AS living,
                  count(*) FILTER (WHERE coalesce(last_used_at, created_at) < now() - %(days)s * interval '1 day') AS unused
           FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())""",
        days=UNUSED_DAYS,
    )
    assert row is not None
    yield f"{row['living']} living"
    if row["unused"]:
        yield info(
            f"{row['unused']} API keys were not used for {UNUSED_DAYS} days",
            "A key that nobody uses is missed by nobody.",
            "Revoke them at /settings, or DELETE /api/v1/api-keys/{key_id}",
        )


def addresses(place: Place) -> Iterator[Said]:
    """Whether people come by https, and whether Callboard knows."""
    settings = place.settings
    address = settings.base_url or f"http://127.0.0.1:{settings.port}"
    scheme, host = urlsplit(address)[:2]
    yield address
    if not place.in_production and place.is_public:
        yield error(
            f"CALLBOARD_ENV is {settings.environment}, and people come from other machines",
            "What protects keys from agents is off.",
            "CALLBOARD_ENV=production",
        )
    if settings.force_https and not settings.trusted_proxies:
        yield error(
            "FORCE_HTTPS is on, and no proxy is trusted to say that somebody came by https",
            "Every request is led to https again and again.",
            "TRUSTED_PROXIES=1, if one proxy stands in front and nothing else can reach the port",
        )
    if place.is_public and not settings.base_url:
        yield warning(
            f"BASE_URL is not set, and {settings.host} takes requests from other machines",
            "Links in mails and chats lead to 127.0.0.1.",
            "BASE_URL=https://callboard.example.org",
        )
    elif settings.base_url and scheme == "http" and not is_here(urlsplit(settings.base_url).hostname or ""):
        yield warning(
            f"People come to {host} by plain http",
            "Passwords, cookies and keys can be read on the way.",
            "Put a proxy with TLS in front, then BASE_URL=https://…, TRUSTED_PROXIES=1, FORCE_HTTPS=true: docs/hardening.md",
        )
    elif scheme == "https" and not settings.trusted_proxies:
        yield warning(
            "BASE_URL is https, and TRUSTED_PROXIES is 0",
            "Cookies go out without Secure, HSTS is not sent, and all requests seem to come from the proxy.",
            "TRUSTED_PROXIES=1 (2 with a CDN before it)",
        )
    elif scheme == "https" and not settings.force_https:
        yield info(
            "Plain http is still answered",
            "Who types the address without https sends the first request open.",
            "FORCE_HTTPS=true",
        )


def network(place: Place) -> Iterator[Said]:
    """Whether agents are kept out of the own network."""
    if place.settings.http_allow_private and place.is_public:
        yield warning(
            "HTTP agents and webhooks may call private addresses",
            "Whoever submits jobs can reach what trusts this network: metadata of the cloud, databases, routers.",
            "Unset HTTP_ALLOW_PRIVATE",
        )
    if place.in_production and hasattr(os, "geteuid") and os.geteuid() == 0:
        yield warning(
            "Callboard runs as root",
            "Command agents run as whoever runs the worker, so they may do everything on this machine.",
            "Run it as an account of its own: docs/hardening.md#command-agents",
        )


def audit_chain(_place: Place) -> Iterator[Said]:
    """Whether entries of the audit are sealed soon after they were written."""
    state = chain.state()
    yield f"{state['position']:,} sealed, {state['waiting']:,} to come"
    oldest = state["oldest_waiting_at"]
    seconds = (clock.now() - oldest).total_seconds() if oldest else 0
    if seconds > SEAL_SECONDS:
        yield warning(
            f"{state['waiting']:,} entries of the audit are not sealed, the oldest for {seconds / 60:.0f} minutes",
            "Until then nothing shows if somebody changes them in the database.",
            "Start the scheduler: python -m actors.clockwork; then callboard audit verify",
        )
