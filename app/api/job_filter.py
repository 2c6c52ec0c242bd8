"""`filter=` of lists of jobs: the language of the dashboard's filter bar, and what cannot be read of it as 400."""

from __future__ import annotations

from app.api.errors import Unreadable
from app.jobs import words


def understood(text: str) -> words.Asked:
    """What `text` asks for; raises Unreadable: where each mistake is, from 0 on, and, where there is one, a guess."""
    asked = words.parse(text)
    if asked.complaints:
        raise Unreadable(
            "The filter cannot be read.", [("/filter", _said(each)) for each in asked.complaints]
        )
    return asked


def _said(complaint: words.Complaint) -> str:
    guess = f"; try {complaint.mended!r}" if complaint.mended else ""
    return f"at {complaint.at}: {complaint.message}{guess}"
