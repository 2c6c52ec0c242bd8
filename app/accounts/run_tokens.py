"""Tokens of running jobs: short-lived JWTs (HS256) with which an agent asks on behalf of its own job.

    {"iss": "callboard", "aud": "callboard-run", "sub": user_id, "job": job_id, "fence": attempt,
     "jti": random, "iat": now, "exp": soon}

A genuine one is not enough: it counts only while that job runs in that very attempt (app/jobs/delegation.py asks the
database at each use), so it is worth nothing once the attempt ended, however it did. The audience is one of its own:
no access token is a run token, nor the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.accounts import tokens

AUDIENCE = "callboard-run"
LONGEST_LIFE = timedelta(hours=25)
"""No attempt takes longer."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a genuine, unexpired token says."""

    job_id: str
    fence: int
    user_id: str


def issue(job_id: str, fence: int, user_id: str, *, key: str, life: timedelta) -> str:
    """A signed token for one attempt; raises ValueError for a key of less than 32 characters."""
    body = {"sub": user_id, "job": job_id, "fence": fence}
    return tokens.signed(body, audience=AUDIENCE, key=key, life=min(life, LONGEST_LIFE))


def read(token: str, *, keys: tuple[str, ...]) -> Run | None:
    """What a token signed with one of `keys` says; None for anything forged, expired, incomplete or of another kind."""
    body = tokens.verified(token, audience=AUDIENCE, keys=keys, required=("sub", "job", "fence"))
    return _run(body) if body else None


def _run(body: dict[str, Any]) -> Run | None:
    # Signed by us, so this only fails for tokens of another version of Callboard.
    try:
        job_id, user_id = UUID(body["job"]), UUID(body["sub"])
    except (ValueError, TypeError, AttributeError):
        return None
    fence = body["fence"]
    return Run(job_id=str(job_id), fence=fence, user_id=str(user_id)) if isinstance(fence, int) else None
