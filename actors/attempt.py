"""One attempt while it runs: the Context an agent speaks to, which gathers what it says into batches."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from app import clock
from app.db import db
from app.errors import AttemptTimeout, Cancelled, Released
from app.jobs import artifacts
from app.jobs.claims import Claim
from app.jobs.timeline import Line, Report

LEVELS = ("debug", "info", "warning", "error")


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
        self.amounts: dict[str, float] = {}
        self._lock = threading.Lock()
        self._news: dict[str, Any] = {}
        self._lines: list[Line] = []
        self._said = 0
        self._kept = dict(claim.checkpoint)

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
        whole = max(0, min(100, int(percent)))
        with self._lock:
            self._news["progress"] = whole
            if step is not None:
                self._news["current_step"] = step

    def stage(self, name: str, step: str | None = None) -> None:
        """Enter a named stage; it also becomes an event."""
        with self._lock:
            self._news["stage"] = name[:100]
            self._news["current_step"] = step or name
        self._say("stage", step or name, "info", "agent", {"stage": name})

    def usage(self, **amounts: float) -> None:
        """Add to what the attempt used."""
        with self._lock:
            for name, amount in amounts.items():
                self.amounts[name] = self.amounts.get(name, 0) + amount
            self._news["usage"] = dict(self.amounts)

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        """Keep a file with the job."""
        with db.quick():
            row = self.store.keep(self.claim.job_id, self.claim.fence, name, content, media_type)
            artifacts.record(row)
        self.log(f"kept {row['name']} ({row['size_bytes']} bytes)", level="debug", source="artifacts")
        return str(row["artifact_id"])

    def checkpoint(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Keep `state` for a later attempt, or answer what was kept."""
        with self._lock:
            if state is not None:
                self._kept = dict(state)
                self._news["checkpoint"] = self._kept
            return dict(self._kept)

    def checkpoint_due(self) -> None:
        """Raise if the attempt must stop here."""
        if self.cancelled:
            raise Cancelled
        if self.releasing:
            raise Released
        if self.remaining_seconds <= 0:
            raise AttemptTimeout(f"the time limit of {self.deadline - self.started:g} s is over")

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
            said = {
                k: getattr(report, k)
                for k in ("progress", "stage", "current_step", "process_id", "usage", "checkpoint")
            }
            self._news = {k: v for k, v in said.items() if v is not None} | self._news
            self._lines = report.lines + self._lines

    def warn_when_late(self) -> None:
        """Once, when the soft limit has passed, tell the log (RUN-16)."""
        if time.monotonic() > self.soft_deadline:
            self.soft_deadline = float("inf")
            self.log("the soft time limit has passed: wrap up", level="warning", source="worker")

    def close(self) -> None:
        """Remove the workspace, if one was made."""
        if "workspace" in self.__dict__:
            shutil.rmtree(self.workspace, ignore_errors=True)

    def _say(self, kind: str, message: str, level: str, source: str, data: dict[str, Any] | None) -> None:
        with self._lock:
            self._said += 1
            if self._said > self.max_lines:
                return
            if self._said == self.max_lines:
                message, level, data = (
                    f"more than {self.max_lines} lines: the rest is not kept",
                    "warning",
                    None,
                )
            self._lines.append(
                Line(at=clock.now(), kind=kind, level=level, source=source, message=message, data=data)
            )
