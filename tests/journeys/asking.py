"""What journeys with models bring along: providers and agents of their own, made by the API as an admin would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from app.settings import ROOT
from tests.journeys.contract import Contract
from tests.journeys.person import JSON, Person
from tests.journeys.product import API_KEY, Product
from tests.waiting import until

JOURNEYS_KEY = "sk-of-the-journeys"
"""What the variable of that name holds in a product whose providers need a key."""
MODEL = "test-model"


@contextmanager
def admin_of(product: Product) -> Iterator[Person]:
    """The first admin of a product that is not the suite's."""
    contract = Contract(httpx2.get(f"{product.url}/api/openapi.json").json())
    with Person(product.url, API_KEY, contract) as person:
        yield person


@contextmanager
def provided(admin: Person, provider_id: str, url: str, **more: Any) -> Iterator[str]:
    """A provider at `url` for agents that name it, until the end of the block."""
    wish = {"provider_id": provider_id, "title": provider_id.title(), "base_url": f"{url}/v1", "model": MODEL}
    admin.post("/api/v1/providers", wish | more, 201)
    admin.call("PATCH", f"/api/v1/providers/{provider_id}", json={"position": None})
    yield provider_id
    admin.call("DELETE", f"/api/v1/providers/{provider_id}", 204)


def imported(admin: Person, agent_id: str, **ours: Any) -> str:
    """An agent that asks a model, with `ours` under x-callboard."""
    front = {"name": agent_id, "description": "One journey's.", "x-callboard": {"runner": "llm"} | ours}
    text = f"---\n{json.dumps(front)}\n---\nDo as you are told.\n"
    answer = admin.post("/api/v1/agents/import", {"files": [{"path": f"{agent_id}.md", "content": text}]})
    assert answer["counts"]["broken"] == 0, answer["items"]
    return agent_id


@contextmanager
def expendable_server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A model server in a process of its own, whose answers come word by word, to be killed; and where it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.openai_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        process.kill()


def health(admin: Person, agent_id: str) -> JSON:
    """What an agent says of itself, as soon as a worker has looked: {agent_id, status, reason, last_heartbeat}."""
    path = f"/api/v1/agents/{agent_id}/health"
    return until(lambda: told if (told := admin.get(path))["last_heartbeat"] else None, 20, 0.2)  # type: ignore[return-value]


def messages(admin: Person, job_id: str, kind: str) -> list[str]:
    """What the job's story says of one kind."""
    return [event["message"] for event in admin.story(job_id, "events") if event["kind"] == kind]


def ledger(admin: Person, job_id: str) -> list[JSON]:
    """The job's rows of the ledger."""
    return list(admin.get(f"/api/v1/jobs/{job_id}/usage")["events"])
