"""Somebody who uses the API as a program outside would: with a credential and nothing else."""

from __future__ import annotations

import time
from typing import Any, Self

import httpx2

from tests.journeys.contract import Contract
from tests.waiting import until

JSON = dict[str, Any]


class Person:
    """One caller; each answer must have the expected status and keep to the OpenAPI document."""

    def __init__(self, url: str, token: str | None, contract: Contract) -> None:
        """`token` is an API key or an access token; None comes without."""
        self.contract = contract
        self.client = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.client.close()

    def call(self, method: str, path: str, expect: int = 200, **more: Any) -> httpx2.Response:
        """One request whose answer is looked at."""
        answer = self.client.request(method, path, **more)
        assert answer.status_code == expect, f"{method} {path} -> {answer.status_code} {answer.text[:500]}"
        self.contract.check(answer)
        return answer

    def get(self, path: str, expect: int = 200, **query: Any) -> JSON:
        """The body of a GET."""
        return dict(self.call("GET", path, expect, params=query).json())

    def post(self, path: str, body: JSON | None = None, expect: int = 200, **headers: str) -> JSON:
        """The body that a POST answers."""
        sent = {"json": body} if body is not None else {}
        return dict(self.call("POST", path, expect, headers=headers, **sent).json())

    def submit(self, agent_id: str, parameters: JSON | None = None, **more: Any) -> str:
        """Send a job in; answers its id."""
        order = {"agent_id": agent_id, "parameters": parameters or {}, **more}
        return str(self.post("/api/v1/jobs", order, 201)["job_id"])

    def status(self, job_id: str) -> JSON:
        """The status document."""
        return self.get(f"/api/v1/jobs/{job_id}/status")

    def reaches(self, job_id: str, status: str, seconds: float = 30) -> JSON:
        """The status document when the job is `status`; fails at once when it ended otherwise."""

        def there() -> JSON | None:
            document = self.status(job_id)
            over = document["poll"]["terminal"] and document["status"] != status
            assert not over, f"{document['status']}: {document['error']}"
            return document if document["status"] == status else None

        return until(there, seconds, 0.1)  # type: ignore[return-value]

    def story(self, job_id: str, chapter: str) -> list[JSON]:
        """The history, attempts, logs, events or artifacts of a job."""
        return list(self.get(f"/api/v1/jobs/{job_id}/{chapter}")[chapter])

    def watch(self, job_id: str, seconds: float = 60) -> list[JSON | None]:
        """Poll by the rules to the end: when the document says, with its tag. None stands for a 304."""
        path, due, tag = f"/api/v1/jobs/{job_id}/status", 0.0, ""
        hint: JSON = {}
        seen: list[JSON | None] = []
        end = time.monotonic() + seconds
        while True:
            until(lambda moment=due: time.monotonic() >= moment, 30)  # type: ignore[misc]
            answer = self.client.get(path, headers={"If-None-Match": tag} if tag else {})
            self.contract.check(answer)
            assert answer.status_code in (200, 304), answer.text
            fresh = answer.json() if answer.status_code == 200 else None
            assert fresh or answer.content == b""
            seen.append(fresh)
            hint, tag = fresh["poll"] if fresh else hint, answer.headers["ETag"]
            if hint["terminal"]:
                return seen
            assert time.monotonic() < end, f"not over after {seconds} s: {[d and d['status'] for d in seen]}"
            due = time.monotonic() + hint["next_after_ms"] / 1000
