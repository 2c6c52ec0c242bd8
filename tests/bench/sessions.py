"""A hundred sessions and more at once: how long commands and questions take, whether anything is lost, and callbacks.

    make bench-sessions      or    python -m tests.bench.sessions [--sessions 200] [--messages 200] [--seconds 20] [--threads 16]

Every session is filled first. Then so many threads send commands through the same room that the endpoints use, each in
a transaction of its own, and ask the questions that pages and programs ask. Last, jobs are handed out one at a time to
a real worker: milliseconds from the end of a job to the receipt of its signed event by a real receiver.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actors.broker import make_ringer
from app import seal_by
from app import settings as configuration
from app.accounts import users
from app.accounts.permissions import Principal
from app.db import db, make_engine
from app.jobs import dispatch
from app.notify import secrets, setup
from app.notify.setup import Setup
from app.sessions import changes, commands, events, memory, queries
from tests.bench.callbacks import figures
from tests.bench.drain import _dramatiq, _two_workers, servers
from tests.waiting import until
from tests.webhook_receiver import Receiver, receiving

WORDS = "harbour tide ferry crane lighthouse lobster pier anchor buoy sail".split()
_GAPS = """
    SELECT (SELECT count(*) FROM (SELECT count(*) AS n, max(place) AS last, min(s.message_count) AS said
                                  FROM session_messages m JOIN sessions s USING (session_id) GROUP BY session_id) p
            WHERE n <> last OR n <> said)
         + (SELECT count(*) FROM (SELECT count(*) AS n, max(seq) AS last, min(s.last_seq) AS told
                                  FROM session_events e JOIN sessions s USING (session_id) GROUP BY session_id) q
            WHERE n <> last OR n <> told)"""


def owner() -> Principal:
    """Somebody new."""
    with db.transaction():
        row = users.create(f"bench{time.time_ns()}@sessions.test", None, role="user")
    return Principal(user_id=str(row["user_id"]), email=row["email"], role="user")


def do(who: Principal, session_id: str, command: str, **payload: Any) -> dict[str, Any]:
    """One command in a transaction of its own."""
    with db.transaction():
        envelope = {"command": command, "session_id": session_id, "payload": payload}
        return commands.carry_out(envelope, who).body


def chunks(count: int) -> list[dict[str, Any]]:
    """So many pieces of a conversation, of forty words each."""
    return [{"speaker": "Ada", "text": " ".join(random.choices(WORDS, k=40))} for _ in range(count)]


def fill(who: Principal, sessions: list[str], messages: int) -> None:
    """All of them, with so many messages and a tenth as many memories each."""
    for session_id in sessions:
        with db.transaction():
            changes.create(session_id, who=who, title=" ".join(random.choices(WORDS, k=3)))
        for start in range(0, messages, 500):
            do(who, session_id, "conversation_batch", chunks=chunks(min(500, messages - start)))
        for n in range(max(1, messages // 10)):
            do(who, session_id, "store_memory", key=f"k{n}", content=" ".join(random.choices(WORDS, k=30)))
    with db.quick():
        db.run("ANALYZE")


def asked(who: Principal) -> dict[str, Callable[[str], object]]:
    """What is done and asked, by name; the first two are written down."""
    return {
        "conversation_batch": lambda s: do(who, s, "conversation_batch", chunks=chunks(3)),
        "store_memory": lambda s: do(
            who, s, "store_memory", key=f"k{random.randrange(20)}", content="x " * 30
        ),
        "query_memories": lambda s: _quickly(lambda: memory.page(s, query=random.choice(WORDS), limit=20)),
        "events": lambda s: _quickly(lambda: events.after(s, 0, 100)),
        "document": lambda s: _quickly(lambda: queries.document(s, who, most=100)),
        "list": lambda _: _quickly(lambda: queries.page(who, limit=50)),
        "list, a word": lambda _: _quickly(lambda: queries.page(who, q=random.choice(WORDS), limit=50)),
    }


def _quickly(ask: Callable[[], object]) -> object:
    with db.quick():
        return ask()


def together(who: Principal, sessions: list[str], seconds: float, threads: int) -> dict[str, Any]:
    """All kinds by all threads for so long: {ms: {kind: {n, p50, p95, max}}, per_second}."""
    kinds, end = asked(who), time.monotonic() + seconds

    def work(_: int) -> list[tuple[str, float]]:
        taken = []
        while time.monotonic() < end:
            for kind, ask in kinds.items():
                began = time.perf_counter()
                ask(random.choice(sessions))
                taken.append((kind, (time.perf_counter() - began) * 1000))
        return taken

    with ThreadPoolExecutor(threads) as pool:
        taken = [each for part in pool.map(work, range(threads)) for each in part]
    by_kind = {kind: sorted(ms for name, ms in taken if name == kind) for kind in kinds}
    ms = {kind: {"n": len(all_), **figures(all_)} for kind, all_ in by_kind.items()}
    return {"ms": ms, "per_second": round(len(taken) / seconds)}


def callbacks(who: Principal, receiver: Receiver, samples: int) -> list[float]:
    """Milliseconds from the end of a job to the receipt of its event, sorted."""
    with db.transaction():
        changes.create(f"calls-{time.time_ns()}", who=who, callback_url=receiver.url)
    with db.quick():
        session_id = queries.page(who, limit=1)["items"][0]["session_id"]
    jobs = []
    for _ in range(samples):
        jobs.append(do(who, session_id, "delegate_task", agent_id="test-noop")["ids"][0])
        until(lambda: len(ended(receiver)) == len(jobs), 30)
    heard = {each.json["data"]["data"]["job_id"]: each.at for each in ended(receiver)}
    with db.quick():
        rows = db.rows(
            "SELECT job_id::text, extract(epoch FROM finished_at)::float8 AS at FROM jobs WHERE job_id = ANY(%(jobs)s::uuid[])",
            jobs=jobs,
        )
    return sorted((heard[row["job_id"]] - row["at"]) * 1000 for row in rows)


def ended(receiver: Receiver) -> list[Any]:
    """The genuine events of jobs that are done."""
    return [each for each in receiver.got if each.verified and each.json["type"] == "job.completed"]


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fill, work, look whether all is there, hand out jobs."""
    os.environ |= {"CALLBOARD_ENV": "test", "HTTP_ALLOW_PRIVATE": "true"}
    settings = configuration.load()
    seal_by(settings)
    setup.use(Setup(allow_private=True))
    db.open(make_engine(settings.database_url, pool_size=chosen.threads + 4))
    dispatch.use(make_ringer(settings.redis_url).ring)
    who = owner()
    sessions = [f"bench-{time.time_ns()}-{n}" for n in range(chosen.sessions)]
    fill(who, sessions, chosen.messages)
    found = together(who, sessions, chosen.seconds, chosen.threads)
    with db.quick():
        said = db.value("SELECT count(*) FROM session_messages WHERE session_id = ANY(%(s)s)", s=sessions)
        gaps = db.value(_GAPS)
    expected = chosen.sessions * chosen.messages + 3 * found["ms"]["conversation_batch"]["n"]
    with receiving() as receiver:
        with db.transaction():
            receiver.secrets = [secrets.of_callbacks(who.user_id)]
        worker = _dramatiq("actors.worker")
        try:
            until(_two_workers, 30)
            told = callbacks(who, receiver, chosen.samples)
        finally:
            worker.terminate()
            worker.wait(30)
    return {
        "machine": {"processors": os.cpu_count(), "load": [round(each, 2) for each in os.getloadavg()]},
        "sessions": chosen.sessions,
        "threads": chosen.threads,
        **found,
        "lost": expected - said,
        "gaps": gaps,
        "callback_ms": figures(told),
    }


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--messages", type=int, default=200, help="in each session, before it begins")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--samples", type=int, default=30, help="jobs of which the callback is measured")
    chosen = parser.parse_args()
    with servers():
        print(json.dumps(measure(chosen), indent=1))


if __name__ == "__main__":
    main()
