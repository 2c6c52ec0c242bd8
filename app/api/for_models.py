"""What language models read first: a short index of what there is here, and how to use it."""

from __future__ import annotations

from functools import lru_cache

from flask import Response

from app.api.glue import op
from app.settings import ROOT


@op("GET", "/llms.txt", public=True, bare=True, out="text/plain")
def get_index_for_models() -> Response:
    """The index for language models (llms.txt): what Callboard is, and where to read how it is used."""
    response = Response(_index(), mimetype="text/plain")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@lru_cache(maxsize=1)
def _index() -> str:
    return (ROOT / "docs" / "llms.txt").read_text()
