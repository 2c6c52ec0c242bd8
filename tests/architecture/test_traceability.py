"""Each requirement names what shows that it is met, and that is there."""

from __future__ import annotations

import re

from app.settings import ROOT
from tests.architecture.test_security_table import _tests
from tests.architecture.traceability import GUIDE, ledger, page

# How many requirements each part of the list has; their numbers have no gap.
COUNTS = {
    "JOB": 33, "PRIO": 20, "AGT": 19, "RUN": 19, "CONT": 21, "WF": 24, "RETRY": 15, "DLQ": 14, "SCHED": 17, "PROG": 13,
    "POLL": 38, "DASH": 34, "SESS": 23, "MCP": 11, "NOTIF": 12, "SEC": 22, "AUD": 7, "OBS": 12, "REL": 17, "PERF": 14,
    "DEP": 14, "TEST": 16, "DOC": 15,
}  # fmt: skip
_PROOF = re.compile(r"(tests/[\w/]+\.py)::([\w:]+)|(docs/[\w/-]+\.md)(?:#([\w-]+))?")


def proofs() -> dict[str, list[str]]:
    """Every requirement with what shows it."""
    sections = ledger()
    return {
        name: shown
        for section in sections.values()
        for name, shown in section.items()
        if isinstance(shown, list)
    }


def test_every_requirement_is_listed_once() -> None:
    wanted = {f"{prefix}-{n:02}" for prefix, count in COUNTS.items() for n in range(1, count + 1)}

    assert set(proofs()) == wanted


def test_what_shows_a_requirement_is_there() -> None:
    named = sorted({proof for shown in proofs().values() for proof in shown})
    assert [proof for proof in named if not _is_there(proof)] == []


def _is_there(proof: str) -> bool:
    found = _PROOF.fullmatch(proof)
    if not found:
        return False
    if found[1]:
        return found[2] in _tests(found[1])
    guide = ROOT / found[3]
    if not guide.is_file():
        return False
    headings = re.findall(r"^#+ +(.*)$", guide.read_text(), re.MULTILINE)
    return not found[4] or found[4] in {
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings
    }


def test_what_nothing_shows_is_said_with_the_reason() -> None:
    assert {name for name, shown in proofs().items() if not shown} == set(ledger()["none"])


def test_the_guide_says_the_same() -> None:
    """python -m tests.architecture.traceability writes it."""
    assert GUIDE.read_text() == page()
