"""What the doctor finds, for admins."""

from __future__ import annotations

from typing import Any, Literal

from flask import current_app
from pydantic import BaseModel, Field

from app.api.auth import settings
from app.api.glue import op
from app.api.shapes import When
from app.kept import Kept
from app.ops.doctor import Place, examine

SECONDS = 15

_kept = Kept(seconds=SECONDS, most=1)
forget = _kept.forget


class FindingOut(BaseModel):
    """One thing that should be otherwise."""

    check: str
    severity: Literal["error", "warning", "info"]
    what: str
    why: str
    fix: str = Field(description="A command or a setting.")


class CheckOut(BaseModel):
    """One thing that was looked at."""

    check: str
    title: str
    state: Literal["ok", "info", "warning", "error", "skipped"]
    facts: list[str]
    skipped: str = Field(description="Why nobody looked; empty if somebody did.")


class DoctorOut(BaseModel):
    """How the installation is."""

    score: int = Field(
        description="0 to 100; an error takes 15 off, a warning 4, a check that could not be made 2."
    )
    status: Literal["ok", "warning", "error"]
    seconds: float = Field(description="How long it took to look.")
    at: When
    findings: list[FindingOut] = Field(description="The worst first.")
    checks: list[CheckOut]


@op("GET", "/api/v1/doctor", verb="view_alerts", out=DoctorOut)
def get_doctor() -> dict[str, Any]:
    """Say what is wrong with this installation and the way out of each; up to 15 seconds old."""
    report: dict[str, Any] = _kept.answer("report", lambda: examine(_place()).as_dict())
    return report


def _place() -> Place:
    return Place(settings(), current_app.config["RELEASE"])
