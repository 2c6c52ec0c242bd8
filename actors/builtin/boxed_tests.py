"""Run tests that an agent wrote, in the private copy of the project, watched by `call_watch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from actors.builtin import suites
from actors.builtin.python_modules import Module
from actors.builtin.suites import Suite
from actors.runners.base import JSON, Context, Work

PLUGIN = Path(__file__).with_name("call_watch.py")
FOLDER = "callboard_tests"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run of written tests: pytest's own report, and by test what the failing ones had in hand."""

    suite: Suite
    failures: dict[str, JSON]


def run(
    files: dict[str, str],
    module: Module,
    work: Work,
    context: Context,
    *,
    options: Sequence[str] = (),
    turn: int = 0,
) -> Ran:
    """Write `files` (name → source) into a folder of the copy and run them; nothing outside it is changed.

    Where a job runs tests several times, `turn` keeps the folders apart.
    """
    folder = module.source.root / (f"{FOLDER}_{turn}" if turn else FOLDER)
    folder.mkdir()
    watched = context.workspace / "out" / "watched.jsonl"
    watched.unlink(missing_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    plugin = PLUGIN.read_text(encoding="utf-8")
    (module.source.root / "callboard_call_watch.py").write_text(plugin, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # not the project's own options
    suite = suites.run_suite(
        module.source.root,
        context,
        paths=[folder.name],
        measure=module.path if not module.is_package else module.folder,
        options=[*options, "-p", "callboard_call_watch", f"--confcutdir={folder}"],
        plugins=suites.plugins_wanted(work.config),
    )
    return Ran(suite=suite, failures=_watched(watched))


def _watched(path: Path) -> dict[str, JSON]:
    """The last failure of each test; written by a process that ran foreign code, so nothing in it is trusted."""
    found: dict[str, JSON] = {}
    if not path.is_file() or path.is_symlink():
        return found
    for line in path.read_bytes()[-5_000_000:].splitlines():
        try:
            told = orjson.loads(line)
            found[str(told["test"])] = {
                "arguments": {str(name): str(value)[:300] for name, value in told["arguments"].items()},
                **{key: str(told[key])[:300] for key in ("error", "of", "message", "where")},
            }
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            continue
    return found
