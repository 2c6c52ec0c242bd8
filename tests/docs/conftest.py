"""The product that the guides speak of, with a job or two to speak about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app import clock
from app.client import Client
from app.settings import ROOT
from tests.journeys.product import API_KEY, EMAIL, PASSWORD, Product, running
from tests.journeys.willing import willing
from tests.waiting import until

METRICS_TOKEN = "m" * 40


@dataclass(frozen=True)
class Desk:
    """A running Callboard, and the variables of whoever reads the guides."""

    product: Product
    environ: dict[str, str]

    def for_a_guide(self, text: str) -> dict[str, str]:
        """The variables for one guide: jobs that no other guide has touched, and none of their sessions and hooks."""
        self.product.sql("DELETE FROM sessions; DELETE FROM hooks")
        client = Client(self.product.url, API_KEY)
        fresh = dict(zip(("JOB", "FAILED_JOB"), _jobs(client), strict=True)) if "JOB" in text else {}
        if "WAITING_JOB" in text:
            tomorrow = clock.now() + timedelta(days=1)
            fresh["WAITING_JOB"] = _submitted(
                client, "examples/sample-repo", run_at=f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}"
            )
        return self.environ | fresh


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A Callboard as a new user has it: with the agents it comes with, and a model that answers."""
    with (
        willing() as model,
        running(
            AGENT_FOLDERS="",
            LLM_PROVIDERS="openai",
            OPENAI_BASE_URL=f"{model.url}/v1",
            OPENAI_API_KEY="sk-guides",
            METRICS_TOKEN=METRICS_TOKEN,
        ) as product,
    ):
        yield Desk(product, _environ(product, tmp_path_factory.mktemp("reader")))


def _environ(product: Product, home: Path) -> dict[str, str]:
    """What a reader has set: where the server is, a key, and whom the guides speak about."""
    (home / ".curlrc").write_text("fail-with-body\n")  # an answer that says no is a failure of the example
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
    client = Client(product.url, API_KEY)
    people = [client.call("POST", "/api/v1/users", body=_person(name)) for name in ("ada", "bob")]
    return {
        **kept,
        "HOME": str(home),
        "CURL_HOME": str(home),
        "PATH": ":".join(
            map(str, (ROOT / ".venv" / "bin", ROOT / ".cache" / "promtool" / "usr" / "bin", kept["PATH"]))
        ),
        "PYTHONPATH": str(ROOT),
        "CALLBOARD_URL": product.url,
        "CALLBOARD_API_KEY": API_KEY,
        "CALLBOARD_HOME": str(product.home),
        "CALLBOARD_ADMIN_EMAIL": EMAIL,
        "CALLBOARD_ADMIN_PASSWORD": PASSWORD,
        "DATABASE_URL": f"postgresql://callboard@/callboard?host={product.home / 'run'}",
        "METRICS_TOKEN": METRICS_TOKEN,
        "NO_COLOR": "1",
        "USER_ID": people[0]["user_id"],
        "KEY_ID": client.call("POST", "/api/v1/api-keys", body={"name": "leaked", "scopes": ["read"]})[
            "key_id"
        ],
    }


def _person(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.org", "password": f"the password of {name}", "role": "user"}


def _jobs(client: Client) -> tuple[str, str]:
    """One that is done, and one that failed for good."""
    paths = ("examples/sample-repo", "examples/nowhere")
    ids = [_submitted(client, path) for path in paths]
    ended = [until(lambda i=i: _ended(client, i), 60, 0.2) for i in ids]  # type: ignore[misc]
    assert ended == ["completed", "failed"]
    return ids[0], ids[1]


def _submitted(client: Client, path: str, **more: str) -> str:
    order = {"agent_id": "security-auditor", "parameters": {"target_path": path}, **more}
    return str(client.call("POST", "/api/v1/jobs", body=order)["job_id"])


def _ended(client: Client, job_id: str) -> str | None:
    status = str(client.call("GET", f"/api/v1/jobs/{job_id}/status")["status"])
    return status if status in ("completed", "failed", "cancelled") else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader stands: a copy of the project's examples and guides, which a block may write into."""
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("screenshots"))
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path
