"""Whether the audit log is as it was written: the chain computed anew, link by link (X31)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from app.audit import chain, queries
from app.audit.chain import EMPTY, Head
from app.audit.entries import record
from app.db import Row, db
from app.errors import Invalid

PAGE = 2_000
NEARBY = 200
"""So far around a broken link it is looked whether links were only put into another order."""


class Break(NamedTuple):
    """One place where the log is not as it was sealed."""

    kind: str
    """`changed`, `deleted`, `missing`, `reordered`, `inserted`, `cut` or `anchor`."""
    position: int | None
    audit_id: int | None
    words: str


class Verdict(NamedTuple):
    """What a verification found; `head` is the newest link and, if all is well, an anchor worth noting elsewhere."""

    checked: int
    first: int
    """The first position that was computed; 0 if there was none."""
    head: Head
    breaks: tuple[Break, ...]

    @property
    def ok(self) -> bool:
        """Nothing is broken."""
        return not self.breaks


VERIFIED = "audit.verified"


def note(found: Verdict, *, actor: str = "", **more: object) -> None:
    """Write into the audit log that the whole chain was verified, and what was found."""
    details = {
        "ok": found.ok,
        "checked": found.checked,
        "position": found.head.position,
        "digest": found.head.digest.hex(),
        "breaks": [f"{wrong.kind}: {wrong.words}" for wrong in found.breaks[:5]],
        **more,
    }
    record(VERIFIED, actor=actor, details=details)


def last_noted() -> Row | None:
    """What the last whole verification found: {at, ok, checked, position}; None if there was none yet."""
    last = queries.last(VERIFIED)
    if last is None:
        return None
    return {"at": last["at"]} | {name: last["details"][name] for name in ("ok", "checked", "position")}


def hold_still() -> None:
    """See one moment for the rest of this transaction, which has to begin with this; entries come and go meanwhile."""
    db.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def read_anchor(text: str) -> Head:
    """`POSITION:HEX` as a verification printed it; raises Invalid."""
    position, _, digest = text.strip().partition(":")
    if not (position.isascii() and position.isdigit() and len(position) < 19 and int(position)):
        raise Invalid("An anchor is POSITION:HEX, as `callboard audit verify` prints it.")
    try:
        sealed = bytes.fromhex(digest)
    except ValueError:
        sealed = b""
    if len(sealed) != len(chain.NOTHING):
        raise Invalid("Behind the colon of an anchor are 64 hexadecimal digits.")
    return Head(int(position), sealed)


def verify(
    *,
    since: datetime | None = None,
    newest: int | None = None,
    anchors: Sequence[Head] = (),
    tell: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Compute the chain anew; the first broken link ends it, anchors and late insertions are looked at as well.

    `since`: only what was sealed since then. `newest`: only so many links. `tell(done, all)` is called every PAGE
    links. Raises Invalid for an anchor that is older than what retention kept.
    """
    head, base, breaks = chain.head(), _base(), []
    if wrong := _wrong_beginning(base):
        breaks.append(wrong)
    start = max(base.position, _position_before(since), head.position - newest if newest else 0)
    checked, wrong = (0, None) if breaks else _walk(start, head, tell)
    breaks += [wrong] if wrong else []
    breaks += [wrong for anchor in anchors if (wrong := _wrong_anchor(anchor, head, base))]
    breaks += [_inserted(entry) for entry in chain.behind()]
    return Verdict(checked, start + 1 if checked else 0, head, tuple(breaks))


# -- where it begins


def _base() -> Head:
    """The link behind which everything is kept: what retention said last; EMPTY if it removed nothing yet."""
    row = db.row(
        """SELECT (details ->> 'position')::bigint AS position, details ->> 'digest' AS digest FROM audit_log
           WHERE action = 'audit.trimmed' ORDER BY (details ->> 'position')::bigint DESC LIMIT 1"""
    )
    return Head(row["position"], bytes.fromhex(row["digest"])) if row else EMPTY


def _wrong_beginning(base: Head) -> Break | None:
    first = db.row("SELECT position, audit_id, digest FROM audit_chain ORDER BY position LIMIT 1")
    if first is None:
        return None if base == EMPTY else Break("cut", base.position, None, "The whole chain is gone.")
    expected = base.position or 1
    if first["position"] != expected:
        words = f"The chain begins at link {first['position']}, though it should begin at {expected}."
        return Break("cut", first["position"], first["audit_id"], words)
    if base.position and bytes(first["digest"]) != base.digest:
        words = "The first link is not the one that retention left."
        return Break("changed", first["position"], first["audit_id"], words)
    return None


def _position_before(since: datetime | None) -> int:
    """The last position that was sealed before then; 0 if there is none."""
    if since is None:
        return 0
    return int(
        db.value(
            "SELECT coalesce(max(position), 0) FROM audit_chain WHERE sealed_at < %(since)s", since=since
        )
    )


def _digest_at(position: int) -> bytes | None:
    found = db.value("SELECT digest FROM audit_chain WHERE position = %(position)s", position=position)
    return None if found is None else bytes(found)


# -- link by link


def _walk(start: int, head: Head, tell: Callable[[int, int], None] | None) -> tuple[int, Break | None]:
    """How many links behind `start` are sound, and the first that is not."""
    before, at = (_digest_at(start) or chain.NOTHING) if start else chain.NOTHING, start
    while at < head.position and (page := chain.links(at, PAGE)):
        for place, link in enumerate(page):
            if wrong := _wrong(link, at + 1, before, page[max(0, place - NEARBY) : place + NEARBY]):
                return at - start, wrong
            before, at = bytes(link["digest"]), at + 1
        if tell:
            tell(at - start, head.position - start)
    return at - start, None


def _wrong(link: Row, expected: int, before: bytes, nearby: Sequence[Row]) -> Break | None:
    position, audit_id = link["position"], link["audit_id"]
    if position != expected:
        words = f"Link {expected} is missing; the next one is {position}."
        return Break("missing", expected, None, words)
    if link["id"] is None:
        words = f"Entry {audit_id}, which link {position} seals, was deleted."
        return Break("deleted", position, audit_id, words)
    if chain.digest(before, link) == bytes(link["digest"]):
        return None
    if _is_elsewhere(before, nearby):
        words = f"Link {position} is not where it was sealed: links were put into another order."
        return Break("reordered", position, audit_id, words)
    words = f"Entry {audit_id}, or link {position} which seals it, was changed."
    return Break("changed", position, audit_id, words)


def _is_elsewhere(before: bytes, nearby: Sequence[Row]) -> bool:
    """Whether the link that belongs behind `before` stands elsewhere, or its entry under another link."""
    sealed = {bytes(link["digest"]) for link in nearby}
    return any(link["id"] is not None and chain.digest(before, link) in sealed for link in nearby)


# -- besides


def _wrong_anchor(anchor: Head, head: Head, base: Head) -> Break | None:
    if anchor.position < base.position:
        raise Invalid(
            f"The anchor {anchor.position} is older than what retention kept: give one from {base.position} on."
        )
    if anchor.position > head.position:
        words = f"The chain ends at link {head.position}, before the anchor {anchor.position}: its end was cut off."
        return Break("anchor", anchor.position, None, words)
    if _digest_at(anchor.position) == anchor.digest:
        return None
    words = f"Link {anchor.position} is not the one of the anchor: the chain was written anew."
    return Break("anchor", anchor.position, None, words)


def _inserted(entry: Row) -> Break:
    words = f"Entry {entry['id']} was put in later: it is over an hour older than what is sealed, and has no link."
    return Break("inserted", None, entry["id"], words)
