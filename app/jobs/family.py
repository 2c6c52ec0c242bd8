"""The tree of jobs below one: who delegated what, how it stands and what it cost, each job with all below it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.accounts.permissions import Principal
from app.budgets import ledger
from app.budgets.tally import TOTALS
from app.db import Row, db
from app.jobs import document, queries

MOST = 500
"""Jobs of one tree that are shown; what it costs is summed of these, and said to be cut."""

_BELOW = """
    WITH RECURSIVE below AS (
        SELECT job_id FROM jobs WHERE parent_job_id = %(job)s
        UNION ALL
        SELECT j.job_id FROM below b JOIN jobs j ON j.parent_job_id = b.job_id)
    SELECT job_id::text FROM below ORDER BY job_id LIMIT %(most)s"""


@dataclass
class Sums:
    """What some jobs come to. Dollars are None while nothing of them has a price, and never stand for what has none."""

    jobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    usd: Decimal | None = None
    tokens: int = 0
    unpriced_tokens: int = 0
    seconds: float = 0.0

    def add(self, other: Sums) -> None:
        """Count another in."""
        self.jobs += other.jobs
        self.by_status += other.by_status
        self.tokens += other.tokens
        self.unpriced_tokens += other.unpriced_tokens
        self.seconds += other.seconds
        if other.usd is not None:
            self.usd = (self.usd or Decimal(0)) + other.usd

    def as_json(self) -> dict[str, Any]:
        """As the tree tells it."""
        return {
            "jobs": self.jobs,
            "by_status": dict(sorted(self.by_status.items())),
            "usd": None if self.usd is None else float(self.usd),
            "tokens": self.tokens,
            "unpriced_tokens": self.unpriced_tokens,
            "seconds": round(self.seconds, 3),
        }


def tree(job_id: str, who: Principal) -> dict[str, Any]:
    """A job and all below it: {job, children: [{…, children}], totals, truncated}; NotFound if there is no such job.

    Each node is what lists show of a job, with parent_job_id, depth, `cost` (its own use) and `subtotal` (with all
    below it). Whoever may see the job may see these: they belong to the same owner.
    """
    ids = [row["job_id"] for row in db.rows(_BELOW, job=job_id, most=MOST)]
    rows = {job_id: queries.get(job_id)} | queries.some(ids)
    used = ledger.of_jobs([*rows])
    nodes = {each: _node(row, used.get(each, {}), who) for each, row in rows.items()}
    sums = {each: _own(row, used.get(each, {})) for each, row in rows.items()}
    for each in sorted(rows, reverse=True):  # ids are UUIDv7: whoever was delegated is younger
        nodes[each]["subtotal"] = sums[each].as_json()
        parent = rows[each]["parent_job_id"]
        if each != job_id and parent in nodes:
            nodes[parent]["children"].insert(0, nodes[each])
            sums[parent].add(sums[each])
    top = nodes[job_id]
    children = top.pop("children")
    return {
        "job": top,
        "children": children,
        "totals": sums[job_id].as_json(),
        "truncated": len(ids) == MOST,
    }


def _node(row: Row, used: Row, who: Principal) -> dict[str, Any]:
    cost = _own(row, used).as_json()
    about = {name: cost[name] for name in ("usd", "tokens", "unpriced_tokens", "seconds")}
    more = {"parent_job_id": row["parent_job_id"], "depth": row["depth"], "cost": about, "children": []}
    return document.brief(row, who) | more


def _own(row: Row, used: Row) -> Sums:
    """What one job used: by the ledger, else as far as it told a sum itself."""
    told = row["usage"] or {}
    usd, tokens = used.get("usd"), int(used.get("tokens") or 0)
    if not used:
        usd = None if told.get("cost_usd") is None else Decimal(str(told["cost_usd"]))
        tokens = sum(int(told.get(name) or 0) for name in TOTALS)
    seconds = document.seconds_run(row)
    unpriced = int(used.get("unpriced_tokens") or 0) if used else (tokens if usd is None else 0)
    return Sums(1, Counter([row["status"]]), usd, tokens, unpriced, seconds)


def above(row: Row) -> Row | None:
    """The job that delegated this one: {job_id, agent_id, task_name, status, submitted_by}; None: nobody did."""
    if row["parent_job_id"] is None:
        return None
    return db.row(
        "SELECT job_id::text, agent_id, task_name, status, submitted_by FROM jobs WHERE job_id = %(job)s",
        job=row["parent_job_id"],
    )
