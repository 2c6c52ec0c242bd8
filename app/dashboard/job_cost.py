"""What a job used, call by call; what has no price is said to have none and never shown as nothing."""

from __future__ import annotations

from app.budgets import ledger
from app.dashboard import job_seen
from app.dashboard.htmx import Context, Panel
from app.dashboard.words import Look
from app.db import Row

MOST_CALLS = 200
TOKENS = {
    "input_tokens": "Input",
    "output_tokens": "Output",
    "cache_read_tokens": "Cache read",
    "cache_write_tokens": "Cache write",
}
STATUSES = {
    "reported": Look("Reported", "check", "green"),
    "derived": Look("From the price list", "coin", "blue"),
    "unpriced": Look("No price", "help", "amber"),
    "unaccounted": Look("Not told", "warn", "amber"),
}
BILLINGS = {"api": "API", "subscription": "Subscription", "local": "Local"}


def part(row: Row) -> Context:
    """The panel alone."""
    return {"cost_panel": PANEL.embed(job_id=row["job_id"])}


def _read(job_id: str) -> Context:
    row = job_seen.readable(job_id)
    calls = ledger.calls(row["job_id"], limit=MOST_CALLS)
    return {
        "job": row,
        "calls": calls,
        "most": MOST_CALLS,
        "total": ledger.of_job(row["job_id"]),
        # Programs that tell no single calls tell a sum.
        "told": row["usage"] or {},
        "tokens": TOKENS,
        "statuses": STATUSES,
        "billings": BILLINGS,
        "poll": job_seen.slowly(row),
    }


PANEL = Panel(name="job_cost", template="job/_cost.html", read=_read)
