"""Values that nobody expects, put into every address and every query; each address gets some of them by turns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from app.dashboard import PAGES
from tests.app.dashboard.everything import Places, addresses
from tests.turns import some

ODD = (
    "a/b", "..", "%2F", "%252F", "#x", "?x=1", "'\"", "<b>", "日本 ünï", "a\nb", "a\r\nSet-Cookie: x=1", "\x00", " ",
    "x" * 3000, "-1", "9" * 40, "NaN", "\ud800",
)  # fmt: skip

QUERIES: dict[str, tuple[str, ...]] = {
    "jobs": ("state", "agent", "priority", "since", "tag", "verdict", "workflow", "schedule", "sort"),
    "compare": ("a", "b"),
    "drafts": ("a", "b"),
    "dead_letters": ("window", "all", "group", "state"),
    "dead_review": ("id", "group"),
    "now": ("range",),
    "analytics": ("days", "agent", "range"),
    "costs": ("by", "days", "since", "until"),
    "quality": ("days", "agent", "gate"),
    "deliveries": ("status", "kind"),
    "approvals": ("kind", "status"),
    "schedules": ("q", "enabled"),
    "schedule_new": ("target", "repeat", "weekdays", "template"),
    "workflow_new": ("template", "version"),
    "gate_editor": ("gate",),
    "agents": ("sort",),
    "submit_form": ("example", "of"),
    "search": ("kind",),
    "sign_in": ("next",),
}  # fmt: skip


def _quoted(number: int, share: int) -> Iterator[str]:
    """Some of them for an address, as they stand in it."""
    for odd in some(ODD, number, share):
        yield quote(odd, safe="", errors="surrogatepass")


def odd_addresses(places: Places) -> Iterator[str]:
    """Every part of every page's address replaced, one after the other."""
    parts = [
        (path, part) for method, path, _, _ in PAGES if method == "GET" for part in re.findall(r"<\w+>", path)
    ]
    for number, (path, part) in enumerate(parts):
        for strange in _quoted(number, 3):
            address = path.replace(part, strange)
            yield re.sub(r"<(\w+)>", lambda word: places.get(word[1]) or "a-gate", address)


def odd_queries(places: Places) -> Iterator[str]:
    """Every page and fragment with what it may be asked for; those with questions of their own get more of them."""
    found = addresses("GET", places) | addresses("GET", places, fragments=True)
    for number, (name, address) in enumerate(found.items()):
        keys = QUERIES.get(name.removeprefix("ui_"), ())
        for strange in _quoted(number, 2 if keys else 6):
            query = "&".join(f"{key}={strange}" for key in (*keys, "after", "before", "tab", "q"))
            yield f"{address.partition('?')[0]}?{query}"
