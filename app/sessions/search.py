"""Full-text search over what is said, remembered and made in sessions, as far as whoever asks may see it.

Words fit by their English stem and as they are; the last one also as a beginning. "phrases", `or` and -without are
understood. What fits best comes first, and of what fits alike the newer.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from app.accounts.permissions import Principal, may
from app.db import Row, db, storable
from app.replica import may_lag
from app.sessions import access, meaning
from app.sessions.meaning import Meant

KINDS = ("sessions", "memories", "messages", "artifacts")
LONGEST = 200
MOST = 50
CANDIDATES = 200
"""Of each kind so many of the newest that fit are weighed: what everything fits must not cost more."""
WINDOW = 5000
"""Where so many of the newest hold enough that begins as the last word does, older ones are not looked at."""
VOCABULARY, MOST_SUGGESTED = 300, 8
"""Newest texts from which words are suggested, and how many suggestions there are."""
SHORTEST = 2
_RANKS = 60
"""How little the very first places count above the others, where two lists are blended."""
FADING_DAYS = 90.0
"""After so many days a find counts half."""

# Per kind: the table, its id, what it is called, what is quoted, when it was, by what the newest come first (an index),
# and the rest of the address where it stands.
_SOURCES = {
    "sessions": ("sessions", "x.session_id", "coalesce(nullif(x.title, ''), x.session_id)", "x.title", "x.updated_at", "x.updated_at", ""),
    "memories": ("memories", "x.memory_id", "x.key", "x.content", "x.updated_at", "x.memory_id", "?tab=memories#memory-{id}"),
    "messages": ("session_messages", "x.message_id", "x.speaker", "x.text", "x.added_at", "x.message_id", "?before={after}#m-{place}"),
    "artifacts": ("session_artifacts", "x.artifact_id", "x.name", "coalesce(x.content, '')", "x.added_at", "x.artifact_id", "/artifacts/{id}"),
}  # fmt: skip
_CONTEXT = 5
"""Messages after the one that was found that its page shows as well."""


@may_lag
def find(
    text: str,
    who: Principal,
    *,
    kinds: Iterable[str] = KINDS,
    session_id: str | None = None,
    limit: int = 20,
    meant: Meant | None = None,
) -> list[Row]:
    """What fits `text`: {kind, id, session_id, session_title, title, excerpt, score, at, path}, the best first.

    `excerpt` is plain text with the words that fit between [[ and ]]. Of deleted sessions, and of those that `who` may
    not read, nothing is found; who may only see that a session is there finds it by its title. At most `limit`, which
    is at most MOST. With `meant`, which is `text` as a model has it, also what means something like it.
    """
    wanted = [kind for kind in KINDS if kind in set(kinds)]
    found = _by_words(text, who, wanted, session_id, limit)
    if meant is not None:
        near = meaning.nearest(
            meant,
            who,
            kinds=wanted,
            session_id=session_id,
            also=[row["id"] for row in found if row["kind"] != "sessions"],
        )
        return _blended(found, near[: min(limit, MOST)])[: min(limit, MOST)]
    return found


def _blended(by_words: list[Row], near: list[tuple[str, str, float]]) -> list[Row]:
    """Both, by their places: what is far up in one list, or in both, comes first."""
    rows = {(row["kind"], row["id"]): row for row in by_words}
    new = [(kind, found_id) for kind, found_id, _ in near if (kind, found_id) not in rows]
    for kind in {kind for kind, _ in new}:
        quoted = _quoted(kind, [found_id for of, found_id in new if of == kind])
        rows |= {(kind, row["id"]): row for row in quoted}
    scores: dict[tuple[str, str], float] = defaultdict(float)
    for places in (
        [(row["kind"], row["id"]) for row in by_words],
        [(kind, found_id) for kind, found_id, _ in near],
    ):
        for place, key in enumerate(places):
            scores[key] += 1 / (_RANKS + place)
    found = [row | {"score": scores[key]} for key, row in rows.items()]
    found.sort(key=lambda row: (-row["score"], -row["at"].timestamp(), row["id"]))
    return found


def _quoted(kind: str, ids: list[str]) -> list[Row]:
    """Finds in which no word fits, with their beginning."""
    table, key, title, quoted, at, _, where = _SOURCES[kind]
    rows = db.rows(
        f"""SELECT {key}::text AS id, {"x.place" if kind == "messages" else "0"} AS place, x.session_id,
                   coalesce(nullif(s.title, ''), s.session_id) AS session_title, {title} AS title, {at} AS at,
                   left({_PLAIN.format(quoted)}, {SHORT}) AS stemmed, '' AS literal
            FROM {table} x {_JOIN[kind]} WHERE {key} = ANY(%(ids)s::uuid[])""",
        ids=ids,
    )
    return [_shown(kind, row, where) for row in rows]


def _by_words(text: str, who: Principal, wanted: list[str], session_id: str | None, limit: int) -> list[Row]:
    words = _words(text)
    parts = _parts(words)
    if not words or (query := db.value(_EXACT, **parts)) is None:
        return []
    found = [row for kind in wanted for row in _of_kind(kind, query, who, session_id, limit)]
    begun = db.value(_BEGUN, **parts) if parts["beginning"] and len(found) < limit else None
    if begun is not None:
        known = {row["id"] for row in found}
        more = (row for kind in wanted for row in _of_kind(kind, begun, who, session_id, limit, begun=True))
        found += [row for row in more if row["id"] not in known]
    found.sort(key=lambda row: (-row["score"], -row["at"].timestamp(), row["id"]))
    return found[: min(limit, MOST)]


@may_lag
def suggest(prefix: str, who: Principal) -> list[str]:
    """What `prefix` may become: with its last word completed, else with words put right that occur nowhere.

    Only words of what `who` may read; the most frequent first, at most MOST_SUGGESTED.
    """
    words = _words(prefix)
    parts = re.findall(r"\w+", words.lower())
    if not parts or len(parts[-1]) < SHORTEST:
        return []
    if not prefix[-1:].isspace() and (completed := _completed(parts[-1], who)):
        head = words[: words.lower().rindex(parts[-1])]
        return [head + word for word in completed]
    return _corrected(parts, who)


def _completed(part: str, who: Principal) -> list[str]:
    """Words that begin with `part` and are not it, the most frequent first."""
    counts = Counter(word for word in _vocabulary(who, part) if word.startswith(part) and word != part)
    return [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_SUGGESTED]]


def _corrected(parts: list[str], who: Principal) -> list[str]:
    """The words with each that occurs nowhere put right; nothing if all occur, or none is near."""
    known = set(_vocabulary(who))
    near = [
        [part] if part in known else difflib.get_close_matches(part, known, n=3, cutoff=0.75)
        for part in parts
    ]
    if all(found == [part] for found, part in zip(near, parts, strict=True)):
        return []
    best = [found[0] if found else part for found, part in zip(near, parts, strict=True)]
    return [" ".join(best)] if best != parts else []


def _vocabulary(who: Principal, part: str = "") -> list[str]:
    """The words of the newest texts that `who` may read, of those with a word that begins with `part`."""
    fits = "x.words @@ to_tsquery('simple', %(part)s)" if part else "true"
    found: list[str] = []
    for kind in KINDS:
        if not _may(kind, who):
            continue
        table, _, title, quoted, _, newest, _ = _SOURCES[kind]
        sees, values = _seen(kind, who)
        rows = db.rows(
            f"""SELECT left({title} || ' ' || {quoted}, 2000) AS text FROM {table} x {_JOIN[kind]}
                WHERE {sees} AND {fits} ORDER BY {newest} DESC LIMIT %(most)s""",
            part=f"{part}:*",
            most=VOCABULARY,
            **values,
        )
        found += [word for row in rows for word in re.findall(r"[^\W_]{3,40}", row["text"].lower())]
    return found


def _words(text: str) -> str:
    return " ".join(storable(text[:LONGEST]).split())


def _parts(words: str) -> dict[str, object]:
    """The values of _EXACT and _BEGUN: all of it, and the last word as a beginning where nothing is quoted or taken away."""
    last = re.search(r"(?:^|\s)(\w{2,})$", words)
    plain = last is not None and '"' not in words
    return {
        "words": words,
        "head": words[: last.start()] if last and plain else "",
        "beginning": f"{last[1]}:*" if last and plain else "",
    }


# Queries as text, which stand in the searches as constants: so the planner knows how much fits. Nothing for one that only
# takes away, which fits nearly everything and would read all of it.
_EXACT = """
    SELECT query::text FROM (
        SELECT websearch_to_tsquery('english', %(words)s) || websearch_to_tsquery('simple', %(words)s) AS query) AS q
    WHERE querytree(query) NOT IN ('', 'T')"""
_BEGUN = """
    SELECT query::text FROM (
        SELECT websearch_to_tsquery('simple', %(head)s) && to_tsquery('simple', %(beginning)s) AS query) AS q
    WHERE querytree(query) NOT IN ('', 'T')"""
_JOIN = dict.fromkeys(KINDS, "JOIN sessions s ON s.session_id = x.session_id") | {"sessions": ""}


def _may(kind: str, who: Principal) -> bool:
    return may(who, "view_session" if kind == "sessions" else "view_session_content")


def _seen(kind: str, who: Principal) -> tuple[str, dict[str, object]]:
    if kind == "sessions":
        return access.seen_by(who, "view_session", table="x")
    return access.seen_by(who, "view_session_content", table="s")


def _of_kind(
    kind: str, query: str, who: Principal, session_id: str | None, limit: int, *, begun: bool = False
) -> list[Row]:
    if not _may(kind, who):
        return []
    table, key, title, quoted, at, newest, where = _SOURCES[kind]
    place = "x.place" if kind == "messages" else "0"
    sees, values = _seen(kind, who)
    here = "AND x.session_id = %(session)s" if session_id is not None else ""
    named = title if kind == "sessions" else "coalesce(nullif(s.title, ''), s.session_id)"
    # How much begins so is not known to the planner, which must not walk along all of it by time.
    fence = "OFFSET 0" if begun else ""
    source = f"(SELECT x.ctid AS row, x.* FROM {table} x)"
    if begun and session_id is None and _plenty(kind, query, sees, values):
        source = _window(kind)
    how = f"CASE WHEN length({quoted}) <= {SHORT} THEN %(whole)s ELSE %(parts)s END"
    rows = db.rows(
        f"""WITH found AS MATERIALIZED (
                SELECT row FROM (
                    SELECT x.row, {newest} AS newest FROM {source} x {_JOIN[kind]}
                    WHERE {sees} {here} AND x.words @@ %(query)s::tsquery {fence}) f
                ORDER BY newest DESC LIMIT %(candidates)s),
            fitting AS MATERIALIZED (
                SELECT {key}::text AS id, {place} AS place, x.session_id, {named} AS session_title, {title} AS title, x.words, {at} AS at,
                       x.ctid AS row
                FROM found JOIN {table} x ON x.ctid = found.row {_JOIN[kind]}),
            best AS MATERIALIZED (
                SELECT f.*, ts_rank(f.words, %(query)s::tsquery, 1)
                       / (1 + greatest(0, extract(epoch FROM now() - f.at)) / 86400 / %(fading)s) AS score
                FROM fitting f ORDER BY score DESC, at DESC, id LIMIT %(limit)s)
            SELECT b.id, b.place, b.session_id, b.session_title, b.title, b.score::float8 AS score, b.at,
                   ts_headline('english', {_PLAIN.format(quoted)}, %(query)s::tsquery, {how}) AS stemmed,
                   ts_headline('simple', {_PLAIN.format(quoted)}, %(query)s::tsquery, {how}) AS literal
            FROM best b JOIN {table} x ON x.ctid = b.row ORDER BY b.score DESC, b.at DESC, b.id""",
        candidates=CANDIDATES,
        fading=FADING_DAYS,
        limit=min(limit, MOST),
        whole=_WHOLE,
        parts=_PARTS,
        session=session_id,
        query=query,
        **values,
    )
    return [_shown(kind, row, where) for row in rows]


def _window(kind: str) -> str:
    """The newest texts of a kind, as a table."""
    table, _, _, _, _, newest, _ = _SOURCES[kind]
    return f"(SELECT x.ctid AS row, x.* FROM {table} x ORDER BY {newest} DESC LIMIT {WINDOW})"


def _plenty(kind: str, query: str, sees: str, values: dict[str, object]) -> bool:
    """Whether there are as many candidates as are weighed among the newest alone."""
    found = db.value(
        f"""SELECT count(*) FROM (
                SELECT 1 FROM {_window(kind)} x {_JOIN[kind]} WHERE {sees} AND x.words @@ %(query)s::tsquery
                LIMIT {CANDIDATES}) f""",
        query=query,
        **values,
    )
    return bool(found >= CANDIDATES)


# Marks that stand in a text itself would be taken for ours.
_PLAIN = "replace(replace(left({}, 20000), '[[', '['), ']]', ']')"
SHORT = 240
"""Characters of a text that is quoted as a whole."""
_WHOLE = "StartSel=[[, StopSel=]], HighlightAll=true"
_PARTS = 'StartSel=[[, StopSel=]], MaxWords=30, MinWords=12, MaxFragments=2, FragmentDelimiter=" … "'


def _shown(kind: str, row: Row, where: str) -> Row:
    """A find as doors show it; of the two excerpts the one with more marks."""
    excerpt = max(row.pop("stemmed"), row.pop("literal"), key=lambda text: text.count("[["))
    place = row.pop("place")
    rest = where.format(id=row["id"], place=place, after=place + 1 + _CONTEXT)
    return row | {
        "kind": kind,
        "excerpt": " ".join(excerpt.split()),
        "path": f"/sessions/{row['session_id']}{rest}",
    }
