"""Users, for admins."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts import queries, users
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import Email, Page, PageQuery, ShortText, When
from app.db import Row
from app.errors import NotFound

Role = Literal["admin", "user", "viewer"]
Name = Annotated[str, StringConstraints(max_length=200)]


class UserIn(Input):
    """A user to be added."""

    email: Email
    role: Role = "user"
    name: Name = ""
    password: ShortText | None = Field(None, description="Left out: the user comes in by API key only.")


class UserPatch(Input):
    """What is to change; whatever bears on access ends the user's logins at once."""

    role: Role | None = None
    enabled: bool | None = None
    name: Name | None = None
    password: ShortText | None = None


class UserOut(BaseModel):
    """A user."""

    user_id: str
    email: str
    name: str
    role: Role
    enabled: bool
    created_at: When
    updated_at: When
    last_login_at: When | None


class UsersOut(Page):
    """A page of users, by e-mail."""

    users: list[UserOut]


@op("GET", "/api/v1/users", verb="manage_users", out=UsersOut)
def list_users(query: PageQuery) -> dict[str, Any]:
    """List users."""
    page, total = queries.users(limit=query.limit, offset=query.offset)
    return {
        "users": [_shown(user) for user in page],
        "total": total,
        "limit": query.limit,
        "offset": query.offset,
    }


@op("POST", "/api/v1/users", verb="manage_users", out=UserOut, status=201, errors=(409,))
def create_user(body: UserIn) -> dict[str, Any]:
    """Add a user."""
    actor = current_principal().user_id
    return _shown(users.create(body.email, body.password, role=body.role, name=body.name, actor=actor))


@op("GET", "/api/v1/users/<user_id>", verb="manage_users", out=UserOut, errors=(404,))
def get_user(user_id: UUID) -> dict[str, Any]:
    """Show a user."""
    user = queries.user(str(user_id))
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return _shown(user)


@op("PATCH", "/api/v1/users/<user_id>", verb="manage_users", out=UserOut, errors=(404, 409))
def change_user(user_id: UUID, body: UserPatch) -> dict[str, Any]:
    """Change a user's role, name, password, or whether they may come in; the last admin stays one."""
    return _shown(users.change(str(user_id), **body.model_dump(), actor=current_principal().user_id))


def _shown(user: Row) -> dict[str, Any]:
    return {field: user[field] for field in UserOut.model_fields}
