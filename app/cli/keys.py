"""`callboard keys …`: API keys: make one, see them, revoke one."""

from __future__ import annotations

from typing import Any

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json

SCOPES = click.Choice(["read", "write", "admin"])


@click.group(name="keys")
def keys() -> None:
    """Make, see and revoke API keys: your own; an admin's are everybody's."""


@keys.command(name="list")
@click.option("--all", "with_dead", is_flag=True, help="Also those that are revoked.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@on_behalf
@as_json
def show_all(*, with_dead: bool, limit: int, email: str | None, wants_json: bool) -> None:
    """List keys, newest first; their text is never shown again."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/api-keys", query={"limit": limit})
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [each["key_id"], each["name"], each["scopes"], telling.when(each["created_at"]),
         telling.when(each["last_used_at"]) or "never", _state(each)]
        for each in found["api_keys"]
        if with_dead or not each["revoked_at"]
    ]  # fmt: skip
    columns = ("id", "name", "scopes", "made", "last used", "state")
    telling.table(columns, rows, empty="No keys. Make one: callboard keys create NAME")


@keys.command(epilog="Example: export CALLBOARD_API_KEY=$(callboard keys create laptop --as ada@example.com)")
@click.argument("name")
@click.option(
    "--scope", "scopes", type=SCOPES, multiple=True, help="May be repeated. Left out: all that you have."
)
@click.option("--expires", metavar="TIME", help="Like 2027-12-01T00:00:00Z. Left out: never.")
@on_behalf
@as_json
def create(
    name: str, *, scopes: tuple[str, ...], expires: str | None, email: str | None, wants_json: bool
) -> None:
    """Make a key for yourself, called NAME, and print its text, which is told this once."""
    more: dict[str, Any] = {"scopes": list(scopes)} if scopes else {}
    if expires:
        more["expires_at"] = expires
    with speaker(email) as callboard:
        made = callboard.keys.create(name, **more).plain()
    if wants_json:
        telling.say_json(made)
    else:
        click.echo(made["api_key"])


@keys.command()
@click.argument("key_id")
@on_behalf
@as_json
def revoke(key_id: str, *, email: str | None, wants_json: bool) -> None:
    """Revoke a key; it stops working at once, and for good."""
    with speaker(email) as callboard:
        done = callboard.keys.revoke(key_id).plain()
    if wants_json:
        telling.say_json(done)
    else:
        click.echo(f"{done['key_id']}  revoked")


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    return f"until {telling.when(key['expires_at'])}" if key["expires_at"] else "works"
