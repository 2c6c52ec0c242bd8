"""The checkup: keys that are missing, local models that do not answer, and what agents make of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import Engine

from actors import checkup
from actors.runners.base import Health
from app.agents import registry
from app.db import db
from app.providers import catalogue, queries
from app.settings import POOLS, Settings
from tests import acting


@pytest.fixture(autouse=True)
def inside(quick: Engine) -> Iterator[None]:
    """As in the heartbeat: each statement by itself."""
    with db.quick():
        yield


class Local:
    """A local model service of one test: what it answers at /v1/models, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, b"", []  # type: ignore[var-annotated]
        self.hang = threading.Event()
        self.hang.set()
        local = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                local.asked.append((self.path, self.headers.get("Authorization")))
                local.hang.wait(20)
                self.send_response(local.status)
                self.end_headers()
                self.wfile.write(local.body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def local() -> Iterator[Local]:
    made = Local()
    yield made
    made.hang.set()
    made.server.shutdown()
    made.server.server_close()


def health(provider_id: str) -> tuple[str | None, str | None]:
    found = queries.get(provider_id)
    return found["health_status"], found["health_reason"]


def told(agent_id: str) -> dict[str, str | None]:
    """An agent's health as the registry has it now."""
    registry.forget()
    return registry.get(agent_id).health


def no_secret(_name: str) -> None:
    return None


def add(url: str, **values: Any) -> None:
    catalogue.add("mine", {"base_url": url, "model": "llama9", "billing": "local"} | values)


def test_what_has_no_key_says_which_is_missing(settings: Settings) -> None:
    catalogue.seed(settings)
    checkup.note_providers(lambda name: "sk" if name == "OPENAI_API_KEY" else None)

    assert health("openai") == ("ready", None)
    assert health("anthropic") == ("unavailable", "set ANTHROPIC_API_KEY for the workers")
    assert queries.get("openai")["health_at"] is not None


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, {"data": [{"id": "llama9"}]}, ("ready", None)),
        (200, {"data": [{"id": "other"}]}, ("degraded", "answers, but does not list the model llama9")),
        (200, {"data": []}, ("degraded", "answers, but does not list the model llama9")),
        (200, {"models": "of another kind"}, ("ready", None)),
        (200, [1], ("ready", None)),
        (401, {}, ("unavailable", "{url} refuses the key (401)")),
        (404, {}, ("degraded", "{url}/models answers 404")),
        (503, {}, ("degraded", "{url}/models answers 503")),
    ],
)
def test_what_runs_here_is_asked_for_its_models(
    local: Local, status: int, body: Any, found: tuple[str, str | None]
) -> None:
    add(local.url, key_name="LOCAL_KEY")
    local.status, local.body = status, json.dumps(body).encode()
    checkup.note_providers(lambda _name: "sk-1")

    word, reason = found
    assert health("mine") == (word, reason and reason.format(url=local.url))
    assert local.asked == [("/v1/models", "Bearer sk-1")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"])
def test_where_nobody_answers(url: str) -> None:
    add(url)
    checkup.note_providers(no_secret)

    assert health("mine") == ("unavailable", f"nothing answers at {url}")


def test_who_answers_nothing_costs_a_worker_two_seconds_at_most(local: Local) -> None:
    import time

    local.hang.clear()
    for number in range(6):
        catalogue.add(f"m{number}", {"base_url": local.url, "model": "m", "billing": "local"})
    began = time.monotonic()
    checkup.note_providers(no_secret)

    assert time.monotonic() - began < 8
    assert {health(f"m{n}")[0] for n in range(6)} == {"unavailable"}


def test_an_endless_answer_is_cut_off(local: Local) -> None:
    local.body = b"[" * (20 * checkup.MOST_BYTES)
    add(local.url)
    checkup.note_providers(no_secret)

    assert health("mine") == ("ready", None)


def test_what_is_off_or_lives_elsewhere_is_not_visited(local: Local) -> None:
    add(local.url, enabled=False)
    catalogue.add("remote", {"base_url": local.url, "model": "m"})
    checkup.note_providers(no_secret)

    assert (local.asked, health("mine"), health("remote")) == ([], (None, None), ("ready", None))


class Curious:
    """A runner that writes down what it is asked about."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def health(self, config: dict[str, Any]) -> Health:
        self.asked.append(config)
        return Health("degraded", "just so")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Curious:
    made = Curious()
    monkeypatch.setattr(checkup, "runner_named", lambda _name: made)
    return made


def test_the_runner_of_models_is_shown_the_agents_chain(runner: Curious, settings: Settings) -> None:
    catalogue.seed(settings)
    catalogue.change("ollama", {"base_url": "http://127.0.0.1:1/v1"})
    db.run("UPDATE providers SET last_ok_at = now()")
    acting.agent("asks", runner="llm", llm={}, providers=["anthropic", "ollama", "nobody"])
    checkup.note_health(POOLS, secret=lambda name: "sk-ant" if name == "ANTHROPIC_API_KEY" else None)

    (asked,) = [config for config in runner.asked if "provider_specs" in config]
    specs = asked["provider_specs"]
    assert [(s.provider_id, s.missing) for s in specs] == [
        ("anthropic", None),
        ("ollama", "nothing answers at http://127.0.0.1:1/v1"),
        ("nobody", "there is no provider 'nobody'; an admin can add it on the page Providers"),
    ]
    assert specs[0].api_key == "sk-ant"
    assert asked["http_allow_private"] is False
    assert told("asks") == {"status": "degraded", "reason": "just so"}


def test_other_runners_are_shown_no_providers_and_other_pools_agents_are_not_asked(runner: Curious) -> None:
    acting.agent("plain", pool="testing")
    acting.agent("asks", runner="llm", llm={}, pool="marketing")
    checkup.note_health(("testing",))

    assert len(runner.asked) == 1
    assert "provider_specs" not in runner.asked[0]


def test_a_real_llm_agent_without_any_provider_is_unavailable_with_the_reason() -> None:
    catalogue.add("mine", {"base_url": "http://127.0.0.1:9/v1", "model": "m", "key_name": "MY_KEY"})
    acting.agent("asks", runner="llm", llm={})
    checkup.note_health(("general",), secret=no_secret)

    found = told("asks")
    assert found["status"] == "unavailable"
    assert "MY_KEY" in str(found["reason"])
    checkup.note_health(("general",), secret=lambda _name: "sk")
    assert told("asks")["status"] == "ready"
