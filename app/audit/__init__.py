"""What people and programs did that somebody may one day ask about: an append-only log whose entries are chained."""

from __future__ import annotations

from app.audit.entries import newest, record, record_many

__all__ = ["newest", "record", "record_many"]
