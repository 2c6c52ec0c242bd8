"""What people do about alerts: acknowledge one, switch a rule off or on, give it another threshold."""

from __future__ import annotations

import math

from app.alerts import queries, watching
from app.alerts.rules import Rule, named, said
from app.db import Row, db
from app.errors import Conflict, Invalid


class Unset:
    """Left as it is; None would mean the usual threshold."""


UNSET = Unset()


def acknowledge(alert_id: str, *, by: str) -> Row:
    """Somebody takes care of it: it is not told again while it lasts. The first one stays; raises NotFound, Conflict."""
    alert = queries.get(alert_id)
    if alert["resolved_at"] is not None:
        raise Conflict("This alert is over already.")
    db.run(
        """UPDATE alerts SET acknowledged_at = now(), acknowledged_by = %(by)s
           WHERE alert_id = %(id)s AND acknowledged_at IS NULL""",
        by=by,
        id=alert_id,
    )
    db.after_commit(queries.forget)
    return queries.get(alert_id)


def set_rule(
    name: str, *, by: str, enabled: bool | None = None, threshold: float | Unset | None = UNSET
) -> Row:
    """Change a rule and answer it as it is then; a threshold of None is the usual one again. Raises NotFound, Invalid.

    What is open of a rule that is switched off ends at once, and nobody is told.
    """
    rule, now = named(name), queries.changed().get(name, {})
    wanted = now.get("threshold") if isinstance(threshold, Unset) else _fitting(rule, threshold)
    on = bool(now.get("enabled", True) if enabled is None else enabled)
    db.run(
        """INSERT INTO alert_rules (rule, enabled, threshold, updated_by, updated_at)
           VALUES (%(rule)s, %(enabled)s, %(threshold)s, %(by)s, now())
           ON CONFLICT (rule) DO UPDATE SET enabled = excluded.enabled, threshold = excluded.threshold,
               updated_by = excluded.updated_by, updated_at = excluded.updated_at""",
        rule=name,
        enabled=on,
        threshold=wanted,
        by=by,
    )
    if not on:
        watching.close(name)
    db.after_commit(queries.forget)
    return queries.rule(name)


def _fitting(rule: Rule, threshold: float | None) -> float | None:
    if threshold is None or threshold == rule.threshold:
        return None
    if not math.isfinite(threshold) or not 0 <= threshold <= rule.most:
        most = said(rule.most, rule.unit)
        raise Invalid("The threshold does not fit.", [("/threshold", f"must be from 0 to {most}")])
    return threshold
