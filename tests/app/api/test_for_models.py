"""What models read first leads somewhere."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from app.settings import ROOT

INDEX = (ROOT / "docs" / "llms.txt").read_text()


def test_the_index_is_plain_text_for_everybody(client: FlaskClient) -> None:
    answer = client.get("/llms.txt")

    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert answer.get_data(as_text=True) == INDEX


@pytest.mark.parametrize("target", re.findall(r"\]\((/[^)]+)\)", INDEX))
def test_every_link_of_the_index_leads_somewhere(target: str, client: FlaskClient) -> None:
    assert client.get(target).status_code == 200
