"""The command line: one table of every command; each is imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from app.errors import CallboardError

COMMANDS = {
    "up": "app.cli.up:up",
    "status": "app.cli.now:status",
    "jobs": "app.cli.jobs:jobs",
    "dlq": "app.cli.dlq:dlq",
    "sessions": "app.cli.sessions:sessions",
    "search": "app.cli.now:search",
    "open": "app.cli.now:open_page",
    "prepare": "app.cli.database:prepare",
    "db": "app.cli.database:database",
    "seed": "app.cli.database:seed",
    "agents": "app.cli.agents:agents",
    "bulk": "app.cli.bulk:bulk",
    "workflows": "app.cli.workflows:workflows",
    "schedules": "app.cli.schedules:schedules",
    "hooks": "app.cli.hooks:hooks",
    "relay": "app.cli.relay:relay",
    "queues": "app.cli.queues:queues",
    "workers": "app.cli.workers:workers",
    "approvals": "app.cli.approvals:approvals",
    "policies": "app.cli.policies:policies",
    "quality": "app.cli.quality:quality",
    "alerts": "app.cli.alerts:alerts",
    "audit": "app.cli.audit:audit",
    "models": "app.cli.models:models",
    "budgets": "app.cli.budgets:budgets",
    "keys": "app.cli.keys:keys",
    "users": "app.cli.users:users",
    "doctor": "app.cli.doctor:doctor",
    "backup": "app.cli.backups:backup",
    "restore": "app.cli.restoring:restore",
    "secrets": "app.cli.secrets:secrets",
    "mcp": "app.mcp.command:mcp",
    "completion": "app.cli.completion:completion",
}


ALSO = {"session": "sessions", "job": "jobs", "key": "keys", "backups": "backup"}
"""Other names that commands answer to; they are not listed."""


class Commands(click.Group):
    """A group that knows its commands by the table, and turns our errors into exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one that is wanted."""
        wanted = ALSO.get(cmd_name, cmd_name)
        if wanted not in COMMANDS:
            return None
        module, _, name = COMMANDS[wanted].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for one that is not there the nearest ones are named."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as unknown:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from unknown

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what may go wrong on purpose is one sentence on stderr."""
        try:
            return super().invoke(ctx)
        except CallboardError as error:
            raise click.ClickException(error.message) from error


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Callboard: a queue for AI-agent work.

    With CALLBOARD_URL and CALLBOARD_API_KEY nearly all commands work against that server, from anywhere; docs/cli.md
    says which need the database. Without, they work on the Callboard of this machine.

    \b
    Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 69 the server cannot be reached, 130 Ctrl-C.
    Of a job that was waited for: 0 completed, 3 failed, 4 cancelled, 5 still running.
    """  # noqa: D301 - \b is a backspace, by which click keeps lines
