"""`callboard users …`: who may come in: of the server of CALLBOARD_URL, by an admin's key, else of the database here.

On the database it asks nobody for a password, so it is also the way back in for a last admin.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from app.accounts.permissions import ROLES
from app.cli import telling
from app.cli.agents import database
from app.cli.configured import settings
from app.cli.connected import is_remote, speaker
from app.cli.connected import rows as listed
from app.cli.speaking import as_json, harmless, in_json
from app.errors import NotFound

if TYPE_CHECKING:
    from app.client import Client

WHO = "the command line"
MOST = 10_000
PATH = "/api/v1/users"
_UNKNOWN = "there is no user {email}; `callboard users list` shows all"
_SHOWN = ("user_id", "email", "name", "role", "enabled", "last_login_at", "locked_until", "has_password", "logins",
          "api_keys")  # fmt: skip


@click.group(name="users", invoke_without_command=True)
@click.pass_context
def users(context: click.Context) -> None:
    """List who may come in, add somebody, change a role, or help somebody who is locked out. Alone it lists."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@users.command(name="list")
@as_json
def show_all(*, wants_json: bool = False) -> None:
    """List users, by e-mail."""
    if is_remote():
        with speaker() as callboard:
            rows = [telling.timed(each) for each in listed(callboard, PATH, "users", most=MOST)]
    else:
        with database():
            from app.accounts import queries

            rows, _ = queries.users(limit=MOST, offset=0)
    if wants_json:
        click.echo(in_json([_shown(row) for row in rows]))
        return
    for row in rows:
        click.echo(_line(row))


@users.command()
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), default="user", show_default=True)
@click.option("--name", default="", help="What they are called.")
@click.option("--password", "asks", is_flag=True, help="Ask for a password instead of making a link.")
@click.option(
    "--keys-only", is_flag=True, help="Neither password nor link: a machine that comes in by API key."
)
@as_json
def add(email: str, *, role: str, name: str, asks: bool, keys_only: bool, wants_json: bool) -> None:
    """Add EMAIL, and print a link by which they choose a password."""
    if asks and keys_only:
        raise click.UsageError("--password and --keys-only contradict each other.")
    chosen = _asked() if asks else None
    if is_remote():
        wish = {"email": email, "role": role, "name": name, "invite": not (asks or keys_only)}
        with speaker() as callboard:
            body = wish | ({"password": chosen} if asks else {})
            row = telling.timed(callboard.call("POST", PATH, body=body))
        _say(row, f"added: {row['email']} ({role})", wants_json=wants_json, link=row["invite_link"])
        return
    with database() as db:
        from app.accounts import users as room

        row = room.create(email, chosen, role=role, name=name, actor=WHO)
        link = None if asks or keys_only else _link(str(row["user_id"]), "invite")
        db.session.commit()
    _say(row, f"added: {row['email']} ({role})", wants_json=wants_json, link=link)


@users.command()
@click.argument("email")
@click.argument("wanted", metavar="ROLE", type=click.Choice(ROLES))
@as_json
def role(email: str, wanted: str, *, wants_json: bool) -> None:
    """Give EMAIL the role ROLE; every login of theirs ends. The last admin stays one."""
    _change(email, f"{wanted} now", wants_json=wants_json, role=wanted)


@users.command()
@click.argument("email")
@as_json
def disable(email: str, *, wants_json: bool) -> None:
    """Switch EMAIL off: logins end, keys stop working. Users are never deleted, because what they did stays theirs."""
    _change(email, "switched off", wants_json=wants_json, enabled=False)


@users.command()
@click.argument("email")
@as_json
def enable(email: str, *, wants_json: bool) -> None:
    """Switch EMAIL on again."""
    _change(email, "switched on", wants_json=wants_json, enabled=True)


@users.command()
@click.argument("email")
@as_json
def password(email: str, *, wants_json: bool) -> None:
    """Ask for a new password for EMAIL, twice, or take it from standard input; locks end, and so does every login."""
    _change(email, "has a new password", wants_json=wants_json, password=_asked())


@users.command()
@click.argument("email")
@click.option(
    "--reset", is_flag=True, help="A link that works for an hour, not an invitation for seven days."
)
@as_json
def invite(email: str, *, reset: bool, wants_json: bool) -> None:
    """Print a link by which EMAIL chooses a password, once; earlier ones stop working."""
    if is_remote():
        with speaker() as callboard:
            row = _found(callboard, email)
            body = {"purpose": "reset" if reset else "invite"}
            made = callboard.call("POST", f"{PATH}/{row['user_id']}/invite-link", body=body)
        _say(row, f"a link for {row['email']}", wants_json=wants_json, link=made["link"])
        return
    with database() as db:
        from app.accounts import queries

        known = queries.user(_who(email))
        assert known is not None
        row = known
        link = _link(str(row["user_id"]), "reset" if reset else "invite")
        db.session.commit()
    _say(row, f"a link for {row['email']}", wants_json=wants_json, link=link)


@users.command()
@click.argument("email")
@as_json
def unlock(email: str, *, wants_json: bool) -> None:
    """Let EMAIL try again after too many wrong passwords."""
    if is_remote():
        with speaker() as callboard:
            before = _found(callboard, email)
            row = telling.timed(callboard.call("POST", f"{PATH}/{before['user_id']}/unlock"))
        lifted = before["locked_until"] is not None
        _say(row, f"{row['email']} {_unlocked(lifted=lifted)}", wants_json=wants_json)
        return
    with database() as db:
        from app import audit
        from app.accounts import lockout, queries

        who = _who(email)
        lifted = lockout.unlock(who)
        if lifted:
            audit.record("user.unlocked", actor=WHO, subject=who, details={"via": "cli"})
        db.session.commit()
        known = queries.user(who)
        assert known is not None
        row = known
    _say(row, f"{row['email']} {_unlocked(lifted=lifted)}", wants_json=wants_json)


def _unlocked(*, lifted: bool) -> str:
    return "may try again" if lifted else "was not locked"


def _found(callboard: Client, email: str) -> dict[str, Any]:
    """The user of the server with this address."""
    wanted = email.strip().lower()
    for each in listed(callboard, PATH, "users", most=MOST):
        if each["email"].lower() == wanted:
            return telling.timed(each)
    raise NotFound(_UNKNOWN.format(email=email))


def _who(email: str) -> str:
    from app.accounts import queries

    found = queries.user_by_email(email)
    if found is None:
        raise NotFound(_UNKNOWN.format(email=email))
    return str(found["user_id"])


def _change(email: str, said: str, *, wants_json: bool, **change: Any) -> None:
    if is_remote():
        with speaker() as callboard:
            who = _found(callboard, email)["user_id"]
            row = telling.timed(callboard.call("PATCH", f"{PATH}/{who}", body=change))
        _say(row, f"{row['email']}: {said}", wants_json=wants_json)
        return
    with database() as db:
        from app.accounts import users as room

        row = room.change(_who(email), actor=WHO, **change)
        db.session.commit()
    _say(row, f"{row['email']}: {said}", wants_json=wants_json)


def _asked() -> str:
    """A password from the terminal, hidden and asked for twice; from a pipe its first line."""
    if sys.stdin.isatty():
        return str(click.prompt("New password", hide_input=True, confirmation_prompt="The same again"))
    return sys.stdin.readline().rstrip("\r\n")


def _link(who: str, purpose: Any) -> str:
    from app.accounts import links

    return links.address(settings().public_url, links.make(who, purpose, by=WHO))


def _say(row: dict[str, Any], words: str, *, wants_json: bool, link: str | None = None) -> None:
    if wants_json:
        click.echo(in_json(_shown(row) | ({"link": link} if link else {})))
        return
    click.echo(harmless(words))
    if link:
        click.echo(link)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _SHOWN}


def _line(row: dict[str, Any]) -> str:
    state = "off" if not row["enabled"] else "locked" if row["locked_until"] else "on"
    seen = f"{row['last_login_at']:%Y-%m-%d}" if row["last_login_at"] else "never"
    return harmless(
        f"{row['email']:40}  {row['role']:6}  {state:6}  signed in {seen:10}  {row['name']}".rstrip()
    )
