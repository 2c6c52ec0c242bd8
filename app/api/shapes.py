"""Pieces of bodies, queries and answers that many operations share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.api.reading import Input
from app.notify.addresses import LONGEST_URL, check_email, check_url

# Postgres' bigint ends later, and no list is that long.
FARTHEST_OFFSET = 1_000_000_000

JSON = dict[str, Any]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Email = Annotated[str, StringConstraints(min_length=3, max_length=255)]
When = datetime


def _web_address(text: str) -> str:
    if said := check_url(text):
        raise PydanticCustomError("web_address", "{said}", {"said": said})
    return text


def _mail_address(text: str) -> str:
    if said := check_email(text):
        raise PydanticCustomError("mail_address", "{said}", {"said": said})
    return text


# What Callboard may call; where its name leads is checked again when it is called.
WebAddress = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_URL), AfterValidator(_web_address)
]
MailAddress = Annotated[Email, AfterValidator(_mail_address)]


def _split(value: object) -> object:
    return (
        [part for item in value for part in str(item).split(",") if part]
        if isinstance(value, list)
        else value
    )


# In a query: `?ids=a,b` and `?ids=a&ids=b` are the same.
Commas = BeforeValidator(_split)


def _in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; Postgres takes neither every offset nor every year that Python does."""
    if not 1970 <= moment.year < 9999:
        msg = "must lie between 1970 and 9998"
        raise ValueError(msg)
    return moment.astimezone(UTC)


# `2026-01-31T12:00:00Z`; a time without zone is refused, because nobody knows which one was meant.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class PageQuery(Input):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=100, description="Entries on a page.")
    offset: int = Field(0, ge=0, le=FARTHEST_OFFSET, description="Entries to leave out before it.")


class Page(BaseModel):
    """Where in a list its entries are."""

    total: int = Field(description="Entries in the whole list; counted up to 10,000 where lists grow long.")
    limit: int
    offset: int


class FieldError(BaseModel):
    """One thing that is wrong with the input."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a query parameter.")
    message: str


class ErrorOut(BaseModel):
    """Code and detail once more, in the shape that senders of commands know."""

    code: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Address of the problem's explanation.")
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable name for programs.")
    request_id: str | None = Field(description="To be found in the log.")
    errors: list[FieldError] = Field(default_factory=list)
    allowed_actions: list[str] = Field(
        default_factory=list, description="With 409: what is possible instead."
    )
    error: ErrorOut | None = Field(None, description="Only where commands to sessions are taken.")
