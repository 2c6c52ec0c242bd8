"""What something costs: processor time of Postgres and of Python, time by the clock, pages and plans of its statements.

Times by the clock mean little on a machine that does other things too; processor time per operation means more, and
pages read mean the same everywhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from app.db import db

Figures = dict[str, float]


class Meter:
    """The processor time of the Postgres behind `db`, which runs on this machine, told apart by who used it."""

    def __init__(self) -> None:
        """`db` is open."""
        with db.quick():
            self.postmaster = psutil.Process(db.value("SELECT pg_backend_pid()")).parent()
        self.not_counted: set[int] = set()
        """Backends of those who only look on."""

    def postgres(self) -> tuple[float, float]:
        """Seconds so far: of those who answer statements, and of those who keep house (vacuum, checkpoints, the log)."""
        assert self.postmaster is not None
        ended = self.postmaster.cpu_times()
        answering, house = 0.0, ended.children_user + ended.children_system
        for child in self.postmaster.children():
            with suppress(psutil.NoSuchProcess, OSError):
                title, used = " ".join(child.cmdline()), used_by(child.pid)
                if child.pid in self.not_counted:
                    continue
                if "postgres: io worker" in title or "[local]" in title or "127.0.0.1" in title:
                    answering += used
                else:
                    house += used
        return answering, house

    def per(self, times: int, do: Callable[[], object], others: Callable[[], float] = lambda: 0.0) -> Figures:
        """Microseconds of `do` for each of `times` operations that it does; `others` tells what other processes used."""
        before, aside, own, began = self.postgres(), others(), time.process_time(), time.perf_counter()
        do()
        wall, mine = time.perf_counter() - began, time.process_time() - own
        after, beside = self.postgres(), others()
        used = {
            "wall": wall,
            "postgres": after[0] - before[0],
            "house": after[1] - before[1],
            "python": beside - aside if aside or beside else mine,
        }
        told = {f"{name}_us": round(seconds / times * 1e6, 1) for name, seconds in used.items()}
        return told | {"cpu_us": round((used["postgres"] + used["python"]) / times * 1e6, 1)}


def used_by(pid: int) -> float:
    """Seconds of processor time that a process of one thread has used, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def used_by_tree(process: psutil.Process) -> float:
    """Seconds of processor time that a process and those below it have used."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


@contextmanager
def watched() -> Iterator[list[dict[str, Any]]]:
    """Each statement of `db` in this block, with its plan as it really ran: {statement, pages, ms, nodes, read}.

    `read` is how many rows were looked at in tables and indexes, also those that a filter then threw away. A statement
    that writes is tried, undone, and then done.
    """
    seen: list[dict[str, Any]] = []
    genuine = {name: getattr(db, name) for name in ("rows", "row", "value", "run")}

    def instead(name: str) -> Callable[..., Any]:
        def do(statement: str, **values: object) -> Any:
            if statement.lstrip(" (\n").split(None, 1)[0].upper() in _EXPLAINABLE:
                seen.append(_explained(genuine, statement, values))
            return genuine[name](statement, **values)

        return do

    for name in genuine:
        setattr(db, name, instead(name))
    try:
        yield seen
    finally:
        for name in genuine:
            delattr(db, name)


_EXPLAINABLE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")


def _explained(
    genuine: dict[str, Callable[..., Any]], statement: str, values: dict[str, Any]
) -> dict[str, Any]:
    connection = db._connection()
    alone = connection.autocommit and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    begin, undo = ("BEGIN", "ROLLBACK") if alone else ("SAVEPOINT plan", "ROLLBACK TO SAVEPOINT plan")
    genuine["run"](begin)
    try:
        found = genuine["value"](f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", **values)
    finally:
        genuine["run"](undo)
    whole = (json.loads(found) if isinstance(found, str) else found)[0]
    top, nodes = whole["Plan"], list(_nodes(whole["Plan"]))
    return {
        "statement": " ".join(statement.split())[:100],
        "pages": top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0),
        "ms": round(whole["Execution Time"], 2),
        "read": round(sum(_looked_at(node) for node in nodes)),
        "nodes": sorted({_named(node) for node in nodes if "Scan" in node["Node Type"]}),
    }


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _looked_at(node: dict[str, Any]) -> float:
    if "Relation Name" not in node and "Index Name" not in node:
        return 0
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + thrown) * node["Actual Loops"])


def _named(node: dict[str, Any]) -> str:
    what = node.get("Index Name") or node.get("Relation Name") or node.get("Function Name") or ""
    return f"{node['Node Type']} {what}".strip()
