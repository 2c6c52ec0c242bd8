"""The statuses of a job and the moves between them, drawn once and obeyed everywhere.

    submit ──► pending ──► queued ──► running ──► completed
                  │  ▲        │        │ │ │ └───► failed      (+ dead letter)
                  │  └─paused─┘        │ │ └─────► cancelled
                  │           ▲        │ │
                  │           └─ rescue┘ └───────► retry ──► queued | running
                  │             release              │
                  └─────────► cancelled ◄────────────┘
                                  ▲
            running ──► awaiting_input ──► queued

pending    accepted; not due, or held back
queued     eligible now; a worker's bell was rung
running    leased to exactly one worker by (job_id, fence)
retry      waiting for `run_at` after a failed attempt
awaiting_input   asked a person; holds no worker and no place until somebody answers
completed, failed, cancelled   final: they never change; trying again by hand makes a new job

The same table stands in the database trigger `jobs_guard` (migrations); a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Status(StrEnum):
    """Where a job is in its life."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_INPUT = "awaiting_input"
    RETRY = "retry"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing will ever change any more."""
        return self in FINAL

    @property
    def is_waiting(self) -> bool:
        """No worker has it, and one may take it when it is due."""
        return self in WAITING


WAITING = (Status.PENDING, Status.QUEUED, Status.RETRY)
FINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

MOVES: dict[Status, tuple[Status, ...]] = {
    Status.PENDING: (Status.QUEUED, Status.RUNNING, Status.CANCELLED, Status.FAILED),
    Status.QUEUED: (Status.PENDING, Status.RUNNING, Status.CANCELLED, Status.FAILED),
    Status.RUNNING: (
        Status.COMPLETED,
        Status.FAILED,
        Status.CANCELLED,
        Status.RETRY,
        Status.QUEUED,
        Status.AWAITING_INPUT,
    ),
    Status.AWAITING_INPUT: (Status.QUEUED, Status.CANCELLED),
    Status.RETRY: (Status.QUEUED, Status.RUNNING, Status.CANCELLED),
    Status.COMPLETED: (),
    Status.FAILED: (),
    Status.CANCELLED: (),
}

# Words of other documents and tools, accepted on input and never sent (requirements 0.5).
SYNONYMS = {
    "in_progress": Status.RUNNING,
    "success": Status.COMPLETED,
    "retrying": Status.RETRY,
    "canceled": Status.CANCELLED,
    "waiting_approval": Status.AWAITING_INPUT,
    "input_required": Status.AWAITING_INPUT,
}


class Priority(IntEnum):
    """How urgent a job is; lower is sooner. The documents' 9/6/3/0 are `scale`."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @property
    def word(self) -> str:
        """The name used in JSON and on pages."""
        return self.name.lower()

    @property
    def scale(self) -> int:
        """The documents' number: 9 critical … 0 low (PRIO-02)."""
        return 9 - 3 * self.value

    @classmethod
    def named(cls, word: str) -> Priority:
        """The priority called `word`; raises KeyError for an unknown one."""
        return cls[word.upper()]


class Reason(StrEnum):
    """Why a job is where it is; the fixed vocabulary of `status_reason`."""

    SCHEDULED = "scheduled"
    RELEASED = "released"
    LOST_WORKER = "lost_worker"
    BACKOFF = "backoff"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    ERROR = "error"
    EXHAUSTED = "exhausted"
    PERMANENT = "permanent"
    POISON = "poison"
    BY_USER = "by_user"
    PAUSED = "paused"
    BUDGET = "budget"
    PROVIDER_OPEN = "provider_open"
    STOPPED_BUDGET = "stopped_budget"
    STALLED = "stalled"
    APPROVAL = "approval"
    DELEGATED = "delegated"
    NOT_PERMITTED = "not_permitted"
    REJECTED = "rejected"


PRIORITIES = tuple(p.word for p in Priority)
STATUSES = tuple(s.value for s in Status)


def parse_status(word: str) -> Status:
    """The status called `word`, synonyms included; raises ValueError for an unknown one."""
    return SYNONYMS.get(word) or Status(word)
