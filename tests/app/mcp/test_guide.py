"""docs/mcp.md says what the server offers."""

from __future__ import annotations

import re

from app.mcp.resources import RESOURCES
from app.mcp.server import TOOLS
from app.settings import ROOT

GUIDE = (ROOT / "docs" / "mcp.md").read_text()


def test_the_table_has_every_tool_and_whether_it_changes_something() -> None:
    table = GUIDE.split("## Tools")[1].split("## By hand")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", table, re.MULTILINE)
    assert rows == [(name, "no" if hints.read_only_hint else "yes") for _, name, hints in TOOLS]


def test_every_resource_is_named() -> None:
    named = set(re.findall(r"callboard://[\w/{}]+", GUIDE))
    assert named == {re.sub(r"\{\w+\}", "{id}", uri) for uri, _, _, _ in RESOURCES}
