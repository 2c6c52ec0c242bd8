"""Clients that submit all the time, and send again, under the same key, whatever was not answered."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from tests.chaos.storm import orders
from tests.chaos.storm.orders import SORTS, Order
from tests.chaos.storm.product import Product
from tests.fleet import API_KEY

CLIENTS = 4
TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = (0.1, 0.6)
# So long after the end somebody still sends again what was not answered.
LAST_TRIES_SECONDS = 90.0
ANSWERS_SECONDS = 1.5
AGAIN = frozenset({408, 409, 425, 429})


@dataclass
class Sent:
    """One order, as the client saw it."""

    order: Order
    tries: int = 0
    answered: bool = False
    job_id: str | None = None
    refused: int | None = None


@dataclass
class Load:
    """Submits `rate` orders a second by several clients until it is left."""

    product: Product
    seed: int
    rate: float
    sent: list[Sent] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody should get, whatever breaks."""
    troubles: Counter[str] = field(default_factory=Counter)
    """How often a client had to try again, by what it was told."""

    def __post_init__(self) -> None:
        """Nothing is sent yet."""
        self._stopped, self._given_up = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._submitting, args=(n,), name=f"client-{n}") for n in range(CLIENTS)
        ]
        self._threads.append(threading.Thread(target=self._answering, name="person"))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._given_up.set()
        self.stop()

    def stop(self) -> None:
        """Submit nothing new; whoever still waits for an answer tries for a while."""
        self._stopped.set()
        for thread in self._threads[:-1]:
            thread.join()

    def silence(self) -> None:
        """Nobody answers questions any more."""
        self._given_up.set()
        self._threads[-1].join()

    # -- clients

    def _submitting(self, number: int) -> None:
        dice = random.Random(f"{self.seed}:client:{number}")
        names, weights = list(SORTS), [sort.weight for sort in SORTS.values()]
        with Line(self.product) as line:
            due, count = time.monotonic(), 0
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                count += 1
                kind = dice.choices(names, weights)[0]
                key = f"{self.seed}-{number}-{count}-{kind}"
                sent = Sent(SORTS[kind].make(key, dice, self.product.receiver.url))
                self.sent.append(sent)
                self._send(line, sent, dice)
                if sent.answered and sent.job_id:
                    self._afterwards(line, sent, dice)
                due = max(time.monotonic(), due + CLIENTS / self.rate)

    def _send(self, line: Line, sent: Sent, dice: random.Random) -> None:
        """Until it is answered, or until it is too late."""
        began, stopped_at = time.monotonic(), None
        while True:
            sent.tries += 1
            body, headers = orders.signed(sent.order)
            status, said = line.post(sent.order.path, body, headers)
            if 200 <= status < 300:
                sent.answered, sent.job_id = True, (said or {}).get("job_id")
                return
            if 400 <= status < 500 and status not in AGAIN:
                sent.refused = status
                is_late = time.monotonic() - began > orders.SOONEST_SECONDS
                if not (sent.order.kind == "schedule" and status == 400 and is_late):  # its time has passed
                    self.wrong.append(f"{sent.order.kind} {sent.order.key}: {status} {said}")
                return
            self.troubles[str(status or "cut off")] += 1
            if status == 500:
                self.wrong.append(f"{sent.order.kind} {sent.order.key}: 500 {said}")
            if self._stopped.is_set():
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at > LAST_TRIES_SECONDS or self._given_up.is_set():
                    return
            time.sleep(dice.uniform(*PAUSE_SECONDS))
            line.other()

    def _afterwards(self, line: Line, sent: Sent, dice: random.Random) -> None:
        """Cancel what is to be cancelled; of some others, ask how they are."""
        path = f"/api/v1/jobs/{sent.job_id}"
        if sent.order.cancels:
            time.sleep(dice.uniform(0, 0.3))
            for _ in range(10):
                status, said = line.post(f"{path}/cancel", b"{}", {})
                if 200 <= status < 300 or status == 409:
                    return
                time.sleep(dice.uniform(*PAUSE_SECONDS))
                line.other()
        elif dice.random() < 0.3:
            status, said = line.get(f"{path}/status")
            if status == 404:
                self.wrong.append(f"an accepted job is not there: {sent.job_id} {said}")

    # -- the person who answers questions

    def _answering(self) -> None:
        with Line(self.product) as line:
            while not self._given_up.wait(ANSWERS_SECONDS):
                status, said = line.get("/api/v1/approvals?status=open&limit=50")
                if status != 200 or not said:
                    line.other()
                    continue
                for question in said["approvals"]:
                    line.post(
                        f"/api/v1/approvals/{question['approval_id']}/answer", b'{"decision": "approve"}', {}
                    )


class Line:
    """One client's connection: to one web server, until that one does not answer."""

    def __init__(self, product: Product) -> None:
        """Begin with the first server."""
        self._http = httpx2.Client(
            timeout=TIMEOUT_SECONDS,
            headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
        )
        self._ports, self._at = product.ports, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._http.close()

    def other(self) -> None:
        """Ask the other server from now on."""
        self._at = 1 - self._at

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and what was said; 0 if nobody answered."""
        return self._ask("POST", path, content=body, headers=headers)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and what was said; 0 if nobody answered."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **rest: Any) -> tuple[int, Any]:
        try:
            answer = self._http.request(method, f"http://127.0.0.1:{self._ports[self._at]}{path}", **rest)
        except httpx2.TransportError:
            return 0, None
        said = None
        with suppress(ValueError):
            said = answer.json()
        return answer.status_code, said


def set_up(line: Line, product: Product) -> None:
    """The sessions and the hook that orders speak of."""
    import orjson

    def made(path: str, **body: Any) -> Any:
        status, said = line.post(path, orjson.dumps(body), {})
        assert status == 201, (path, status, said)
        return said

    for session_id in orders.SESSIONS:
        made("/api/v1/sessions", id=session_id, title="Storm", callback_url=f"{product.receiver.url}/session")
    hook = made(
        "/api/v1/hooks", slug=orders.HOOK, name="Storm", provider="standard", secret=orders.HOOK_SECRET
    )
    action = {
        "kind": "job",
        "agent_id": "storm-echo",
        "parameters": {"n": "{{body.n}}"},
        "tags": ["storm", "kind-hooked"],
        "task_name": "{{delivery}}",
    }
    made(f"/api/v1/hooks/{hook['hook_id']}/rules", name="Work", events=["storm.blew"], action=action)
