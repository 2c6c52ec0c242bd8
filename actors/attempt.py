"""One attempt while it runs: the Context an agent speaks to, which gathers what it says into batches."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from actors.children import FIRST_LOOK, LONGEST_LOOK, Children, worded
from actors.clearance import Clearance
from actors.confidential import Confidential
from actors.desk import Desk
from actors.purse import Purse
from actors.runners.base import Answer, ProviderDesk
from actors.runners.environment import HIDDEN
from actors.watchdog import Watchdog
from app import clock
from app.agents.definition import EFFECT
from app.approvals import asking
from app.approvals.wanted import Wanted
from app.budgets.usage import Usage
from app.db import AWAY, db, dumps
from app.errors import (
    Asked,
    AttemptTimeout,
    Cancelled,
    Invalid,
    NotPermitted,
    PermanentError,
    Released,
    Stalled,
    StoppedByBudget,
)
from app.jobs import artifacts, delegation
from app.jobs.claims import Claim
from app.jobs.timeline import Line, Report
from app.quality import drafts

NEWS = ("progress", "stage", "current_step", "process_id", "usage", "checkpoint", "pins", "watchdog")
LONGEST_ARGUMENT, MOST_ARGUMENTS = 2_000, 8_000
"""Characters of one argument, and of all of a call, that the story keeps."""
LONGEST_PIN = 200
DELEGATED_WITH = frozenset({"task_name", "priority", "budget", "timeout", "tags"})
LEVELS = ("debug", "info", "warning", "error")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds between tries to reach Postgres while it is away."""
Found = TypeVar("Found")
# What Callboard itself says of an attempt: it moves no clock, and no agent talks so much that it is not kept.
OUR_WORDS = ("budget", "watchdog")


class Attempt:
    """The Context of one claim. Cheap to make: a folder is made only for agents that want one."""

    def __init__(
        self,
        claim: Claim,
        *,
        store: artifacts.Store,
        timeout_seconds: float,
        soft_seconds: float,
        max_lines: int,
        drain: threading.Event | None = None,
    ) -> None:
        """The clock of the time limit starts here; `drain` is set when the worker process shuts down."""
        self.claim = claim
        self.store = store
        self.max_lines = max_lines
        self.started = time.monotonic()
        self.deadline = self.started + timeout_seconds
        self.soft_deadline = self.started + soft_seconds
        self._drain = drain or threading.Event()
        self.cancel_asked = False
        self.lost = False
        """The lease is gone: stop, and write nothing."""
        self.releasing = False
        self.amounts: dict[str, Any] = {}
        self.pins: dict[str, str] = {}
        self._lock = threading.Lock()
        self._news: dict[str, Any] = {}
        self._lines: list[Line] = []
        self._said = {"log": 0, "story": 0}
        self._kept = dict(claim.checkpoint)
        self.purse: Purse | None = None
        self.watchdog: Watchdog | None = None
        self.desk: Desk | None = None
        self.partial_result: dict[str, Any] | None = None
        self.verdict: str | None = None
        self.score: float | None = None
        self.clearance: Clearance | None = None
        """What policies want to be asked; None: nobody has looked."""
        self.confidential: Confidential | None = None
        """Its secrets; None until they are opened."""
        self.children: Children | None = None
        """What it delegates; None: its agent may not."""
        self.token: str | None = None
        """With which its agent may ask the API in the job's name; None: it gets none."""

    # -- what agents call

    @cached_property
    def workspace(self) -> Path:
        """An empty private folder, removed by `close`."""
        return Path(tempfile.mkdtemp(prefix="callboard-job-"))

    def log(self, message: str, *, level: str = "info", source: str = "agent", **data: Any) -> None:
        """Add a line to the job's log."""
        self._say("log", message, level if level in LEVELS else "info", source, data or None)

    def progress(self, percent: float, step: str | None = None) -> None:
        """Say how far the work is; values outside 0-100 are brought inside."""
        whole, step = max(0, min(100, int(percent))), self.hide(step)
        self._moved(step)
        with self._lock:
            self._news["progress"] = whole
            if step is not None:
                self._news["current_step"] = step

    def stage(self, name: str, step: str | None = None) -> None:
        """Enter a named stage; it also becomes an event."""
        with self._lock:
            self._news["stage"] = self.hide(name)[:100]
            self._news["current_step"] = self.hide(step or name)
        self._say("stage", step or name, "info", "agent", {"stage": name})

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        """Add an entry to the job's story."""
        source = kind if kind in OUR_WORDS else "agent"
        self._say(kind[:40], message, level if level in LEVELS else "info", source, data or None)

    def tool_started(
        self, call_id: str, name: str, arguments: dict[str, Any] | str, summary: str = ""
    ) -> None:
        """A tool call is in flight."""
        arguments, summary = self.hide(arguments), self.hide(summary)
        data = {"call_id": call_id, "name": name, "arguments": brief(arguments)}
        self._say("tool", f"{name} {summary}".strip(), "info", "tool", data)
        if self.watchdog:
            self.watchdog.tool_started(call_id, name, arguments, summary)

    def tool_ended(self, call_id: str, *, ok: bool = True, summary: str = "") -> None:
        """A tool call is over."""
        if self.watchdog:
            self.watchdog.tool_ended(call_id)
        data = {"call_id": call_id, "ok": ok}
        self._say(
            "tool_result", summary or ("done" if ok else "failed"), "info" if ok else "warning", "tool", data
        )

    def meter(self, usage: Usage) -> None:
        """Say what one model call used until now."""
        if self.watchdog:
            self.watchdog.metered(usage)
        if self.purse:
            totals = self.purse.meter(usage)
            with self._lock:
                self.amounts |= totals
                self._news["usage"] = dict(self.amounts)

    def pin(self, **ran_with: str) -> None:
        """Keep with the attempt what it runs with."""
        with self._lock:
            self.pins |= {name: str(value)[:LONGEST_PIN] for name, value in ran_with.items()}
            self._news["pins"] = dict(self.pins)

    def partial(self, result: dict[str, Any]) -> None:
        """The result so far."""
        self._moved()
        self.partial_result = result if isinstance(result, dict) else {"result": result}

    @property
    def providers(self) -> ProviderDesk:
        """Where models are asked for."""
        if self.desk is None:
            raise PermanentError("this agent has no access to providers")
        return self.desk

    def usage(self, **amounts: float) -> None:
        """Add to what the attempt used."""
        self._moved()
        with self._lock:
            for name, amount in amounts.items():
                self.amounts[name] = self.amounts.get(name, 0) + amount
            self._news["usage"] = dict(self.amounts)

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        """Keep a file with the job."""
        content = self._without_token(content)
        with db.quick():
            row = self.store.keep(self.claim.job_id, self.claim.fence, name, content, media_type)
            artifacts.record(row)
        self.log(f"kept {row['name']} ({row['size_bytes']} bytes)", level="debug", source="artifacts")
        return str(row["artifact_id"])

    def _without_token(self, content: bytes | Path) -> bytes | Path:
        """The same without the attempt's own token, which an agent may have written down with its environment."""
        if self.token is None or (
            isinstance(content, Path) and content.stat().st_size > self.store.max_bytes
        ):
            return content
        token, whole = self.token.encode(), content.read_bytes() if isinstance(content, Path) else content
        return whole.replace(token, HIDDEN.encode()) if token in whole else content

    def fetch(self, reference: str) -> Path | None:
        """Copy a file that another job left into the workspace."""
        with db.quick():
            found = artifacts.reachable(reference, job_id=self.claim.job_id)
            if found is None:
                return None
            place: Path = self.workspace / "fetched" / found["artifact_id"] / found["name"]
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.store.open(found["location"]) as kept, place.open("wb") as copy:
                shutil.copyfileobj(kept, copy)
        return place

    def checkpoint(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Keep `state` for a later attempt, or answer what was kept."""
        if state is not None:
            self._moved()
        with self._lock:
            if state is not None:
                self._kept = dict(state)
                self._news["checkpoint"] = self._kept
            return dict(self._kept)

    def ask(
        self,
        question: str,
        *,
        key: str = "",
        shown: Any = None,
        form: dict[str, Any] | None = None,
        options: tuple[str, ...] = ("approve", "reject"),
        editable: dict[str, Any] | None = None,
        approvers: tuple[str, ...] = (),
        deadline_seconds: float | None = None,
        on_timeout: str = "reject",
        escalate_seconds: float | None = None,
        escalate_to: tuple[str, ...] = (),
        kind: str = "agent",
        draft_number: int | None = None,
    ) -> Answer:
        """The answer to exactly this question; raises Asked while there is none, PermanentError if it is no question."""
        wanted = Wanted.of(
            question, key=key, shown=shown, form=form, options=options, editable=editable, approvers=approvers,
            deadline_seconds=deadline_seconds, on_timeout=on_timeout, escalate_seconds=escalate_seconds,
            escalate_to=escalate_to, kind=kind, draft_number=draft_number,
        )  # fmt: skip
        _demand_askable(wanted)
        if found := self._insist(lambda: asking.answer_to(self.claim.job_id, wanted.digest)):
            return Answer(**found)
        raise Asked(wanted.as_question())

    def permit(self, effect: str, question: str, *, shown: Any = None) -> None:
        """Ask a person before `effect` if a policy demands it; raises Asked, or NotPermitted."""
        wanted = Wanted.of(question, shown=shown)
        _demand_askable(wanted)
        if not isinstance(effect, str) or not EFFECT.match(effect):
            raise PermanentError(f"{effect!r} is no effect: lower-case words and digits, joined by hyphens")
        if clearance := self.clearance:
            self._insist(lambda: clearance.permit(effect, question, wanted.shown))

    def delegate(self, agent_id: str, parameters: dict[str, Any], *, key: str = "", **given: Any) -> str:
        """Hand out a job; answers its id."""
        if unknown := sorted(set(given) - DELEGATED_WITH):
            raise PermanentError(f"This cannot be delegated: delegate() takes no {unknown[0]}")
        children = self._children()
        self.stop_due()
        if self.purse:
            self.purse.look()  # what was used until now is not there for others to have
        row = children.delegate(agent_id, parameters, key=key, given=given)
        if self.purse:
            self.purse.recount()
        job_id = str(row["job_id"])
        self.event("delegated", f"Delegated to {agent_id}", job_id=job_id, agent_id=agent_id)
        return job_id

    def look_at_children(self, job_ids: list[str] | None = None) -> list[dict[str, Any]]:
        """How delegated jobs stand now; raises WaitsForJobs when it waits for them in vain."""
        self.stop_due()
        found = self._children().look(job_ids)
        if living := [child for child in found if not delegation.is_over(child)]:
            self._moved()
            with self._lock:
                self._news["current_step"] = worded(living)
        return found

    def await_children(
        self, job_ids: list[str] | None = None, *, seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """Wait until delegated jobs are over."""
        pause, give_up = FIRST_LOOK, None if seconds is None else time.monotonic() + seconds
        while True:
            found = self.look_at_children(job_ids)
            if all(map(delegation.is_over, found)) or (give_up is not None and time.monotonic() >= give_up):
                return found
            time.sleep(pause)
            pause = min(LONGEST_LOOK, pause * 1.5)

    def may_delegate(self, limits: delegation.Limits) -> None:
        """Its agent's definition lets it hand out jobs."""
        self.children = Children(self.claim, limits, self._insist)

    def _children(self) -> Children:
        if self.children is None:
            raise PermanentError("this agent may not delegate: its definition has no `delegation`")
        return self.children

    def drafts(self) -> list[dict[str, Any]]:
        """What is known of the drafts, without their content."""
        return self._insist(lambda: drafts.outline(self.claim.job_id))

    def draft(self, number: int) -> dict[str, Any]:
        """The content of one draft."""
        found = self._insist(lambda: drafts.one(self.claim.job_id, number))
        if found is None:
            raise PermanentError(f"the job has no draft {number}")
        return self.confidential.open(found["content"]) if self.confidential else dict(found["content"])

    def keep_draft(self, number: int, content: dict[str, Any], **made: Any) -> None:
        """Keep a draft; `made`: source, model, seconds."""
        kept = self.as_kept(content)
        self._demand_mine(lambda mine: drafts.keep(number=number, content=kept, **mine, **made))

    def judged_draft(self, number: int, report: dict[str, Any]) -> None:
        """Keep a draft's report."""
        self._demand_mine(lambda mine: drafts.judged(number=number, report=report, **mine))

    def _demand_mine(self, write: Callable[[dict[str, Any]], bool]) -> None:
        claim = self.claim
        mine = {"job_id": claim.job_id, "fence": claim.fence, "lease_id": claim.lease_id}
        if not self._insist(lambda: write(mine)):
            self.lost = True
            raise Cancelled

    def _insist(self, do: Callable[[], Found]) -> Found:
        """Speak to Postgres, again and again while it is away and the attempt may go on: a draft is dear."""
        pause = FIRST_PAUSE
        while True:
            try:
                with db.quick():
                    return do()
            except AWAY:
                self.stop_due()
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    def judged(self, verdict: str, score: float | None) -> None:
        """What the gate said of the result that is to come."""
        self.verdict, self.score = verdict, score

    def checkpoint_due(self) -> None:
        """Raise if the attempt must stop here, or ask before it goes on."""
        self.stop_due()
        clearance, purse = self.clearance, self.purse
        if clearance and purse and clearance.minds_spending:
            try:
                clearance.spending(lambda: purse.spent_usd, self.partial_result)
            except NotPermitted as refused:
                self.partial_result = self.partial_result or refused.so_far
                raise

    def stop_due(self) -> None:
        """Raise if the attempt must stop at once."""
        if self.cancelled:
            raise Cancelled
        if self.releasing:
            raise Released
        if self.remaining_seconds <= 0:
            raise AttemptTimeout(f"the time limit of {self.deadline - self.started:g} s is over")
        if self.purse and self.purse.exhausted:
            raise StoppedByBudget(self.purse.exhausted)
        if self.watchdog and self.watchdog.stop:
            raise Stalled(self.watchdog.stop)

    def process_started(self, pid: int) -> None:
        """Record the process id of a child."""
        with self._lock:
            self._news["process_id"] = pid

    @property
    def cancelled(self) -> bool:
        """Somebody asked for the job to stop, or its lease is gone."""
        return self.cancel_asked or self.lost

    @property
    def draining(self) -> bool:
        """The worker is shutting down: a child that was terminated now was terminated by the platform."""
        return self._drain.is_set()

    @property
    def remaining_seconds(self) -> float:
        """Seconds to the hard limit."""
        return self.deadline - time.monotonic()

    # -- what the worker calls

    def hide(self, value: Any) -> Any:
        """The same text or JSON without the secrets of the attempt."""
        return self.confidential.hide(value) if self.confidential else value

    def as_kept(self, result: Any) -> Any:
        """A result as it is written down, with its secrets sealed."""
        return self.confidential.seal(result) if self.confidential and isinstance(result, dict) else result

    def take_report(self) -> Report:
        """What was said since the last report."""
        with self._lock:
            news, self._news = self._news, {}
            lines, self._lines = self._lines, []
        claim = self.claim
        return Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines, **news)

    def put_back(self, report: Report) -> None:
        """Keep a report that could not be written, for the next time; newer news win."""
        with self._lock:
            said = {k: getattr(report, k) for k in NEWS}
            self._news = {k: v for k, v in said.items() if v is not None} | self._news
            self._lines = report.lines + self._lines

    def warn_when_late(self) -> None:
        """Once, when the soft limit has passed, tell the log (RUN-16)."""
        if time.monotonic() > self.soft_deadline:
            self.soft_deadline = float("inf")
            words = "the soft time limit has passed: wrap up"
            self._say("log", words, "warning", "worker", None, moves=False)

    def look(self) -> None:
        """Each second, from the heartbeat: write the ledger, and see whether the work still moves."""
        self.warn_when_late()
        if self.purse:
            self.purse.look()
        if self.desk:
            self.desk.look()
        if self.watchdog and (news := self.watchdog.look()):
            with self._lock:
                self._news["watchdog"] = news.as_json()
            self._say("watchdog", news.message, news.level, "watchdog", news.as_json())

    def close(self) -> None:
        """Settle the purse and remove the workspace, if one was made."""
        if self.purse:
            self.purse.close()
        if "workspace" in self.__dict__:
            shutil.rmtree(self.workspace, ignore_errors=True)

    def _moved(self, what: str | None = None) -> None:
        if self.watchdog:
            self.watchdog.moved(what)

    def _say(
        self,
        kind: str,
        message: str,
        level: str,
        source: str,
        data: dict[str, Any] | None,
        *,
        moves: bool = True,
    ) -> None:
        message, data = self.hide(message), self.hide(data)
        if moves and kind not in OUR_WORDS:
            self._moved(message)
        with self._lock:
            if kind not in OUR_WORDS:
                # The log and the story have room of their own: a talkative log must not hide what was done.
                group = "log" if kind == "log" else "story"
                self._said[group] += 1
                if self._said[group] > self.max_lines:
                    return
                if self._said[group] == self.max_lines:
                    message = f"more than {self.max_lines} lines: the rest is not kept"
                    level, data = "warning", None
            self._lines.append(
                Line(at=clock.now(), kind=kind, level=level, source=source, message=message, data=data)
            )


def _demand_askable(wanted: Wanted) -> None:
    """PermanentError that names what is wrong with a question."""
    try:
        wanted.check()
    except Invalid as wrong:
        told = "; ".join(f"{place[1:]} {said}" for place, said in wrong.fields)
        details: dict[str, Any] = {"fields": wrong.fields}
        raise PermanentError(f"This cannot be asked: {told}", details=details) from wrong


def brief(arguments: dict[str, Any] | str) -> dict[str, Any] | str:
    """A tool's arguments as the story keeps them: long texts are cut, and say so; the transcript has them whole."""
    if not isinstance(arguments, dict):
        return _cut(arguments if isinstance(arguments, str) else dumps(arguments))
    short = {name: _cut(value) if isinstance(value, str) else value for name, value in arguments.items()}
    return short if len(told := dumps(short)) <= MOST_ARGUMENTS else _cut(told)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_ARGUMENT else f"{text[:LONGEST_ARGUMENT]}… ({len(text):,} characters)"
