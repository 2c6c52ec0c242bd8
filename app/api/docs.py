"""`/docs`: the guides, a search over them, the API's reference made from its own document, and Swagger UI to try it.

All obey the strict Content-Security-Policy: no inline script or style, nothing from other hosts.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, render_template, request, send_from_directory
from werkzeug.exceptions import NotFound

from app import manual
from app.api.errors import CODES
from app.errors import CallboardError
from app.settings import ROOT

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# Swagger UI's files come with its wheel.
_SWAGGER = Path(find_spec("flask_swagger_ui").origin).parent / "dist"  # type: ignore[union-attr, arg-type]
_FOLDERS = {
    "swagger-ui.css": _SWAGGER,
    "swagger-ui-bundle.js": _SWAGGER,
    "docs.css": ROOT / "static" / "docs",
    "try.js": ROOT / "static" / "docs",
    "favicon.svg": ROOT / "static",
}

GUIDES = manual.Manual(ROOT / "docs")

blueprint = Blueprint("docs", __name__)


@blueprint.get("/docs")
def contents() -> str:
    """What there is to read, and what every problem's `type` leads to."""
    return render_template("docs/contents.html", guide=GUIDES.guide(manual.CONTENTS), problems=_problems())


@blueprint.get("/docs/search")
def search() -> str:
    """The sections that have the words of `?q=`."""
    asked = request.args.get("q", "").strip()
    return render_template("docs/found.html", asked=asked, found=GUIDES.find(asked))


@blueprint.get("/docs/<path:name>")
def guide(name: str) -> str | Response:
    """A guide as a page; with `.md` behind its name as it was written."""
    plain = name.removesuffix(".md")
    if plain not in GUIDES.names:
        raise NotFound
    found = GUIDES.guide(plain)
    if name.endswith(".md"):
        return Response(found.source, mimetype="text/markdown")
    return render_template("docs/guide.html", guide=found)


@blueprint.get("/docs/screenshots/<look>/<name>")
def picture(look: str, name: str) -> Response:
    """A picture of a page."""
    return send_from_directory(ROOT / "docs" / "screenshots", f"{look}/{name}", max_age=3600)


@blueprint.get("/docs/reference")
def reference() -> str:
    """The reference page: every operation, in words."""
    whole = orjson.loads(current_app.extensions["callboard-openapi"])
    return render_template("docs/reference.html", spec=whole, tags=_by_tag(whole), problems=_problems())


@blueprint.get("/docs/try")
def try_it() -> str:
    """Swagger UI on the same document."""
    return render_template("docs/try.html")


@blueprint.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    """A file of these two pages."""
    if name not in _FOLDERS:
        raise NotFound
    return send_from_directory(_FOLDERS[name], name, max_age=3600)


@blueprint.after_request
def _harden(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _by_tag(whole: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    tags: dict[str, list[dict[str, Any]]] = {}
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            entry = {**operation, "path": path, "method": method.upper()}
            tags.setdefault(operation["tags"][0], []).append(entry)
    return tags


def _problems() -> list[tuple[str, int, str]]:
    """Every code a problem can have: (code, status, sentence)."""
    found = {code: (status, "Born in HTTP.") for status, code in CODES.items()}
    found |= {
        kind.code: (kind.status, (kind.__doc__ or "").splitlines()[0]) for kind in _kinds(CallboardError)
    }
    return [(code, status, text) for code, (status, text) in sorted(found.items())]


def _kinds(root: type[CallboardError]) -> list[type[CallboardError]]:
    return [kind for child in root.__subclasses__() for kind in (child, *_kinds(child))]
