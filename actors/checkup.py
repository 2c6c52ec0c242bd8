"""Whether providers and agents could be used here: found out by each worker, kept for everybody to see."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import httpx2
import orjson

from actors.desk import Secret, specs_of
from actors.models import local_demo
from actors.runners import get as runner_named
from actors.runners.base import ProviderSpec
from app.agents import registry
from app.agents.registry import AgentRecord
from app.db import Row
from app.providers import catalogue, queries

USES_PROVIDERS = ("llm", "pipeline")
# Looking must not cost a worker its beat: one try, a second, and no long answers.
LOOK_SECONDS = 1.0
MOST_BYTES = 1_000_000
AT_ONCE = 8

Found = tuple[str, str | None]


def note_health(
    pools: tuple[str, ...], *, http_allow_private: bool = False, secret: Secret = lambda _name: None
) -> None:
    """Look at the providers, ask the runner of each agent of `pools`, and write down what they say."""
    providers = note_providers(secret)
    found: dict[str, Found] = {}
    registry.forget()
    for agent in registry.all_agents():
        if agent.pool in pools:
            config = agent.runner_config | {"http_allow_private": http_allow_private}
            if agent.runner in USES_PROVIDERS:
                config["provider_specs"] = _specs(providers, agent, secret)
            if agent.runner == "pipeline":
                config["publishes"] = bool(secret("STRAPI_URL"))
            health = runner_named(agent.runner).health(config)
            found[agent.agent_id] = (health.status, health.reason)
    registry.note_health(found)


def note_providers(secret: Secret) -> list[Row]:
    """Look at each provider that is switched on and keep what was found; answers all of them as they are now."""
    rows = queries.every()
    found = looked_at([row for row in rows if row["enabled"]], secret)
    if found:
        catalogue.note_health(found)
    return [
        row | dict(zip(("health_status", "health_reason"), found[row["provider_id"]], strict=True))
        if row["provider_id"] in found
        else row
        for row in rows
    ]


def looked_at(rows: list[Row], secret: Secret) -> dict[str, Found]:
    """{provider_id: (status, reason)}: is the key there, and does what runs on our own machines answer?"""
    found: dict[str, Found] = {}
    local: list[Row] = []
    for row in rows:
        if row["key_name"] and not secret(row["key_name"]):
            found[row["provider_id"]] = ("unavailable", f"set {row['key_name']} for the workers")
        elif row["provider_id"] == local_demo.PROVIDER_ID:  # served by the worker itself, once it is asked
            why = local_demo.missing()
            found[row["provider_id"]] = ("unavailable", why) if why else ("ready", None)
        elif row["billing"] == "local":
            local.append(row)
        else:
            found[row["provider_id"]] = ("ready", None)
    if local:
        found |= _visited(local, secret)
    return found


def _visited(rows: list[Row], secret: Secret) -> dict[str, Found]:
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="checkup")
    calls = {row["provider_id"]: threads.submit(_visit, row, secret) for row in rows}
    wait(calls.values(), timeout=2 * LOOK_SECONDS)
    threads.shutdown(wait=False, cancel_futures=True)
    late: Found = ("unavailable", f"does not answer within {2 * LOOK_SECONDS:g} s")
    return {
        name: call.result() if call.done() and not call.cancelled() else late for name, call in calls.items()
    }


def _visit(row: Row, secret: Secret) -> Found:
    """Ask for its list of models, which costs nothing."""
    url = row["base_url"] + ("/v1/models" if row["kind"] == "anthropic" else "/models")
    key = secret(row["key_name"]) if row["key_name"] else None
    try:
        status, body = _get(url, {"Authorization": f"Bearer {key}"} if key else {})
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError):
        return "unavailable", f"nothing answers at {row['base_url']}"
    if status in (401, 403):
        return "unavailable", f"{row['base_url']} refuses the key ({status})"
    if status >= 400:
        return "degraded", f"{url} answers {status}"
    models = listed(body)
    if models is not None and row["model"] not in models:
        return "degraded", f"answers, but does not list the model {row['model']}"
    return "ready", None


def _get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    body, end = b"", time.monotonic() + LOOK_SECONDS
    with (
        httpx2.Client(timeout=LOOK_SECONDS, trust_env=False) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > end:
                break
        return response.status_code, body


def listed(body: bytes) -> list[str] | None:
    """The ids in a list of models as OpenAI writes it; None if it is not one."""
    try:
        said: Any = orjson.loads(body)
        return [str(model["id"]) for model in said["data"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _specs(rows: list[Row], agent: AgentRecord, secret: Secret) -> list[ProviderSpec]:
    """The agent's chain; here a local model that does not answer now is missing, whatever it did before."""
    away = {r["provider_id"]: r["health_reason"] for r in rows if r["health_status"] == "unavailable"}
    return [
        replace(spec, missing=spec.missing or away.get(spec.provider_id))
        for spec in specs_of(rows, agent.providers, secret)
    ]
