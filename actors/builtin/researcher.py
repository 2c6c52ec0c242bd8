"""researcher: a command-line program that quotes what sources say on a question, each sentence with its source.

    python -m actors.builtin.researcher "how queues keep work safe" notes.md https://example.com/page
    echo '{"query": "...", "sources": ["notes.md"]}' | python -m actors.builtin.researcher --stdin

It prints a line for each step and, last, the result as one JSON object; files go to ./artifacts. Exit codes:
0 done, 1 try again later, 2 the question or a source is wrong. Start-up time counts: the tools are imported late.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from actors.runners.base import JSON, Answer, Context, Health, ProviderDesk, Work
from actors.runners.environment import asked_for
from actors.runners.ungated import Alone, Ungated
from app.budgets.usage import Usage
from app.errors import AttemptTimeout, JobError, PermanentError

ROOT = Path(__file__).resolve().parents[2]
AGAIN, WRONG = 1, 2
SHORTEST_TEXT = 40
DEPTHS = ("short", "normal", "long")


def health() -> Health:
    """Always ready: nothing but Callboard itself is needed."""
    return Health()


class Terminal(Ungated, Alone, Context):
    """A Context for somebody who reads along: everything is printed, files go to `artifacts/` here."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """Work in `folder` for at most `seconds`."""
        self.folder = folder
        self.deadline = time.monotonic() + seconds
        self.kept: JSON = {}

    @property
    def workspace(self) -> Path:
        """The folder the program was started in."""
        return self.folder

    def log(self, message: str, *, level: str = "info", source: str = "agent", **data: Any) -> None:
        """Print a line."""
        del source, data
        say(message if level == "info" else f"{level}: {message}")

    def progress(self, percent: float, step: str | None = None) -> None:
        """Print how far it is."""
        say(f"[{percent:3.0f} %] {step or ''}".rstrip())

    def stage(self, name: str, step: str | None = None) -> None:
        """Print what begins."""
        say(step or name)

    def fetch(self, reference: str) -> Path | None:
        """Nothing: there are no other jobs here."""
        del reference
        return None

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        """Write the file; answers its path."""
        del media_type
        path = self.folder / "artifacts" / Path(name).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        return str(path)

    def checkpoint(self, state: JSON | None = None) -> JSON:
        """Kept as long as the program runs."""
        self.kept = self.kept if state is None else state
        return self.kept

    def ask(self, question: str, **more: Any) -> Answer:
        """Nobody is asked: this program does nothing that would need it."""
        del more
        raise PermanentError(f"Nobody can be asked here: {question}")

    def permit(self, effect: str, question: str, *, shown: Any = None) -> None:
        """Whoever started the program permitted it."""

    def stop_due(self) -> None:
        """Stop when the time is over."""
        self.checkpoint_due()

    def checkpoint_due(self) -> None:
        """Stop when the time is over."""
        if self.remaining_seconds <= 0:
            raise AttemptTimeout("The time limit is over; give fewer sources or more --seconds.")

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        """Print it like a line of the log."""
        del data
        self.log(f"{kind}: {message}", level=level)

    def usage(self, **amounts: float) -> None:
        """Nothing here costs anything."""

    def process_started(self, pid: int) -> None:
        """Who started this program watches its children too."""

    def tool_started(self, call_id: str, name: str, arguments: JSON | str, summary: str = "") -> None:
        """No model calls a tool here."""

    def tool_ended(self, call_id: str, *, ok: bool = True, summary: str = "") -> None:
        """Likewise."""

    def meter(self, usage: Usage) -> None:
        """Likewise."""

    def pin(self, **ran_with: str) -> None:
        """Likewise."""

    def partial(self, result: JSON) -> None:
        """What was found is printed at the end only."""

    @property
    def providers(self) -> ProviderDesk:
        """No model is asked."""
        raise PermanentError("The researcher asks no model.")

    @property
    def cancelled(self) -> bool:
        """Somebody who wants it to stop ends the process."""
        return False

    @property
    def releasing(self) -> bool:
        """Likewise."""
        return False

    @property
    def draining(self) -> bool:
        """Likewise."""
        return False

    @property
    def remaining_seconds(self) -> float:
        """Seconds to the limit."""
        return self.deadline - time.monotonic()


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("query", required=False)
@click.argument("sources", nargs=-1)
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read query, sources and depth as JSON from standard input."
)
@click.option(
    "--depth", type=click.Choice(DEPTHS), default="normal", show_default=True, help="How many sentences."
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that files may be in; can be repeated. Without it WORKSPACE_ROOTS, else the examples.",
)
@click.option("--seconds", type=float, default=300.0, show_default=True, help="How long it may take.")
def main(
    query: str | None,
    sources: tuple[str, ...],
    from_stdin: bool,
    depth: str,
    roots: tuple[Path, ...],
    seconds: float,
) -> None:
    """Do the research and print the result."""
    try:
        asked = _from_stdin() if from_stdin else {"query": query, "sources": list(sources), "depth": depth}
        result = research(asked, [str(root) for root in roots] or _roots(), Terminal(Path.cwd(), seconds))
    except JobError as error:
        _fail(error.message, AGAIN if error.retryable else WRONG)
    say(json.dumps(result))


def research(asked: JSON, roots: list[str], context: Context) -> JSON:
    """Sort the sources into files, pages and texts, and have them read, ranked and quoted."""
    from actors.builtin import research_agent

    query = str(asked.get("query") or "").strip()
    if not query:
        raise PermanentError("Say what you want to know: `query` is empty.", user_error=True)
    sorted_sources = _sorted([str(source) for source in asked.get("sources") or []])
    work = Work(
        job_id="researcher",
        attempt=1,
        agent_id="researcher",
        parameters={"topic": query, "depth": asked.get("depth") or "normal", **sorted_sources},
        config={"workspace_roots": roots, "http_allow_private": _private_allowed()},
        timeout_seconds=context.remaining_seconds,
        soft_seconds=context.remaining_seconds,
        memory_mb=0,
        idempotency_key="researcher:1",
    )
    found = research_agent.run(work, context)
    return {"query": query, **{key: value for key, value in found.items() if key != "topic"}}


def _sorted(sources: list[str]) -> JSON:
    """`https://…` is a page, a line that could be a path is a file, everything else a text."""
    found: dict[str, list[str]] = {"urls": [], "files": [], "texts": []}
    for source in sources:
        if source.startswith(("http://", "https://")):
            found["urls"].append(source)
        elif "\n" in source or (" " in source and len(source) >= SHORTEST_TEXT):
            found["texts"].append(source)
        else:
            found["files"].append(source)
    return {kind: values for kind, values in found.items() if values}


def _roots() -> list[str]:
    """WORKSPACE_ROOTS as the worker has it; relative ones start where Callboard lies."""
    configured = asked_for({"env": ["WORKSPACE_ROOTS"]}, "env").get("WORKSPACE_ROOTS", "")
    named = [str(ROOT / Path(part).expanduser()) for part in configured.split(os.pathsep) if part]
    return named or [str(ROOT / "examples")]


def _private_allowed() -> bool:
    told = asked_for({"env": ["HTTP_ALLOW_PRIVATE"]}, "env").get("HTTP_ALLOW_PRIVATE", "")
    return told.lower() in {"1", "true", "yes", "on", "in-production"}


def _from_stdin() -> JSON:
    try:
        asked = json.loads(sys.stdin.read(5_000_000))
    except ValueError as error:
        raise PermanentError(f"Standard input is no JSON: {error}", user_error=True) from error
    if not isinstance(asked, dict):
        raise PermanentError("Standard input must hold one JSON object.", user_error=True)
    return asked


def say(line: str) -> None:
    """Print a line at once, so that who follows sees it when it happens."""
    click.echo(line)
    sys.stdout.flush()


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
