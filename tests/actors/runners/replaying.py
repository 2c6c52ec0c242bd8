"""Recorded streams of the real CLIs, read by their adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from actors.runners import adapters
from actors.runners.adapters.base import Account, Order, Reader
from actors.runners.adapters.heard import Heard
from actors.runners.base import JSON

STREAMS = Path(__file__).parent / "streams"
T = TypeVar("T")


def order(**more: Any) -> Order:
    """An order with nothing special about it."""
    usual: dict[str, Any] = {
        "prompt": "Count the files.",
        "instructions": "",
        "workspace": Path("/job/work"),
        "home": Path("/job/home"),
        "session_id": "5e551041-0000-4000-8000-000000000000",
        "resume": False,
        "config": {"program": "cli"},
        "parameters": {},
        "account": Account(kind="api", given={}),
    }
    return Order(**usual | more)


def reader(name: str, counters: JSON | None = None, **more: Any) -> Reader:
    """A reader of the adapter `name`."""
    return adapters.named(name).reader(order(**more), counters)


def replay(stream: str, listening: Reader) -> list[Heard]:
    """Everything that is heard in a recorded stream."""
    lines = (STREAMS / f"{stream}.jsonl").read_text().splitlines()
    return [heard for line in lines for heard in listening.read(line)]


def only(kind: type[T], heard: list[Any]) -> list[T]:
    """What of `heard` is of this kind."""
    return [said for said in heard if isinstance(said, kind)]
