"""The purse of one attempt: what it may spend, asked before it starts and settled while it runs.

Two guards of different kinds. The hard one stands in memory and is asked at every `meter`: what the job's own
allowance leaves, and the slices set aside for it from shared budgets; when a slice is nearly used, a new one is asked
for at once. It fails closed. The other one, whether new work may begin at all, fails open: while Postgres is away a
job begins, and is stopped at its first use of what nobody has set aside for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app import clock
from app.agents.definition import Definition
from app.budgets import ledger, limits
from app.budgets.amounts import exact, said
from app.budgets.ledger import Spender
from app.budgets.limits import Holding
from app.budgets.tally import Part, Tally, cleaned
from app.budgets.usage import Usage
from app.db import AWAY, db
from app.jobs import delegation
from app.jobs.claims import Claim
from app.observe import logs
from app.providers.prices import price

if TYPE_CHECKING:
    from actors.post import Post

log = logs.get("purse")

Say = Callable[..., None]

WARN_AT = Decimal("0.8")
# Of a slice: used so far, the next one is asked for.
NEARLY = Decimal("0.8")
# Without anything to write, shared budgets are asked again so often: somebody may have changed them.
LOOK_AGAIN_SECONDS = 15.0
# After Postgres did not answer, it is not asked again sooner.
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 20.0
# The heartbeat has other attempts to look after: it does not wait long for a row that somebody has locked.
HEARTBEATS_PATIENCE = 0.3
BEGINS = "the job begins, and is stopped when it uses something before they answer"


class Purse:
    """Of one attempt; the agent's thread meters, the heartbeat's looks."""

    usd_left: float | None = None
    """Dollars left to this attempt at its start; None: no limit in dollars."""

    def __init__(
        self,
        claim: Claim,
        allowance: dict[str, Decimal],
        say: Say,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`allowance` is what the job itself may use, by unit; `say(kind, message, level=…)` tells its story."""
        self.spender = Spender(
            job_id=claim.job_id,
            fence=claim.fence,
            agent_id=claim.agent_id,
            submitted_by=claim.submitted_by,
            schedule_id=claim.schedule_id,
        )
        self.allowance = allowance
        self.before: dict[str, Decimal] = {}
        """What earlier attempts of the job used."""
        self.aside: dict[str, Decimal] = {}
        """What counts for jobs it delegated (app/jobs/delegation.py)."""
        self._delegates = False
        self._shared = claim.budgeted or claim.schedule_id is not None
        self._say = say
        self._now = monotonic
        self._began = monotonic()
        self._lock = threading.Lock()  # around what is in memory
        self._writing = threading.Lock()  # around a conversation with Postgres
        self._tally = Tally()
        self._unwritten: list[Part] = []
        self._holdings: list[Holding] = []
        self._settled = {"usd": Decimal(0), "tokens": Decimal(0), "minutes": Decimal(0)}
        self._settled_at = self._began
        self._not_before = 0.0
        self._whole = False
        self._blind = False  # Postgres was away when it should have said what may be used
        self._warned: set[str] = set()
        self._exhausted: str | None = None

    @classmethod
    def open(
        cls,
        post: Post,  # noqa: ARG003 - what opens a purse hands its post along
        claim: Claim,
        definition: Definition,
        say: Say | None = None,
        *,
        whole: bool = False,
    ) -> Purse:
        """The purse for an attempt; raises Held if a shared budget lets nothing begin now.

        `whole`: somebody wants to know what the job spent in all its attempts.
        """
        purse = cls(claim, allowance_of(claim, definition), say or _silence)
        purse._whole = whole
        purse._delegates = definition.ours.delegation is not None and bool(purse.allowance)
        purse._remember()
        purse.recount()
        if purse._shared:
            purse._reserve()
        purse.usd_left = purse._dollars_left()
        return purse

    @property
    def spent_usd(self) -> Decimal:
        """Dollars that the job has used until now; with earlier attempts if there is an allowance, or `whole`."""
        return self._used("usd") + self.before.get("usd", Decimal(0))

    def _remember(self) -> None:
        """What earlier attempts of the same job used counts too."""
        if not (self.allowance or self._whole) or self.spender.fence == 1:
            return
        try:
            with db.quick():
                self.before = ledger.used_before(self.spender.job_id, self.spender.fence)
        except AWAY as away:
            self._blind = True
            self._away(away, BEGINS)

    def recount(self) -> None:
        """See what its delegated jobs count now; while Postgres is away, what they counted before."""
        if not self._delegates:
            return
        try:
            with db.quick():
                self.aside = delegation.set_aside(self.spender.job_id)
        except AWAY as away:
            self._away(away, "delegated jobs count what they did before")

    def _reserve(self) -> None:
        try:
            with db.transaction():
                limits.be_brief()
                got = limits.reserve(self.spender)
        except AWAY as away:
            self._blind = True
            self._away(away, BEGINS)
            return
        if got.refused:
            raise got.refused
        self._hold(got.holdings)

    # -- what the agent's thread asks

    @property
    def exhausted(self) -> str | None:
        """Why nothing more may be spent; None: there is more."""
        if self._exhausted is None and "minutes" in self.allowance:
            self._check_allowance("minutes")
        return self._exhausted

    def meter(self, usage: Usage) -> dict[str, Any]:
        """Take what a call used until now; answers the totals of the attempt."""
        priced = _priced(cleaned(usage))
        with self._lock:
            counted = self._tally.add(priced)
            totals = self._tally.totals()
        if counted.cost_usd is None and (counted.tokens or counted.final):
            self._tell_unpriced(counted)
        for unit in self.allowance:
            self._check_allowance(unit)
        if self._blind or self._nearly_used():
            self._extend()
        return totals

    def _tell_unpriced(self, usage: Usage) -> None:
        counts_dollars = "usd" in self.allowance or any(each.unit == "usd" for each in self._holdings)
        if counts_dollars:
            self._warn(
                f"unpriced {usage.provider} {usage.model}",
                f"{usage.model} of {usage.provider} has no price: a budget in dollars cannot see what it costs",
            )

    def _check_allowance(self, unit: str) -> None:
        limit, own = self.allowance[unit], self._used(unit) + self.before.get(unit, Decimal(0))
        aside = self.aside.get(unit, Decimal(0))
        room = limit - aside
        if own >= room:
            others = f", and {said(unit, aside)} counted for jobs it delegated" if aside else ""
            self._exhaust(
                f"the budget of {said(unit, limit)} for this job is spent: {said(unit, own)} used{others}"
            )
        elif own >= room * WARN_AT:
            others = f", of which {said(unit, aside)} count for jobs it delegated" if aside else ""
            share = f"{(own + aside) / limit:.0%} of the budget for this job is used"
            self._warn(f"own {unit}", f"{share}: {said(unit, own + aside)} of {said(unit, limit)}{others}")

    def _used(self, unit: str) -> Decimal:
        if unit == "minutes":
            return exact(self._now() - self._began) / 60
        with self._lock:
            return self._tally.used(unit)

    def _since_settled(self, holding: Holding) -> Decimal:
        if holding.unit == "runs":
            return Decimal(0)
        return self._used(holding.unit) - self._settled[holding.unit]

    def _nearly_used(self) -> bool:
        return any(
            self._since_settled(each) >= each.amount * NEARLY
            for each in self._holdings
            if each.unit != "runs"
        )

    def _extend(self) -> None:
        """Settle now and get new slices, or find out that there are none."""
        if self._exhausted is None and self._now() >= self._not_before:
            with self._writing:
                if self._blind or self._nearly_used():  # the heartbeat may have been quicker
                    self._settle()
        if self._exhausted is None:
            self._fail_closed()

    def _fail_closed(self) -> None:
        """Postgres does not answer: what is set aside may be used, and no more."""
        if self._blind:
            self._exhaust("the budgets that cover this job cannot be asked: Postgres does not answer")
        for each in self._holdings:
            if self._since_settled(each) > each.amount and self._now() < self._not_before:
                self._exhaust(f"{each.words} cannot be asked for more: Postgres does not answer")

    def _exhaust(self, why: str) -> None:
        with self._lock:
            if self._exhausted is not None:
                return
            self._exhausted = why
        self._say("budget", why, level="error")

    def _warn(self, what: str, message: str) -> None:
        with self._lock:
            if what in self._warned:
                return
            self._warned.add(what)
        self._say("budget", message, level="warning")

    # -- what the worker asks

    def look(self) -> None:
        """Each second: write what is new, and see to it that the slices last until the next look."""
        self.recount()
        if self._exhausted is None and "minutes" in self.allowance:
            self._check_allowance("minutes")
        if not self._is_due() or not self._writing.acquire(blocking=False):
            return
        try:
            self._settle(HEARTBEATS_PATIENCE)
        except Exception:
            # What Postgres refuses of one attempt must not cost its neighbours the heartbeat.
            log.exception("purse.refused", job_id=self.spender.job_id)
        finally:
            self._writing.release()
        if self._shared and self._exhausted is None:
            self._fail_closed()

    def _is_due(self) -> bool:
        now = self._now()
        if now < self._not_before:
            return False
        with self._lock:
            self._unwritten += self._tally.take()
        stale = self._shared and now - self._settled_at > LOOK_AGAIN_SECONDS
        return bool(self._unwritten or self._blind or stale or (self._holdings and self._nearly_used()))

    def close(self) -> None:
        """Write the rest and give back what is left; while Postgres is away try for a while, then leave it.

        Nothing is raised: whatever Postgres refuses of the ledger, how the attempt ended must still be written.
        """
        try:
            self._close()
        except Exception:
            log.exception("purse.refused", job_id=self.spender.job_id)

    def _close(self) -> None:
        pause, give_up = 0.2, self._now() + CLOSE_SECONDS
        with self._writing:
            while not self._close_now():
                if self._now() > give_up:
                    log.error("purse.not_written", job_id=self.spender.job_id, parts=len(self._unwritten))
                    return
                time.sleep(pause)
                pause = min(2.0, pause * 2)

    def _close_now(self) -> bool:
        with self._lock:
            self._unwritten += self._tally.take()
        if not self._unwritten and not self._holdings and not self._shared:
            return True
        if not self._settle():
            return False
        try:
            with db.quick():
                limits.give_back(self.spender)
        except AWAY:
            return False
        self._holdings = []
        return True

    def _settle(self, patience_seconds: float = 2.0) -> bool:
        """Write what is not written and take new slices; answers whether Postgres took it."""
        with self._lock:
            self._unwritten += self._tally.take()
            parts = list(self._unwritten)
            # Beside what was taken here nothing is metered before the lock is free: they are the same.
            used = {"usd": self._tally.used("usd"), "tokens": self._tally.used("tokens")}
        used["minutes"] = self._used("minutes")
        try:
            with db.transaction():
                limits.be_brief(patience_seconds)
                minutes = used["minutes"] - self._settled["minutes"]
                known = {each.budget_id for each in self._holdings}
                holdings = limits.settle(self.spender, parts, minutes, known=known)
        except AWAY as away:
            self._not_before = self._now() + PAUSE_SECONDS
            self._away(away, "it goes on within what is set aside for it" if self._holdings else "it goes on")
            return False
        self._unwritten = self._unwritten[len(parts) :]
        self._settled, self._settled_at = used, self._now()
        if self._blind:
            self._blind = False
            self._remember()
        self._hold(holdings)
        return True

    def _hold(self, holdings: list[Holding]) -> None:
        self._holdings = holdings
        self._shared = self._shared or bool(holdings)
        for each in holdings:
            if each.refusal:
                self._exhaust(each.refusal)
            elif each.warns and each.unit != "runs":
                share = f"{each.spent / each.limit:.0%} of {each.words} is used"
                self._warn(each.budget_id, f"{share}: {said(each.unit, each.spent)}")

    def _away(self, away: Exception, meanwhile: str) -> None:
        log.warning("purse.away", job_id=self.spender.job_id, error=type(away).__name__)
        self._warn(
            "away", f"the budgets cannot be asked for now, because Postgres does not answer: {meanwhile}"
        )

    def _dollars_left(self) -> float | None:
        left = [each.room for each in self._holdings if each.unit == "usd"]
        if "usd" in self.allowance:
            gone = self.before.get("usd", Decimal(0)) + self.aside.get("usd", Decimal(0))
            left.append(self.allowance["usd"] - gone)
        return float(max(Decimal(0), min(left))) if left else None


def allowance_of(claim: Claim, definition: Definition) -> dict[str, Decimal]:
    """What one job may use, by unit: its own wish, else what its agent's definition says; no entry is no limit."""
    return delegation.allowance(definition, claim.options)


def _priced(usage: Usage) -> Usage:
    """The usage with its cost, from the price list where the program that used it names none."""
    if usage.cost_usd is not None or usage.cost_status == "unaccounted":
        return usage
    found = price(usage.provider, usage.model, usage, clock.now())
    if found.cost_usd is None:
        return usage
    return replace(usage, cost_usd=found.cost_usd, cost_status="derived", price_version=found.version)


def _silence(_kind: str, _message: str, **_more: object) -> None:
    """Nobody listens."""
