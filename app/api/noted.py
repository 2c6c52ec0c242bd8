"""Who did what by the API, for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import current_app

from app import audit
from app.api.auth import current_principal
from app.api.request_id import current as current_request_id


def noted(action: str, subject: object, details: Mapping[str, Any] | None = None) -> None:
    """Write one entry of the audit log, of the caller and the present request; the view commits it."""
    via = current_app.config.get("VIA")  # the command line of this machine, where it runs this app for itself
    told = ({"via": via} if via else {}) | dict(details or {})
    audit.record(
        action,
        actor=current_principal().user_id,
        subject=str(subject),
        correlation_id=current_request_id(),
        details=told or None,
    )
