"""`filter=` of lists of jobs: the language of the dashboard's filter bar, and what cannot be read of it as 400."""

from __future__ import annotations

from app.api.errors import Unreadable
from app.jobs import words


def understood(text: str) -> words.Asked:
    """What `text` asks for; raises Unreadable, which names each mistake and, where there is one, a guess."""
    asked = words.parse(text)
    if asked.complaints:
        said = [each.message + (f"; try {each.mended!r}" if each.mended else "") for each in asked.complaints]
        raise Unreadable("The filter cannot be read.", [("/filter", message) for message in said])
    return asked
