"""Workflows, their templates, and schedules: `callboard.workflows`, `callboard.schedules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from app.client.calls import JSON, CallFailed
from app.client.others import Group
from app.client.shapes import Page, Shape, WorkflowRun
from app.client.waiting import Deadline, StillRunning, Trouble, Troubled, soon

RUNS = "/api/v1/workflows"
TEMPLATES = "/api/v1/workflow-templates"
SCHEDULES = "/api/v1/schedules"

Rows = list[JSON]


class Workflows(Group):
    """Run, check, look at and steer workflows, and keep their templates."""

    def list(self, **filters: Any) -> Page[Shape]:
        """A page of runs, newest first; `filters`: status, template, schedule_id, since, q, limit, offset."""
        return self._listing(RUNS, "workflows", filters)

    def get(self, workflow_id: str) -> WorkflowRun:
        """A run with its steps."""
        return WorkflowRun.model_validate(self._json("GET", f"{RUNS}/{workflow_id}"))

    def run(self, source: str, inputs: JSON | None = None, **more: Any) -> WorkflowRun:
        """Run a workflow, as YAML or JSON text; `more`: priority, tags, callback_url, notify."""
        body = {"source": source, "inputs": inputs or {}} | more
        return WorkflowRun.model_validate(self._calls.create(RUNS, body))

    def run_template(
        self, name: str, inputs: JSON | None = None, *, version: int | None = None, **more: Any
    ) -> WorkflowRun:
        """Run a template, left out `version` the current one; `more` as for `run`."""
        body = {"inputs": inputs or {}, "version": version} | more
        return WorkflowRun.model_validate(self._calls.create(f"{_template(name)}/run", body))

    def validate(self, source: str, inputs: JSON | None = None) -> Shape:
        """What a run would do (`plan`), or what is wrong (`problems`); inputs are looked at if you give some."""
        body: JSON = {"source": source} | ({} if inputs is None else {"inputs": inputs})
        return Shape.model_validate(self._json("POST", f"{RUNS}/validate", body))

    def steer(self, workflow_id: str, what: str) -> WorkflowRun:
        """Let a run rest (pause), go on (resume) or end (cancel)."""
        return WorkflowRun.model_validate(self._json("POST", f"{RUNS}/{workflow_id}/{what}"))

    def retry(self, workflow_id: str, *, from_step: str | None = None) -> WorkflowRun:
        """Run a finished run again, as a new one, from a step on or from what did not complete."""
        return WorkflowRun.model_validate(
            self._calls.create(f"{RUNS}/{workflow_id}/retry", {"from_step": from_step})
        )

    def wait(
        self,
        workflow_id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[WorkflowRun], None] | None = None,
        on_trouble: Troubled | None = None,
    ) -> WorkflowRun:
        """Ask until the run is finished, as often as the server wants it; answers it with its steps.

        Raises StillRunning after `timeout` seconds, and CallFailed when waiting cannot help.
        """
        deadline, trouble = Deadline(timeout), Trouble()
        last: WorkflowRun | None = None
        while True:
            try:
                now = self.get(workflow_id)
            except CallFailed as failure:
                pause = trouble.failed(failure)
                if on_trouble:
                    on_trouble(failure, pause)
            else:
                trouble.succeeded()
                pause = soon(now.poll.next_after_ms)
                if on_change and (last is None or last.version != now.version):
                    on_change(now)
                last = now
            if last is not None and last.poll.terminal:
                return last
            if deadline.over:
                raise StillRunning([])
            self._calls.rest(deadline.cut(pause))

    def template(self, name: str, version: int | None = None) -> Shape:
        """A template with its current version, or with another one."""
        path = _template(name) if version is None else f"{_template(name)}/versions/{version}"
        return Shape.model_validate(self._json("GET", path))

    def save(self, name: str, source: str, **more: Any) -> Shape:
        """Keep a workflow, as text, under a name; `more`: title, visibility, note."""
        body = {"name": name, "source": source} | more
        return Shape.model_validate(self._json("POST", TEMPLATES, body))

    def versions(self, name: str) -> Rows:
        """The versions of a template, newest first."""
        said: Rows = self._json("GET", f"{_template(name)}/versions")["versions"]
        return said

    def restore(self, name: str, version: int) -> Shape:
        """Make an old version of a template current again, as a new version."""
        return Shape.model_validate(self._json("POST", f"{_template(name)}/versions/{version}/restore"))


class Schedules(Group):
    """What is submitted by itself."""

    def list(self, **filters: Any) -> Page[Shape]:
        """A page of schedules, those that come next first; `filters`: status, agent_id, q, limit, offset."""
        return self._listing(SCHEDULES, "schedules", filters)

    def get(self, schedule_id: str) -> Shape:
        """One of them."""
        return Shape.model_validate(self._json("GET", f"{SCHEDULES}/{schedule_id}"))

    def create(self, **wish: Any) -> Shape:
        """Make one: agent_id (or workflow_template, workflow), parameters, cron_expression or execute_at, …."""
        return Shape.model_validate(self._calls.create(SCHEDULES, wish))

    def fires(self, schedule_id: str, *, limit: int = 50) -> Rows:
        """What became of its times, newest first."""
        said: Rows = self._json("GET", f"{SCHEDULES}/{schedule_id}/fires", query={"limit": limit})["fires"]
        return said

    def steer(self, schedule_id: str, what: str) -> Shape:
        """Let it rest (pause) or go on (resume)."""
        return Shape.model_validate(self._json("POST", f"{SCHEDULES}/{schedule_id}/{what}"))

    def run(self, schedule_id: str) -> Shape:
        """Run it once more now."""
        return Shape.model_validate(self._calls.create(f"{SCHEDULES}/{schedule_id}/run"))

    def delete(self, schedule_id: str) -> Shape:
        """Remove it; what it submitted stays and goes on."""
        return Shape.model_validate(self._json("DELETE", f"{SCHEDULES}/{schedule_id}"))


def _template(name: str) -> str:
    return f"{TEMPLATES}/{quote(name, safe='')}"
