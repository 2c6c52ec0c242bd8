"""What is submitted: every way into the product, and the ends that each kind of work may have."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from standardwebhooks import Webhook

JSON = dict[str, Any]
HOOK, HOOK_SECRET = "storm", "whsec_c3Rvcm0gc3Rvcm0gc3Rvcm0gc3Rvcm0="
SESSIONS = ("storm_one", "storm_two")
COMPLETED, FAILED = frozenset({"completed"}), frozenset({"failed"})
SOONEST_SECONDS = 3.0
"""A time in the future that one names is at least so far away; a request that takes longer comes too late."""
EITHER, CANCELLED = COMPLETED | FAILED, frozenset({"completed", "cancelled"})


@dataclass(frozen=True)
class Order:
    """One request; sent again word by word until it is answered."""

    key: str
    """Also its Idempotency-Key, and the name of what it makes."""
    kind: str
    path: str
    body: JSON
    table: str = "jobs"
    """What it makes: jobs, workflows, schedules or messages."""
    headers: dict[str, str] = field(default_factory=dict)
    cancels: bool = False


@dataclass(frozen=True)
class Sort:
    """One kind of work: how often it is submitted, by what, and how it may end."""

    weight: int
    make: Callable[[str, random.Random, str], Order]
    ends: frozenset[str] = COMPLETED


def _job(
    kind: str, agent_id: str, params: Callable[[random.Random], JSON] = lambda _: {}, **more: Any
) -> Any:
    def make(key: str, dice: random.Random, callback: str) -> Order:
        priority = dice.choice(("critical", "high", "normal", "normal", "low"))
        body = {"agent_id": agent_id, "parameters": params(dice), "task_name": key, "priority": priority}
        body |= {"tags": ["storm", f"kind-{kind}"]}
        if dice.random() < 0.2:
            body["callback_url"] = f"{callback}/job"
        body |= more.get("body", {})
        if more.get("later"):
            body["run_at"] = _in(dice.uniform(1, 4))
        return Order(key, kind, "/api/v1/jobs", body, cancels=bool(more.get("cancels")))

    return make


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _flow(key: str, dice: random.Random, _callback: str) -> Order:
    def step(step_id: str, agent_id: str, **parameters: Any) -> JSON:
        return {"step_id": step_id, "agent_id": agent_id, "parameters": parameters}

    ask = {
        "step_id": "ask",
        "type": "approval",
        "question": "Go on?",
        "on_timeout": "approve",
        "deadline_minutes": 1,
    }
    two = [step("left", "storm-nap", seconds=0.2), step("right", "storm-flaky", failures=1)]
    steps = [step("first", "storm-echo", n=1), {"step_id": "both", "type": "parallel", "tasks": two}]
    steps += [ask] if dice.random() < 0.4 else []
    steps += [step("last", "storm-echo", n="{{steps.left.output.slept}}")]
    return Order(key, "flow", "/api/v1/workflows", {"name": key, "steps": steps}, table="workflows")


def _schedule(key: str, dice: random.Random, _callback: str) -> Order:
    body = {"agent_id": "storm-echo", "parameters": {"n": 2}, "schedule_type": "one_time", "name": key}
    return Order(
        key,
        "schedule",
        "/api/v1/schedules",
        body | {"execute_at": _in(dice.uniform(SOONEST_SECONDS, 2 * SOONEST_SECONDS))},
        table="schedules",
    )


def _delegated(key: str, dice: random.Random, _callback: str) -> Order:
    body = {
        "agent_id": "storm-nap",
        "parameters": {"seconds": 0.2},
        "title": key,
        "tags": ["storm", "kind-delegated"],
    }
    return Order(key, "delegated", f"/api/v1/sessions/{dice.choice(SESSIONS)}/jobs", body)


def _message(key: str, dice: random.Random, _callback: str) -> Order:
    path = f"/api/v1/sessions/{dice.choice(SESSIONS)}/messages"
    return Order(key, "message", path, {"chunks": [{"speaker": "Storm", "text": key}]}, table="messages")


def _hooked(key: str, _dice: random.Random, _callback: str) -> Order:
    return Order(key, "hooked", f"/hooks/{HOOK}", {"type": "storm.blew", "n": 3})


def signed(order: Order) -> tuple[bytes, dict[str, str]]:
    """What is sent: the body, and the headers that go with it. A webhook is signed anew each time."""
    data = orjson.dumps(order.body)
    if order.kind != "hooked":
        return data, {"Idempotency-Key": order.key}
    now = datetime.now(UTC)
    signature = Webhook(HOOK_SECRET).sign(order.key, now, data.decode())
    return data, {
        "webhook-id": order.key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def _seconds(least: float, most: float) -> Callable[[random.Random], JSON]:
    return lambda dice: {"seconds": round(dice.uniform(least, most), 2)}


ASK = {"question": "May I?", "options": ["approve", "reject"]}
SORTS: dict[str, Sort] = {
    "noop": Sort(20, _job("noop", "test-noop")),
    "echo": Sort(12, _job("echo", "storm-echo", lambda dice: {"n": dice.randrange(1000)})),
    "nap": Sort(14, _job("nap", "storm-nap", _seconds(0.05, 0.6))),
    "slow": Sort(5, _job("slow", "storm-nap", _seconds(3, 7))),
    "stubborn": Sort(3, _job("stubborn", "storm-stubborn", _seconds(3, 6))),
    "flaky": Sort(7, _job("flaky", "storm-flaky", lambda dice: {"failures": dice.randint(1, 2)}), EITHER),
    "doomed": Sort(2, _job("doomed", "storm-flaky", lambda _: {"kind": "permanent", "failures": 99}), FAILED),
    "limited": Sort(5, _job("limited", "storm-limited", _seconds(0.05, 0.3))),
    "rated": Sort(3, _job("rated", "storm-rated")),
    "later": Sort(4, _job("later", "storm-echo", later=True)),
    "cancelled": Sort(5, _job("cancelled", "storm-nap", _seconds(0.2, 2), cancels=True), CANCELLED),
    "tree": Sort(2, _job("tree", "storm-tree", _seconds(0.2, 1.5))),
    "cancelled-tree": Sort(1, _job("cancelled-tree", "storm-tree", _seconds(1, 3), cancels=True), CANCELLED),
    "timed": Sort(1, _job("timed", "storm-tree", lambda _: {"seconds": 30}, body={"timeout": 1, "max_retries": 0}), FAILED),
    "parent": Sort(3, _job("parent", "storm-parent")),
    "spender": Sort(3, _job("spender", "storm-spender")),
    "maker": Sort(3, _job("maker", "storm-maker"), EITHER),
    "asker": Sort(2, _job("asker", "storm-asker", lambda _: {"ask": ASK})),
    "flow": Sort(2, _flow),
    "schedule": Sort(2, _schedule),
    "delegated": Sort(3, _delegated),
    "message": Sort(2, _message),
    "hooked": Sort(3, _hooked),
}  # fmt: skip

# By the word in a job's tag; of those that only faults submit, too.
ENDS: dict[str, frozenset[str]] = {name: sort.ends for name, sort in SORTS.items()} | {
    "poison": FAILED,
    "hog": FAILED,
    "large": EITHER,
    "too-large": EITHER,
    "flood": EITHER,
    "huge": EITHER,
}
