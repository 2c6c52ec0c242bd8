"""A check that is a program: it gets the draft on standard input, or its path for the argument `{file}`.

    check: command
    argv: [vale, --minAlertLevel=error, "{file}"]

Exit code 0 is 10 of 10, any other 0; with `reads: json` it prints {score, issues, suggestion, evidence} instead. It
runs in the same box as command agents, in a folder of its own, without secrets. A program that is not there, is
killed, or takes too long says nothing about the draft.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from actors.judges.aside import Aside
from actors.judges.told import BEST, finding_of
from actors.runners.base import Context, Work
from actors.runners.box import Ending, run_boxed
from actors.runners.environment import environment
from actors.runners.order import Limits
from actors.runners.output import clean_block, last_json_object
from app.errors import TemporaryError
from app.quality.definition import Command
from app.quality.report import Finding

if TYPE_CHECKING:
    from actors.judges import Draft

FILE = "{file}"
OUTPUT_BYTES = 4 << 20
NOT_RUN = (126, 127)  # what a shell says of a program that cannot be started, or is not there
KILLED_FROM = 128
SHOWN_CHARS = 500


def judge(spec: Command, draft: Draft, work: Work, context: Context, *, call: str) -> Finding:
    """Run the program over the draft; raises a JobError if it could not be run."""
    with tempfile.TemporaryDirectory(prefix="check-", dir=context.workspace) as made:
        folder = Path(made)
        text = draft.as_text
        file = folder / ("draft.json" if draft.text is None else "draft.md")
        file.write_text(text, encoding="utf-8", errors="replace")
        ending = run_boxed(
            [str(file) if element == FILE else element for element in spec.argv],
            context=cast("Context", Aside(context, name=call, seconds=spec.timeout, folder=folder)),
            cwd=folder,
            env=_environment(work, folder, draft.number),
            limits=Limits(timeout_seconds=spec.timeout, memory_mb=work.memory_mb, output_bytes=OUTPUT_BYTES),
            stdin=text.encode("utf-8", "replace"),
            on_line=lambda _stream, _line: None,
        )
    return _finding(spec, ending)


def _environment(work: Work, folder: Path, number: int) -> dict[str, str]:
    own = replace(work, config={}, feedback=None, idempotency_key=f"{work.idempotency_key}:check")
    return environment(own, folder) | {"CALLBOARD_DRAFT": str(number)}


def _finding(spec: Command, ending: Ending) -> Finding:
    code = ending.exit_code
    said = _last_words(ending)
    if spec.reads == "json" and (told := last_json_object(ending.stdout)) is not None:
        return finding_of(spec, told)
    if code < 0 or code in NOT_RUN or code > KILLED_FROM:
        raise TemporaryError(
            f"the program ended with {code}: {said}" if said else f"the program ended with {code}"
        )
    if spec.reads == "json":
        raise TemporaryError(f"the program printed no JSON object (exit code {code}): {said}")
    if code == 0:
        return Finding.of(spec, BEST, evidence=said or "exit code 0")
    return Finding.of(spec, 0.0, evidence=f"exit code {code}", issue=said or f"{spec.name}: exit code {code}")


def _last_words(ending: Ending) -> str:
    """The end of what it printed; of an error the stream for errors, if it used that."""
    printed = ending.stderr.strip() if ending.exit_code else ""
    return (printed or clean_block(ending.stdout[-4000:]).strip())[-SHOWN_CHARS:]
