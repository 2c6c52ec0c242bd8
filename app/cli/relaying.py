"""How `callboard relay` works: its place on disk, one event handed on, and going on until somebody ends it.

At least once and in order: the place is written, and is on the disk, only after the receiver has taken an event; so a
relay or machine that dies in between hands the last one on again. No event is passed over, but for --skip-after.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import click
import httpx2

from app.client import CallFailed, Client, Trouble
from app.client.calls import backoff
from app.client.waiting import soon
from app.ops.processes import reach_the_disk

JSON = dict[str, Any]
GONE = 410
PATIENCE_SECONDS = 30.0
PATH = "/api/v1/relay/events"
NOWHERE = 2**62
"""Behind every event there will ever be."""


class Ended(click.ClickException):
    """The relay cannot go on."""


@dataclass
class Place:
    """How far a relay came, in a file that one relay at a time has."""

    path: Path
    server: str
    hook: str | None = None
    cursor: int | None = None
    """None: nothing was handed on yet."""
    _lock: IO[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.with_name(self.path.name + ".lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            self._lock.close()
            raise Ended(
                f"another relay goes on from {self.path}: end it, or name another file by --state"
            ) from taken
        try:
            self._read()
        except Ended:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if self._lock:
            self._lock.close()

    def move(self, cursor: int) -> None:
        """Write down how far it came; when this returns it outlives a loss of power."""
        self.cursor = cursor
        text = json.dumps({"server": self.server, "hook": self.hook, "cursor": cursor})
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        reach_the_disk(self.path.parent)

    def set_aside(self, event: JSON, why: str) -> Path:
        """Keep an event that the receiver never took, one line each in a file beside."""
        dead = self.path.with_name(self.path.name + ".dead.jsonl")
        with dead.open("a") as file:
            file.write(json.dumps(event | {"why": why}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return dead

    def _read(self) -> None:
        if not self.path.exists():
            return
        try:
            kept = json.loads(self.path.read_text())
            cursor, whose = int(kept["cursor"]), (kept["server"], kept["hook"])
        except (ValueError, KeyError, TypeError) as broken:
            raise Ended(f"{self.path} is no place of a relay: name another file by --state") from broken
        if whose != (self.server, self.hook):
            of = f"{whose[0]}, {'hook ' + whose[1] if whose[1] else 'all hooks'}"
            raise Ended(f"{self.path} is the place of another relay ({of}): name another file by --state")
        self.cursor = cursor


def usual_place(server: str, hook: str | None, target: str) -> Path:
    """The file for this server, hook and receiver, where programs keep their state."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = quote(f"{server} {hook or ''} {target}", safe="")[:200]
    return home / "callboard" / f"relay-{name}.json"


@dataclass(kw_only=True)
class Relay:
    """One relay at work; `tell` hears what happens, `stop` ends it between two steps."""

    callboard: Client
    target: str
    place: Place
    tell: Callable[[str, JSON], None]
    stop: Event
    once: bool = False
    skip_after: int | None = None
    _handed: int = 0
    _warned: bool = False

    def run(self) -> int:
        """Hand on what comes until `stop`, or what is there with `once`; answers how many. Raises Ended, CallFailed."""
        trouble = Trouble()
        with httpx2.Client(timeout=PATIENCE_SECONDS, trust_env=False) as receiver:
            while not self.stop.is_set():
                page = self._page(trouble)
                if page is None:
                    continue
                for event in page["events"]:
                    if not self._hand_on(receiver, event):
                        return self._handed
                if not page["events"] and self.once:
                    break
                self.stop.wait(soon(page["poll"]["next_after_ms"]))
        return self._handed

    def begin(self, where: str) -> None:
        """Take the place `start` or `now`, before anything is handed on."""
        self.place.move(0 if where == "start" else self._ask(NOWHERE)["newest"])

    def _page(self, trouble: Trouble) -> JSON | None:
        """What comes next; None after a failure that may pass, which was waited for."""
        try:
            page = self._ask(self.place.cursor or 0)
        except CallFailed as failure:
            if self.once:
                raise
            seconds = trouble.failed(failure)
            self.tell("server_away", {"why": failure.message, "again_in": round(seconds, 1)})
            self.stop.wait(seconds)
            return None
        if trouble.failures:
            self.tell("server_back", {})
        trouble.succeeded()
        if page["newest"] < (self.place.cursor or 0) and not self._warned:
            self._warned = True
            self.tell("ahead", {"cursor": self.place.cursor, "newest": page["newest"]})
        return page

    def _ask(self, after: int) -> JSON:
        said: JSON = self.callboard.call("GET", PATH, query={"after": after, "hook": self.place.hook})
        return said

    def _hand_on(self, receiver: httpx2.Client, event: JSON) -> bool:
        """Try until the receiver takes it; False if the relay was stopped before."""
        tries = 0
        while not self.stop.is_set():
            tries += 1
            began = time.monotonic()
            why = self._try(receiver, event)
            if why is None:
                self.place.move(event["position"])
                self._handed += 1
                self.tell("delivered", _about(event) | {"ms": round((time.monotonic() - began) * 1000)})
                return True
            if self.skip_after and tries >= self.skip_after:
                dead = self.place.set_aside(event, why)
                self.place.move(event["position"])
                self.tell("set_aside", _about(event) | {"why": why, "file": str(dead)})
                return True
            if self.once:
                raise Ended(f"{self.target} did not take {event['event']} {event['delivery_id']}: {why}")
            seconds = backoff(tries)
            self.tell("not_taken", _about(event) | {"why": why, "again_in": round(seconds, 1)})
            self.stop.wait(seconds)
        return False

    def _try(self, receiver: httpx2.Client, event: JSON) -> str | None:
        """Why the receiver did not take an event; None if it did. Raises Ended for 410."""
        try:
            answer = receiver.post(
                self.target, content=base64.b64decode(event["body_base64"]), headers=event["headers"]
            )
        except httpx2.HTTPError as failure:
            return f"no answer: {failure or type(failure).__name__}"
        if answer.status_code == GONE:
            raise Ended(f"{self.target} answered 410: it wants no more; its place is kept")
        return None if answer.is_success else f"HTTP {answer.status_code}"


def _about(event: JSON) -> JSON:
    return {name: event[name] for name in ("position", "delivery_id", "hook", "event")}
