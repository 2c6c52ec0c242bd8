"""Static files and the headers of everything."""

from __future__ import annotations

import base64
import hashlib
import re

import brotli
import pytest
from flask import Flask

from app.dashboard.assets import STATIC, asset
from app.dashboard.headers import HEADERS
from app.settings import ROOT
from tests.app.dashboard.visiting import Visitor

JS_BYTES, CSS_BYTES = 18_000, 8_000
HTMX = "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"


def test_a_file_asked_for_by_its_hash_is_kept_for_ever(app: Flask, stranger: Visitor) -> None:
    known, unknown = stranger.get(asset("css/callboard.css")), stranger.get("/static/css/callboard.css?v=old")

    assert "immutable" in known.headers["Cache-Control"]
    assert "immutable" not in unknown.headers["Cache-Control"]


def test_files_are_sent_compressed(stranger: Visitor) -> None:
    answer = stranger.get("/static/js/poll.js", **{"Accept-Encoding": "br"})

    assert answer.headers["Content-Encoding"] == "br"
    assert brotli.decompress(answer.data) == stranger.get("/static/js/poll.js").data
    assert (
        stranger.get("/static/js/poll.js", **{"Accept-Encoding": "identity"}).headers.get("Content-Encoding")
        is None
    )


def test_every_page_has_one_script_made_of_the_three_that_it_needs(admin: Visitor, stranger: Visitor) -> None:
    (script,) = admin.soup("/agents").select("script")
    sent = stranger.get(str(script["src"]))

    assert script["src"] == asset("callboard.js")
    assert sent.mimetype == "text/javascript"
    assert "immutable" in sent.headers["Cache-Control"]
    assert sent.data.startswith((STATIC / "vendor" / "htmx-4.0.1.min.js").read_bytes()[:1000])
    for part in ("js/poll.js", "js/app.js"):
        assert stranger.get(f"/static/{part}").data in sent.data


def test_our_scripts_and_styles_are_sent_without_what_only_readers_need(stranger: Visitor) -> None:
    for path in ("js/poll.js", "css/callboard.css"):
        assert "/*" in (STATIC / path).read_text()
        assert "/*" not in stranger.get(f"/static/{path}").text


def test_a_page_loads_little(stranger: Visitor) -> None:
    def weight(path: str) -> int:
        return len(stranger.get(asset(path), **{"Accept-Encoding": "br"}).data)

    assert weight("callboard.js") <= JS_BYTES
    assert weight("css/callboard.css") <= CSS_BYTES


@pytest.mark.parametrize(
    "path", ["../pyproject.toml", "%2e%2e/pyproject.toml", "/etc/passwd", "css", "", "nope.css"]
)
def test_nothing_outside_of_the_folder_is_sent(stranger: Visitor, path: str) -> None:
    assert stranger.get(f"/static/{path}").status_code in (404, 308)


def test_the_vendored_htmx_is_the_one_that_was_released() -> None:
    digest = hashlib.sha384((STATIC / "vendor" / "htmx-4.0.1.min.js").read_bytes()).digest()

    assert "sha384-" + base64.b64encode(digest).decode() == HTMX


@pytest.mark.parametrize("path", ["/sign-in", "/nowhere", "/api/health", "/static/js/app.js", "/ui/nav"])
def test_every_answer_carries_the_security_headers(stranger: Visitor, path: str) -> None:
    sent = stranger.get(path).headers

    assert {name for name in HEADERS if name not in sent} == set()


def test_no_template_needs_what_the_policy_forbids() -> None:
    forbidden = re.compile(
        r"\sstyle=|\son[a-z]+=|hx-on|javascript:|js:|<script(?![^>]*\ssrc=)|hx-trigger=\"[^\"]*\[|https?://(?!www\.w3\.org)"
    )

    for template in (ROOT / "templates").rglob("*.html"):
        if template.parent.name != "docs":
            assert forbidden.findall(template.read_text()) == [], template
