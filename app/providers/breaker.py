"""When a provider is left alone after failures, as a value without a clock or a database.

    closed ──5 transient failures in 60 s, or 1 of auth or quota──► open ──its time──► half_open
       ▲                                                             ▲                    │
       │                                                             └──probe fails───────┤
       └──────────────────────────probe succeeds, or an admin resets──────────────────────┘

The pause is 30 s and doubles with each opening in a row, to 10 minutes; a longer Retry-After wins, even one of
days. A throttle that says when to come back pauses for just that long and is no failure. `request` (we asked for
something impossible) says nothing about the provider. Calls that were under way when it opened have no say,
except that they may know of a longer pause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Literal

State = Literal["closed", "open", "half_open"]
Kind = Literal["throttle", "overload", "transport", "quota", "auth", "request"]

TRANSIENT = ("throttle", "overload", "transport")
AT_ONCE = ("quota", "auth")
KINDS = (*TRANSIENT, *AT_ONCE, "request")

FAILURES = 5
WINDOW = timedelta(seconds=60)
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
# What a service may ask for at most; a Retry-After beyond that is a mistake, not a plan.
LONGEST_WISH = timedelta(days=31)
LONGEST_MESSAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """How a provider has been doing; every change makes a new one."""

    state: State = "closed"
    failures: int = 0
    """In a row, whatever their age."""
    trips: int = 0
    """Openings in a row; each doubles the pause."""
    recent_failures: tuple[datetime, ...] = ()
    """Transient ones since the last success, the newest last, as many as matter."""
    opened_at: datetime | None = None
    open_until: datetime | None = None
    error_class: str | None = None
    last_error: str | None = None
    last_failed_at: datetime | None = None
    last_ok_at: datetime | None = None

    def may_probe(self, now: datetime) -> bool:
        """Whether the pause is over, so that one call may find out how it is."""
        return self.state == "half_open" or (
            self.state == "open" and (self.open_until is None or self.open_until <= now)
        )

    def probed(self) -> Breaker:
        """One call is finding out."""
        return replace(self, state="half_open")

    def succeeded(self, now: datetime, *, probe: bool = False) -> Breaker:
        """A call was answered."""
        if self.state != "closed" and not probe:
            return replace(self, last_ok_at=now)
        return replace(self.reset(), last_ok_at=now)

    def failed(
        self, now: datetime, kind: str, message: str, retry_after: float | None = None, *, probe: bool = False
    ) -> Breaker:
        """A call was not answered; `retry_after` is in seconds."""
        if kind == "request":
            return self
        wish = _wish(retry_after)
        if self.state != "closed" and not probe:
            return self._prolonged(now, wish)
        noted = replace(
            self,
            failures=self.failures + 1,
            error_class=kind,
            last_error=message[:LONGEST_MESSAGE],
            last_failed_at=now,
        )
        if kind == "throttle" and wish:
            return _opened(replace(noted, failures=self.failures), now, wish)
        if kind in AT_ONCE or probe:
            return _tripped(noted, now, wish)
        recent = (*(at for at in self.recent_failures if now - at < WINDOW), now)[-FAILURES:]
        noted = replace(noted, recent_failures=recent)
        if len(recent) >= FAILURES:
            return _tripped(noted, now, wish)
        return _opened(noted, now, wish) if wish else noted

    def reset(self) -> Breaker:
        """It is well again; what was wrong last is remembered for people."""
        return Breaker(
            error_class=self.error_class,
            last_error=self.last_error,
            last_failed_at=self.last_failed_at,
            last_ok_at=self.last_ok_at,
        )

    def _prolonged(self, now: datetime, wish: timedelta) -> Breaker:
        """A call from before the opening failed too: nothing new, but it may have been told more."""
        if self.state == "open" and wish and self.open_until and now + wish > self.open_until:
            return replace(self, open_until=now + wish)
        return self


def _wish(retry_after: float | None) -> timedelta:
    """How long the service asked us to stay away; nothing for what makes no sense."""
    if retry_after is None or not isfinite(retry_after) or retry_after <= 0:
        return timedelta(0)
    return timedelta(seconds=min(retry_after, LONGEST_WISH.total_seconds()))


def _tripped(breaker: Breaker, now: datetime, wish: timedelta) -> Breaker:
    pause = min(FIRST_PAUSE * 2 ** min(breaker.trips, 10), LONGEST_PAUSE)
    return _opened(replace(breaker, trips=breaker.trips + 1), now, max(pause, wish))


def _opened(breaker: Breaker, now: datetime, pause: timedelta) -> Breaker:
    since = breaker.opened_at or now
    return replace(breaker, state="open", opened_at=since, open_until=now + pause, recent_failures=())
