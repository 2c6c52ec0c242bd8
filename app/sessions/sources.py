"""Sessions as other programs wrote them to JSON files: many shapes read into one, and nothing left out.

What has no place of its own is kept in `metadata.imported`, of the session or of the part it belongs to. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from app.errors import Invalid

JSON = dict[str, Any]

FORMAT: Final = "callboard-session/1"
"""Of our own export."""
DEEPEST: Final = 90
"""Levels of lists and objects; Postgres keeps a few more, which what we add around them needs."""
MOST_PARTS = 200_000
KEPT = "imported"
"""The key of metadata that holds what has no place of its own."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
_OVER = frozenset({"completed", "complete", "ended", "closed", "done", "finished", "archived"})
_RESTING = frozenset({"paused", "suspended", "on_hold", "inactive"})
_IMPORTANT = {"low": 3, "medium": 5, "normal": 5, "high": 8, "critical": 10}

_NAMES = {
    "id": ("session_id", "id", "sessionId"),
    "title": ("title", "name", "topic"),
    "participants": ("participants", "members", "people"),
    "status": ("status", "state"),
    "metadata": ("metadata",),
    "created_at": ("created_at", "createdAt", "created", "started_at"),
    "updated_at": ("updated_at", "updatedAt", "updated", "last_updated"),
}
_PARTS = {
    "messages": ("conversation", "conversations", "messages", "chunks", "transcript", "history"),
    "memories": ("memories", "memory"),
    "artifacts": ("artifacts", "files"),
}
_MESSAGE = {
    "speaker": ("speaker", "role", "author", "from", "user", "name"),
    "text": ("text", "content", "message", "body"),
    "said_at": ("timestamp", "said_at", "time", "created_at", "at"),
    "metadata": ("metadata",),
}
_MEMORY = {
    "key": ("key", "id", "name", "title"),
    "content": ("content", "value", "text", "memory"),
    "type": ("type", "kind", "category"),
    "tags": ("tags", "labels"),
    "importance": ("importance", "priority"),
    "metadata": ("metadata",),
}
_ARTIFACT = {
    "name": ("name", "title", "filename", "id"),
    "type": ("type", "media_type", "mime_type", "mime"),
    "content": ("content", "text", "data", "body"),
    "url": ("url", "link"),
    "metadata": ("metadata",),
}


@dataclass(kw_only=True)
class Found:
    """A session as it is to be; the lists hold rows as the tables have them."""

    session_id: str
    title: str = ""
    status: str = "active"
    participants: list[str] = field(default_factory=list)
    metadata: JSON = field(default_factory=dict)
    summary: JSON | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    messages: list[JSON] = field(default_factory=list)
    memories: list[JSON] = field(default_factory=list)
    artifacts: list[JSON] = field(default_factory=list)


def parse(content: bytes) -> JSON:
    """The object in a file; Invalid says in words what is wrong with it, before anything of it can do harm."""
    try:
        read = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        _refuse("it is not text in UTF-8")
    except RecursionError:
        _refuse(f"it is nested deeper than {DEEPEST} levels")
    except ValueError as error:
        _refuse(f"it is not JSON that can be kept: {error}")
    if not isinstance(read, dict):
        _refuse("it holds no session: a JSON object is expected")
    _check(read)
    return read


def _object(pairs: list[tuple[str, Any]]) -> JSON:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check(value: Any) -> None:
    """That Postgres can keep it as it is, level by level and so without recursion."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            _refuse(f"it is nested deeper than {DEEPEST} levels")
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += [*each.keys(), *each.values()]
            elif isinstance(each, list):
                below += each
            else:
                _check_leaf(each)
        level = below


def _check_leaf(value: Any) -> None:
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        _refuse(f"the text {value[:40]!r} holds a character that Postgres cannot keep; remove it")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        _refuse("it holds a whole number of more than 64 bits; write it as text")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        _refuse("it holds a number that is too large; write it as text")


def _refuse(why: str) -> NoReturn:
    raise Invalid(why, [("", why)])


def read(raw: JSON, *, name: str) -> Found:
    """The session in a parsed file; `name` is its id where it has none. Invalid if a part of it is of no known shape."""
    rest = dict(raw)
    inner = rest.get("session")
    if isinstance(inner, dict) and not any(key in rest for key in _NAMES["id"]):
        rest = inner | {key: value for key, value in rest.items() if key != "session"}
        if len(rest) != len(inner) + len(raw) - 1:
            _refuse("its `session` and what stands beside it have keys in common")
    facts = _taken(rest, _NAMES)
    parts = {part: _entries(rest, part, keys) for part, keys in _PARTS.items()}
    found = Found(session_id=_id(facts, rest, name))
    found.title = _short(facts.get("title"), 300, "title", rest)
    found.participants = _participants(facts.get("participants"), rest)
    found.status = _status(facts.get("status"), rest)
    found.created_at = _moment(facts.get("created_at"), "created_at", rest)
    found.updated_at = _moment(facts.get("updated_at"), "updated_at", rest)
    found.messages = [_message(each) for each in parts["messages"]]
    found.memories = _apart([_memory(each, at) for at, each in enumerate(parts["memories"], 1)])
    found.artifacts = [_artifact(each, at) for at, each in enumerate(parts["artifacts"], 1)]
    if rest.get("format") == FORMAT and isinstance(rest.get("summary"), dict):
        found.summary = rest.pop("summary")
    found.metadata = _metadata(facts.get("metadata"), rest)
    return found


# -- parts, whatever they are called


def _taken(rest: JSON, names: Mapping[str, Sequence[str]]) -> JSON:
    """The first of the names of each thing, taken out of `rest`."""
    return {
        thing: rest.pop(key)
        for thing, keys in names.items()
        if (key := next((key for key in keys if rest.get(key) is not None), None)) is not None
    }


def _entries(rest: JSON, part: str, keys: Sequence[str]) -> list[Any]:
    """The entries of a part under any of its names, one after the other."""
    found: list[Any] = []
    for key in keys:
        if isinstance(rest.get(key), list | dict):
            found += _listed(rest.pop(key), part)
    if len(found) > MOST_PARTS:
        _refuse(f"it has more than {MOST_PARTS:,} {part}")
    return found


def _listed(value: Any, part: str) -> list[Any]:
    if isinstance(value, list):
        return [inner for each in value for inner in (_unfolded(each) if part == "messages" else [each])]
    if part == "messages":
        return _unfolded(value)
    if part == "memories":
        return [each | {"key": key} if _has(each, _MEMORY["content"], "key") else {"key": key, "content": each}
                for key, each in value.items()]  # fmt: skip
    return [each | {"name": key} if _has(each, _ARTIFACT["content"] + _ARTIFACT["url"], "name") else {"name": key, "content": each}
            for key, each in value.items()]  # fmt: skip


def _has(each: Any, keys: Iterable[str], added: str) -> bool:
    return isinstance(each, dict) and added not in each and any(key in each for key in keys)


def _unfolded(each: Any) -> list[Any]:
    """A conversation as its messages, each with what else was said of the conversation; a message as itself."""
    if not isinstance(each, dict):
        return [each]
    for key in ("messages", "chunks", "conversation"):
        if isinstance(each.get(key), list) and each[key]:
            of = {name: value for name, value in each.items() if name != key}
            return [
                (inner if isinstance(inner, dict) else {"text": inner}) | ({"conversation": of} if of else {})
                for inner in each[key]
            ]
    return [each]


def _message(each: Any) -> JSON:
    rest = dict(each) if isinstance(each, dict) else {"text": each}
    facts = _taken(rest, _MESSAGE)
    return {
        "speaker": _short(facts.get("speaker"), 200, "speaker", rest) or "unknown",
        "text": _text(facts.get("text"), rest),
        "said_at": _moment(facts.get("said_at"), "timestamp", rest),
        "metadata": _metadata(facts.get("metadata"), rest),
    }


def _memory(each: Any, number: int) -> JSON:
    rest = dict(each) if isinstance(each, dict) else {"content": each}
    facts = _taken(rest, _MEMORY)
    tags = facts.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        rest["tags"], tags = tags, None
    return {
        "key": _short(facts.get("key"), 200, "key", rest) or f"memory-{number}",
        "content": _text(facts.get("content"), rest),
        "type": _short(facts.get("type"), 100, "type", rest) or "fact",
        "tags": tags or [],
        "importance": _importance(facts.get("importance"), rest),
        "metadata": _metadata(facts.get("metadata"), rest),
    }


def _apart(memories: list[JSON]) -> list[JSON]:
    """The same with each key once: a second of the same name gets a number."""
    seen: set[str] = set()
    for each in memories:
        key, number = each["key"], 2
        while each["key"] in seen:
            each["key"], number = f"{key[:190]}-{number}", number + 1
        seen.add(each["key"])
    return memories


def _artifact(each: Any, number: int) -> JSON:
    rest = dict(each) if isinstance(each, dict) else {"content": each}
    facts = _taken(rest, _ARTIFACT)
    url = facts.get("url")
    if url is not None and (facts.get("content") is not None or not _is_link(url)):
        rest["url"], url = url, None
    return {
        "name": _short(facts.get("name"), 200, "name", rest) or f"artifact-{number}",
        "type": _short(facts.get("type"), 100, "type", rest) or "text/plain",
        "content": None if url is not None else _text(facts.get("content"), rest),
        "url": url,
        "metadata": _metadata(facts.get("metadata"), rest),
    }


def _is_link(url: Any) -> bool:
    return isinstance(url, str) and re.fullmatch(r"https://[^\s<>\"]{3,2000}", url) is not None


# -- values; what cannot be taken as it is stays in `rest`


def _metadata(given: Any, rest: JSON) -> JSON:
    """The metadata, with what is left over under KEPT."""
    if given is not None and not isinstance(given, dict):
        rest, given = rest | {"metadata": given}, {}
    if given and KEPT in given and rest:
        rest = rest | {KEPT: given[KEPT]}
    return (given or {}) | ({KEPT: rest} if rest else {})


def _id(facts: JSON, rest: JSON, name: str) -> str:
    """The id as it is, or with what an id cannot have replaced; the original is kept then."""
    given = facts.get("id")
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else name
    plain = re.sub(r"[^A-Za-z0-9_.:-]+", "-", text).lstrip("_.:-")[:100]
    if not _ID.fullmatch(plain):
        _refuse("it has no id that can be used, and neither has its name")
    if given is not None and plain != given:
        rest["id"] = given
    return plain


def _short(given: Any, most: int, name: str, rest: JSON) -> str:
    text = given.strip() if isinstance(given, str) else ""
    if given is not None and text[:most] != given:
        rest[name] = given
    return text[:most]


def _text(given: Any, rest: JSON) -> str:
    """A text as it is; the parts of a model's message joined; anything else as JSON."""
    if isinstance(given, str):
        return given
    if given is None:
        return ""
    if isinstance(given, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in given
    ):
        rest["parts"] = given
        return "\n".join(part["text"] for part in given)
    return json.dumps(given, ensure_ascii=False)


def _participants(given: Any, rest: JSON) -> list[str]:
    if given is None:
        return []
    people = given if isinstance(given, list) else [given]
    names = [_person(each) for each in people]
    if names != given:
        rest["participants"] = given
    return list(dict.fromkeys(name for name in names if name))


def _person(each: Any) -> str:
    if isinstance(each, dict):
        each = next(
            (each[key] for key in ("email", "name", "id", "user") if isinstance(each.get(key), str)), ""
        )
    name = str(each).strip()[:200]
    return name.lower() if "@" in name else name


def _status(given: Any, rest: JSON) -> str:
    word = given.strip().lower() if isinstance(given, str) else ""
    status = "completed" if word in _OVER else "paused" if word in _RESTING else "active"
    if given is not None and given != status:
        rest["status"] = given
    return status


def _importance(given: Any, rest: JSON) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= 10:
        return given
    if given is not None:
        rest["importance"] = given
    if isinstance(given, float) and 0 < given <= 1:  # a share
        return max(1, round(given * 10))
    return _IMPORTANT.get(given.lower(), 5) if isinstance(given, str) else 5


def _moment(given: Any, name: str, rest: JSON) -> datetime | None:
    """A time of ISO 8601 or seconds since 1970; what is none of them is kept as it was."""
    try:
        if isinstance(given, str):
            at = datetime.fromisoformat(given)
        elif isinstance(given, int | float) and not isinstance(given, bool):
            at = datetime.fromtimestamp(given / 1000 if given > 1e11 else given, UTC)
        else:
            at = None
        if at is not None and 1900 <= at.year < 2300:
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    except (ValueError, OverflowError, OSError):
        pass
    if given is not None:
        rest[name] = given
    return None
