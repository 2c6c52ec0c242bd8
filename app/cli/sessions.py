"""`callboard sessions …`: shared workspaces of people and agents. `callboard session …` is the same."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from app.cli import completing, telling
from app.cli.connected import address, on_behalf, speaker
from app.cli.job_wish import from_file
from app.cli.now import by_meaning, note
from app.cli.speaking import as_json, harmless

STATUSES = click.Choice(["active", "paused", "completed"])
FOUND = ("sessions", "messages", "memories", "artifacts")
the_session = click.argument("session_id", shell_complete=completing.sessions)


class Sessions(click.Group):
    """A group one of whose commands is imported only when it is called: `import` needs the database."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted([*super().list_commands(ctx), "import"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        if cmd_name != "import":
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module("app.cli.session_import").import_sessions
        return command


@click.group(name="sessions", cls=Sessions, context_settings={"help_option_names": ["-h", "--help"]})
def sessions() -> None:
    """Shared workspaces of people and agents: make, find, read, steer and export them."""


@sessions.command(
    epilog="Example: callboard sessions create morning_meeting_001 --title Monday --participants ada,bob"
)
@click.argument("session_id")
@click.option("--title", default="", help="For people.")
@click.option(
    "--participants", help="Names or e-mail addresses, with commas; the address of a user lets that user in."
)
@click.option("--callback-url", help="Is told of every event, signed.")
@on_behalf
@as_json
def create(
    session_id: str,
    *,
    title: str,
    participants: str | None,
    callback_url: str | None,
    email: str | None,
    wants_json: bool,
) -> None:
    """Begin a session under an id of your choice, like voice_session_123."""
    more: dict[str, Any] = {"callback_url": callback_url} if callback_url else {}
    if participants:
        more["participants"] = [name.strip() for name in participants.split(",") if name.strip()]
    with speaker(email) as callboard:
        _tell(callboard.sessions.create(session_id, title=title, **more).plain(), wants_json=wants_json)


@sessions.command(name="list")
@click.option("--status", type=STATUSES, help="Only those.")
@click.option("--q", "--search", "q", help="Words of the title, or a part of the id.")
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be restored.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--cursor", help="next_cursor of the page before.")
@on_behalf
@as_json
def show_all(*, deleted: bool, email: str | None, wants_json: bool, **query: Any) -> None:
    """List sessions, the one that changed last first."""
    wanted = query | {"deleted": "true" if deleted else None}
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/sessions", query=wanted)
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [each["session_id"], each["status"], each["message_count"], each["memory_count"],
         f"{each['job_count']} ({each['open_job_count']} open)", telling.when(each["updated_at"]),
         telling.brief(each["title"], 60)]
        for each in found["sessions"]
    ]  # fmt: skip
    columns = ("session id", "status", "said", "memories", "jobs", "changed", "title")
    telling.table(columns, rows, empty="No sessions. Begin one: callboard sessions create ID")
    if found["next_cursor"]:
        click.echo(f"There are more; go on with --cursor {found['next_cursor']}", err=True)


@sessions.command()
@the_session
@click.option(
    "--last", type=click.IntRange(0, 100), default=10, show_default=True, help="So much of what was said."
)
@on_behalf
@as_json
def show(session_id: str, *, last: int, email: str | None, wants_json: bool) -> None:
    """Show a session: who takes part, how much is in it, and what was said last."""
    with speaker(email) as callboard:
        found = callboard.sessions.get(session_id).plain()
        if not wants_json:
            after = max(0, found["message_count"] - last)
            said = callboard.sessions.messages(session_id, after=after, limit=last) if last else []
    _tell(found, wants_json=wants_json)
    if not wants_json:
        for each in said:
            telling.line(f"  {each['speaker']}: {telling.brief(each['text'], 100)}")


@sessions.command()
@the_session
@click.option("--make", is_flag=True, help="Make it anew, and keep it.")
@on_behalf
@as_json
def summary(session_id: str, *, make: bool, email: str | None, wants_json: bool) -> None:
    """Say what a session's conversation comes to: summary, decisions, action items."""
    with speaker(email) as callboard:
        found = callboard.sessions.summary(session_id, make=make).plain()
    if wants_json:
        telling.say_json(found)
        return
    telling.line(found["text"])
    for title, name in (
        ("Decisions", "decisions"),
        ("Action items", "action_items"),
        ("Questions", "questions"),
    ):
        if found.get(name):
            telling.line(f"\n{title}")
            for each in found[name]:
                telling.line(f"  - {each['text'] if isinstance(each, dict) and 'text' in each else each}")
    if found.get("topics"):
        telling.line(f"\nTopics: {', '.join(map(str, found['topics']))}")


@sessions.command()
@the_session
@on_behalf
@as_json
def pause(session_id: str, *, email: str | None, wants_json: bool) -> None:
    """Let nothing new into a session until it is resumed."""
    _change(session_id, email, wants_json=wants_json, status="paused")


@sessions.command()
@the_session
@on_behalf
@as_json
def resume(session_id: str, *, email: str | None, wants_json: bool) -> None:
    """Let a paused session go on; also opens a completed one again."""
    _change(session_id, email, wants_json=wants_json, status="active")


@sessions.command()
@the_session
@on_behalf
@as_json
def complete(session_id: str, *, email: str | None, wants_json: bool) -> None:
    """Say that a session is over; it stays readable."""
    _change(session_id, email, wants_json=wants_json, status="completed")


@sessions.command()
@the_session
@on_behalf
def delete(session_id: str, *, email: str | None) -> None:
    """Delete a session; it can be restored."""
    with speaker(email) as callboard:
        callboard.sessions.delete(session_id)
    click.echo(harmless(f"{session_id}  deleted; take it back: callboard sessions restore {session_id}"))


@sessions.command()
@the_session
@on_behalf
@as_json
def restore(session_id: str, *, email: str | None, wants_json: bool) -> None:
    """Take a deleted session back."""
    with speaker(email) as callboard:
        _tell(callboard.sessions.restore(session_id).plain(), wants_json=wants_json)


@sessions.command()
@the_session
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file. Left out: stdout."
)
@on_behalf
def export(session_id: str, *, output: Path | None, email: str | None) -> None:
    """Write a whole session as JSON, as `import` takes it."""
    import json

    with speaker(email) as callboard:
        text = json.dumps(callboard.sessions.export(session_id), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as wrong:
        raise click.ClickException(f"{output} cannot be written: {wrong.strerror}") from wrong
    click.echo(f"{output}  {len(text):,} characters", err=True)


@sessions.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Of each kind.")
@click.option("--session", "session_id", help="Only this one.")
@by_meaning
@on_behalf
@as_json
def search(
    words: tuple[str, ...],
    *,
    limit: int,
    session_id: str | None,
    semantic: bool,
    email: str | None,
    wants_json: bool,
) -> None:
    """Find what was said, remembered and made in sessions, and sessions by their titles."""
    query = {"q": " ".join(words), "type": list(FOUND), "limit": limit, "session_id": session_id}
    with speaker(email) as callboard:
        answer = callboard.call("GET", "/api/v1/search", query=query | {"semantic": semantic or None})
    note(answer)
    found = answer["results"]
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [
            kind,
            each["path"].removeprefix("/sessions/"),
            telling.brief(each["title"], 40),
            telling.brief(_plain(each), 80),
        ]
        for kind in FOUND
        for each in found.get(kind, ())
    ]
    telling.table(("kind", "in", "title", "text"), rows, empty="Nothing was found.")


@sessions.command(epilog="Example: callboard sessions send docs/examples/sessions/create_session.json")
@click.argument("file", default="-")
@on_behalf
def send(file: str, *, email: str | None) -> None:
    """Carry out the session command in FILE (JSON), else the one on standard input, and print the answer.

    {"command": "store_memory", "session_id": "…", "request_id": "…", "payload": {…}}
    """
    if file == "-" and sys.stdin.isatty():
        raise click.UsageError("Name a file, or send the command by standard input.")
    envelope = from_file(file)
    with speaker(email) as callboard:
        telling.say_json(callboard.sessions.command(envelope))


def _change(session_id: str, email: str | None, *, wants_json: bool, **change: Any) -> None:
    with speaker(email) as callboard:
        done = callboard.sessions.change(session_id, **change).plain()
    if wants_json:
        telling.say_json(done)
    else:
        telling.line(f"{done['session_id']}  {done['status']}", done["status"])


def _plain(hit: dict[str, Any]) -> str:
    return str(hit.get("excerpt") or hit.get("detail") or "").replace("[[", "").replace("]]", "")


def _tell(found: dict[str, Any], *, wants_json: bool) -> None:
    if wants_json:
        telling.say_json(found)
        return
    about = {
        "id": found["session_id"],
        "status": found["status"],
        "participants": found.get("participants"),
        "owner": found.get("owner_email"),
        "messages": found["message_count"],
        "memories": found["memory_count"],
        "artifacts": found["artifact_count"],
        "jobs": f"{found['job_count']} ({found['open_job_count']} open)",
        "changed": telling.when(found["updated_at"]),
        "you may": found["actions"],
        "page": address(f"/sessions/{found['session_id']}"),
    }
    telling.facts(found["title"] or found["session_id"], about)
