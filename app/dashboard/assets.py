"""Static files under addresses that change when the file does, so that browsers may keep them for ever.

Files are answered by Flask and not by a middleware in front of it: so they are compressed like everything
else, without a build step. Thanks to the addresses each browser asks for each of them once.
"""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

import brotli
from flask import Flask, Response, request
from flask_compress import Compress
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join
from werkzeug.wrappers import Response as AnyResponse

from app.settings import ROOT

STATIC = ROOT / "static"
FOR_EVER = "public, max-age=31536000, immutable"

mimetypes.add_type("text/javascript", ".js")


@lru_cache(maxsize=128)
def _content(path: Path, changed_ns: int) -> tuple[bytes, str]:  # noqa: ARG001 - the time is part of the cache's key
    """The bytes of a file and the beginning of their hash."""
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:12]


@lru_cache(maxsize=128)
def _squeezed(path: Path, changed_ns: int) -> bytes:
    """A file as small as it gets: slow, but once per process."""
    return bytes(brotli.compress(_content(path, changed_ns)[0], quality=11))


def asset(path: str) -> str:
    """The address of `static/<path>`: `/static/css/callboard.css?v=<hash of its content>`."""
    file = STATIC / path
    return f"/static/{path}?v={_content(file, file.stat().st_mtime_ns)[1]}"


def serve(path: str) -> AnyResponse:
    """GET /static/<path>: the file; to be kept for ever if it was asked for by its hash."""
    found = safe_join(str(STATIC), path)
    file = Path(found) if found else STATIC
    if not file.is_file():
        raise NotFound
    changed = file.stat().st_mtime_ns
    data, digest = _content(file, changed)
    response = Response(data, mimetype=mimetypes.guess_type(file.name)[0] or "application/octet-stream")
    if response.mimetype in _COMPRESSED and request.accept_encodings.quality("br") > 0:
        response.set_data(_squeezed(file, changed))
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
