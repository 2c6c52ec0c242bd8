"""What each process counts by itself, for Prometheus: the names of all these figures, and how they are kept.

Every process of a host writes into a folder it shares with the others, in the form of Prometheus' client for several
processes; whichever web process is scraped adds the files up. The file of a process that ended is added to a common one, so counters never go down and a worker that was
killed takes nothing with it. A process that did not `begin` counts nothing: the command line, and most tests.

Prometheus' client is imported late: it costs a twentieth of a second, and commands that count nothing need not pay.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from prometheus_client.core import Metric

NOBODY = 0
"""The process id under which the figures of those that ended are kept."""
KINDS = ("counter", "histogram")
WRITE_SECONDS = 1.0
"""Counting costs no write: so long, what was counted lies in memory, and dies with a process that is killed."""
MOST_CELLS = 2000
"""So many different labels are told apart in one figure; whatever comes after them is OTHER."""
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: a counter, a histogram of seconds, or a gauge."""

    name: str
    """With the ending that Prometheus shows: `_total` for counters."""
    kind: Literal["counter", "histogram", "gauge"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Figure:
    return Figure(name=name, kind="counter", text=text, labels=labels)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Figure:
    return Figure(name=name, kind="histogram", text=text, labels=labels, buckets=buckets)


def _gauge(name: str, text: str, *labels: str) -> Figure:
    return Figure(name=name, kind="gauge", text=text, labels=labels)


_LATENCIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)

HTTP_SECONDS = _histogram(
    "callboard_http_request_seconds",
    "Time to answer a request, by what is asked for.",
    "kind",
    "method",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
HTTP_REQUESTS = _counter(
    "callboard_http_requests_total", "Requests answered.", "kind", "endpoint", "method", "status"
)
RATE_LIMITED = _counter(
    "callboard_rate_limit_refusals_total", "Requests refused because there were too many, by kind.", "kind"
)
AUTH_FAILURES = _counter(
    "callboard_auth_failures_total",
    "Requests without a valid credential, and attempts to sign in that failed.",
    "kind",
)
DB_SECONDS = _histogram(
    "callboard_db_statement_seconds",
    "Time from sending a statement to Postgres until its rows were read.",
    "service",
    buckets=(0.001, 0.005, 0.02, 0.05, 0.2, 1, 5),
)
DB_SLOW = _counter(
    "callboard_db_slow_statements_total", "Statements that took longer than a second.", "service"
)
REDIS_SECONDS = _histogram(
    "callboard_redis_operation_seconds",
    "Time of an operation on Redis that was answered.",
    "operation",
    buckets=(0.0005, 0.001, 0.005, 0.02, 0.1, 0.5),
)
REDIS_ERRORS = _counter(
    "callboard_redis_errors_total", "Operations on Redis that were not answered.", "operation"
)
ATTEMPTS = _counter("callboard_attempts_total", "Attempts that ended on this host.", "agent", "outcome")
ATTEMPT_SECONDS = _histogram(
    "callboard_attempt_seconds",
    "Time from the claim of an attempt to its end, on this host.",
    "agent",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
CLAIM_SECONDS = _histogram(
    "callboard_claim_seconds", "Time a worker took to claim a job.", buckets=_LATENCIES
)
SETTLE_SECONDS = _histogram(
    "callboard_settle_seconds",
    "Time to write down how an attempt ended, while Postgres was away included.",
    buckets=_LATENCIES,
)
WAIT_SECONDS = _histogram(
    "callboard_job_wait_seconds",
    "Time from when a job was due until a worker of this host claimed it.",
    "priority",
    buckets=(0.1, 0.5, 1, 5, 15, 30, 60, 300, 1800, 7200),
)

HOOK_DELIVERIES = _counter(
    "callboard_hook_deliveries_total",
    "Webhooks that came in: done, ignored, failed, duplicate, or refused by their signature or address.",
    "provider",
    "outcome",
)

COUNTED = (
    HTTP_SECONDS,
    HTTP_REQUESTS,
    RATE_LIMITED,
    AUTH_FAILURES,
    DB_SECONDS,
    DB_SLOW,
    REDIS_SECONDS,
    REDIS_ERRORS,
    ATTEMPTS,
    ATTEMPT_SECONDS,
    CLAIM_SECONDS,
    SETTLE_SECONDS,
    WAIT_SECONDS,
    HOOK_DELIVERIES,
)

# What Postgres knows, and therefore holds for all hosts, whichever process is asked (app/api/metrics.py).
JOBS = _gauge("callboard_jobs", "Jobs by status, counted up to 10,000.", "status")
JOBS_FINISHED = _counter(
    "callboard_jobs_finished_total", "Jobs that ended, since the month began (UTC).", "status"
)
QUEUE_DEPTH = _gauge("callboard_queue_depth", "Due jobs that wait, by priority.", "priority")
QUEUE_WAIT = _gauge(
    "callboard_queue_wait_seconds", "Average wait of jobs that ended in the last hour.", "priority"
)
QUEUE_OLDEST = _gauge(
    "callboard_queue_oldest_wait_seconds", "How long the oldest due job waits; 0 where none does.", "priority"
)
POOL_WAITING = _gauge("callboard_pool_waiting_jobs", "Due jobs that wait, by pool.", "pool")
POOL_RUNNING = _gauge("callboard_pool_running_jobs", "Jobs that run, by pool.", "pool")
POOL_PAUSED = _gauge("callboard_pool_paused", "1 while an admin has paused the pool.", "pool")
WORKERS = _gauge("callboard_workers", "Living worker processes.", "state")
WORKER_THREADS = _gauge("callboard_worker_threads", "Their threads.", "state")
WORKER_MEMORY = _gauge("callboard_worker_memory_bytes", "Resident memory of all living worker processes.")
WORKERS_WANTED = _gauge(
    "callboard_workers_wanted", "Worker processes that are wanted, by pool; `all` for all of them.", "pool"
)
WORKERS_BUSY = _gauge(
    "callboard_workers_busy_ratio", "Share of the seats of living workers that work, by pool.", "pool"
)
CLAIMABLE = _gauge(
    "callboard_claimable_jobs", "Jobs that a free worker could claim at once, by pool.", "pool"
)
SWEPT_AT = _gauge(
    "callboard_last_sweep_timestamp_seconds", "When the scheduler, or a worker instead of it, last swept."
)
BACKUP_AT = _gauge(
    "callboard_backup_last_success_timestamp_seconds",
    "When the last good backup was finished; none without one.",
)
BACKUP_BYTES = _gauge("callboard_backup_last_size_bytes", "Size of the last good backup, artifacts included.")
BACKUP_SECONDS = _gauge("callboard_backup_last_duration_seconds", "How long the last good backup took.")
BACKUP_VERIFIED_AT = _gauge(
    "callboard_backup_last_verified_timestamp_seconds", "When a backup was last proved by a restore."
)
ALERTS = _gauge("callboard_alerts", "Active alerts.", "rule", "severity")
TOKENS = _counter(
    "callboard_tokens_total",
    "Tokens that models read and wrote, since the month began.",
    "provider",
    "model",
    "kind",
)
COST = _counter(
    "callboard_cost_usd_total",
    "What model calls cost in US dollars, as far as known, since the month began.",
    "provider",
    "model",
)
PROVIDER_OPEN = _gauge(
    "callboard_provider_open", "1 while a model provider is left alone because calls failed.", "provider"
)
BUDGET_SPENT = _gauge(
    "callboard_budget_spent_ratio",
    "Share of a budget that is spent in its present period.",
    "budget",
    "scope",
)
REDIS_UP = _gauge("callboard_redis_up", "1 if Redis answered when this was asked.")
BUILD = _gauge("callboard_build_info", "Always 1; the version is its label.", "version")

ASKED_FOR = (
    JOBS,
    JOBS_FINISHED,
    QUEUE_DEPTH,
    QUEUE_WAIT,
    QUEUE_OLDEST,
    POOL_WAITING,
    POOL_RUNNING,
    POOL_PAUSED,
    WORKERS,
    WORKER_THREADS,
    WORKER_MEMORY,
    WORKERS_WANTED,
    WORKERS_BUSY,
    CLAIMABLE,
    SWEPT_AT,
    BACKUP_AT,
    BACKUP_BYTES,
    BACKUP_SECONDS,
    BACKUP_VERIFIED_AT,
    ALERTS,
    TOKENS,
    COST,
    PROVIDER_OPEN,
    BUDGET_SPENT,
    REDIS_UP,
    BUILD,
)

SLOW_SECONDS = 1.0
"""A statement that takes longer is slow (OBS-12)."""


class Cell:
    """One figure with just these labels, in this process: cheap to count in, written down a little later."""

    __slots__ = ("_bounds", "_lock", "changed", "keys", "values")

    def __init__(self, figure: Figure, labels: tuple[str, ...]) -> None:
        """`keys` are the lines of the file: a counter has one, a histogram its sum and one for each bucket."""
        from prometheus_client.mmap_dict import mmap_key
        from prometheus_client.utils import floatToGoString

        family = figure.name.removesuffix("_total")

        def key(name: str, **more: str) -> str:
            names, values = [*figure.labels, *more], [*labels, *more.values()]
            return str(mmap_key(family, name, names, values, figure.text))

        self._bounds = figure.buckets
        self._lock = Lock()
        self.changed = True
        if figure.kind == "counter":
            self.keys = [key(figure.name)]
        else:
            bounds = [*figure.buckets, float("inf")]
            buckets = [key(f"{figure.name}_bucket", le=floatToGoString(bound)) for bound in bounds]  # type: ignore[no-untyped-call]
            self.keys = [key(f"{figure.name}_sum"), *buckets]
        self.values = [0.0] * len(self.keys)

    def count(self) -> None:
        """One more."""
        with self._lock:
            self.values[0] += 1
            self.changed = True

    def observe(self, seconds: float) -> None:
        """One that took so long."""
        place = 1 + bisect_left(self._bounds, seconds)
        with self._lock:
            self.values[0] += seconds
            self.values[place] += 1
            self.changed = True

    def take(self) -> list[float]:
        """The values as they are now; whoever takes them writes them down."""
        with self._lock:
            self.changed = False
            return list(self.values)


class Counting:
    """The figures of one process, and its files in `folder`."""

    def __init__(self, folder: Path, service: str) -> None:
        """`service` is what this process does: web, worker or scheduler."""
        from prometheus_client.mmap_dict import MmapedDict

        self.folder, self.service = folder, service
        self._files = {kind: MmapedDict(str(folder / f"{kind}_{os.getpid()}.db")) for kind in KINDS}  # type: ignore[no-untyped-call]
        self._cells: dict[tuple[str, tuple[str, ...]], tuple[Cell, Any]] = {}
        self._told_apart: dict[str, int] = {}
        self._lock, self._writing = Lock(), Lock()

    def cell(self, figure: Figure, labels: tuple[str, ...]) -> Cell:
        """What counts for just these labels."""
        found = self._cells.get((figure.name, labels))
        return found[0] if found is not None else self._make(figure, labels)

    def _make(self, figure: Figure, labels: tuple[str, ...]) -> Cell:
        with self._lock:
            amount = self._told_apart.get(figure.name, 0)
            if amount >= MOST_CELLS:
                labels = (OTHER,) * len(labels)
            if (figure.name, labels) in self._cells:
                return self._cells[figure.name, labels][0]
            self._told_apart[figure.name] = amount + 1
            made, file = Cell(figure, labels), self._files[figure.kind]
            with self._writing:  # a process of an earlier time may have had the same id
                made.values = [file.read_value(key)[0] for key in made.keys]  # type: ignore[no-untyped-call]
            self._cells[figure.name, labels] = made, file
            return made

    def write(self) -> None:
        """Write down what changed."""
        with self._writing:
            for cell, file in list(self._cells.values()):
                if cell.changed:
                    for key, value in zip(cell.keys, cell.take(), strict=True):
                        file.write_value(key, value, 0.0)


_here: Counting | None = None


def begin(folder: Path, service: str) -> None:
    """Let this process count, into `folder`; once in its life, and after the last fork."""
    global _here  # noqa: PLW0603 - the figures of a process are its own
    if _here is not None:
        return
    fold(folder)
    _here = Counting(folder, service)
    for figure in (DB_SLOW, DB_SECONDS):
        _here.cell(figure, (service,))
    Thread(target=_write_now_and_then, args=(_here,), name="metrics", daemon=True).start()
    atexit.register(write)
    os.register_at_fork(after_in_child=_forget)


def _write_now_and_then(counting: Counting) -> None:
    while True:
        time.sleep(WRITE_SECONDS)
        counting.write()


def _forget() -> None:
    """A child must not write into its parent's files."""
    global _here  # noqa: PLW0603 - the figures of a process are its own
    _here = None


def write() -> None:
    """Write down now what was counted; for a process that is about to end."""
    if _here is not None:
        _here.write()


def count(figure: Figure, *labels: str) -> None:
    """One more of `figure`."""
    if _here is not None:
        _here.cell(figure, labels).count()


def observe(figure: Figure, seconds: float, *labels: str) -> None:
    """Something of `figure` took so long."""
    if _here is not None:
        _here.cell(figure, labels).observe(seconds)


@contextmanager
def redis_operation(name: str) -> Iterator[None]:
    """Measure an operation on Redis; one that raises counts as not answered."""
    began = time.perf_counter()
    try:
        yield
    except Exception:
        count(REDIS_ERRORS, name)
        raise
    observe(REDIS_SECONDS, time.perf_counter() - began, name)


def statement_took(seconds: float) -> None:
    """Postgres answered one statement."""
    if _here is not None:
        _here.cell(DB_SECONDS, (_here.service,)).observe(seconds)
        if seconds > SLOW_SECONDS:
            _here.cell(DB_SLOW, (_here.service,)).count()


def collected() -> Iterator[Metric]:
    """Every figure, summed over all processes of this host that are or were; those nobody counted yet are empty."""
    from prometheus_client.core import Metric

    found = {}
    if _here is not None:
        _here.write()
        with _locked(_here.folder, fcntl.LOCK_SH):
            found = {metric.name: metric for metric in _merged(_here.folder)}
    for figure in COUNTED:
        name = figure.name.removesuffix("_total")
        yield found.get(name) or Metric(name, figure.text, figure.kind)


def _merged(folder: Path) -> list[Metric]:
    from prometheus_client.multiprocess import MultiProcessCollector

    files = [str(file) for file in _files(folder) if _is_whole(file)]
    return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db"))


def _is_whole(file: Path) -> bool:
    """Whether it can be read: a process may be killed just as it begins its file."""
    return _read(file) is not None


def _read(file: Path) -> dict[str, float] | None:
    from prometheus_client.mmap_dict import MmapedDict

    try:
        lines = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        return {key: value for key, value, *_ in lines}
    except (OSError, RuntimeError, struct.error, UnicodeDecodeError):
        return None


def fold(folder: Path) -> None:
    """Add the files of processes that ended to the common ones, so that there are never more than live ones."""
    _make(folder)
    with _locked(folder, fcntl.LOCK_EX):
        for kind in KINDS:
            ended = [file for file in folder.glob(f"{kind}_*.db") if not _is_alive(_process_of(file))]
            if ended != [folder / f"{kind}_{NOBODY}.db"] and ended:
                _fold(folder, kind, ended)


def _fold(folder: Path, kind: str, ended: list[Path]) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    known = {figure.name.removesuffix("_total") for figure in COUNTED}
    sums: dict[str, float] = {}
    for file in ended:
        for key, value in (_read(file) or {}).items():
            if key.split('"', 2)[1] in known:  # else an older version counted it
                sums[key] = sums.get(key, 0.0) + value
    fresh = folder / f".{kind}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    kept = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        kept.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    kept.close()  # type: ignore[no-untyped-call]
    for file in ended:
        file.unlink(missing_ok=True)
    fresh.rename(folder / f"{kind}_{NOBODY}.db")


def _process_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _is_alive(pid: int) -> bool:
    if pid == NOBODY:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make(folder: Path) -> None:
    """With the folder it lies in, for nobody else's eyes: sockets and pid files lie there, too."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """While files are added up none is read, and the other way round; else some would be counted twice."""
    with suppress(FileNotFoundError):
        _make(folder)
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, how)
        yield
