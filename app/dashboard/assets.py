"""Static files under addresses that change when the file does, so that browsers may keep them for ever.

Files are answered by Flask and not by a middleware in front of it: so they are compressed like everything
else, without a build step. Thanks to the addresses each browser asks for each of them once. Our own scripts and
styles are sent without comments and spaces (once per process); on disk they are there to be read. What every page
needs is one file, `callboard.js`, made of those in BUNDLES; each of them still has an address of its own.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import brotli
import rjsmin
from flask import Flask, Response, request
from flask_compress import Compress
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join
from werkzeug.wrappers import Response as AnyResponse

from app.settings import ROOT

STATIC = ROOT / "static"
FOR_EVER = "public, max-age=31536000, immutable"

BUNDLES = {"callboard.js": ("vendor/htmx-4.0.1.min.js", "js/poll.js", "js/app.js")}


mimetypes.add_type("text/javascript", ".js")


@lru_cache(maxsize=128)
def _content(path: str, _changed_ns: int) -> tuple[bytes, str]:
    """What is sent for a file or a bundle, and the beginning of its hash."""
    data = b";\n".join(_small(part) for part in BUNDLES[path]) if path in BUNDLES else _small(path)
    return data, hashlib.sha256(data).hexdigest()[:12]


def _small(path: str) -> bytes:
    """A file without what only its readers need; what others made small already as it is."""
    data = (STATIC / path).read_bytes()
    shorten = _SHORTEN.get(path.partition("/")[0])
    return shorten(data.decode()).encode() if shorten else data


def _css(text: str) -> str:
    """Styles without comments and indentation; rcssmin takes `.a :is(.b)` inside of @layer for a declaration."""
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()


_SHORTEN: dict[str, Callable[[str], str]] = {"js": rjsmin.jsmin, "css": _css}
"""By folder: what of ours is made small, and how."""


@lru_cache(maxsize=128)
def _squeezed(path: str, changed_ns: int) -> bytes:
    """A file as small as it gets: slow, but once per process."""
    return bytes(brotli.compress(_content(path, changed_ns)[0], quality=11))


def _changed_ns(path: str) -> int:
    """When a file, or any part of a bundle, was changed last."""
    return max((STATIC / part).stat().st_mtime_ns for part in BUNDLES.get(path, (path,)))


def asset(path: str) -> str:
    """The address of `static/<path>`, or of a bundle: `/static/css/callboard.css?v=<hash of what is sent>`."""
    return f"/static/{path}?v={_content(path, _changed_ns(path))[1]}"


def serve(path: str) -> AnyResponse:
    """GET /static/<path>: the file or the bundle; to be kept for ever if it was asked for by its hash."""
    found = safe_join(str(STATIC), path)
    if path not in BUNDLES and not (found and Path(found).is_file()):
        raise NotFound
    changed = _changed_ns(path)
    data, digest = _content(path, changed)
    response = Response(data, mimetype=mimetypes.guess_type(path)[0] or "application/octet-stream")
    if response.mimetype in _COMPRESSED and request.accept_encodings.quality("br") > 0:
        response.set_data(_squeezed(path, changed))
        response.headers["Content-Encoding"] = "br"
    response.headers["Cache-Control"] = FOR_EVER if request.args.get("v") == digest else "public, no-cache"
    response.set_etag(digest)
    return response.make_conditional(request)


def register(app: Flask) -> None:
    """Make `asset(path)` known to every template, and compress what is sent."""
    app.jinja_env.globals["asset"] = asset
    app.config.setdefault("COMPRESS_ALGORITHM", ["br", "gzip"])
    app.config.setdefault("COMPRESS_BR_LEVEL", 5)  # a sixth smaller than 4, at half a millisecond
    app.config.setdefault("COMPRESS_STREAMS", False)
    app.config.setdefault("COMPRESS_EVALUATE_CONDITIONAL_REQUEST", False)
    app.config.setdefault("COMPRESS_MIMETYPES", _COMPRESSED)
    Compress(app)


_COMPRESSED = [
    "text/html",
    "text/css",
    "text/plain",
    "text/javascript",
    "image/svg+xml",
    "application/json",
    "application/problem+json",
]
