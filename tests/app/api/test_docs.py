from __future__ import annotations

import re

import pytest
from flask import Flask

from app.api.glue import OPERATIONS


def test_the_reference_names_every_operation_and_every_problem(app: Flask) -> None:
    page = app.test_client().get("/docs").get_data(as_text=True)

    assert [each.name for each in OPERATIONS if f'id="{each.name}"' not in page] == []
    for code in ("not_found", "invalid_parameters", "rate_limited", "internal"):
        assert f'id="problem-{code}"' in page


@pytest.mark.parametrize("path", ["/docs", "/docs/try"])
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
    for path in ("/docs", "/docs/try"):
        page = client.get(path).get_data(as_text=True)
        for wanted in re.findall(r"(?:src|href)=\"(/docs/assets/[^\"]+)\"", page):
            assert client.get(wanted).status_code == 200, wanted


@pytest.mark.parametrize("name", ["../docs.py", "index.html", "docs.css/..", "%2e%2e%2fapp"])
def test_no_other_file_is_handed_out(name: str, app: Flask) -> None:
    assert app.test_client().get(f"/docs/assets/{name}").status_code in (404, 308)
