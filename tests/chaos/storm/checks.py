"""What must hold after a storm, besides tests/invariants.py: as clients, receivers, the witness and the machine saw it.

Each check answers what is wrong; nothing means that all is well.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.storm import agents, orders
from tests.chaos.storm.catalogue import KINDS
from tests.chaos.storm.load import Load
from tests.chaos.storm.product import MAX_LOST, Product
from tests.chaos.storm.weather import Weather
from tests.webhook_receiver import Received

Wrong = list[Any]
FINAL = ("completed", "failed", "cancelled")
MOST_SHOWN = 5
# A process may need so long to be gone after its job has ended: SIGTERM, then SIGKILL five seconds later.
GONE_SECONDS = 15.0
# A lease more than a fault: what it set off may run side by side for so long after it.
AFTERMATH_SECONDS = 12.0
# The token is taken a moment before the attempt's start is written down, and a server that was stopped makes it longer.
SLACK_TOKENS = 1.0

_MADE = {
    "jobs": "SELECT task_name AS key, job_id::text AS id FROM jobs WHERE task_name IS NOT NULL AND schedule_id IS NULL",
    "workflows": "SELECT name AS key, workflow_id::text AS id FROM workflows",
    "schedules": "SELECT name AS key, schedule_id::text AS id FROM schedules WHERE name IS NOT NULL",
    "messages": "SELECT text AS key, message_id::text AS id FROM session_messages",
}
_ENDINGS = """
    SELECT job_id::text, agent_id, status, status_reason, lost_count, error ->> 'message' AS error,
           (SELECT substr(tag, 6) FROM unnest(tags) AS tag WHERE tag LIKE 'kind-%%' LIMIT 1) AS kind,
           parent_job_id IS NOT NULL AS child
    FROM jobs"""
_ATTEMPTS = "SELECT a.job_id::text, a.fence, j.agent_id FROM job_attempts a JOIN jobs j USING (job_id)"

IN_THE_DATABASE: dict[str, str] = {
    "the words of a job are numbered without holes": """
        SELECT j.job_id, j.last_seq, count(e.seq) FROM jobs j LEFT JOIN job_events e USING (job_id)
        GROUP BY j.job_id HAVING count(e.seq) <> j.last_seq OR coalesce(max(e.seq), 0) <> j.last_seq""",
    "a time that was asked for fired": """
        SELECT s.schedule_id, s.name FROM schedules s LEFT JOIN schedule_fires f USING (schedule_id)
        WHERE s.schedule_type = 'one_time' GROUP BY s.schedule_id, s.name HAVING count(f.slot_at) <> 1""",
    "what an attempt spent is counted once": """
        SELECT job_id, fence, count(*), sum(cost_usd) FROM usage_events WHERE agent_id = 'storm-spender'
        GROUP BY job_id, fence HAVING sum(cost_usd) > 0.03 OR count(DISTINCT (call_id, part)) <> count(*)""",
    "what a completed job spent stands in the ledger": """
        SELECT j.job_id, sum(u.cost_usd) FROM jobs j LEFT JOIN usage_events u ON u.job_id = j.job_id AND u.fence = j.fence
        WHERE j.agent_id = 'storm-spender' AND j.status = 'completed'
        GROUP BY j.job_id HAVING coalesce(sum(u.cost_usd), 0) <> 0.03""",
    "nothing is reserved any more": "SELECT budget_id, job_id, fence FROM budget_reservations",
    "every callback was delivered": """
        SELECT delivery_id, subject_id, status, reason, attempts FROM deliveries
        WHERE callback AND status <> 'delivered'""",
    "an address heard every event of its session": """
        SELECT s.session_id, s.last_seq, count(DISTINCT d.payload -> 'data' ->> 'seq') FROM sessions s
        LEFT JOIN deliveries d ON d.callback AND d.subject_type = 'session' AND d.subject_id = s.session_id
        WHERE s.callback_url IS NOT NULL GROUP BY s.session_id
        HAVING count(DISTINCT d.payload -> 'data' ->> 'seq') <> (
            SELECT count(*) FROM session_events e WHERE e.session_id = s.session_id
            AND EXISTS (SELECT 1 FROM deliveries x WHERE x.event = e.type))""",
    "a webhook that came did what its rule says, once": """
        SELECT h.external_id, h.status, count(j.job_id) FROM hook_deliveries h
        LEFT JOIN jobs j ON j.task_name = h.external_id
        GROUP BY h.delivery_id, h.external_id, h.status HAVING count(j.job_id) <> 1""",
}


def after(product: Product, load: Load, weather: Weather) -> dict[str, Wrong]:
    """Everything that is wrong once nothing is left to do."""
    fleet, fallen = product.fleet, weather.fallen
    promised = [sent.job_id for sent in load.sent if sent.job_id and sent.order.table == "jobs"]
    found: dict[str, Wrong] = dict(fleet.broken(at_rest=True, promised=[*promised, *product.jobs]))
    found |= {name: fleet.rows(statement) for name, statement in IN_THE_DATABASE.items()}
    found["workers and database agree on how attempts ended"] = fleet.contradictions()
    found["answers that nobody should get"] = load.wrong
    found["what clients sent became one thing"] = _client_view(product, load)
    endings = fleet.rows(_ENDINGS)
    found["jobs end as their kind may"] = wrong_ends(endings)
    found |= _witnessed(product, weather)
    found["no process outlives its job"] = orphans(product)
    starts = fleet.rows(
        """SELECT extract(epoch FROM a.started_at)::float AS at FROM job_attempts a JOIN jobs USING (job_id)
           WHERE agent_id = 'storm-rated' ORDER BY 1"""
    )
    found["a rate limit is kept"] = too_fast([row["at"] for row in starts], agents.PER_SECOND)
    found["what was called delivered arrived"] = not_arrived(
        [
            row["id"]
            for row in fleet.rows(
                "SELECT delivery_id::text AS id FROM deliveries WHERE callback AND status = 'delivered'"
            )
        ],
        product.receiver.got,
    )
    found["kept files are there, as they were"] = _files(product)
    found["faults could be done"] = [one.trouble for one in fallen if one.broke]
    return {name: wrong[:MOST_SHOWN] for name, wrong in found.items() if wrong}


# -- clients


def _client_view(product: Product, load: Load) -> Wrong:
    made: dict[str, dict[str, list[str]]] = {}
    for table, statement in _MADE.items():
        made[table] = defaultdict(list)
        for row in product.fleet.rows(statement):
            made[table][row["key"]].append(row["id"])
    return [
        wrong
        for sent in load.sent
        if (
            wrong := disappointed(
                sent.order.key, sent.answered, sent.job_id, made[sent.order.table].get(sent.order.key, [])
            )
        )
    ]


def disappointed(key: str, answered: bool, job_id: str | None, made: Sequence[str]) -> str | None:
    """What a client may complain of: what was answered is there once, what was not is there once at most."""
    if len(made) > 1:
        return f"{key} was made {len(made)} times: {', '.join(made)}"
    if answered and not made:
        return f"{key} was accepted and is not there"
    if job_id and made and made[0] != job_id:
        return f"{key} was answered with {job_id} and is {made[0]}"
    return None


def wrong_ends(rows: Iterable[dict[str, Any]]) -> Wrong:
    """The jobs that ended as their kind may not end. Whoever lost its worker too often may fail, whatever it is."""
    return [row for row in rows if row["status"] not in _may(row) and not _unlucky(row)]


def _may(row: dict[str, Any]) -> frozenset[str]:
    ends = orders.ENDS.get(
        row["kind"] or "", orders.EITHER if row["agent_id"] == "storm-flaky" else orders.COMPLETED
    )
    return ends | {"cancelled"} if row["child"] else ends


def _unlucky(row: dict[str, Any]) -> bool:
    return row["status"] == "failed" and row["status_reason"] == "poison" and row["lost_count"] >= MAX_LOST


# -- the witness


def _witnessed(product: Product, weather: Weather) -> dict[str, Wrong]:
    seen = agents.read_witness(product.folder / "witness.jsonl")
    began: dict[tuple[str, int], list[float]] = {}
    for what, job, fence, _, at in seen:
        if what == "began":
            began.setdefault((job, fence), []).append(at)
    crashes = [one.began_monotonic for one in weather.fallen if one.blow.kind == "postgres-crash"]

    rows = product.fleet.rows(_ATTEMPTS)
    reaching = {row["job_id"] for row in rows if agents.AGENTS.get(row["agent_id"], {}).get("effects")}

    def taken_back(job: str, times: list[float]) -> bool:
        """Whether Postgres crashed right after the claim: those of agents without effects do not wait for the disk."""
        return (
            job not in reaching
            and len(times) == 2
            and any(-0.5 <= crash - min(times) <= 1 for crash in crashes)
        )

    known = {(row["job_id"], row["fence"]) for row in rows}
    # An agent in a thread that listens to nobody cannot be stopped, only be refused.
    deaf = {row["job_id"] for row in rows if row["agent_id"] == "storm-stubborn"}
    excused = [
        (began, ended + AFTERMATH_SECONDS)
        for began, ended in [
            *weather.stalls,
            *(
                (one.began_monotonic, one.ended_monotonic)
                for one in weather.fallen
                if KINDS[one.blow.kind].overlaps
            ),
        ]
    ]
    return {
        "an attempt runs once": [
            (job, fence)
            for (job, fence), times in began.items()
            if len(times) > 1 and not taken_back(job, times)
        ],
        "nothing runs that is no attempt": [key for key in began if key not in known],
        "two attempts of a job run side by side only where one is out of reach": [
            pair
            for pair in overlaps(seen)
            if pair[0] not in deaf and not any(start <= pair[-1] <= end for start, end in excused)
        ],
    }


def overlaps(seen: Iterable[tuple[str, str, int, int, float]]) -> list[tuple[str, int, int, float]]:
    """Attempts that began while another of the same job was at work in a living process: (job, one, other, when).

    What never ended was killed, and nobody knows when: it does not count.
    """
    spans: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for what, job, fence, _, at in seen:
        spans[job, fence][what == "ended"] = at
    by_job: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for (job, fence), (began, ended) in spans.items():
        by_job[job].append((fence, began, ended))
    return [
        (job, one, other, later)
        for job, attempts in by_job.items()
        for one, _, ended in attempts
        for other, later, _ in attempts
        if one < other and ended > later
    ]


# -- limits


def too_fast(
    starts: Sequence[float], per_second: float, slack: float = SLACK_TOKENS
) -> list[tuple[float, float]]:
    """The starts for which no token can have been there: (when, what was missing). A full bucket holds a second's."""
    tokens, before, wrong = per_second, starts[0] if starts else 0.0, []
    for at in starts:
        tokens = min(per_second, tokens + (at - before) * per_second) - 1
        before = at
        if tokens < -slack - 1e-6:
            wrong.append((at, round(-tokens, 3)))
    return wrong


# -- the machine


def orphans(product: Product, older: float = 0.0) -> Wrong:
    """Processes of attempts whose job is over, or runs as a later attempt, since so many seconds."""
    found = dict(_marked())
    if not found:
        return []
    rows = product.fleet.rows(
        """SELECT job_id::text, status, fence, extract(epoch FROM clock_timestamp() - updated_at)::float AS since
           FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])""",
        {"ids": sorted({job for job, _ in found.values()})},
    )
    over = {row["job_id"]: row for row in rows if row["status"] in FINAL and row["since"] > older}
    return [
        (pid, *mark, over[mark[0]]["status"])
        for pid, mark in found.items()
        if mark[0] in over and _alive(pid)
    ]


def _marked() -> Iterable[tuple[int, tuple[str, int]]]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environ = (place / "environ").read_bytes()
        except OSError:
            continue
        for entry in environ.split(b"\0"):
            if entry.startswith(b"CALLBOARD_IDEMPOTENCY_KEY="):
                job, _, fence = entry.decode().partition("=")[2].partition(":")
                yield int(place.name), (job, int(fence.partition(":")[0]))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# -- receivers and files


def not_arrived(delivered: Iterable[str], got: Iterable[Received]) -> Wrong:
    """The deliveries that are called delivered and never came."""
    came = {received.id for received in got}
    return [delivery for delivery in delivered if delivery not in came]


def _files(product: Product) -> Wrong:
    rows = product.fleet.rows(
        """SELECT j.job_id::text, a.location, a.sha256 FROM jobs j
           LEFT JOIN artifacts a ON a.job_id = j.job_id AND a.fence = j.fence
           WHERE j.agent_id = 'storm-maker' AND j.status = 'completed'"""
    )
    folder = product.fleet.home / "artifacts"
    return [row for row in rows if not row["location"] or _digest(folder / row["location"]) != row["sha256"]]


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def surprises(product: Product) -> dict[str, int]:
    """What the product did not expect, by the last line of its traceback."""
    found: Counter[str] = Counter()
    for unit in product.fleet.units.values():
        found.update(line[:160] for line in unit.surprises())
    return dict(found.most_common())
