"""The command line: one table of every command; each is imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from app.errors import CallboardError

COMMANDS = {
    "up": "app.cli.up:up",
    "prepare": "app.cli.database:prepare",
    "db": "app.cli.database:database",
    "seed": "app.cli.database:seed",
    "agents": "app.cli.agents:agents",
    "bulk": "app.cli.bulk:bulk",
    "workflows": "app.cli.workflows:workflows",
    "schedules": "app.cli.schedules:schedules",
    "workers": "app.cli.workers:workers",
    "approvals": "app.cli.approvals:approvals",
    "policies": "app.cli.policies:policies",
    "quality": "app.cli.quality:quality",
    "alerts": "app.cli.alerts:alerts",
    "audit": "app.cli.audit:audit",
    "models": "app.cli.models:models",
    "users": "app.cli.users:users",
    "doctor": "app.cli.doctor:doctor",
    "secrets": "app.cli.secrets:secrets",
}


class Commands(click.Group):
    """A group that knows its commands by the table, and turns our errors into exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one that is wanted."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what may go wrong on purpose is one sentence on stderr."""
        try:
            return super().invoke(ctx)
        except CallboardError as error:
            raise click.ClickException(error.message) from error


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Callboard: a queue for AI-agent work.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
