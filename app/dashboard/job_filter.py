"""Which jobs a page is about: its address in the language of filters (app/jobs/words.py), and back.

An address says it by `q`, the text of the filter bar: `/jobs?q=status:failed agent:writer`. The older names beside it
(`state`, `agent`, `priority`, `since`, `tag`, `verdict`, `workflow`) say the same of one thing each; links may use
them, and each stands in place of what `q` says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from app.accounts.permissions import Principal
from app.jobs import chosen, words
from app.jobs.queries import Filter
from app.jobs.words import Asked, Term

NAMES = {
    "state": "status",
    "agent": "agent",
    "priority": "priority",
    "pool": "pool",
    "tag": "tag",
    "since": "since",
    "until": "until",
    "verdict": "quality",
    "workflow": "workflow",
    "schedule": "schedule",
}
"""Names in an address besides `q`, and their qualifiers."""


@dataclass(frozen=True)
class Wanted:
    """What an address asks for."""

    asked: Asked = Asked()  # noqa: RUF009 - it is frozen

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Wanted:
        """Read it from an address or a form; what cannot be understood is among its complaints."""
        given = {name: values.get(name, "").strip() for name in NAMES}
        said = [Term(NAMES[name], (value,)) for name, value in given.items() if value]
        text = values.get("q", "").strip()
        if not said:
            return cls(words.parse(text))
        rest = words.parse(text)
        if rest.complaints:
            return cls(words.parse(" ".join([*map(str, said), text])))
        rest = rest.without(*(old for new in said for old in rest.all(new.name)))
        return cls(words.parse(" ".join(map(str, (*said, *rest.terms)))))

    @classmethod
    def of_query(cls, query: str) -> Wanted:
        """Read it from the part of an address behind the question mark."""
        return cls.of({name: found[0] for name, found in parse_qs(query).items()})

    def query(self) -> dict[str, Any]:
        """Itself as the parts of an address, without what is empty."""
        text = self.text()
        return {"q": text} if text else {}

    def address(self) -> str:
        """Itself as the part of an address behind the question mark."""
        return urlencode(self.query())

    def text(self) -> str:
        """Itself as the filter bar shows it."""
        return str(self.asked)

    def words(self) -> str:
        """Itself for people."""
        return self.text() or "all jobs"

    def filter(self, who: Principal) -> Filter:
        """The jobs it means, of those `who` may see; raises Invalid where it has complaints."""
        return chosen.which(self.asked, who)

    def having(self, name: str, *values: str) -> Wanted:
        """The same with these values of a qualifier in place of others; none take it away."""
        return Wanted(self.asked.having(name, *values))

    def same(self, other: Wanted) -> bool:
        """Whether the two say the same, in whatever order."""
        return set(self.asked.terms) == set(other.asked.terms) and not self.asked.complaints

    def without(self, term: Term) -> Wanted:
        """The same but for one condition."""
        return Wanted(self.asked.without(term))
