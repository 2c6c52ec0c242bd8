"""What the shell completes from the server: agents and jobs, within a second, and never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from app.client import Client

PATIENCE_SECONDS = 1.0
MOST = 30


def agents(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The agents that begin so."""

    def found(callboard: Client) -> list[CompletionItem]:
        return [_item(each.agent_id, each.description) for each in callboard.agents()]

    return _fitting(found, incomplete)


def jobs(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest jobs that begin so."""

    def found(callboard: Client) -> list[CompletionItem]:
        return [_item(each.job_id, f"{each.status} {each.agent_id}") for each in callboard.jobs(limit=MOST)]

    return _fitting(found, incomplete)


def sessions(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The sessions that begin so."""

    def found(callboard: Client) -> list[CompletionItem]:
        return [_item(each.session_id, each.title) for each in callboard.sessions.list(limit=MOST)]

    return _fitting(found, incomplete)


def _fitting(ask: Callable[[Client], list[CompletionItem]], incomplete: str) -> list[CompletionItem]:
    try:
        with _hurried() as callboard:
            return [item for item in ask(callboard) if str(item.value).startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes must never print a traceback into the line
        return []


@contextmanager
def _hurried() -> Iterator[Client]:
    """A client that gives up soon; what runs on this machine is asked over its port, without starting an app."""
    import os

    from app.cli.connected import is_remote
    from app.client import Client

    if not is_remote() and not os.environ.get("CALLBOARD_API_KEY"):
        raise click.Abort
    with Client(timeout=PATIENCE_SECONDS, attempts=1) as callboard:
        yield callboard


def _item(value: str, help_text: str) -> CompletionItem:
    words: Any = " ".join(help_text.split())[:60]
    return CompletionItem(value, help="".join(c for c in words if c.isprintable()) or None)
