"""`callboard mcp`: the MCP server on standard input and output, for a client on this machine; and its configuration.

It is a client of the API like any other: CALLBOARD_URL says where the server is and CALLBOARD_API_KEY on whose behalf.
Nothing but the protocol goes to standard output.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import click

from app.client import LOCAL, CallFailed, Client

PLACEHOLDER = "cb_your_key"


@click.group(name="mcp", invoke_without_command=True)
@click.pass_context
def mcp(context: click.Context) -> None:
    """Serve MCP on standard input and output, for desktop and command-line clients.

    Set CALLBOARD_URL and CALLBOARD_API_KEY; `callboard mcp config` prints what a client wants to know. Exit codes:
    0 the client is gone, 1 the server is away or the key is wrong.
    """
    if context.invoked_subcommand is None:
        serve()


@mcp.command()
@click.option(
    "--client", "only", type=click.Choice(["claude-desktop", "claude-code", "codex", "cursor", "vscode"])
)
@click.option(
    "--http", "by_http", is_flag=True, help="The server's /mcp instead of a program on this machine."
)
@click.option("--with-key", is_flag=True, help="Print the key itself, not a placeholder.")
@click.option("--url", envvar="CALLBOARD_URL", default=LOCAL, help="Of the server; left out: CALLBOARD_URL.")
@click.option("--key", envvar="CALLBOARD_API_KEY", default="", help="Left out: CALLBOARD_API_KEY.")
def config(*, only: str | None, by_http: bool, with_key: bool, url: str, key: str) -> None:
    """Print ready configuration for Claude Desktop, Claude Code, Codex CLI, Cursor and VS Code."""
    made = snippets(url.rstrip("/"), key if with_key and key else PLACEHOLDER, by_http=by_http)
    for name, (title, text) in made.items():
        if only in (None, name):
            click.echo(text if only else f"# {title}\n\n{text}\n")


def serve() -> None:
    """Speak MCP until the client closes standard input."""
    try:
        client = Client(attempts=2)
        who = _who(client)
    except CallFailed as failed:
        raise click.ClickException(_why(failed)) from failed
    click.echo(f"callboard mcp: {who} at {client.url}", err=True)
    _run(client)


def _who(client: Client) -> str:
    """In whose name it speaks; the token of a running job is good for other things than to ask that."""
    try:
        me = client.ask("GET", "/api/v1/me", attempts=1).json()
    except CallFailed as failed:
        if failed.status != 403:
            raise
        return "a running job"
    return f"{me['email']} ({me['role']})"


def _run(client: Client) -> None:
    import logging

    from app import __version__
    from app.mcp.caller import Caller
    from app.mcp.server import build

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    caller = Caller(client, client.url)
    build(lambda _context: caller, __version__).run("stdio")


def _why(failed: CallFailed) -> str:
    if failed.status == 401:
        return f"{failed.message}\nSet CALLBOARD_API_KEY to a key of this server; the dashboard makes one under Settings."
    if failed.status is None:
        return f"{failed.message}\nStart the server there, or set CALLBOARD_URL to where it is."
    return failed.message


def snippets(url: str, key: str, *, by_http: bool) -> dict[str, tuple[str, str]]:
    """By client: where its configuration goes, and the text."""
    texts = _by_http(url, key) if by_http else _by_program(url, key)
    return {name: (TITLES[name], text) for name, text in texts.items()}


TITLES = {
    "claude-desktop": "Claude Desktop: claude_desktop_config.json (Settings, Developer, Edit Config)",
    "claude-code": "Claude Code: run this in a shell",
    "codex": "Codex CLI: ~/.codex/config.toml",
    "cursor": "Cursor: ~/.cursor/mcp.json, or .cursor/mcp.json in a project",
    "vscode": "VS Code: .vscode/mcp.json",
}


def _by_program(url: str, key: str) -> dict[str, str]:
    command, *arguments = program()
    environment = {"CALLBOARD_URL": url, "CALLBOARD_API_KEY": key}
    entry = {"command": command, "args": arguments, "env": environment}
    words = " ".join(shlex.quote(word) for word in (command, *arguments))
    given = " ".join(f"--env {name}={shlex.quote(value)}" for name, value in environment.items())
    table = ", ".join(f"{name} = {json.dumps(value)}" for name, value in environment.items())
    return {
        "claude-desktop": _json({"mcpServers": {"callboard": entry}}),
        "claude-code": f"claude mcp add callboard {given} -- {words}",
        "codex": f"[mcp_servers.callboard]\ncommand = {json.dumps(command)}\nargs = {json.dumps(arguments)}\nenv = {{ {table} }}",
        "cursor": _json({"mcpServers": {"callboard": entry}}),
        "vscode": _json({"servers": {"callboard": {"type": "stdio", **entry}}}),
    }


def _by_http(url: str, key: str) -> dict[str, str]:
    address, bearer = f"{url}/mcp", f"Bearer {key}"
    headers = {"Authorization": bearer}
    bridge = {"command": "npx", "args": ["-y", "mcp-remote", address, "--header", f"Authorization: {bearer}"]}
    return {
        "claude-desktop": _json({"mcpServers": {"callboard": bridge}}),
        "claude-code": f"claude mcp add --transport http callboard {shlex.quote(address)} --header {shlex.quote(f'Authorization: {bearer}')}",
        "codex": f'[mcp_servers.callboard]\nurl = {json.dumps(address)}\nbearer_token_env_var = "CALLBOARD_API_KEY"',
        "cursor": _json({"mcpServers": {"callboard": {"url": address, "headers": headers}}}),
        "vscode": _json({"servers": {"callboard": {"type": "http", "url": address, "headers": headers}}}),
    }


def program() -> list[str]:
    """How a client on this machine starts `callboard mcp`, wherever it was installed."""
    beside = shutil.which("callboard", path=str(Path(sys.executable).parent)) or shutil.which("callboard")
    return [beside, "mcp"] if beside else [sys.executable, "-m", "app", "mcp"]


def _json(value: object) -> str:
    return json.dumps(value, indent=2)
