"""Who is measured, and how each keeps what it is given: the words of the table and of docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One system; `module` is its file in `sides/`, `needs` the oldest Python it runs on."""

    name: str
    title: str
    module: str
    package: str | None = None
    """Its distribution, whose version is told, and its requirements file; None: the project itself."""
    needs: str = "3.11"
    runs: str
    keeps: str
    share: float = 1.0
    """How many of the jobs it gets: so many that none is through before its second process is awake."""


PEERS = (
    Peer(
        name="callboard",
        title="Callboard",
        module="callboard",
        runs="2 processes × 8 threads",
        keeps="Postgres: every state, attempt and outcome, with history; Redis only rings",
        share=2.0,
    ),
    Peer(
        name="dramatiq",
        title="Dramatiq alone",
        module="dramatiq_alone",
        package="dramatiq",
        runs="2 processes × 8 threads",
        keeps="Redis: messages until they are acknowledged; no outcome, no history",
        share=3.0,
    ),
    Peer(
        name="celery",
        title="Celery, Postgres results",
        module="celery_postgres",
        package="celery",
        runs="2 processes (its default pool; threads cost it twice as much), late acknowledgement",
        keeps="messages in Redis, outcomes in Postgres; no history",
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate",
        module="procrastinate_postgres",
        package="procrastinate",
        runs="2 processes × 8 coroutines",
        keeps="Postgres: every state, with events",
    ),
    Peer(
        name="rq",
        title="RQ, SimpleWorker",
        module="rq_simple",
        package="rq",
        runs="2 processes (it has no threads), no fork",
        keeps="Redis: jobs and outcomes; no history",
    ),
    Peer(
        name="pgqueuer",
        title="pgqueuer",
        module="pgqueuer_postgres",
        package="pgqueuer",
        runs="2 processes, coroutines, batches of 10 (its default)",
        keeps="Postgres: the row is deleted at the end, a log row stays; written in batches",
        share=4.0,
    ),
    Peer(
        name="dbos",
        title="DBOS",
        module="dbos_postgres",
        package="dbos",
        runs="2 processes × 8 workflows, its queue looked at each second (its default)",
        keeps="Postgres: every state and step",
    ),
    Peer(
        name="oban",
        title="Oban for Python",
        module="oban_postgres",
        package="oban",
        needs="3.12",
        runs="2 processes × 8 coroutines",
        keeps="Postgres: every state; errors of attempts, no history",
        share=2.0,
    ),
)
NAMES = tuple(peer.name for peer in PEERS)


def named(names: str) -> tuple[Peer, ...]:
    """The peers with these comma-separated names, in the table's order; all when empty."""
    asked = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := asked - set(NAMES):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return tuple(peer for peer in PEERS if not asked or peer.name in asked)
