"""What was refused and what is unusual, for those who watch over Callboard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field

from app import clock
from app.alerts import suspicions
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import When


class SignInsOut(BaseModel):
    """Attempts to sign in."""

    failed: int
    limited: int = Field(description="Times that somebody was held back after too many.")
    signed_in: int
    locked: int = Field(description="Accounts that are locked now.")


class AddressOut(BaseModel):
    """An address from which sign-ins failed."""

    address: str
    failed: int
    names: int = Field(description="How many different names were tried.")
    last: When


class RefusedOut(BaseModel):
    """One kind of request that was refused."""

    status: int = Field(description="401, 403 or 429.")
    who: str = Field(description="The account; empty where nobody is known.")
    ip: str
    method: str
    endpoint: str
    times: int
    last: When


class SenderOut(BaseModel):
    """How many jobs an account sent in within the last hour."""

    who: str
    jobs: int
    usual: float = Field(description="In an hour in which they had jobs that ended, on average over a week.")


class DoneOut(BaseModel):
    """Something that takes an admin, or changes who may come in."""

    at: When
    who: str
    action: str
    subject: str | None
    ip: str | None


class KeysOut(BaseModel):
    """API keys that are in force."""

    living: int
    endless: int = Field(description="They never expire.")
    old: int = Field(description="Made more than 90 days ago.")
    unused: int = Field(description="Not used for 90 days.")


class SecurityOut(BaseModel):
    """The figures of the page Security."""

    since: When
    sign_ins: SignInsOut
    addresses: list[AddressOut]
    refused: list[RefusedOut]
    senders: list[SenderOut]
    privileged: list[DoneOut]
    api_keys: KeysOut


class SecurityQuery(Input):
    """Of which time."""

    hours: int = Field(24, ge=1, le=720)


@op("GET", "/api/v1/security", verb="view_audit", out=SecurityOut)
def get_security(query: SecurityQuery) -> dict[str, Any]:
    """Show failed sign-ins, refused requests, unusual submissions and what admins did."""
    since = clock.now() - timedelta(hours=query.hours)
    addresses = suspicions.failed_by_address(since)
    return {
        "since": since,
        "sign_ins": suspicions.sign_ins(since),
        "addresses": [{name: row[name] for name in AddressOut.model_fields} for row in addresses],
        "refused": suspicions.answers(since),
        "senders": suspicions.senders(timedelta(hours=1)),
        "privileged": suspicions.privileged(),
        "api_keys": suspicions.keys_at_risk(),
    }
