"""How commands reach Callboard: the server of CALLBOARD_URL, or the same API in this process.

CALLBOARD_URL, CALLBOARD_API_KEY   a server, in the name of whoever the key belongs to
neither                            the database that the settings name, or that `callboard up` runs here, in the
                                   name of the first admin or of --as: no socket, but the same checks and limits
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from app.cli.speaking import harmless

if TYPE_CHECKING:
    from app.client import CallFailed, Client
    from app.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

TRIES = 2
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PAGE = 100
"""Entries in one answer, as the server has it."""
LIFE = timedelta(hours=12)
"""How long a command that goes on (watch, logs -f) may speak; its login ends with it."""
MACHINE = "the command line of this machine"

on_behalf = click.option(
    "--as", "email", help="On whose behalf, by e-mail; only without CALLBOARD_URL. Left out: the first admin."
)


class Failed(click.ClickException):
    """What the server said, in its own words."""

    def __init__(self, said: str) -> None:
        """`said` may hold what others wrote."""
        super().__init__(harmless(said))


class Unreachable(Failed):
    """Nobody answers."""

    exit_code = 69
    """EX_UNAVAILABLE of sysexits.h."""


def is_remote() -> bool:
    """Whether CALLBOARD_URL names a server."""
    return bool(os.environ.get("CALLBOARD_URL", "").strip())


def is_here(port: int, public_url: str) -> bool:
    """Whether CALLBOARD_URL names the Callboard of this machine, which listens on `port`."""
    named = os.environ.get("CALLBOARD_URL", "").strip().rstrip("/")
    parts = urlsplit(named)
    return named == public_url or (parts.hostname in LOOPBACK and parts.netloc.endswith(f":{port}"))


@contextmanager
def speaker(email: str | None = None, *, timeout: float = 30.0) -> Iterator[Client]:
    """A client of the API; what goes wrong inside the block ends the command with one readable sentence."""
    from app.client import CallFailed

    try:
        with _remote(email, timeout) if is_remote() else _local(email) as callboard:
            yield callboard
    except CallFailed as failure:
        raise explained(failure) from failure


def explained(failure: CallFailed) -> Failed:
    """The failure with its way out."""
    from app.client import Away

    if isinstance(failure, Away):
        way = (
            "is it running, and is CALLBOARD_URL right?"
            if is_remote()
            else "`callboard doctor` says what is wrong"
        )
        return Unreachable(f"{failure}\nCallboard cannot be reached: {way}")
    if failure.status == 401:
        key = "CALLBOARD_API_KEY is not valid (any more)" if _key() else "CALLBOARD_API_KEY is not set"
        return Failed(
            f"{failure}\n{key}: make one on the server with `callboard keys create NAME`, or on its page"
        )
    if failure.status == 403:
        return Failed(f"{failure}\nAsk an admin for a key with the role and the scopes that this needs.")
    if allowed := failure.problem.get("allowed_actions"):
        return Failed(f"{failure}\nPossible instead: {', '.join(map(str, allowed))}")
    return Failed(str(failure))


def rows(callboard: Client, path: str, name: str, *, most: int, **query: Any) -> list[dict[str, Any]]:
    """The first `most` entries of the list called `name`, page by page."""
    found: list[dict[str, Any]] = []
    while len(found) < most:
        part = {"limit": min(PAGE, most - len(found)), "offset": len(found)}
        said = callboard.call("GET", path, query=query | part)
        found += said[name]
        if len(said[name]) < part["limit"]:
            break
    return found


def address(path: str) -> str:
    """The address of a page, for people: below CALLBOARD_URL, else below PUBLIC_URL."""
    if is_remote():
        return os.environ["CALLBOARD_URL"].strip().rstrip("/") + path
    from app.cli.configured import settings

    return settings().public_url.rstrip("/") + path


def _key() -> str:
    return (os.environ.get("CALLBOARD_API_KEY") or os.environ.get("CALLBOARD_JOB_TOKEN") or "").strip()


@contextmanager
def _remote(email: str | None, timeout: float) -> Iterator[Client]:
    from app.client import Client

    if email:
        raise click.UsageError("--as works without CALLBOARD_URL only; on a server the key says who you are.")
    with Client(timeout=timeout, attempts=TRIES) as callboard:
        yield callboard


@contextmanager
def _local(email: str | None) -> Iterator[Client]:
    """The API in this process, by an access token of a login that ends with the block."""
    import httpx2

    from app import create_app
    from app.client import Client
    from app.db import db
    from app.observe import logs

    chosen = _here()
    app = create_app(chosen)
    logs.configure("ERROR", "console")  # what is refused is said by the command itself
    token, login = _token(chosen, email)
    app.config["VIA"] = "cli"
    transport = httpx2.WSGITransport(app=app, raise_app_exceptions=False)
    try:
        # The address is only a name here; it is what links in answers would begin with.
        with Client("http://localhost", token, transport=transport, attempts=TRIES) as callboard:
            yield callboard
    finally:
        _end(login)
        with app.app_context():
            db.engine.dispose()


def _here() -> Settings:
    """The settings, with the embedded servers that run here where none are named; raises Unavailable without any."""
    from app.cli.configured import settings
    from app.cli.database import connect
    from app.errors import Unavailable
    from app.ops import embedded

    chosen = settings()
    url = chosen.database_url or embedded.url_of(chosen.home)
    if not url:
        raise Unavailable(
            f"no Callboard runs in {chosen.home}: start it (`callboard up`), or set CALLBOARD_HOME or DATABASE_URL, or "
            "CALLBOARD_URL and CALLBOARD_API_KEY for a server elsewhere"
        )
    connect(url).close()
    broker = chosen.redis_url or embedded.broker_url_of(chosen.home)
    return chosen.model_copy(update={"database_url": url, "redis_url": broker})


def _token(chosen: Settings, email: str | None) -> tuple[str, str]:
    from app.accounts import logins, queries, tokens
    from app.db import db
    from app.errors import Forbidden, NotFound

    wanted = email or chosen.admin_email
    with db.transaction():
        found = queries.user_by_email(wanted)
        if found is None:
            raise NotFound(f"there is no user {wanted}: say with --as on whose behalf")
        if not found["enabled"]:
            raise Forbidden(f"the account of {wanted} is switched off")
        user = str(found["user_id"])
        login = logins.open_login(user, kind="token", method="link", ip=None, user_agent=MACHINE, life=LIFE)
        version = int(db.value("SELECT token_version FROM users WHERE user_id = %(user)s", user=user))
    claims = tokens.Claims(user_id=user, session_id=login, token_version=version)
    return tokens.issue(claims, key=chosen.token_keys[0], life=LIFE), login


def _end(login: str) -> None:
    from contextlib import suppress

    from app.accounts import logins
    from app.db import AWAY as DATABASE_AWAY
    from app.db import db

    with suppress(*DATABASE_AWAY), db.transaction():
        logins.end(login)
