"""What a soak writes down of a running Callboard every few seconds: processes, connections, tables, Redis."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psutil
import redis

from tests.bench.trend import Series, per_job
from tests.fleet import Fleet

# What retention does not remove within a run: it only has to grow evenly.
KEPT = ("audit_log", "audit_chain")
TABLES = (
    "jobs", "job_attempts", "job_history", "job_events", "task_history", "dead_letters", "followups", "workflows",
    "workflow_steps", "schedule_fires", "idempotency_keys", "notifications", "deliveries", "usage_events", "workers",
    "agent_slots", "queues", "upkeep", *KEPT,
)  # fmt: skip
_SIZES = """
    SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size, pg_indexes_size(c.oid) AS indexes,
           s.n_dead_tup AS dead
    FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relname = ANY(%(tables)s)"""
_SERVER = """
    SELECT count(*) FILTER (WHERE backend_type = 'client backend') AS connections,
           coalesce(max(extract(epoch FROM now() - xact_start)) FILTER (WHERE backend_type = 'client backend'), 0)::float
               AS oldest
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()"""


class Samples:
    """All figures so far; `take` adds one of each."""

    def __init__(self, fleet: Fleet, broker: redis.Redis) -> None:
        """Nothing is taken yet."""
        self.fleet, self.broker = fleet, broker
        self.taken: list[dict[str, float]] = []

    def take(self, jobs: int) -> dict[str, float]:
        """One figure of each kind, after so many jobs ended."""
        found: dict[str, float] = {"jobs": float(jobs)}
        for name, unit in self.fleet.units.items():
            found |= {f"{name}: {figure}": value for figure, value in of_tree(unit.pid).items()}
        postmaster = self.fleet.pair.postgres.child.pid
        found["postgres: own memory"] = of_tree(postmaster, own=True)["memory"]
        (server,) = self.fleet.rows(_SERVER)
        found |= {"connections": server["connections"], "oldest transaction": server["oldest"]}
        for row in self.fleet.rows(_SIZES, {"tables": list(TABLES)}):
            found[f"{row['name']}: size"] = row["size"]
            found[f"{row['name']}: indexes"] = row["indexes"]
            found[f"{row['name']}: dead rows"] = row["dead"]
        told: Any = self.broker.info("memory")
        keys: Any = self.broker.dbsize()
        found |= {"redis: memory": told["used_memory"], "redis: keys": keys}
        self.taken.append(found)
        return found

    def series(self) -> dict[str, Series]:
        """By name, each figure over the run, and how it is judged."""
        jobs = [sample["jobs"] for sample in self.taken]
        found = {}
        for name in self.taken[-1]:
            values = [sample[name] for sample in self.taken if name in sample]
            table, _, figure = name.partition(": ")
            if name != "jobs" and len(values) == len(jobs):
                if table in KEPT and figure != "dead rows":
                    found[f"{name} per job"] = Series("per job", per_job(values, jobs))
                else:
                    found[name] = Series(_KINDS.get(figure or name, "count"), values)
        return found


_KINDS = {
    "memory": "memory", "own memory": "memory", "size": "size", "indexes": "size", "dead rows": "rows",
    "oldest transaction": "seconds", "keys": "keys",
}  # fmt: skip


def of_tree(pid: int, *, own: bool = False) -> dict[str, float]:
    """{memory (PSS, or what is their own alone), files, threads} of a process and those below it."""
    total = {"memory": 0.0, "files": 0.0, "threads": 0.0}
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for each in [top, *top.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = each.memory_full_info()
                total["memory"] += memory.uss if own else memory.pss
                total["files"] += each.num_fds()
                total["threads"] += each.num_threads()
    return total
