"""Every kind of fault: what it is called, what it touches, how long it lasts, and what ought to become of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    what: str
    """What is done, in words."""
    survived: str
    """What becomes of it."""
    touches: frozenset[str]
    """Two faults that touch the same do not fall together."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """The shortest and the longest it lasts; none: it is over as soon as it was done."""
    overlaps: bool = False
    """The same attempt may run in two places at once for a while, because one of them is out of reach."""


def _of(
    name: str,
    what: str,
    survived: str,
    touches: str,
    seconds: tuple[float, float] = (0.0, 0.0),
    *,
    overlaps: bool = False,
) -> Kind:
    return Kind(name, what, survived, frozenset(touches.split()), seconds, overlaps)


_TAKEN_BACK = "its jobs are taken back when their lease has ended"
_HANDED_BACK = "its jobs are handed back at once, and no retry is counted"
_BY_LOOKING = "workers look by themselves; submissions are accepted"
_BELLS = "lost bells are rung again by the sweep"
_HELD = "the API answers 503, clients send again; workers hold what they finished"
_COURIER = "each delivery is tried again, under the same id"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _of("worker-kill", "kill -9 of one worker's processes", _TAKEN_BACK, "workers"),
        _of("worker-kill-group", "kill -9 of one worker with its master", _TAKEN_BACK, "workers"),
        _of("worker-kill-master", "kill -9 of a worker's master alone", _TAKEN_BACK, "workers"),
        _of("workers-kill-all", "kill -9 of all workers at once", _TAKEN_BACK, "workers"),
        _of("worker-term", "SIGTERM to a worker's master", _HANDED_BACK, "workers"),
        _of("worker-term-twice", "SIGTERM to all processes of a worker, twice", _HANDED_BACK, "workers"),
        _of(
            "worker-term-kill", "SIGTERM, and SIGKILL a second later", "as far as it got, else as killed",
            "workers", (1, 1),
        ),
        _of(
            "worker-freeze", "a worker stopped (SIGSTOP) for longer than its lease",
            "others take over; when it wakes, its results are refused", "workers", (8, 12), overlaps=True,
        ),
        _of("workers-away", "no worker at all", "work waits", "workers", (4, 8)),
        _of("worker-poison", "a job that kills whichever worker runs it", "ends as poison, in the dead letters", "workers"),
        _of(
            "worker-clock", "a worker and a scheduler whose clocks are five minutes wrong",
            "leases and times go by the database's clock", "workers schedulers", (8, 12),
        ),
        _of("web-kill", "kill -9 of a web process", "clients send again, under the same key", "web"),
        _of("web-kill-group", "kill -9 of a web server with its master", "clients send again", "web"),
        _of("web-term", "SIGTERM to a web server", "it ends what it answers and is started again", "web"),
        _of("web-freeze", "a web server stopped (SIGSTOP)", "clients ask the other one", "web", (3, 6)),
        _of("scheduler-kill", "kill -9 of a scheduler", "the other one sweeps", "schedulers"),
        _of("scheduler-term", "SIGTERM to a scheduler", "the other one sweeps", "schedulers"),
        _of("scheduler-freeze", "a scheduler stopped (SIGSTOP)", "the other one sweeps", "schedulers", (5, 9)),
        _of("schedulers-away", "no scheduler at all", "a worker sweeps; times that passed are made up for", "schedulers", (6, 10)),
        _of("redis-flush", "FLUSHALL, five times", _BELLS, "redis", (2, 4)),
        _of("redis-empty", "Redis killed, and started again empty", _BY_LOOKING, "redis", (1, 4)),
        _of("redis-freeze", "Redis stopped (SIGSTOP)", _BY_LOOKING, "redis", (4, 10)),
        _of("redis-full", "Redis full, which refuses to take more", _BY_LOOKING, "redis", (4, 8)),
        _of("redis-evict", "Redis full, which throws keys away", _BELLS, "redis", (4, 8)),
        _of("redis-garbage", "messages that nobody can read", "dropped, and said", "redis"),
        _of("redis-twice", "each message many times over, and bells for nothing", "a bell carries no job", "redis"),
        _of("postgres-crash", "Postgres ended at once, as by a loss of power", _HELD, "postgres", (0.5, 7)),
        _of("postgres-restart", "Postgres restarted in good order", _HELD, "postgres", (0.5, 3)),
        _of("postgres-cut", "most connections ended, again and again", "all connect anew", "postgres", (2, 5)),
        _of(
            "postgres-freeze", "backends stopped (SIGSTOP)", "who waits for one waits; leases may end meanwhile",
            "postgres", (3, 7), overlaps=True,
        ),
        _of("postgres-read-only", "Postgres takes no writes", _HELD, "postgres", (3, 7)),
        _of("postgres-crowded", "no connection left (max_connections)", _HELD, "postgres", (3, 6)),
        _of("postgres-lock-table", "somebody else's lock on the table of jobs", "whoever waits for it gives up and tries again", "postgres", (3, 6)),
        _of("postgres-lock-rows", "somebody else's lock on rows of jobs", "claims skip them", "postgres", (3, 7)),
        _of("wire-redis-cut", "one worker cut off from Redis", "it looks by itself", "wire-redis", (4, 8)),
        _of("wire-redis-hole", "its Redis takes everything and answers nothing", "it looks by itself", "wire-redis", (4, 8)),
        _of("wire-redis-reply", "each answer of its Redis is lost, with the connection", "it looks by itself", "wire-redis", (3, 6)),
        _of("wire-redis-slow", "its Redis answers 200 ms later", "it works on", "wire-redis", (4, 8)),
        _of(
            "wire-postgres-cut", "one worker cut off from Postgres for longer than its lease",
            "it stops its own jobs before others may begin them", "wire-postgres", (7, 12), overlaps=True,
        ),
        _of(
            "wire-postgres-hole", "its Postgres takes everything and answers nothing",
            "it stops its own jobs before others may begin them", "wire-postgres", (5, 12), overlaps=True,
        ),
        _of(
            "wire-postgres-reply", "answers of its Postgres are lost, with the connection",
            "what was settled is settled; a claim that nobody heard of comes back", "wire-postgres", (3, 6), overlaps=True,
        ),
        _of("wire-postgres-slow", "its Postgres answers 100 ms later", "it works on, slower", "wire-postgres", (4, 8)),
        _of("disk-full", "the folder of artifacts is full", "an attempt that keeps a file fails, and is tried again", "disk", (4, 8)),
        _of("out-of-memory", "agents that take all memory", "they fail; their neighbours go on", "memory"),
        _of("huge", "parameters, results and outputs beyond every limit", "refused or shortened", "huge"),
        _of("cancel-races", "thirty cancellations at the moment of claims and ends", "one end each, and no start after it", "cancels"),
        _of("receiver-fails", "receivers of callbacks answer 500", _COURIER, "receiver", (4, 9)),
        _of("receiver-hangs", "receivers of callbacks say nothing, or hang up", _COURIER, "receiver", (4, 9)),
    )
}  # fmt: skip
