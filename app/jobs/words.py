r"""The language of filters: free words and qualifiers, `agent:writer status:failed tag:"two words" timeout`.

Pure: text becomes what was asked for, with complaints that say where and what instead, and back. Which jobs that
means is app/jobs/chosen.py's part.

    qualifier:value      value,value  any of them      "in quotes"  with spaces and commas; \" \\ \n inside
    -qualifier:value     all but those, where the table below says so
    word "two words"     each must be found in the title, the agent, the error or the id
"""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.jobs.states import PRIORITIES, STATUSES, WAITING, parse_status

LONGEST = 1000
MOST_TERMS = 30
MOST_VALUES = 50

GROUPS: dict[str, tuple[str, ...]] = {
    "waiting": tuple(s.value for s in WAITING),
    "asking": ("awaiting_input",),
}
"""Words that mean several statuses, or a friendlier one."""

VERDICTS = ("passed", "needs_review", "rejected")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
COMPARED = (">=", "<=", ">", "<")

_NAME = re.compile(r"(-?)([A-Za-z_]+):(?!//)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)("?)', re.DOTALL)
_WORD, _VALUE = re.compile(r"\S+"), re.compile(r"[^\s,]+")
_AGO = re.compile(r"(\d{1,4})([mhdw])")
_COST = re.compile(r"(>=|<=|>|<|)\$?(\d{1,9}(?:\.\d{1,6})?)")
_ID = re.compile(r"[0-9a-f-]{4,36}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = {char: f"\\{letter}" for letter, char in _ESCAPES.items()} | {'"': '\\"', "\\": "\\\\"}


class Wrong(ValueError):
    """A value that a qualifier does not take; `instead` is one that it does."""

    def __init__(self, message: str, instead: str = "") -> None:
        """Say what is wrong, in words for people."""
        super().__init__(message)
        self.instead = instead


@dataclass(frozen=True)
class Term:
    """One condition: any of `values`, or none of them if `negated`. A free word has no name."""

    name: str
    values: tuple[str, ...]
    negated: bool = False

    def __str__(self) -> str:
        """As it is typed."""
        if not self.name:
            return _free(self.values[0])
        return f"{'-' if self.negated else ''}{self.name}:{','.join(quoted(v) for v in self.values)}"


@dataclass(frozen=True)
class Complaint:
    """What cannot be understood, and where: `length` characters from `at`."""

    at: int
    length: int
    message: str
    mended: str = ""
    """The whole text with a guess in place of the fault; empty where there is none."""


@dataclass(frozen=True)
class Asked:
    """What a text asks for, in the order it was typed."""

    terms: tuple[Term, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    typed: str = ""
    """The text itself, where there are complaints."""

    def __str__(self) -> str:
        """Its text: what was typed while there are complaints, else the canonical form of it."""
        return self.typed if self.complaints else " ".join(map(str, self.terms))

    def all(self, name: str, *, negated: bool = False) -> list[Term]:
        """The terms of that name."""
        return [term for term in self.terms if term.name == name and term.negated is negated]

    def values(self, name: str, *, negated: bool = False) -> tuple[str, ...]:
        """The values of all terms of that name."""
        return tuple(value for term in self.all(name, negated=negated) for value in term.values)

    def without(self, *terms: Term) -> Asked:
        """The same but for these terms."""
        return replace(self, terms=tuple(term for term in self.terms if term not in terms))

    def having(self, name: str, *values: str) -> Asked:
        """The same with this in place of what was said under `name`; no values take it away."""
        kept = self.without(*self.all(name), *self.all(name, negated=True))
        return replace(kept, terms=(Term(name, values), *kept.terms)) if values else kept


@dataclass(frozen=True)
class Qualifier:
    """What can stand before a colon."""

    name: str
    hint: str
    example: str
    check: Callable[[str], str]
    """The value in its canonical form; raises Wrong."""
    negatable: bool = False
    repeats: bool = False
    """Said several times, all of them must hold."""
    single: bool = False


def _as_it_is(value: str) -> str:
    return value


def _one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    words = tuple(known)

    def check(value: str) -> str:
        plain = value.lower().replace("-", "_")
        if plain in words:
            return plain
        raise Wrong(f"there is no {what} `{value}`: {', '.join(words)}", _near(plain, words))

    return check


def _status(value: str) -> str:
    plain = value.lower().replace("-", "_")
    if plain in GROUPS:
        return plain
    try:
        return str(parse_status(plain))
    except ValueError:
        words = (*GROUPS, *STATUSES)
        raise Wrong(f"there is no status `{value}`: {', '.join(words)}", _near(plain, words)) from None


def _moment(value: str) -> str:
    moment(value, datetime(2026, 1, 1, tzinfo=UTC))
    return value.upper() if "T" in value.upper() and value[:1].isdigit() else value.lower()


def _uuid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Wrong("is the whole id, as its page has it in its address") from None


def _part_of_an_id(value: str) -> str:
    if _ID.fullmatch(value.lower()):
        return value.lower()
    raise Wrong(
        "is the whole id, its beginning, or its end as lists show it: four characters of 0-9 and a-f at least"
    )


def _cost(value: str) -> str:
    if found := _COST.fullmatch(value):
        return f"{found[1] or '>='}{found[2]}"
    raise Wrong("is dollars: `>1`, `>=0.5`, `<10`", ">1")


QUALIFIERS: dict[str, Qualifier] = {
    each.name: each
    for each in (
        Qualifier("agent", "by its id", "content-pipeline", _as_it_is, negatable=True),
        Qualifier("status", "where it is", "failed", _status, negatable=True),
        Qualifier("priority", "how urgent", "high", _one_of("priority", PRIORITIES), negatable=True),
        Qualifier("pool", "where it queues", "general", str.lower, negatable=True),
        Qualifier("tag", "one of its tags", '"two words"', _as_it_is, negatable=True, repeats=True),
        Qualifier("since", "submitted at or after", "24h", _moment, single=True),
        Qualifier("until", "submitted before", "2026-11-30", _moment, single=True),
        Qualifier("error", "its type or a part of its message", "timeout", _as_it_is, repeats=True),
        Qualifier("quality", "what its gate said", "rejected", _one_of("verdict", VERDICTS)),
        Qualifier("workflow", "the run it is a step of, by id", "0199…", _uuid),
        Qualifier("schedule", "the schedule that sent it in, by id", "0199…", _uuid),
        Qualifier("by", "who submitted it", "me", _as_it_is),
        Qualifier("cost", "in dollars", ">1", _cost, single=True),
        Qualifier("id", "whole, or its beginning or end", "3f2a91c0", _part_of_an_id),
    )
}
ALIASES = {"state": "status", "verdict": "quality", "owner": "by", "tags": "tag", "job": "id"}


def parse(text: str) -> Asked:
    """What `text` asks for; whatever cannot be understood is a complaint, and nothing is left out in silence."""
    text = text.replace("\x00", " ")
    if len(text) > LONGEST:
        message = f"this is longer than {LONGEST:,} characters"
        return Asked(complaints=(Complaint(LONGEST, len(text) - LONGEST, message),), typed=text[:LONGEST])
    reader = _Reader(text)
    reader.read()
    return Asked(tuple(reader.terms), tuple(reader.complaints), text if reader.complaints else "")


def unfinished(text: str) -> tuple[str, str]:
    """What somebody is in the middle of typing at the end of `text`: (the qualifier or "", the part after it)."""
    reader = _Reader(text)
    name, start = "", len(text)
    while reader.at < len(text):
        name, start = "", reader.at
        if text[reader.at].isspace():
            reader.at += 1
            start = reader.at
        elif found := _NAME.match(text, reader.at):
            said = found[2].lower()
            name, reader.at = ALIASES.get(said, said), found.end()
            reader.values()
            start = reader.value_at
        else:
            reader.skip()
    return name, text[start:]


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.value_at = text, 0, 0
        self.terms: list[Term] = []
        self.complaints: list[Complaint] = []

    def read(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at].isspace():
                self.at += 1
            elif found := _NAME.match(self.text, self.at):
                self._qualified(found)
            elif word := self._value(_WORD):
                self.terms.append(Term("", (word,)))
        if len(self.terms) > MOST_TERMS:
            self._complain(0, len(self.text), f"more than {MOST_TERMS} conditions are too many")
            del self.terms[MOST_TERMS:]

    def _qualified(self, found: re.Match[str]) -> None:
        start, said = self.at, found[2].lower()
        qualifier = QUALIFIERS.get(ALIASES.get(said, said))
        self.at = found.end()
        values = self.values()
        if qualifier is None:
            self._unknown(start, found)
            return
        if wrong := _misuse(qualifier, values, bool(found[1]), self.terms):
            self._complain(start, self.at - start, wrong)
            return
        try:
            checked = dict.fromkeys(qualifier.check(value) for value in values)
        except Wrong as error:
            instead = f"{found[1]}{qualifier.name}:{error.instead}" if error.instead else ""
            self._complain(start, self.at - start, _said(qualifier.name, error), instead)
            return
        self.terms.append(Term(qualifier.name, tuple(checked), bool(found[1])))

    def _unknown(self, start: int, found: re.Match[str]) -> None:
        near = _near(found[2].lower(), (*QUALIFIERS, *ALIASES))
        rest = self.text[found.end() : self.at]
        if near:
            message, instead = (
                f"unknown qualifier `{found[2]}:`, did you mean `{near}:`?",
                f"{found[1]}{near}:{rest}",
            )
        else:
            message = f"unknown qualifier `{found[2]}:`; to search for these words put them in quotes"
            instead = quoted(self.text[start : self.at], always=True)
        self._complain(start, self.at - start, message, instead)

    def values(self) -> list[str]:
        """Read what follows a colon: values between commas, up to the next space; `value_at` is where the last begins."""
        values = []
        self.value_at = self.at
        while self.at < len(self.text) and not self.text[self.at].isspace():
            if self.text[self.at] == ",":
                self.at += 1
                self.value_at = self.at
                continue
            values.append(self._value(_VALUE))
            if self.text[self.at : self.at + 1] != ",":
                break
        return values

    def _value(self, plain: re.Pattern[str]) -> str:
        start = self.at
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            if not quoted[2]:
                self._complain(
                    start, self.at - start, "a quotation mark is missing at its end", self.text[start:] + '"'
                )
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), quoted[1], flags=re.DOTALL)
        found = plain.match(self.text, self.at)
        assert found
        self.at = found.end()
        return found[0]

    def skip(self) -> None:
        """Go over the word that stands here."""
        self._value(_WORD)

    def _complain(self, at: int, length: int, message: str, instead: str = "") -> None:
        mended = self.text[:at] + instead + self.text[at + length :] if instead else ""
        self.complaints.append(Complaint(at, length, message, mended))


def _misuse(qualifier: Qualifier, values: list[str], negated: bool, terms: list[Term]) -> str:
    """What is wrong with the way a qualifier is used, whatever its values are; empty if nothing is."""
    name = qualifier.name
    if not values or "" in values:
        return f"`{name}:` needs a value: `{name}:{qualifier.example}`"
    if len(values) > MOST_VALUES:
        return f"`{name}:` takes {MOST_VALUES} values at most"
    if negated and not qualifier.negatable:
        return f"`{name}:` cannot be turned round with a minus"
    if qualifier.single and len(values) > 1:
        return f"`{name}:` takes one value"
    again = any(term.name == name and term.negated == negated for term in terms)
    if again and not qualifier.repeats and not negated:
        return f"`{name}:` is said twice; " + (
            "say it once" if qualifier.single else f"for any of several: `{name}:a,b`"
        )
    return ""


def _said(name: str, error: Wrong) -> str:
    message = str(error)
    return f"`{name}:` {message}" if message.startswith("is ") else message


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return ALIASES.get(found[0], found[0]) if found else ""


def quoted(value: str, *, always: bool = False) -> str:
    """A value as it is typed: in quotes where it has what would end it, or `always`."""
    plain = not always and bool(value) and not re.search(r'[\s,"\\]', value)
    return value if plain else '"' + "".join(_ESCAPED.get(char, char) for char in value) + '"'


def _free(word: str) -> str:
    plain = bool(word) and not re.search(r'[\s"\\]', word) and not _NAME.match(word)
    return word if plain else quoted(word, always=True)


def moment(value: str, now: datetime) -> datetime:
    """The moment that `24h`, `today` or a date means; raises Wrong. A time without zone is UTC."""
    plain = value.lower()
    if found := _AGO.fullmatch(plain):
        return now - int(found[1]) * UNITS[found[2]]
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if plain in ("today", "yesterday"):
        return midnight - timedelta(days=plain == "yesterday")
    try:
        at = datetime.fromisoformat(value.upper())
    except ValueError:
        at = None
    if at is None or not 1970 < at.year < 9998:
        raise Wrong("is `30m`, `24h`, `7d`, `2w`, `today`, `yesterday` or a date as in 2026-11-30", "24h")
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def statuses(words: Iterable[str]) -> tuple[str, ...]:
    """The statuses that words of `status:` mean."""
    return tuple(dict.fromkeys(status for word in words for status in GROUPS.get(word, (word,))))
