"""API keys: one's own; an admin manages everybody's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from app.accounts import api_keys, permissions, queries
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import Moment, Page, PageQuery, When
from app.db import Row
from app.errors import NotFound

KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Scope = Literal["read", "write", "admin"]


class ApiKeyIn(Input):
    """A key to be made."""

    name: KeyName = Field(description="What it is for.")
    scopes: list[Scope] | None = Field(
        None, min_length=1, max_length=3, description="Left out: all that you have."
    )
    expires_at: Moment | None = None


class ApiKeyOut(BaseModel):
    """A key, without its secret."""

    key_id: str
    user_id: str
    name: str
    scopes: list[str]
    created_at: When
    expires_at: When | None
    revoked_at: When | None
    last_used_at: When | None = Field(description="To the minute.")


class FreshApiKeyOut(ApiKeyOut):
    """A key at the one moment its text is shown."""

    api_key: str


class ApiKeysOut(Page):
    """A page of keys, newest first."""

    api_keys: list[ApiKeyOut]


@op("GET", "/api/v1/api-keys", verb="manage_api_keys", out=ApiKeysOut)
def list_api_keys(query: PageQuery) -> dict[str, Any]:
    """List API keys: your own, or all for an admin."""
    owner = permissions.own_only(current_principal(), "manage_api_keys")
    keys, total = queries.api_keys(owner, limit=query.limit, offset=query.offset)
    return {"api_keys": keys, "total": total, "limit": query.limit, "offset": query.offset}


@op("POST", "/api/v1/api-keys", verb="manage_api_keys", out=FreshApiKeyOut, status=201)
def create_api_key(body: ApiKeyIn) -> dict[str, Any]:
    """Make an API key for yourself; its text is shown this once."""
    scopes = None if body.scopes is None else frozenset(body.scopes)
    fresh = api_keys.create(current_principal(), name=body.name, scopes=scopes, expires_at=body.expires_at)
    return {**_found(fresh.key_id), "api_key": fresh.text}


@op("GET", "/api/v1/api-keys/<key_id>", verb="manage_api_keys", out=ApiKeyOut, errors=(404,))
def get_api_key(key_id: str) -> Row:
    """Show an API key, without its secret."""
    return _managed(key_id)


@op("DELETE", "/api/v1/api-keys/<key_id>", verb="manage_api_keys", out=ApiKeyOut, errors=(404,))
def revoke_api_key(key_id: str) -> Row:
    """Revoke an API key; it stops working at once, and for good."""
    _managed(key_id)
    return api_keys.revoke(current_principal(), key_id)


def _managed(key_id: str) -> Row:
    """The same NotFound for what is not there and for what is somebody else's."""
    key = _found(key_id)
    if not permissions.may(current_principal(), "manage_api_keys", str(key["user_id"])):
        raise _missing(key_id)
    return key


def _found(key_id: str) -> Row:
    key = queries.api_key(key_id)
    if key is None:
        raise _missing(key_id)
    return key


def _missing(key_id: str) -> NotFound:
    return NotFound(f"There is no API key {key_id}.")
