"""Checks of Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import redis

from app.ops.doctor.findings import Said, error, info, warning
from app.ops.doctor.place import Place, is_here, is_private
from app.transport import option

SLOW_MS = 50


def answers(place: Place) -> Iterator[Said]:
    """Whether it answers, and how fast."""
    fix = "Check REDIS_URL and that the server runs; until then workers look for work every LOOK_SECONDS"
    if not place.settings.redis_url:
        yield error(
            f"There is no Redis: REDIS_URL is not set, and no Callboard runs in {place.settings.home}",
            "Jobs start later, and limits of requests are counted by each process alone.",
            "make run, or set REDIS_URL",
        )
        return
    try:
        place.redis.ping()
        began = time.monotonic()
        told: dict[str, Any] = place.redis.info("server")
    except redis.RedisError as away:
        yield error(
            f"Redis does not answer: {type(away).__name__}",
            "Jobs start later, and limits of requests are counted by each process alone.",
            fix,
        )
        return
    milliseconds = (time.monotonic() - began) * 1000
    name = "Valkey" if "valkey_version" in told else "Redis"
    yield f"{name} {told.get('valkey_version') or told.get('redis_version')}, answers in {milliseconds:.1f} ms"
    if milliseconds > SLOW_MS:
        yield warning(
            f"Redis takes {milliseconds:.0f} ms to answer",
            "Every submission rings there, and every write is counted there.",
            "Put Callboard and Redis into the same region",
        )


def memory(place: Place) -> Iterator[Said]:
    """Whether it keeps what it has when memory is short, and whether memory is short."""
    told: dict[str, Any] = place.redis.info("memory")
    used, most, policy = (
        told["used_memory"],
        told.get("maxmemory", 0),
        told.get("maxmemory_policy", "noeviction"),
    )
    yield f"{used / 1_000_000:.1f} MB used{f' of {most / 1_000_000:.0f} MB' if most else ''}, {policy}"
    if policy != "noeviction":
        yield warning(
            f"Redis throws keys away when memory is short (maxmemory-policy is {policy})",
            "Bells and counted requests vanish: jobs start later, and limits are forgotten.",
            "redis-cli CONFIG SET maxmemory-policy noeviction, or the same in your provider's settings",
        )
    if most and used > 0.8 * most:
        yield warning(
            f"Redis uses {100 * used / most:.0f} % of its memory",
            "When it is full it takes no more bells.",
            "Give it more memory; Callboard itself needs a few MB, so see who else uses it: redis-cli --bigkeys",
        )


def persistence(place: Place) -> Iterator[Said]:
    """Whether it writes anything down."""
    told: dict[str, Any] = place.redis.info("persistence")
    if told.get("rdb_last_bgsave_status", "ok") != "ok" or told.get("aof_last_write_status", "ok") != "ok":
        yield warning(
            "Redis could not save to its disk the last time",
            "It may refuse all writes until it can.",
            "Look at the disk and the log of Redis",
        )
    if told.get("aof_enabled"):
        yield "append-only file"
        return
    yield info(
        "Redis keeps no append-only file",
        "No job is lost by that: Postgres has them all. After a crash bells are rung again and limits begin anew.",
        "redis-cli CONFIG SET appendonly yes",
    )


def encryption(place: Place) -> Iterator[Said]:
    """Whether the way to Redis is encrypted and closed to others."""
    url = urlsplit(place.settings.redis_url)
    host = url.hostname or ""
    if url.scheme == "unix" or is_here(host):
        yield "on this machine"
        return
    tell = warning if is_private(host) else error
    if url.scheme != "rediss":
        yield tell(
            f"What goes to Redis at {host} is not encrypted",
            "Whoever listens on the way reads its password, and can then ring bells and lift limits.",
            "Let REDIS_URL begin with rediss://, with REDIS_SSL_CA=/path/to/ca.pem for an authority of your own",
        )
    elif option(place.settings.redis_url, "ssl_cert_reqs") in ("none", "optional"):
        yield warning(
            "Redis' certificate is not checked (ssl_cert_reqs)",
            "Whoever can stand in between can pretend to be Redis.",
            "Take ssl_cert_reqs out of REDIS_URL, or REDIS_SSL_VERIFY=false away, and set REDIS_SSL_CA, where your provider gives one",
        )
    if not url.password:
        yield tell(
            f"Redis at {host} wants no password",
            "Whoever reaches it can empty it.",
            "Give it a password (requirepass) and write it into REDIS_URL: rediss://:password@host:6379/0",
        )
