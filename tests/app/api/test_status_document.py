from __future__ import annotations

import re

from app.api.job_shapes import JobBrief, JobOut
from app.settings import ROOT

DOCUMENT = ROOT / "docs" / "status-document.md"


def rows() -> dict[str, bool]:
    """The fields that the guide names, and whether it says that lists have them."""
    found = {}
    for cell in re.findall(r"^\| (`[^|]*) \|", DOCUMENT.read_text(), re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", cell), cell.rstrip().endswith("·"))
    return found


def test_the_guide_names_every_field_and_no_other() -> None:
    assert set(rows()) == set(JobOut.model_fields)


def test_the_guide_says_which_fields_lists_have() -> None:
    listed = {name for name, in_lists in rows().items() if in_lists}

    assert listed == set(JobBrief.model_fields)
