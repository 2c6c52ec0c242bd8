from __future__ import annotations

import re

import pytest
from flask import Flask

from app.api.glue import OPERATIONS
from app.settings import ROOT


def test_the_reference_names_every_operation_and_every_problem(app: Flask) -> None:
    page = app.test_client().get("/docs/reference").get_data(as_text=True)

    assert [each.name for each in OPERATIONS if f'id="{each.name}"' not in page] == []
    for code in ("not_found", "invalid_parameters", "rate_limited", "internal"):
        assert f'id="problem-{code}"' in page


PAGES = ["/docs", "/docs/reference", "/docs/try", "/docs/budgets", "/docs/search?q=budget", "/docs/search"]


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_need_nothing_that_the_policy_forbids(path: str, app: Flask) -> None:
    answer = app.test_client().get(path)
    page = answer.get_data(as_text=True)

    assert answer.status_code == 200
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"\s(style|on\w+)=", page) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == []


def test_everything_the_pages_ask_for_is_there(app: Flask) -> None:
    client = app.test_client()
    for path in PAGES:
        page = client.get(path).get_data(as_text=True)
        for wanted in re.findall(r"(?:src|href)=\"(/docs/assets/[^\"]+)\"", page):
            assert client.get(wanted).status_code == 200, wanted


@pytest.mark.parametrize("name", ["../docs.py", "index.html", "docs.css/..", "%2e%2e%2fapp"])
def test_no_other_file_is_handed_out(name: str, app: Flask) -> None:
    assert app.test_client().get(f"/docs/assets/{name}").status_code in (404, 308)


def test_the_type_of_a_problem_leads_to_what_it_means(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/docs").get_data(as_text=True)
    refused = client.get("/api/v1/jobs").get_json()

    path, _, anchor = refused["type"].partition("#")
    assert path == "/docs"
    assert f'id="{anchor}"' in page


def test_a_guide_is_a_page_and_a_text(app: Flask) -> None:
    client = app.test_client()

    page = client.get("/docs/budgets").get_data(as_text=True)
    assert "<h1" in page
    assert 'href="/docs/budgets.md"' in page
    text = client.get("/docs/budgets.md")
    assert text.mimetype == "text/markdown"
    assert text.get_data(as_text=True) == (ROOT / "docs" / "budgets.md").read_text()


@pytest.mark.parametrize(
    "name", ["nothing", "../README", "%2e%2e/README", "budgets.html", "monitoring/alerts.yml"]
)
def test_what_is_no_guide_is_not_found(name: str, app: Flask) -> None:
    assert app.test_client().get(f"/docs/{name}").status_code in (404, 308)


def test_a_search_shows_where_the_words_stand_and_keeps_hostile_ones_as_text(app: Flask) -> None:
    client = app.test_client()

    found = client.get("/docs/search?q=dead+lett").get_data(as_text=True)
    assert "<mark>" in found
    nothing = client.get("/docs/search?q=<script>alert(1)</script>").get_data(as_text=True)
    assert "<script>alert" not in nothing
    assert "Nothing about" in nothing
    for odd in ('"', "AND", "NEAR(", "a*b", "\x00", "col:x", "-" * 300):
        assert client.get("/docs/search", query_string={"q": odd}).status_code == 200
