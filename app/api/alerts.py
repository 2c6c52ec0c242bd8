"""Alerts, and the rules that raise them."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.alerts import changes, queries
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import When

Severity = Literal["info", "warning", "critical"]
Unit = Literal["percent", "seconds", "jobs", "attempts", "requests", "breaks"]


class AlertOut(BaseModel):
    """One time at which a watched figure was wrong."""

    alert_id: str
    rule: str
    title: str
    subject: str = Field(description="Which pool, job, address or provider; empty where there is only one.")
    severity: Severity
    state: Literal["active", "acknowledged", "resolved"]
    message: str
    unit: Unit
    value: float | None = Field(description="As it was measured last.")
    worst: float | None
    threshold: float | None
    wrong_since: When = Field(description="When it was first seen to be wrong.")
    raised_at: When = Field(description="When it had been wrong for long enough to be said.")
    calm_since: When | None = Field(description="Right again, but not for long enough yet.")
    resolved_at: When | None
    acknowledged_at: When | None
    acknowledged_by: str | None
    link: str = Field(description="The page where one looks first.")
    do: str = Field(description="What to do about it.")


class AlertsOut(BaseModel):
    """Alerts: the active ones by severity, others newest first."""

    alerts: list[AlertOut]
    total: int = Field(description="How many are in this answer.")


class AlertsQuery(Input):
    """Which alerts."""

    state: queries.State = Field("active", description="`active` has those that are acknowledged, too.")
    limit: int = Field(50, ge=1, le=queries.MOST)


class AlertRuleOut(BaseModel):
    """One figure that is watched."""

    rule: str
    title: str
    words: str = Field(description="What is measured, and of which time.")
    unit: Unit
    subject: str = Field(description="What its subjects are; empty: it has only one.")
    severity: Severity
    enabled: bool
    threshold: float = Field(description="It is wrong above this.")
    limit_words: str = Field(description="The threshold with its unit.")
    usual_threshold: float
    most_threshold: float
    hold_seconds: float = Field(description="Wrong for so long before it is said.")
    calm_seconds: float = Field(description="Right for so long before it is over.")
    told_as: str = Field(description="The event by which it is told.")
    active: int
    updated_by: str | None
    updated_at: When | None


class AlertRulesOut(BaseModel):
    """Everything that is watched."""

    rules: list[AlertRuleOut]
    total: int


class AlertRulePatch(Input):
    """What is to change; what is left out stays."""

    enabled: bool | None = None
    threshold: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="null: the usual one again. Unit and end: the rule's."
    )


@op("GET", "/api/v1/alerts", verb="view_alerts", out=AlertsOut)
def list_alerts(query: AlertsQuery) -> dict[str, Any]:
    """List alerts."""
    found = [_alert(row) for row in queries.listing(query.state, query.limit)]
    return {"alerts": found, "total": len(found)}


@op("POST", "/api/v1/alerts/<alert_id>/acknowledge", verb="manage_alerts", out=AlertOut, errors=(404, 409))
def acknowledge_alert(alert_id: UUID) -> dict[str, Any]:
    """Say that you take care of an alert: it is not told again while it lasts. The first one stays."""
    row = changes.acknowledge(str(alert_id), by=current_principal().user_id)
    noted("alert.acknowledged", row["alert_id"], {"rule": row["rule"], "of": row["subject"]})
    return _alert(row)


@op("GET", "/api/v1/alert-rules", verb="view_alerts", out=AlertRulesOut)
def list_alert_rules() -> dict[str, Any]:
    """List what is watched, with the thresholds that are in force."""
    found = [_rule(row) for row in queries.rules()]
    return {"rules": found, "total": len(found)}


@op("PATCH", "/api/v1/alert-rules/<rule>", verb="manage_alerts", out=AlertRuleOut, errors=(404,))
def change_alert_rule(rule: str, body: AlertRulePatch) -> dict[str, Any]:
    """Switch a rule off or on, or change its threshold; what is open of a rule that is switched off ends at once."""
    wish = body.model_dump(exclude_unset=True)
    row = changes.set_rule(rule, by=current_principal().user_id, **wish)
    noted("alert_rule.changed", rule, {"enabled": row["enabled"], "threshold": row["threshold"]})
    return _rule(row)


def _alert(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in AlertOut.model_fields}


def _rule(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in AlertRuleOut.model_fields}
