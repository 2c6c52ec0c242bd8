"""Checks of Postgres."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2

from app.db import AWAY, db
from app.ops.doctor.findings import Said, error, info, warning
from app.ops.doctor.place import Place, is_here, is_private
from app.replica import STANDING
from app.settings import ROOT
from app.transport import option

OLDEST_VERSION = 14
SLOW_MS = 50
SCHEDULER_CONNECTIONS = 10
MIGRATIONS = ROOT / "migrations" / "versions"


def answers(place: Place) -> Iterator[Said]:
    """Whether it answers, how fast, and which one it is."""
    if not place.settings.database_url:
        yield error(
            f"There is no Postgres: DATABASE_URL is not set, and no Callboard runs in {place.settings.home}",
            "All jobs are kept in Postgres.",
            "make run, or set DATABASE_URL or CALLBOARD_HOME",
        )
        return
    try:
        with db.quick():
            began = time.monotonic()
            version = int(db.value("SELECT current_setting('server_version_num')"))
            milliseconds = (time.monotonic() - began) * 1000
    except AWAY as away:
        yield error(
            f"Postgres does not answer: {_first_line(away)}",
            "Nothing can be submitted, claimed or shown.",
            "Check DATABASE_URL, that the server runs, and that its firewall lets this machine in",
        )
        return
    yield f"Postgres {version // 10000}.{version % 10000}, answers in {milliseconds:.1f} ms"
    if version < OLDEST_VERSION * 10000:
        yield error(
            f"Postgres {version // 10000} is too old",
            "Callboard uses what came with later versions, and this one gets no security fixes.",
            f"Upgrade to Postgres {OLDEST_VERSION} or later; 18 is tested",
        )
    if milliseconds > SLOW_MS:
        yield warning(
            f"Postgres takes {milliseconds:.0f} ms to answer",
            "Every page and every claim asks it several times.",
            "Put Callboard and Postgres into the same region",
        )


def migrations(_place: Place) -> Iterator[Said]:
    """Whether the schema is the one this version wants."""
    wanted = head(MIGRATIONS)
    try:
        found = str(db.value("SELECT string_agg(version_num, ' ' ORDER BY version_num) FROM alembic_version"))
    except psycopg2.errors.UndefinedTable:
        found = "empty"
    if found == wanted:
        yield f"at {found}"
        return
    yield error(
        f"The schema is {found}, and this version of Callboard wants {wanted}",
        "Code and tables do not fit each other.",
        "callboard prepare, with the version that is to run",
    )


def head(folder: Path) -> str:
    """The newest of the migrations in `folder`."""
    texts = [path.read_text() for path in folder.glob("*.py")]
    made = {
        found[1] for text in texts if (found := re.search(r"^revision\b.*=\s*['\"](\w+)", text, re.MULTILINE))
    }
    built_on = {
        found[1]
        for text in texts
        if (found := re.search(r"^down_revision\b.*=\s*['\"](\w+)", text, re.MULTILINE))
    }
    return " ".join(sorted(made - built_on))


def connections(place: Place) -> Iterator[Said]:
    """Whether all processes together may have the connections they can want."""
    row = db.row(
        """SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
                  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used"""
    )
    assert row is not None
    busy, full = wanted_connections(place)
    most, used = int(row["most"]), int(row["used"])
    yield f"{used} of {most} used; this configuration opens {busy} under load, {full} at most"
    fix = "Lower DB_POOL_SIZE, DB_MAX_OVERFLOW, WEB_THREADS or WORKER_THREADS, or raise max_connections"
    if busy > most:
        yield warning(
            f"{busy} connections are wanted under load, and Postgres allows {most}",
            "Requests and workers that get none fail after two seconds.",
            fix,
        )
    elif full > most:
        yield info(
            f"The pools may open {full} connections, and Postgres allows {most}",
            "It is enough for as many requests as there are threads; more hosts need more.",
            fix,
        )
    if used > most * 0.9:
        yield warning(f"{used} of {most} connections are used", "The next ones are refused.", fix)


def wanted_connections(place: Place) -> tuple[int, int]:
    """How many connections one of each process opens: in practice, and as far as its pool goes."""
    s = place.settings
    pool = s.db_pool_size + s.db_max_overflow
    workers = s.worker_processes * (min(s.db_pool_size, s.worker_threads + 4) + s.worker_threads)
    web = s.web_processes * min(pool, 2 * s.web_threads)
    rest = workers + SCHEDULER_CONNECTIONS
    return web + rest, s.web_processes * pool + rest


def durability(_place: Place) -> Iterator[Said]:
    """Whether what was committed survives a crash."""
    row = db.row("SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, current_setting('synchronous_commit') AS commits")  # fmt: skip
    assert row is not None
    if "off" in (row["fsync"], row["pages"]):
        yield error(
            "Postgres does not write through to the disk (fsync or full_page_writes is off)",
            "A power cut or a crash of the machine can destroy the whole database.",
            "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()",
        )
    elif row["commits"] == "off":
        yield warning(
            "Postgres acknowledges before it has written (synchronous_commit is off)",
            "Jobs that were accepted within the last second may be gone after a crash.",
            "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf()",
        )


def limits(place: Place) -> Iterator[Said]:
    """Whether statements that take for ever are ended."""
    seconds = place.settings.db_statement_timeout_ms / 1000
    yield f"statements end after {seconds:g} s"
    if seconds > 120:
        yield warning(
            f"A statement may take {seconds:g} s",
            "One slow page after another can take all connections.",
            "DB_STATEMENT_TIMEOUT_MS=15000",
        )


_SERVER = "SELECT system_identifier::text FROM pg_control_system()"


def standby(place: Place) -> Iterator[Said]:
    """Whether the Postgres for reading follows this one closely enough to be read."""
    url, most = place.settings.database_read_url, place.settings.database_read_lag
    if not url:
        yield "none: DATABASE_URL answers everything"
        return
    fix = "Let DATABASE_READ_URL name a streaming standby of DATABASE_URL's server, or take it away"
    does = "DATABASE_URL answers all figures and searches instead."
    try:
        with (
            closing(psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=2)) as line,
            line.cursor() as cursor,
        ):
            cursor.execute(f"SELECT is_standby, behind, ({_SERVER}) FROM ({STANDING}) s")
            is_standby, behind, server = cursor.fetchone() or (False, None, None)
    except psycopg2.Error as away:
        yield warning(f"The standby does not answer: {_first_line(away)}", does, fix)
        return
    if not is_standby:
        yield warning("DATABASE_READ_URL is no standby: it takes writes of its own", does, fix)
    elif server != db.value(_SERVER):
        yield error(
            "The standby follows another server than DATABASE_URL",
            "Figures and searches would be those of another Callboard.",
            fix,
        )
    elif behind is None or behind > most:
        said = "for longer than it runs" if behind is None else f"{behind:.0f} s ago"
        yield warning(
            f"What the standby has was written {said}, and at most {most:g} s are wanted",
            does,
            "Look at the replication; while neither worker nor scheduler runs, nothing is written",
        )
    else:
        yield f"{behind:.1f} s behind"


def encryption(place: Place) -> Iterator[Said]:
    """Whether the way to Postgres is encrypted, and whether it is known who answers."""
    url = place.settings.database_url
    with closing(psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=2)) as line:
        host, protocol = line.info.host or "", line.info.ssl_attribute("protocol")
    yield from way(host, protocol, option(url, "sslmode"))


def way(host: str, protocol: str | None, mode: str) -> Iterator[Said]:
    """What to say of a connection to `host` by `protocol`, None if it is not encrypted."""
    here = host.startswith("/") or is_here(host)
    yield f"{protocol or 'not encrypted'}{', on this machine' if here else ''}"
    if here:
        return
    if not protocol:
        tell = warning if is_private(host) else error
        yield tell(
            f"What goes to Postgres at {host} is not encrypted",
            "Whoever listens on the way reads jobs, results and password hashes.",
            "DB_SSLMODE=verify-full and DB_SSLROOTCERT=/path/to/ca.pem (or DB_SSLMODE=require)",
        )
    elif mode not in ("verify-ca", "verify-full"):
        yield info(
            "Postgres' certificate is not checked",
            "Whoever can stand in between can pretend to be Postgres.",
            "DB_SSLMODE=verify-full and DB_SSLROOTCERT=/path/to/ca.pem, where your provider gives one",
        )


def clock(_place: Place) -> Iterator[Said]:
    """Whether this machine and Postgres agree on the time."""
    before = time.time()
    theirs = float(db.value("SELECT extract(epoch FROM clock_timestamp())"))
    skew = theirs - (before + time.time()) / 2
    yield f"{abs(skew) * 1000:.0f} ms apart"
    if abs(skew) > 2:
        tell = error if abs(skew) > 30 else warning
        yield tell(
            f"The clocks of this machine and of Postgres are {abs(skew):.1f} s apart",
            "Sign-ins, signatures of webhooks and schedules depend on the time.",
            "Let both machines keep time by NTP: timedatectl set-ntp true",
        )


def upkeep(_place: Place) -> Iterator[Said]:
    """Whether vacuum keeps up: no transaction that never ends, no table that is mostly dead."""
    oldest = db.value(
        """SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
    )
    if oldest is not None and oldest > 300:
        yield warning(
            f"A transaction is open for {float(oldest) / 60:.0f} minutes",
            "Nothing that was deleted since can be cleaned up, and claims become slower and slower.",
            "SELECT pid, state, query FROM pg_stat_activity ORDER BY xact_start; then SELECT pg_terminate_backend(pid)",
        )
    dead = db.rows(
        """SELECT relname, n_dead_tup FROM pg_stat_user_tables
           WHERE n_dead_tup > 50000 AND n_dead_tup > n_live_tup ORDER BY n_dead_tup DESC LIMIT 3"""
    )
    for row in dead:
        yield warning(
            f"The table {row['relname']} has {row['n_dead_tup']:,} dead rows, more than living ones",
            "Every look at it reads them too.",
            f"VACUUM (ANALYZE) {row['relname']}; and see that autovacuum is on",
        )
    age = int(db.value("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()"))
    if age > 1_000_000_000:
        yield error(
            f"The oldest row is {age:,} transactions old",
            "At two thousand million Postgres stops taking writes.",
            "VACUUM (FREEZE) of the whole database, and see that autovacuum is on",
        )


def role(_place: Place) -> Iterator[Said]:
    """Whether Callboard's role may do more than it needs."""
    row = db.row("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
    if row and row["rolsuper"]:
        yield warning(
            f"Callboard signs in to Postgres as {row['rolname']}, who may do everything",
            "Whoever finds a way to make it run SQL has the server, with all its databases.",
            "Give it a role of its own that owns its database: docs/hardening.md#the-role-in-postgres",
        )


def _first_line(away: BaseException) -> str:
    """The reason without the address, which may hold a password."""
    original = getattr(away, "orig", None) or away
    return str(original).strip().splitlines()[0][:200] if str(original).strip() else type(away).__name__
