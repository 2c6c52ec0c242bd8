"""A definition as text, YAML or JSON, with the line of everything in it, so that complaints can stand at their line.

YAML without its surprises: keys are always text, `yes`, `on`, dates and 012 stay text, there are no tags, no anchors,
no second document. The text is read event by event, never by recursion, so nesting costs nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from app.errors import Invalid
from app.workflows.complaints import DEEPEST, LONGEST_POINTER, pointer

LARGEST = 256 * 1024
Lines = dict[str, int]

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUTHS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})")
_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]{1,40}|(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,4})?"
)
_BRACES = re.compile(r"(?:^|[:\-,\[]\s+)\{\{")
_IN_QUOTES = 'a value with a placeholder goes in quotes: "{{…}}"'
_JSON = re.compile(r"\s*\{\s*[\"}]")
_RARE_BREAKS = {"\x85", "\u2028", "\u2029"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what would not come back: `1e3`, for PyYAML no number, and ends of lines that YAML folds."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & _RARE_BREAKS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"(?:{_NUMBER.pattern})$"), list("-+.0123456789")
)


class BadSource(Invalid):
    """A text that is neither JSON nor YAML; `line` and `column` count from 1."""

    code = "bad_source"

    def __init__(self, what: str, line: int = 1, column: int = 1) -> None:
        """The message begins with the place."""
        said = f"line {line}, column {column}: {what}"
        super().__init__(said, [("", said)])
        self.line, self.column = line, column


def parse(text: str) -> tuple[Any, Lines]:
    """What a text says, and the line (from 1) of each JSON pointer in it; BadSource names line and column.

    JSON is read as JSON. A pointer may be without a line; ask `line_of`.
    """
    _demand_readable(text)
    is_json, value = _as_json(text)
    try:
        # In JSON a tab is only ever a blank, in YAML it is an error.
        read, lines = _Building(text.replace("\t", " ") if is_json else text).done()
    except BadSource:
        if not is_json:
            raise
        return value, {}  # JSON that YAML cannot read: no lines, then
    return (value if is_json else read), lines


def written(value: Any) -> str:
    """YAML that `parse` reads back as the same `value`, in the order of its keys."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def line_of(lines: Lines, place: str) -> int:
    """The line of a JSON pointer, or of the nearest thing around it that has one."""
    while place and place not in lines:
        place = place.rpartition("/")[0]
    return lines.get(place, 1)


def _demand_readable(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > LARGEST:
        raise BadSource(f"the text is longer than {LARGEST // 1024} KB")
    bad = re.search(r"[\x00\ud800-\udfff]", text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        what = "contains the character NUL" if bad[0] == "\x00" else "is not valid Unicode"
        raise BadSource(f"the text {what}", line, column)


class _TwiceSomewhere(Exception):
    """As `_Twice`, from whoever does not know where."""


class _Twice(BadSource):
    """A key stands twice in one object; in JSON too that is refused."""


def _as_json(text: str) -> tuple[bool, Any]:
    """(True, the value) of JSON; whoever begins with a brace and a quote means that, and not YAML."""
    if not _JSON.match(text):
        return False, None
    try:
        return True, json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise BadSource(_hinted(error.msg, text, error.lineno), error.lineno, error.colno) from error
    except RecursionError as deep:
        raise BadSource(f"nested too deep: at most {DEEPEST} levels") from deep
    except _TwiceSomewhere as twice:
        _Building(text.replace("\t", " ")).done()  # which knows where
        raise _Twice(str(twice)) from twice
    except ValueError as error:  # NaN, or a whole number of more digits than Python reads
        raise BadSource("a number cannot be kept: NaN, infinite, or of thousands of digits") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise _TwiceSomewhere(f"the key `{twice[:80]}` stands twice in one object")
    return made


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


@dataclass
class _Open:
    """A list or an object that is being read."""

    value: Any
    place: str | None
    """Its pointer; None when that is so long that lines below it are not kept."""
    key: str | None = None
    seen: set[str] = field(default_factory=set)


def _hinted(problem: str, text: str, line: int) -> str:
    """The problem, and what is most likely behind it if there are bare braces near."""
    around = text.splitlines()[max(0, line - 2) : line]
    return f"{problem}; {_IN_QUOTES}" if any(map(_BRACES.search, around)) else problem


class _Building:
    """Values and lines out of the events of a YAML parser."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: Lines = {}
        self.stack: list[_Open] = []
        self.value: Any = None
        self.documents = 0

    def done(self) -> tuple[Any, Lines]:
        """The value and the lines."""
        try:
            for event in yaml.parse(self.text, Loader=_Loader):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise BadSource(
                _hinted(error.problem or "cannot be read", self.text, line), line, column
            ) from error
        except yaml.YAMLError as error:
            raise BadSource(getattr(error, "reason", None) or "cannot be read") from error
        return self.value, self.lines

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                _refuse("a second document begins here; one is read", event)
        elif isinstance(event, yaml.AliasEvent):
            _refuse("anchors and aliases (&, *) are not read; write it out", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: Any) -> None:
        if event.anchor:
            _refuse("anchors and aliases (&, *) are not read; write it out", event)
        if event.tag not in {None, "!", "tag:yaml.org,2002:str"}:
            _refuse(f"tags ({event.tag[:60]}) are not read", event)
        inside = self.stack[-1] if self.stack else None
        if inside and isinstance(inside.value, dict) and inside.key is None:
            self._key(inside, event)
            return
        value, where = self._placed(inside, event)
        if not isinstance(event, yaml.ScalarEvent):
            if len(self.stack) > DEEPEST:
                _refuse(f"nested too deep: at most {DEEPEST} levels", event)
            self.stack.append(_Open(value, where))

    def _key(self, inside: _Open, event: Any) -> None:
        mark: Any = event.start_mark
        if not isinstance(event, yaml.ScalarEvent):
            _refuse(f"a key must be text; {_IN_QUOTES}", event)
        name = str(event.value)
        if name in inside.seen:
            said = f"the key `{name[:80]}` stands here twice"
            raise _Twice(said, mark.line + 1, mark.column + 1)
        inside.key = name
        inside.seen.add(name)
        self._mark(_below(inside, name), event)

    def _placed(self, inside: _Open | None, event: Any) -> tuple[Any, str | None]:
        """The value of an event, put where it belongs."""
        value = _scalar(event) if isinstance(event, yaml.ScalarEvent) else _empty(event)
        where: str | None = ""
        if inside is None:
            self.value = value
        elif isinstance(inside.value, dict):
            where = _below(inside, str(inside.key))
            inside.value[inside.key], inside.key = value, None
        else:
            where = _below(inside, str(len(inside.value)))
            inside.value.append(value)
        self._mark(where, event)
        return value, where

    def _mark(self, where: str | None, event: Any) -> None:
        """Remember the line; a value stands where its key does."""
        if where is not None:
            self.lines.setdefault(where, event.start_mark.line + 1)


def _below(inside: _Open, name: str) -> str | None:
    """The pointer of something inside. A long key above ten thousand entries must not be kept ten thousand times."""
    if inside.place is None or len(inside.place) + len(name) > LONGEST_POINTER:
        return None
    return f"{inside.place}{pointer((name,))}"


def _refuse(what: str, event: Any) -> NoReturn:
    raise BadSource(what, event.start_mark.line + 1, event.start_mark.column + 1)


def _empty(event: Any) -> Any:
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = str(event.value)
    if not event.implicit[0]:  # in quotes, a block, or !!str
        return text
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
