"""GET /gates: the list; one gate with its checks, its source, its versions and what changed between them."""

from __future__ import annotations

from typing import Any

import yaml
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents.versions import difference
from app.dashboard import actions, gated, links
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.quality import gates
from app.quality.definition import CheckSpec, Gate

PAGE_SIZE = 50
# What of a check has a column of its own; the rest are the options of its kind.
COLUMNS = frozenset({"check", "name", "mode", "weight", "threshold"})
LAST = "checks"


def page() -> str:
    """GET /gates; `?q=` filters, `?page=` goes on."""
    demand(asking(), "view_gates")
    q, number = request.args.get("q", "").strip()[:200], links.page_number()
    rows = gates.page(q=q or None, limit=PAGE_SIZE + 1, offset=number * PAGE_SIZE)
    return render_template(
        "quality/gates.html",
        gates=rows[:PAGE_SIZE],
        users=gated.users(),
        q=q,
        number=number,
        has_more=len(rows) > PAGE_SIZE,
    )


def detail(name: str) -> str:
    """GET /gates/<name>."""
    demand(asking(), "view_gates")
    row = gates.named(name, archived=True)
    gate, broken = _read(row)
    return render_template(
        "quality/gate.html",
        row=row,
        gate=gate,
        broken=broken,
        checks=[_line(spec) for spec in gate.checks] if gate else [],
        source=as_yaml(row["definition"]),
        versions=gates.versions(name),
        users=gated.users().get(name, []),
        may_change=may_change(),
    )


def may_change() -> bool:
    """Whether whoever asks may change gates: their checks run programs on the workers."""
    return may(asking(), "manage_gates")


def as_yaml(definition: dict[str, Any]) -> str:
    """A gate as people read and write it: its checks last, each with its kind first."""
    ordered = {key: value for key, value in definition.items() if key != LAST}
    made = ordered | {LAST: [_ordered(check) for check in definition.get(LAST) or []]}
    return yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=100)


def _ordered(check: Any) -> Any:
    if not isinstance(check, dict):
        return check
    first = [key for key in ("check", "name", "mode", "weight", "threshold") if key in check]
    return {key: check[key] for key in (*first, *(key for key in check if key not in first))}


def _read(row: Row) -> tuple[Gate | None, str]:
    """The gate, or why an older one cannot be read any more."""
    try:
        return Gate.read(row["definition"], name=row["name"], version=row["version"]), ""
    except Invalid as wrong:
        return None, wrong.message


def _line(spec: CheckSpec) -> dict[str, Any]:
    options = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(COLUMNS))
    return {
        "spec": spec,
        "means": (type(spec).__doc__ or "").partition("\n")[0],
        "options": {
            key: value if isinstance(value, str) else _short(value) for key, value in options.items()
        },
    }


def _short(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    said = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return said.removesuffix("\n").removesuffix("\n...")


def version(name: str, version: str) -> str:
    """GET /gates/<name>/versions/<version>; `?against=` another version than the one before it."""
    demand(asking(), "view_gates")
    shown = gates.named(name, _number(version), archived=True)
    numbers = [row["version"] for row in gates.versions(name)]
    earlier = max((number for number in numbers if number < shown["version"]), default=None)
    against = _number(request.args["against"]) if request.args.get("against") else earlier
    other = gates.named(name, against, archived=True) if against else None
    # An older one is compared with the present one as things went: from the old to the new.
    first, second = sorted((other, shown), key=lambda row: row["version"]) if other else (None, shown)
    return render_template(
        "quality/gate_version.html",
        row=shown,
        numbers=numbers,
        before=first,
        after=second,
        source=as_yaml(shown["definition"]),
        change=_change(first, second) if first else None,
        may_change=may_change(),
    )


def _change(first: Row, second: Row) -> Any:
    names = f"v{first['version']}", f"v{second['version']}"
    return difference(as_yaml(first["definition"]), as_yaml(second["definition"]), names)


def _number(text: str) -> int:
    if not (text.isdecimal() and len(text) < 10 and int(text)):
        raise NotFound
    return int(text)


def restore(name: str, version: str) -> AnyResponse:
    """POST /gates/<name>/versions/<version>/restore: an old version is the newest again."""
    demand(asking(), "manage_gates")
    old = gates.named(name, _number(version), archived=True)
    try:
        row = gates.save(name, old["definition"], by=asking().user_id, note=f"Version {version} again")
    except Invalid as wrong:
        db.session.rollback()
        flash(f"Not restored, because this Callboard cannot read it any more: {wrong.message}.", "red")
        return redirect(url_for("dashboard.gate_version", name=name, version=version), 303)
    return done(row, "restored", f"Version {version} is in use again, as version {row['version']}.")


def act(name: str, verb: str) -> AnyResponse:
    """POST /gates/<name>/<verb>: archive, or bring back."""
    demand(asking(), "manage_gates")
    row = gates.named(name, archived=True)
    if verb == "archive":
        gates.archive(name)
        return done(row, "archived", "Archived: it is not listed any more. Agents that name it keep it.")
    if verb != "bring-back":
        raise NotFound
    return done(gates.save(name, row["definition"], by=asking().user_id), "restored", "It is listed again.")


def done(row: Row, what: str, words: str) -> AnyResponse:
    """Note, commit, say it, and go to the gate's page."""
    actions.noted(f"quality_gate.{what}", row["name"], version=row["version"])
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.gate", name=row["name"]), 303)
