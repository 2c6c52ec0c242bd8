"""`callboard completion bash|zsh|fish`: what a shell sources to complete commands, agents and jobs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_CALLBOARD_COMPLETE"


@click.command(epilog='Now: eval "$(callboard completion bash)"   For good: the same line in ~/.bashrc')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL sources to complete commands and options, and agents and jobs from the server.

    fish: callboard completion fish > ~/.config/fish/completions/callboard.fish
    """
    from app.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None  # the choices above
    click.echo(kind(cli, {}, "callboard", VARIABLE).source())
