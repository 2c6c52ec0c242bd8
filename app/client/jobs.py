"""Jobs: submit, look at, wait for, steer, and read what they said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from app.client.calls import JSON, CallFailed, Calls, content
from app.client.shapes import (
    Accepted,
    Artifact,
    BulkItem,
    Cancelled,
    Event,
    Explanation,
    Job,
    LogLine,
    Page,
    Shape,
    StatusDocument,
)
from app.client.waiting import Deadline, StillRunning, Trouble, Troubled, soon

AT_ONCE = 100
"""Jobs in one request, as the server has it."""
TAGS_KEPT = 1000

Line = TypeVar("Line", bound=LogLine)
Changed = Callable[[Job], None]


class Jobs(Calls):
    """What one can do with jobs."""

    _seen: OrderedDict[str, tuple[str, StatusDocument]]

    # -- submit

    def submit(
        self,
        agent_id: str | None = None,
        parameters: JSON | None = None,
        *,
        priority: str = "normal",
        run_at: datetime | str | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> Accepted:
        """Submit a job; when this answers, the job is durable.

        `more` is what else the endpoint takes: task_name, tags, timeout, max_retries, budget, gate, callback_url, …,
        or topic and the other wishes for a blog post in place of an agent. The same `idempotency_key` makes one job,
        however often it is said.
        """
        body = {
            "agent_id": agent_id,
            "parameters": parameters,
            "priority": priority,
            "run_at": _moment(run_at),
        }
        wish = {name: value for name, value in (body | more).items() if value is not None}
        return Accepted.model_validate(self.create("/api/v1/jobs", wish, key=idempotency_key))

    def submit_many(self, jobs: Iterable[JSON], *, idempotency_key: str | None = None) -> list[BulkItem]:
        """Submit any number of jobs, a hundred in each request; each is accepted or refused by itself, in order."""
        wishes, key, results = list(jobs), idempotency_key or str(uuid4()), list[BulkItem]()
        for start in range(0, len(wishes), AT_ONCE):
            chunk = [_plain(wish) for wish in wishes[start : start + AT_ONCE]]
            said = self.create("/api/v1/jobs/bulk", {"jobs": chunk}, key=f"{key}:{start}")
            results += [
                BulkItem.model_validate(each | {"index": start + each["index"]}) for each in said["results"]
            ]
        return results

    # -- look

    def jobs(self, **filters: Any) -> Page[Job]:
        """A page of jobs, newest first; `filters` are the query parameters of `GET /api/v1/jobs`.

        Among them: status, agent_id, tag, q, filter, since, until, limit, cursor.
        """
        said = self.call("GET", "/api/v1/jobs", query=_query(filters))
        return Page[Job].model_validate(listed(said, "jobs"))

    def every_job(self, **filters: Any) -> Iterator[Job]:
        """All jobs that fit, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.jobs(**{"limit": AT_ONCE} | filters | {"cursor": cursor})
            yield from page
            if not (cursor := page.next_cursor):
                return

    def job(self, job_id: str) -> StatusDocument:
        """Everything of a job that you may see."""
        return StatusDocument.model_validate(self.call("GET", f"/api/v1/jobs/{job_id}"))

    def status(self, job_id: str) -> StatusDocument:
        """The status document; while nothing changes the server answers with an empty 304, and this with the last one."""
        return self._look(job_id, attempts=None)

    def explain(self, job_id: str) -> Explanation:
        """Why a job is not running."""
        return Explanation.model_validate(self.call("GET", f"/api/v1/jobs/{job_id}/explain"))

    def tree(self, job_id: str) -> Shape:
        """The job with those it submitted, and those they submitted, with what all cost together."""
        return Shape.model_validate(self.call("GET", f"/api/v1/jobs/{job_id}/tree"))

    def history(self, job_id: str) -> list[JSON]:
        """Every change of status, oldest first."""
        return list(self.call("GET", f"/api/v1/jobs/{job_id}/history")["history"])

    def attempts(self, job_id: str) -> list[JSON]:
        """Every execution, oldest first."""
        return list(self.call("GET", f"/api/v1/jobs/{job_id}/attempts")["attempts"])

    def artifacts(self, job_id: str) -> list[Artifact]:
        """The files that a job made."""
        said = self.call("GET", f"/api/v1/jobs/{job_id}/artifacts")
        return [Artifact.model_validate(each) for each in said["artifacts"]]

    def artifact(self, artifact_id: str) -> bytes:
        """The content of a file."""
        return self.ask("GET", f"/api/v1/artifacts/{artifact_id}").content

    # -- steer

    def cancel(self, job_id: str) -> Cancelled:
        """Cancel a job: a waiting one at once, a running one within seconds."""
        return Cancelled.model_validate(self.call("POST", f"/api/v1/jobs/{job_id}/cancel"))

    def change_priority(self, job_id: str, priority: str) -> JSON:
        """Make a waiting job more or less urgent."""
        said: JSON = self.call("PATCH", f"/api/v1/jobs/{job_id}", body={"priority": priority})
        return said

    def retry(self, job_id: str, *, priority: str | None = None, parameters: JSON | None = None) -> Accepted:
        """Run a finished job again, as a new one; `parameters` replace the old ones as a whole."""
        return self._again(job_id, "retry", {"priority": priority, "parameters": parameters})

    def replay(self, job_id: str, *, parameters: JSON | None = None, version: str = "pinned") -> Accepted:
        """Run a finished job again to compare the two, by the definition it ran with or (`current`) the present one."""
        return self._again(job_id, "replay", {"parameters": parameters, "version": version})

    def resume(
        self,
        job_id: str,
        *,
        usd: float | None = None,
        tokens: int | None = None,
        minutes: float | None = None,
    ) -> Accepted:
        """Go on with a job that its budget stopped, from its last checkpoint, with so much more."""
        return self._again(job_id, "resume", {"usd": usd, "tokens": tokens, "minutes": minutes})

    def _again(self, job_id: str, how: str, wish: JSON) -> Accepted:
        body = {name: value for name, value in wish.items() if value is not None}
        return Accepted.model_validate(self.create(f"/api/v1/jobs/{job_id}/{how}", body))

    # -- wait

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_change: Changed | None = None,
        on_trouble: Troubled | None = None,
    ) -> StatusDocument:
        """Ask until the job is finished, as often as the server wants it; answers its last status document.

        A server that is away is waited for: `on_trouble` hears of each failure and of the seconds until the next try.
        Raises StillRunning after `timeout` seconds, and CallFailed when waiting cannot help (no such job).
        """
        deadline, trouble, last = Deadline(timeout), Trouble(), None
        while True:
            pause, now = self._glance(job_id, trouble, on_trouble)
            if now is not None and (last is None or now.version != last.version):
                last = now
                if on_change:
                    on_change(now)
            if last is not None and last.terminal:
                return last
            if deadline.over:
                raise StillRunning([last] if last else [])
            self._pause(deadline.cut(pause))

    def _glance(
        self, job_id: str, trouble: Trouble, on_trouble: Troubled | None
    ) -> tuple[float, StatusDocument | None]:
        """The job, if the server answers, and the seconds until the next look."""
        try:
            now = self._look(job_id, attempts=1)
        except CallFailed as failure:
            return _troubled(failure, trouble, on_trouble), None
        trouble.succeeded()
        return soon(now.poll.next_after_ms), now

    def _look(self, job_id: str, *, attempts: int | None) -> StatusDocument:
        tag, before = self._seen.get(job_id, ("", None))
        headers = {"If-None-Match": tag} if tag else None
        answer = self.ask("GET", f"/api/v1/jobs/{job_id}/status", headers=headers, attempts=attempts)
        if answer.status_code == 304 and before is not None:
            hint = answer.headers.get("X-Poll-After-Ms", "")
            if not hint.isdigit():
                return before
            return before.model_copy(
                update={"poll": before.poll.model_copy(update={"next_after_ms": int(hint)})}
            )
        found = StatusDocument.model_validate(content(answer))
        if tag := answer.headers.get("ETag", ""):
            self._seen[job_id] = (tag, found)
            self._seen.move_to_end(job_id)
            if len(self._seen) > TAGS_KEPT:
                self._seen.popitem(last=False)
        return found

    def wait_all(
        self,
        job_ids: Iterable[str],
        *,
        timeout: float | None = None,
        on_change: Changed | None = None,
        on_trouble: Troubled | None = None,
    ) -> dict[str, StatusDocument]:
        """Wait until all are finished, a hundred in each request; answers each one's last status document, in order.

        Raises NotFound for an id that is not there, StillRunning after `timeout` seconds.
        """
        ids = list(dict.fromkeys(job_ids))
        deadline, trouble = Deadline(timeout), Trouble()
        seen: dict[str, Job] = {}
        done: dict[str, StatusDocument] = {}
        while True:
            pause = self._round(
                [each for each in ids if each not in done], seen, done, on_change, trouble, on_trouble
            )
            if len(done) == len(ids):
                return {each: done[each] for each in ids}
            if deadline.over:
                raise StillRunning([job for each, job in seen.items() if each not in done])
            self._pause(deadline.cut(pause))

    def _round(
        self,
        ids: list[str],
        seen: dict[str, Job],
        done: dict[str, StatusDocument],
        on_change: Changed | None,
        trouble: Trouble,
        on_trouble: Troubled | None,
    ) -> float:
        """Look at all of `ids` once; answers the seconds until the next round."""
        hints = []
        try:
            for start in range(0, len(ids), AT_ONCE):
                for now in self._statuses(ids[start : start + AT_ONCE]):
                    before, seen[now.job_id] = seen.get(now.job_id), now
                    if on_change and (before is None or before.version != now.version):
                        on_change(now)
                    if now.terminal:
                        done[now.job_id] = self._look(now.job_id, attempts=1)
                    else:
                        hints.append(soon(now.poll.next_after_ms))
        except CallFailed as failure:
            return _troubled(failure, trouble, on_trouble)
        trouble.succeeded()
        return min(hints, default=0.0)

    def _statuses(self, ids: list[str]) -> list[Job]:
        answer = self.ask("GET", "/api/v1/jobs/status", query={"ids": ",".join(ids)}, attempts=1)
        said = content(answer)
        for missing in said["not_found"]:
            self.job(missing)  # the server's own words for what is not there
        return [Job.model_validate(each) for each in said["jobs"]]

    # -- what it said

    def logs(
        self,
        job_id: str,
        *,
        after: int = 0,
        level: str | None = None,
        follow: bool = False,
        on_trouble: Troubled | None = None,
    ) -> Iterator[LogLine]:
        """The log from a cursor (`seq`) on; with `follow` until the job is finished, nothing lost and nothing twice."""
        path, query = f"/api/v1/jobs/{job_id}/logs", {"level": level}
        return self._story(job_id, path, "logs", LogLine, query, after, follow=follow, on_trouble=on_trouble)

    def events(
        self, job_id: str, *, after: int = 0, follow: bool = False, on_trouble: Troubled | None = None
    ) -> Iterator[Event]:
        """Everything a job said, from a cursor (`seq`) on: log lines, progress, stages, completion."""
        path = f"/api/v1/jobs/{job_id}/events"
        return self._story(job_id, path, "events", Event, {}, after, follow=follow, on_trouble=on_trouble)

    def _story(
        self,
        job_id: str,
        path: str,
        name: str,
        shape: type[Line],
        query: JSON,
        after: int,
        *,
        follow: bool,
        on_trouble: Troubled | None,
    ) -> Iterator[Line]:
        trouble, over = Trouble(), not follow
        while True:
            try:
                said = content(
                    self.ask("GET", path, query=query | {"after": after}, attempts=1 if follow else None)
                )
            except CallFailed as failure:
                if not follow:
                    raise
                self._pause(_troubled(failure, trouble, on_trouble))
                continue
            trouble.succeeded()
            yield from (shape.model_validate(each) for each in said[name])
            after = max([after, *(each["seq"] for each in said[name])])
            if said["more"]:
                continue
            if over:
                return
            pause, now = self._glance(job_id, trouble, on_trouble)
            over = now is not None and now.terminal  # what it said last is read once more
            self._pause(0 if over else pause)


def _troubled(failure: CallFailed, trouble: Trouble, on_trouble: Troubled | None) -> float:
    pause = trouble.failed(failure)
    if on_trouble:
        on_trouble(failure, pause)
    return pause


def listed(said: JSON, name: str) -> JSON:
    """A list as the server names it, as a Page does; the documents' second name of the same list is left out."""
    rest = {key: value for key, value in said.items() if key not in (name, "tasks")}
    return rest | {"items": said[name]}


def _query(filters: JSON) -> JSON:
    return {name: _moment(value) if isinstance(value, datetime) else value for name, value in filters.items()}


def _plain(wish: JSON) -> JSON:
    return wish | {"run_at": _moment(wish["run_at"])} if wish.get("run_at") else wish


def _moment(value: datetime | str | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
