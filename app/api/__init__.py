"""The JSON API: a table of contents of every path, with its other names.

Each path is listed here, each method of it is a view in the file named on the left; an operation that is
missing here, or a line without operation, stops the start. The documents' `/tasks` paths answer the same.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from app.api import api_keys, auth_endpoints, docs, errors, glue, limits, openapi, request_id, users

__all__ = ["api_keys", "auth_endpoints", "docs", "openapi", "register", "users"]

CONTENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # path                               methods        also answers at
    # auth_endpoints.py
    ("/api/v1/auth/login",               "POST",        ()),
    ("/api/v1/auth/refresh",             "POST",        ()),
    ("/api/v1/auth/logout",              "POST",        ()),
    ("/api/v1/auth/password",            "POST",        ()),
    ("/api/v1/me",                       "GET",         ()),
    # api_keys.py
    ("/api/v1/api-keys",                 "GET POST",    ()),
    ("/api/v1/api-keys/<key_id>",        "GET DELETE",  ()),
    # users.py
    ("/api/v1/users",                    "GET POST",    ()),
    ("/api/v1/users/<user_id>",          "GET PATCH",   ()),
    # openapi.py
    ("/api/openapi.json",                "GET",         ()),
)  # fmt: skip

ALIASES = {(method, path): also for path, methods, also in CONTENTS for method in methods.split()}


def register(app: Flask, version: str) -> None:
    """Add the API and its docs to `app`; raises RuntimeError if contents and operations differ."""
    _compare()
    request_id.init_app(app)
    limits.init_app(app)
    errors.init_app(app)
    blueprint = Blueprint("api", __name__)
    for operation in glue.OPERATIONS:
        glue.mount(blueprint, operation, ALIASES[operation.method, operation.path])
    blueprint.after_request(limits.describe)
    blueprint.after_request(_harden)
    app.register_blueprint(blueprint)
    app.register_blueprint(docs.blueprint)
    whole = openapi.document(glue.OPERATIONS, ALIASES, version)
    app.extensions["callboard-openapi"] = openapi.as_bytes(whole)


def _compare() -> None:
    listed = set(ALIASES)
    built = {(operation.method, operation.path) for operation in glue.OPERATIONS}
    if listed != built:
        msg = f"app/api/__init__.py and the views differ: {sorted(listed ^ built)}"
        raise RuntimeError(msg)


def _harden(response: Response) -> Response:
    """No answer of the API is a page, belongs into a shared cache, or is somebody else's to embed."""
    headers = response.headers
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Vary"] = "Authorization, X-API-Key"
    return response
