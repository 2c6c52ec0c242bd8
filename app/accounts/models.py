"""The tables of accounts: who may come in (users), and with what (API keys, refresh tokens).

No secret is stored: passwords as argon2id, keys and refresh tokens as SHA-256 of 256 random bits.
Read and written by SQL in this room; the classes here are their drawing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    Uuid,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class User(Base):
    """A person or a machine with a role."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('admin','user','viewer')", name="role"),
        CheckConstraint("email = lower(email)", name="email_lower"),
    )

    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text, server_default="")
    role: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)  # NULL: signs in with API keys only
    # Grows with every change of password, role or `enabled`; tokens and cookies of an older one are refused.
    token_version: Mapped[int] = mapped_column(server_default="0")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    last_login_at: Mapped[datetime | None] = mapped_column(When)


class ApiKey(Base):
    """A machine's way in: `cb_<key_id>_<secret>`, shown once."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("length(key_id) = 8", name="key_id_length"),
        CheckConstraint("octet_length(secret_sha256) = 32", name="hash_length"),
        Index("ix_api_keys_user", "user_id", "created_at"),
    )

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.user_id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    # Which of the owner's permissions the key has: read, write, admin; never more than the owner.
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(When)
    revoked_at: Mapped[datetime | None] = mapped_column(When)
    last_used_at: Mapped[datetime | None] = mapped_column(When)


class RefreshToken(Base):
    """One link in a login's chain of refresh tokens; a family is all links of one login."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        CheckConstraint("octet_length(token_sha256) = 32", name="hash_length"),
        Index("ix_refresh_tokens_family", "family_id"),
        Index("ix_refresh_tokens_user", "user_id"),
        Index("ix_refresh_tokens_expires", "expires_at"),
    )

    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family_id: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.user_id", ondelete="CASCADE"))
    token_version: Mapped[int]  # the user's at login
    issued_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(When)
    used_at: Mapped[datetime | None] = mapped_column(When)
    revoked_at: Mapped[datetime | None] = mapped_column(When)


class SavedView(Base):
    """A filter of a list under a name: one's own, or shared with everybody."""

    __tablename__ = "saved_views"

    view_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.user_id", ondelete="CASCADE"))
    page: Mapped[str] = mapped_column(Text)  # jobs, workflows, …: the list it belongs to
    name: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)  # as in the address, without the question mark
    shared: Mapped[bool] = mapped_column(Boolean, server_default="false")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index("uq_saved_views", "user_id", "page", "name", unique=True),)
