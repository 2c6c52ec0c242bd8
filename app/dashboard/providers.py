"""GET /providers: the model services and their prices, and what admins do about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.dashboard import actions, forms, prices
from app.dashboard.provider_list import LISTING
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import upkeep
from app.providers import catalogue, queries

_LIMIT = {
    "type": "integer",
    "minimum": 1,
    "maximum": catalogue.LARGEST_LIMIT,
    "description": "Empty: no limit.",
}
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["title", "base_url", "model", "kind", "billing"],
    "properties": {
        "title": {"type": "string", "title": "Name", "maxLength": 100},
        "base_url": {
            "type": "string",
            "title": "Address",
            "maxLength": 500,
            "examples": ["https://models.example.org/v1"],
        },
        "model": {
            "type": "string",
            "maxLength": 200,
            "description": "Asked for unless the agent names another.",
        },
        "kind": {"enum": list(catalogue.KINDS), "title": "Protocol", "default": "openai"},
        "billing": {
            "enum": list(catalogue.BILLINGS),
            "default": "api",
            "description": "What runs on your own machines is local: it costs nothing and is looked at each minute.",
        },
        "key_name": {
            "type": "string",
            "title": "Variable with the key",
            "maxLength": 100,
            "examples": ["ACME_API_KEY"],
            "description": "Its name in the environment of the workers, never the key itself. Empty: no key.",
        },
        "requests_per_minute": _LIMIT,
        "tokens_per_minute": _LIMIT,
        "max_concurrent": _LIMIT | {"title": "Calls at once"},
    },
}
_NEW_FORM = {
    **_FORM,
    "required": ["provider_id", "base_url", "model", "kind", "billing"],
    "properties": {
        "provider_id": {
            "type": "string",
            "title": "Id",
            "maxLength": 50,
            "examples": ["acme"],
            "description": "Agents name it so: lower-case letters, digits and hyphens.",
        },
        **_FORM["properties"],
    },
}


def page() -> str:
    """GET /providers."""
    demand(asking(), "view_providers")
    return render_template("providers/page.html", listing=LISTING.embed(), **prices.section())


def edit(provider_id: str) -> str:
    """GET /providers/<provider_id>: its form."""
    demand(asking(), "manage_providers")
    row = queries.get(provider_id)
    return _form(row, forms.filled_with(_FORM, {name: row[name] for name in _FORM["properties"]}), {})


def save(provider_id: str) -> AnyResponse:
    """POST /providers/<provider_id>: back to the list, or the form again with what is wrong with it."""
    demand(asking(), "manage_providers")
    row, typed = queries.get(provider_id), forms.typed(_FORM, request.form)
    try:
        read = forms.parameters(_FORM, typed)
        given = {n: read.get(n) for n in _FORM["properties"] if read.get(n) != row[n]}
        catalogue.change(provider_id, given)
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_form(queries.get(provider_id), typed, forms.complaints(wrong)), 422)
    return _done("provider.changed", provider_id, f"{read['title']} is changed.", **given)


def new() -> str:
    """GET /add-provider."""
    demand(asking(), "manage_providers")
    return _form(None, {}, {})


def add() -> AnyResponse:
    """POST /add-provider: back to the list, or the form again."""
    demand(asking(), "manage_providers")
    typed = forms.typed(_NEW_FORM, request.form)
    try:
        given = forms.parameters(_NEW_FORM, typed)
        provider_id = str(given.pop("provider_id", ""))
        row = catalogue.add(provider_id, given)
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        told = wrong if isinstance(wrong, Invalid) else Invalid(None, [("/provider_id", wrong.message)])
        return make_response(_form(None, typed, forms.complaints(told)), 422)
    return _done("provider.added", provider_id, f"{row['title']} is added, at the end of the order.", **given)


def _form(row: Row | None, typed: dict[str, str], wrong: dict[str, str]) -> str:
    schema = _FORM if row else _NEW_FORM
    return render_template(
        "providers/form.html", provider=row, fields=forms.fields(schema, typed, wrong), wrong=wrong
    )


def act(provider_id: str, verb: str) -> AnyResponse:
    """POST /providers/<provider_id>/<verb>: reset, enable, disable, up, down, out or remove."""
    demand(asking(), "manage_providers")
    title = queries.get(provider_id)["title"]
    if verb not in _VERBS:
        raise NotFound
    action, words, do = _VERBS[verb]
    try:
        do(provider_id)
    except Conflict as refused:
        db.session.rollback()
        flash(f"{refused.message}.", "red")
        return redirect(url_for("dashboard.providers"), 303)
    return _done(action, provider_id, words.format(title), verb=verb)


_VERBS: dict[str, tuple[str, str, Callable[[str], object]]] = {
    "reset": ("provider.reset", "{} takes calls again.", catalogue.reset),
    "enable": ("provider.changed", "{} is switched on.", lambda p: catalogue.change(p, {"enabled": True})),
    "disable": ("provider.changed", "{} is switched off.", lambda p: catalogue.change(p, {"enabled": False})),
    "up": ("provider.changed", "{} is asked earlier.", lambda p: catalogue.move(p, -1)),
    "down": ("provider.changed", "{} is asked later.", lambda p: catalogue.move(p, 1)),
    "out": ("provider.changed", "Only agents that name {} ask it now.", lambda p: catalogue.place(p, None)),
    "remove": ("provider.removed", "{} is removed.", catalogue.remove),
}


def _done(action: str, provider_id: str, words: str, **details: Any) -> AnyResponse:
    upkeep.lift_recovered()
    actions.noted(action, provider_id, **details)
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.providers"), 303)
