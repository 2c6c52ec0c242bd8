"""The guides hang together: each is in the contents, and every link in them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.manual import CONTENTS, Manual
from app.settings import ROOT

MANUAL = Manual(ROOT / "docs")
FILES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in MANUAL.names)]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def targets(file: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
    return _LINK.findall(re.sub(r"`[^`]*`", "", prose))


def test_every_guide_is_in_the_contents_once() -> None:
    listed = [t.removesuffix(".md") for t in targets(ROOT / "docs" / f"{CONTENTS}.md")]

    assert sorted(listed) == sorted(set(MANUAL.names) - {CONTENTS})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    assert [target for target in targets(file) if not _leads(file, target)] == []


def _leads(file: Path, target: str) -> bool:
    if re.match(r"https?:|mailto:", target):
        return True
    path, _, anchor = target.partition("#")
    aim = (file.parent / path).resolve() if path else file
    if not aim.exists():
        return False
    if not anchor:
        return True
    if aim == ROOT / "README.md":
        return anchor in {_anchor(line) for line in aim.read_text().splitlines() if line.startswith("#")}
    headings = MANUAL.guide(str(aim.relative_to(ROOT / "docs").with_suffix(""))).headings
    return anchor in {heading.anchor for heading in headings}


def _anchor(line: str) -> str:
    return re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
