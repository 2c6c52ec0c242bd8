"""docs/cli.md names every command there is, in the words of its own help, and where it works.

`python -m tests.app.cli.test_reference` writes the table anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from app.cli import cli
from app.settings import ROOT

GUIDE = ROOT / "docs" / "cli.md"
HEAD = ("| command | what it does | works on |", "|---|---|---|")
BOTH = ("agents list", "agents show")
HERE = ("up", "completion", "secrets new-key", "schedules preview", "models")
DATABASE = ("prepare", "db", "seed", "restore")
FROM_A_SERVER = ("relay", "mcp")


def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands that do something, with their names."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    if command.invoke_without_command:
        yield path, command
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, f"{path} {name}".strip())


def works_on(path: str, command: click.Command) -> str:
    """Whether it speaks to a server, to the database, or is about this machine, by what its code uses."""
    if any(path == each or path.startswith(f"{each} ") for each in HERE):
        return "this machine"
    assert command.callback is not None
    module = inspect.getmodule(inspect.unwrap(command.callback))
    assert module is not None
    group = path.partition(" ")[0]
    if path in BOTH or group in ("approvals", "users", *FROM_A_SERVER):
        return "server"
    if group in DATABASE:
        return "database"
    return "database" if "database" in vars(module) else "server"


def lines() -> list[str]:
    """The table."""
    rows = [
        f"| `{path}` | {' '.join((command.help or '').split(chr(10) * 2)[0].split())} | {works_on(path, command)} |"
        for path, command in leaves(cli)
    ]
    return [*HEAD, *rows]


def test_the_guide_names_every_command_as_it_is() -> None:
    kept = [
        line for line in GUIDE.read_text().partition("## Reference")[2].splitlines() if line.startswith("|")
    ]
    assert kept == lines(), "run: python -m tests.app.cli.test_reference"


if __name__ == "__main__":
    text, mark, _ = GUIDE.read_text().partition("## Reference\n")
    GUIDE.write_text(f"{text}{mark}\n" + "\n".join(lines()) + "\n")
