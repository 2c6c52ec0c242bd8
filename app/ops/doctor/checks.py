"""The table of all checks, in the order in which they are told."""

from __future__ import annotations

from app.ops.doctor import broker, machine, postgres, safety, work
from app.ops.doctor.findings import Check

# Without these two most others cannot look.
POSTGRES = Check("postgres", "Postgres", postgres.answers)
BROKER = Check("redis", "Redis", broker.answers)

CHECKS: tuple[Check, ...] = (
    Check("postgres_schema", "The schema", postgres.migrations, "postgres"),
    Check("postgres_connections", "Connections to Postgres", postgres.connections, "postgres"),
    Check("postgres_durability", "What Postgres writes down", postgres.durability, "postgres"),
    Check("postgres_limits", "Limits of statements", postgres.limits),
    Check("postgres_standby", "The Postgres for reading", postgres.standby, "postgres"),
    Check("postgres_tls", "The way to Postgres", postgres.encryption, "postgres"),
    Check("postgres_role", "The role in Postgres", postgres.role, "postgres"),
    Check("postgres_upkeep", "Old transactions and dead rows", postgres.upkeep, "postgres"),
    Check("clock", "Clocks", postgres.clock, "postgres"),
    Check("redis_memory", "Memory of Redis", broker.memory, "redis"),
    Check("redis_persistence", "What Redis writes down", broker.persistence, "redis"),
    Check("redis_tls", "The way to Redis", broker.encryption),
    Check("workers", "Workers", work.workers, "postgres"),
    Check("scheduler", "The scheduler", work.scheduler, "postgres"),
    Check("stuck_jobs", "Jobs that got stuck", work.stuck_jobs, "postgres"),
    Check("waiting_jobs", "Jobs that wait", work.waiting_jobs, "postgres"),
    Check("dead_letters", "Dead letters", work.dead_letters, "postgres"),
    Check("alerts", "Alerts", work.alerts, "postgres"),
    Check("providers", "Model providers", work.providers, "postgres"),
    Check("agents", "Agents", work.agents, "postgres"),
    Check("keys", "Keys", safety.keys),
    Check("key_age", "Age of keys", safety.key_ages, "postgres"),
    Check("home", "The home folder", safety.home),
    Check("people", "People", safety.people, "postgres"),
    Check("api_keys", "API keys", safety.api_keys, "postgres"),
    Check("addresses", "Addresses and https", safety.addresses),
    Check("network", "What agents may reach", safety.network),
    Check("audit", "The audit's chain", safety.audit_chain, "postgres"),
    Check("disk", "Disk", machine.disk),
    Check("mail", "Mail", machine.mail),
    Check("news", "Who hears of alerts", machine.news),
    Check("backups", "Backups", machine.backups, "postgres"),
    Check("program", "Python and this machine", machine.program),
    Check("dependencies", "Known holes in dependencies", machine.dependencies),
)
