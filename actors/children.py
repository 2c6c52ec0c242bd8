"""The jobs that one attempt hands out: submitted in its job's name, and waited for without wasting its place.

A parent keeps its place while a job it waits for runs. When none of them has run for a moment, because there is no
free worker, because they wait for a person or for their time, the attempt hands its place back like one that asks a
person, and its job goes on when one of them has ended. So no pool can be filled with jobs that wait for jobs which
find no place in it. A later attempt that delegates the same again under the same key gets the same jobs.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from app.db import Row, db, dumps
from app.errors import CallboardError, Conflict, Invalid, PermanentError, WaitsForJobs
from app.jobs import delegation
from app.jobs.claims import Claim
from app.jobs.delegation import Limits
from app.jobs.intake import Wish
from app.jobs.states import Priority, Status

JSON = dict[str, Any]
PATIENCE_SECONDS = 5.0
"""So long none of the jobs it waits for may run before it hands its place back."""
FIRST_LOOK, LONGEST_LOOK = 0.1, 1.0


class Insist(Protocol):
    """Does something in Postgres, again and again while that is away."""

    def __call__(self, do: Callable[[], Any], /) -> Any: ...  # noqa: D102 - above


class Children:
    """Of one attempt."""

    patience = PATIENCE_SECONDS

    def __init__(self, claim: Claim, limits: Limits, insist: Insist) -> None:
        """`insist` is the attempt's own way to speak to Postgres."""
        self.claim, self.limits, self._insist = claim, limits, insist
        self._same: Counter[str] = Counter()
        self._none_ran_since: float | None = None

    def delegate(self, agent_id: str, parameters: JSON, *, key: str, given: JSON) -> Row:
        """Submit one; PermanentError says why it may not be."""
        _demand_kinds(agent_id, parameters, key, given)
        wish = Wish(
            agent_id=agent_id,
            parameters=parameters,
            submitted_by=self.claim.submitted_by,
            child_key=key or self._numbered(agent_id, parameters),
            priority=Priority(self.claim.priority_rank).word,
        )
        wish = replace(wish, **given)
        try:
            found: Row = self._insist(lambda: self._submit(wish))
        except CallboardError as refused:
            raise PermanentError(_why(agent_id, refused)) from refused
        return found

    def _submit(self, wish: Wish) -> Row:
        with db.transaction():
            return delegation.submit_child(self.claim.job_id, self.claim.fence, wish, self.limits)

    def _numbered(self, agent_id: str, parameters: JSON) -> str:
        """A key for a job that has none: a later attempt that does the same comes by the same number."""
        what = hashlib.sha256(f"{agent_id}\0{dumps(parameters)}".encode()).hexdigest()[:24]
        self._same[what] += 1
        return f"auto:{what}:{self._same[what]}"

    def look(self, job_ids: list[str] | None) -> list[Row]:
        """How they stand; raises WaitsForJobs when none of those that live has run for a while."""
        for each in job_ids or ():
            _demand_id(each)
        found: list[Row] = self._insist(lambda: self._outcomes(job_ids))
        living = [child for child in found if not delegation.is_over(child)]
        if not living or any(child["status"] == Status.RUNNING for child in living):
            self._none_ran_since = None
            return found
        now = time.monotonic()
        self._none_ran_since = self._none_ran_since or now
        if now - self._none_ran_since >= self.patience:
            raise WaitsForJobs(worded(living), [child["job_id"] for child in living])
        return found

    def _outcomes(self, job_ids: list[str] | None) -> list[Row]:
        try:
            return delegation.outcomes(self.claim.job_id, job_ids)
        except CallboardError as refused:
            raise PermanentError(refused.message) from refused


_KINDS: dict[str, type | tuple[type, ...]] = {
    "task_name": (str, type(None)), "priority": str, "budget": (dict, type(None)), "timeout": (int, type(None)),
    "tags": (tuple, list),
}  # fmt: skip


def _demand_kinds(agent_id: Any, parameters: Any, key: Any, given: JSON) -> None:
    """Agents are other people's programs: PermanentError names what cannot be."""
    wrong = [name for name, value in given.items() if not isinstance(value, _KINDS[name])]
    wrong += [
        name
        for name, value, kind in (
            ("agent_id", agent_id, str),
            ("parameters", parameters, dict),
            ("key", key, str),
        )
        if not isinstance(value, kind)
    ]
    if wrong or not all(isinstance(tag, str) for tag in given.get("tags", ())):
        raise PermanentError(f"This cannot be delegated: {(wrong or ['tags'])[0]} is of the wrong kind")
    given |= {"tags": tuple(given.get("tags", ()))}


def _demand_id(job_id: Any) -> None:
    try:
        UUID(job_id)
    except (ValueError, TypeError, AttributeError):
        raise PermanentError(f"{job_id!r} is no job's id") from None


def worded(living: list[Row]) -> str:
    """What it waits for, in words."""
    agents = sorted({child["agent_id"] for child in living})
    named = ", ".join(agents[:3]) + (f" and {len(agents) - 3} more" if len(agents) > 3 else "")
    return f"waits for {len(living)} delegated {'job' if len(living) == 1 else 'jobs'} of {named}"


def _why(agent_id: str, refused: CallboardError) -> str:
    wrong = refused.fields if isinstance(refused, Invalid) else []
    more = "".join(f"; {pointer[1:]} {words}" for pointer, words in wrong if words != refused.message)
    verb = "can be delegated no more" if isinstance(refused, Conflict) else "cannot be delegated"
    return f"A job of {agent_id} {verb}: {refused.message}{more}"
