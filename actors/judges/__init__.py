"""The checks of a gate made by a worker: pure ones in place, the others by a program, an address or a model.

A check that could not be made is never a low score. By its `on_error` it is made again a few times and then the
attempt fails, to go on from the kept draft (`retry`); the attempt fails at once (`fail`); or it is left out (`skip`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from actors.runners.base import JSON, Context, Work
from app.errors import Held, JobError, TemporaryError
from app.quality import checks
from app.quality.definition import CheckSpec, Gate
from app.quality.report import Finding
from app.quality.subject import Subject

PAUSES = (1.0, 4.0, 15.0)
"""Seconds before a check is made again."""
SLICE_SECONDS = 0.2
JUDGES = {"command": "actors.judges.command", "http": "actors.judges.http", "judge": "actors.judges.llm"}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a check looks at."""

    number: int
    value: JSON
    """The whole result."""
    text: str | None
    """The text in it that the check is about; None: there is none."""

    @property
    def as_text(self) -> str:
        """The text, else the result as JSON."""
        return json.dumps(self.value, ensure_ascii=False, indent=2) if self.text is None else self.text


class Judges:
    """Makes the checks of one attempt."""

    def __init__(self, work: Work, context: Context, *, pauses: Sequence[float] = PAUSES) -> None:
        """`work` is the agent's: its parameters are what was asked for; what is secret in them no judge hears."""
        if secrets := getattr(context, "confidential", None):
            work = replace(work, parameters=secrets.shown)
        self.work, self.context, self.pauses = work, context, tuple(pauses)
        self._calls = 0

    def findings(self, gate: Gate, number: int, result: JSON, *, lenient: bool = False) -> list[Finding]:
        """What each check found in a draft; raises what ends the attempt. `lenient`: no check can hold it up."""
        subject = Subject.of(gate, result, self.work.parameters, self.work.config.get("output_schema"))
        found = []
        for spec in gate.checks:
            self.context.checkpoint_due()
            found.append(self._finding(spec, subject, number, lenient=lenient))
        return found

    def _finding(self, spec: CheckSpec, subject: Subject, number: int, *, lenient: bool) -> Finding:
        if spec.is_pure:
            return checks.check(spec, subject)
        draft = Draft(number=number, value=subject.value, text=subject.part(spec).text or None)
        once = self._once(spec, draft)
        if lenient or spec.on_error == "skip":
            return self._or_left_out(spec, once)
        return self._insisting(spec, once)

    def _once(self, spec: CheckSpec, draft: Draft) -> Callable[[], Finding]:
        judge: Any = import_module(JUDGES[spec.check]).judge

        def once() -> Finding:
            self._calls += 1
            call = f"check {spec.name}, draft {draft.number}, {self._calls}"
            # As a tool call: a check that takes long is no job that gets nowhere.
            self.context.tool_started(
                call, f"check {spec.name}", {"draft": draft.number, "time": self._calls}
            )
            said = "not made"
            try:
                finding: Finding = judge(spec, draft, self.work, self.context, call=call)
                said = f"{finding.score:g} of 10"
            finally:
                self.context.tool_ended(call, ok=said != "not made", summary=said)
            return finding

        return once

    def _or_left_out(self, spec: CheckSpec, once: Callable[[], Finding]) -> Finding:
        try:
            return once()
        except (JobError, Held) as error:
            self.context.checkpoint_due()  # the attempt itself may have to stop: that is no matter of the check
            self._say(spec, f"left out: {error}")
            return Finding.not_made(spec, str(error)[:2000])

    def _insisting(self, spec: CheckSpec, once: Callable[[], Finding]) -> Finding:
        pauses = self.pauses if spec.on_error == "retry" else ()
        for pause in (*pauses, None):
            try:
                return once()
            except Held as held:
                self.context.checkpoint_due()
                if spec.on_error != "retry":
                    raise _not_made(spec, held.message) from held
                raise Held(held.reason, held.message, until=held.until, subject=held.subject) from held
            except JobError as error:
                self.context.checkpoint_due()
                if pause is None or not error.retryable or (error.retry_after or 0) > pause:
                    raise _not_made(spec, error.message, error.retry_after) from error
                self._say(spec, f"{error.message}; made again in {pause:g} s")
            self._wait(pause)
        raise AssertionError

    def _wait(self, seconds: float) -> None:
        until, quiet = time.monotonic() + seconds, threading.Event()
        while (left := until - time.monotonic()) > 0:
            self.context.checkpoint_due()
            quiet.wait(min(left, SLICE_SECONDS))

    def _say(self, spec: CheckSpec, message: str) -> None:
        self.context.log(
            f"The check {spec.name} could not be made: {message}", level="warning", source="quality"
        )


def _not_made(spec: CheckSpec, why: str, retry_after: float | None = None) -> TemporaryError:
    return TemporaryError(
        f"The check {spec.name} could not be made: {why}"[:2000],
        retry_after=retry_after,
        details={"check": spec.name},
    )
