"""Nothing is read that may run code while it is read: no pickle in our code, in messages, or in schedules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import dramatiq

from actors import broker, clockwork
from app.settings import ROOT, Settings

BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib", "jsonpickle"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nobody_imports_a_pickle() -> None:
    files = [path for room in ("app", "actors", "migrations") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 300
    assert [path for path in files if BANNED & set(_imports(path))] == []


def test_messages_are_json() -> None:
    message = broker.bell_message("general")
    assert type(dramatiq.get_encoder()) is dramatiq.JSONEncoder
    assert (message.args, message.kwargs) == (("general",), {})
    assert dramatiq.Message.decode(message.encode()) == message


def test_the_scheduler_keeps_its_jobs_in_memory(settings: Settings) -> None:
    scheduler = clockwork.make_scheduler(settings)
    assert scheduler._jobstores == {}  # the default is made in memory when it starts
    assert len(scheduler.get_jobs()) > 3
