"""The desk where an attempt asks for providers: their shared state in Postgres behind what a runner sees.

While Postgres is away calls are let through uncounted, with a line in the log: a conversation of twenty turns
should not die of a restart, providers defend themselves, and the money has guards of its own (actors/purse.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self

from actors.models import local_demo
from actors.runners.base import ProviderSpec, Refused
from app.db import AWAY, Row, db
from app.errors import TemporaryError
from app.jobs import upkeep
from app.jobs.claims import Claim
from app.observe import logs
from app.providers import pools, queries
from app.providers.pools import Left, Refusal, Ticket

if TYPE_CHECKING:
    from actors.post import Post

log = logs.get("providers")

Secret = Callable[[str], str | None]


class Desk:
    """Of one attempt; its places are renewed by the heartbeat, so that they outlive long answers."""

    def __init__(self, post: Post, claim: Claim) -> None:
        """Nothing is asked before a runner asks."""
        self.post, self.claim = post, claim
        self.keys: dict[str, str] = {}
        """Keys of the chain, never to be written anywhere."""
        self._tickets: dict[str, Ticket] = {}
        self._lock = threading.Lock()
        self._renewed_at = time.monotonic()

    def chain(self, wanted: list[str] | None) -> list[ProviderSpec]:
        """The providers to try, in order; what nobody may use yet says in `missing` what to do about it."""
        specs = specs_of(_known.rows(), wanted, self.post.settings.secret)
        self.keys = {spec.provider_id: spec.api_key for spec in specs if spec.api_key}
        return specs

    def enter(self, provider_id: str, *, tokens: int) -> Admission:
        """Take a place and room for about `tokens`; raises Refused."""
        try:
            with db.transaction():
                answer = pools.enter(
                    provider_id,
                    tokens=tokens,
                    job_id=self.claim.job_id,
                    fence=self.claim.fence,
                    seconds=self.post.settings.lease_seconds,
                )
        except AWAY as away:
            log.warning("provider.uncounted", provider=provider_id, job_id=self.claim.job_id,
                        error=type(away).__name__)  # fmt: skip
            return Admission(self, None)
        if isinstance(answer, Refusal):
            raise Refused(answer.reason, answer.message, answer.until)
        with self._lock:
            self._tickets[answer.pass_id] = answer
        return Admission(self, answer)

    def look(self) -> None:
        """From the heartbeat: keep the places of calls that are under way."""
        due = time.monotonic() - self._renewed_at > self.post.settings.lease_seconds / 4
        with self._lock:
            held = list(self._tickets)
        if due and held:
            pools.renew(held, seconds=self.post.settings.lease_seconds)
        if due:
            self._renewed_at = time.monotonic()

    def leave(self, ticket: Ticket, verdict: Callable[[Ticket], Left]) -> None:
        """Give a place back with what was found out; it comes free by itself if Postgres does not hear of it."""
        with self._lock:
            self._tickets.pop(ticket.pass_id, None)
        try:
            with db.transaction():
                left = verdict(ticket)
        except AWAY as away:
            log.warning("provider.unheard", provider=ticket.provider_id, error=type(away).__name__)
            return
        if left.opened:
            log.warning("provider.opened", provider=ticket.provider_id, until=str(left.open_until))
        if left.recovered:
            log.info("provider.recovered", provider=ticket.provider_id)
            with suppress(*AWAY), db.transaction():  # else the next sweep does it
                upkeep.lift_recovered()


class Admission:
    """Leave to make one call (a runner's Pass). The first verdict counts; none at all is neutral."""

    def __init__(self, desk: Desk, ticket: Ticket | None) -> None:
        """Without a ticket nobody counts it: Postgres was away."""
        self.desk, self.ticket = desk, ticket
        self._once = threading.Lock()

    def __enter__(self) -> Self:
        """For the length of the call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave, if no verdict has been given."""
        self._leave(pools.left)

    def succeeded(self, *, input_tokens: int, output_tokens: int) -> None:
        """The provider answered."""
        self._leave(partial(pools.succeeded, tokens=input_tokens + output_tokens))

    def failed(self, kind: str, message: str, retry_after: float | None = None) -> None:
        """It did not; `kind` as in app/providers/breaker.py."""
        key = self.desk.keys.get(self.ticket.provider_id) if self.ticket else None
        said = message.replace(key, "(the key)") if key else message
        self._leave(partial(pools.failed, kind=kind, message=said, retry_after=retry_after))

    def _leave(self, verdict: Callable[[Ticket], Left]) -> None:
        if self._once.acquire(blocking=False) and self.ticket is not None:
            self.desk.leave(self.ticket, verdict)


class _Known:
    """The providers as they were when Postgres last told; they hold while it is away."""

    def __init__(self) -> None:
        self.last: list[Row] = []

    def rows(self) -> list[Row]:
        try:
            with db.quick():
                self.last = queries.every()
        except AWAY as away:
            if not self.last:
                raise TemporaryError("the providers cannot be read: Postgres does not answer") from away
        return self.last


_known = _Known()


def specs_of(rows: list[Row], wanted: list[str] | None, secret: Secret) -> list[ProviderSpec]:
    """The chain as runners need it; `secret` answers the key in a variable of this worker."""
    return [_spec(found, secret) for found in queries.in_chain(rows, wanted)]


def _spec(found: Row | str, secret: Secret) -> ProviderSpec:
    if isinstance(found, str):
        missing = f"there is no provider {found!r}; an admin can add it on the page Providers"
        return ProviderSpec(provider_id=found, title=found, kind="openai", base_url="", api_key=None, model="",
                            billing="api", demo=False, missing=missing)  # fmt: skip
    key = secret(found["key_name"]) if found["key_name"] else None
    return ProviderSpec(
        api_key=key,
        missing=_missing(found, key),
        **{
            name: found[name]
            for name in ("provider_id", "title", "kind", "base_url", "model", "billing", "demo")
        },
    )


def _missing(row: Row, key: str | None) -> str | None:
    """What to configure. A local model that once answered and is away now is no matter of configuration."""
    if not row["enabled"]:
        return f"{row['title']} is switched off by an admin"
    if row["key_name"] and not key:
        return f"set {row['key_name']} for the workers"
    if row["provider_id"] == local_demo.PROVIDER_ID:
        return local_demo.missing()
    if row["billing"] == "local" and row["health_status"] == "unavailable" and row["last_ok_at"] is None:
        return str(row["health_reason"])
    return None
