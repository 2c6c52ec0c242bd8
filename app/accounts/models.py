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
    text,
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
        CheckConstraint("(oidc_issuer IS NULL) = (oidc_subject IS NULL)", name="oidc_whole"),
        Index(
            "uq_users_oidc",
            "oidc_issuer",
            "oidc_subject",
            unique=True,
            postgresql_where=text("oidc_subject IS NOT NULL"),
        ),
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
    # Wrong passwords in a row since `failed_since`; too many of them within a minute lock the account for a while.
    failed_count: Mapped[int] = mapped_column(server_default="0")
    failed_since: Mapped[datetime | None] = mapped_column(When)
    locked_until: Mapped[datetime | None] = mapped_column(When)
    # Who they are at the identity provider they sign in with; NULL: nobody there.
    oidc_issuer: Mapped[str | None] = mapped_column(Text)
    oidc_subject: Mapped[str | None] = mapped_column(Text)


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


class Login(Base):
    """One time somebody signed in: a browser's session, or the family of refresh tokens of the same id."""

    __tablename__ = "logins"
    __table_args__ = (
        CheckConstraint("kind IN ('browser','token')", name="kind"),
        CheckConstraint("method IN ('password','oidc','link')", name="method"),
        Index("ix_logins_user", "user_id", "created_at"),
        Index("ix_logins_expires", "expires_at"),
    )

    login_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.user_id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text, server_default="password")
    ip: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(When, server_default=func.now())  # to some minutes
    expires_at: Mapped[datetime] = mapped_column(When)
    ended_at: Mapped[datetime | None] = mapped_column(When)  # signed out, by whomever


class UnknownName(Base):
    """A name that nobody has and somebody tried to sign in with, locked as an account would be; never its text."""

    __tablename__ = "unknown_names"
    __table_args__ = (CheckConstraint("octet_length(name_sha256) = 32", name="hash_length"),)

    name_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failed_count: Mapped[int]
    failed_since: Mapped[datetime] = mapped_column(When)
    locked_until: Mapped[datetime | None] = mapped_column(When)


class AccountLink(Base):
    """A link sent to somebody by which they choose a password: `reset` of a lost one, or `invite` of a new person."""

    __tablename__ = "account_links"
    __table_args__ = (
        CheckConstraint("octet_length(token_sha256) = 32", name="hash_length"),
        CheckConstraint("purpose IN ('reset','invite')", name="purpose"),
        Index("ix_account_links_user", "user_id", "created_at"),
        Index("ix_account_links_expires", "expires_at"),
    )

    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.user_id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text, server_default="")  # '' = they asked for it themselves
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(When)
    used_at: Mapped[datetime | None] = mapped_column(When)


class SecretKeyAge(Base):
    """Since when a key of the environment is in use; of the key itself only a fingerprint is kept."""

    __tablename__ = "secret_keys"
    __table_args__ = (CheckConstraint("kind IN ('signing','tokens','encryption')", name="kind"),)

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text, primary_key=True)
    # Something known, encrypted by it: whoever cannot read it has another key. NULL for keys that only sign.
    canary: Mapped[str | None] = mapped_column(Text)
    first_seen_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    retired_at: Mapped[datetime | None] = mapped_column(When)


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
