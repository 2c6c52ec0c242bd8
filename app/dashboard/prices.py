"""The prices on the page of providers: our own with a form for more, and what the list says of the models in use."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand
from app.dashboard import actions, forms
from app.dashboard.provider_list import LISTING
from app.dashboard.session import asking
from app.db import db
from app.errors import Invalid, NotFound
from app.providers import prices, queries

_USD = {"type": "number", "minimum": 0, "maximum": float(prices.MOST_USD)}
_AMOUNTS = ("input_usd", "output_usd", "cache_read_usd", "cache_write_usd")


def section(typed: dict[str, str] | None = None, wrong: dict[str, str] | None = None) -> dict[str, Any]:
    """What the page's section of prices needs; what was typed and what is wrong with it, if there is something."""
    rows = queries.every()
    return {
        "own_prices": prices.listed(),
        "models": [
            {"provider": row["title"], "model": row["model"],
             "price": prices.told(row["provider_id"], row["model"], row["billing"])}
            for row in rows
        ],
        "price_fields": forms.fields(
            _schema([row["provider_id"] for row in rows]),
            {"valid_from": clock.now().date().isoformat()} | (typed or {}),
            wrong,
        ),
        "price_wrong": wrong or {},
    }  # fmt: skip


def _schema(provider_ids: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["provider_id", "model", "valid_from", "input_usd", "output_usd"],
        "properties": {
            "provider_id": {"enum": provider_ids, "title": "Provider"},
            "model": {"type": "string", "maxLength": 200},
            "valid_from": {
                "type": "string",
                "title": "From",
                "description": "The first day, in UTC: 2026-01-31.",
            },
            "input_usd": _USD | {"title": "Input, $ a million"},
            "output_usd": _USD | {"title": "Output, $ a million"},
            "cache_read_usd": _USD
            | {"title": "Cache read, $ a million", "description": "Empty: like input."},
            "cache_write_usd": _USD
            | {"title": "Cache write, $ a million", "description": "Empty: like input."},
        },
    }


def put() -> AnyResponse:
    """POST /prices: back to the page, or the page again with what is wrong."""
    demand(asking(), "manage_providers")
    schema = _schema([row["provider_id"] for row in queries.every()])
    typed = forms.typed(schema, request.form)
    try:
        read = forms.parameters(schema, typed)
        row = prices.put(
            str(read.get("provider_id", "")),
            str(read.get("model", "")),
            _day(str(read.get("valid_from", ""))),
            by=asking().user_id,
            **{name: _amount(name, typed[name]) for name in _AMOUNTS},
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_again(typed, forms.complaints(wrong)), 422)
    actions.noted("price.set", f"{row['provider_id']}/{row['model']}",
                  **{name: str(row[name]) for name in ("valid_from", *_AMOUNTS)})  # fmt: skip
    db.session.commit()
    flash(f"{row['model']} has a price of your own.", "green")
    return redirect(url_for("dashboard.providers", _anchor="prices"), 303)


def remove() -> AnyResponse:
    """POST /prices/remove."""
    demand(asking(), "manage_providers")
    provider_id, model, day = (request.form.get(name, "") for name in ("provider_id", "model", "valid_from"))
    try:
        prices.remove(provider_id.replace("\x00", ""), model.replace("\x00", ""), _day(day))
    except Invalid:
        raise NotFound from None
    actions.noted("price.removed", f"{provider_id}/{model}", valid_from=day)
    db.session.commit()
    flash("The price is removed.", "green")
    return redirect(url_for("dashboard.providers", _anchor="prices"), 303)


def _again(typed: dict[str, str], wrong: dict[str, str]) -> str:
    return render_template("providers/page.html", listing=LISTING.embed(), **section(typed, wrong))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(None, [("/valid_from", "must be a day like 2026-01-31")]) from None


def _amount(name: str, text: str) -> Decimal | None:
    """What was typed, exactly; the form has made sure that it is a number."""
    if not text.strip():
        return None
    amount = Decimal(text.strip())
    if not amount.is_finite() or amount != amount.quantize(Decimal("0.000001")):
        raise Invalid(None, [(f"/{name}", "must be an amount with at most six decimals")])
    return amount
