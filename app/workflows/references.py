"""Placeholders: `{{steps.review.output.score}}` in any text of a definition, and what they stand for in a run.

    placeholder   {{ choice }}  or  {{ choice ?? choice ?? … }}      the first that is there and not null
    choice        a path, or (only as the last) a literal: "text", 'text', 1.5, true, false, null, [], {}
    path          steps.ID.output, steps.OUTER.INNER.output, steps.ID.status, steps.ID.job_id,
                  inputs, item, index, workflow.id, workflow.name; each may go on with .key, [0] or ["any key"]

There is nothing to evaluate: no calls, no arithmetic, no loops. What a placeholder stands for is never read for
placeholders again. Two braces as they are: `{{ "{{" }}`. Everything here is linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from app.errors import Invalid, PermanentError

JSON = Any
Path = tuple[str | int, ...]
ROOTS = ("steps", "inputs", "item", "index", "workflow")
OF_A_STEP = ("output", "status", "job_id")
DEEPEST = 64
LONGEST = 1000
"""Characters of one placeholder."""
LARGEST = 10_000_000
"""Characters that the placeholders of one value may become together."""

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DIGITS = re.compile(r"[0-9]{1,9}")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?![A-Za-z0-9_.])")
_WORDS: Final[dict[str, JSON]] = {"true": True, "false": False, "null": None}


class UnknownReference(PermanentError):
    """A placeholder stands for nothing."""

    code = "unknown_reference"

    def __init__(self, reference: str, why: str, message: str | None = None) -> None:
        """`reference` is the path without its braces; the message is `{{reference}}: why`, or `message`."""
        said = message or f"{{{{{reference}}}}}: {why}"
        super().__init__(said, details={"reference": reference, "why": why})
        self.reference, self.why = reference, why


class TooLarge(PermanentError):
    """What the placeholders stand for is too large for one step."""

    code = "too_large"


@dataclass(frozen=True)
class Reference:
    """One placeholder: where it stands, as it is written inside its braces, and the paths it tries in turn."""

    pointer: str
    text: str
    alternatives: tuple[Path, ...]
    literal: tuple[JSON, ...] = ()
    """What it is when no path leads anywhere; () when nothing was said."""


class Scope(Protocol):
    """What paths lead to."""

    def look(self, path: Path) -> JSON:
        """The value at `path`; UnknownReference when there is none."""


@dataclass(frozen=True)
class StepValue:
    """What became of one step."""

    status: str
    output: JSON = None
    job_id: str | None = None


class _NoItem:
    """Outside of a map."""


NO_ITEM: Final = _NoItem()


@dataclass(frozen=True)
class Values:
    """What paths lead to in a run.

    `outputs` and `nesting` (step id → id of the step it is in) have the ids of the run: inside a map those of item 3
    end in `[3]`, and a step of that item that says `steps.resize.output` means `resize[3]`.
    """

    outputs: Mapping[str, StepValue]
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    workflow: Mapping[str, JSON] = field(default_factory=dict)
    item: JSON = NO_ITEM
    index: int | None = None
    nesting: Mapping[str, str | None] = field(default_factory=dict)

    def look(self, path: Path) -> JSON:
        """The value at `path`; UnknownReference when there is none."""
        root = path[0]
        if root == "steps":
            return self._of_a_step(path)
        if root == "inputs":
            return _walk(self.inputs, path, 1, "the inputs")
        if root == "workflow":
            return _walk(self.workflow, path, 1, "`workflow`")
        if root == "item" and not isinstance(self.item, _NoItem):
            return _walk(self.item, path, 1, "the item")
        if root == "index" and self.index is not None:
            return _walk(self.index, path, 1, "`index`")
        raise UnknownReference(written(path), nowhere(path))

    def _of_a_step(self, path: Path) -> JSON:
        step_id, at = self._step(path)
        value, what = self.outputs[step_id], path[at]
        if what == "status":
            return _walk(value.status, path, at + 1, f"the status of `{step_id}`")
        if what == "job_id":
            return _walk(value.job_id, path, at + 1, f"the job id of `{step_id}`")
        if value.output is None and value.status != "completed":
            raise UnknownReference(
                written(path), f"step `{step_id}` {_NO_OUTPUT.get(value.status, _NOT_YET)}"
            )
        return _walk(value.output, path, at + 1, f"the output of `{step_id}`")

    def _step(self, path: Path) -> tuple[str, int]:
        """The id of the step that `path` names, and where the path goes on after it."""
        names, at = named(path)
        found = self._here(names[-1])
        if found is None:
            raise UnknownReference(written(path), self._unknown(names[-1]))
        above = set(self._above(found))
        for outer in names[:-1]:
            if outer not in above and f"{outer}[{self.index}]" not in above:
                raise UnknownReference(written(path), f"step `{found}` is not inside of `{outer}`")
        return found, at

    def _here(self, name: str) -> str | None:
        own = name if self.index is None else f"{name}[{self.index}]"
        return own if own in self.outputs else name if name in self.outputs else None

    def _above(self, step_id: str) -> Iterator[str]:
        parent = self.nesting.get(step_id)
        while parent is not None:
            yield parent
            parent = self.nesting.get(parent)

    def _unknown(self, name: str) -> str:
        if f"{name}[0]" in self.outputs:
            outer = self.nesting.get(f"{name}[0]")
            return f"`{name}` runs once for each item; `steps.{outer}.output` is the list of what came out"
        if name in self.nesting or f"{name}[{self.index}]" in self.nesting:
            return f"step `{name}` {_NOT_YET}"
        return f"there is no step `{name}`{_that_are(list(self.outputs), 'steps')}"


@dataclass(frozen=True)
class Named:
    """What paths lead to outside of runs: each root is the name of a value."""

    values: Mapping[str, JSON]

    def look(self, path: Path) -> JSON:
        """The value at `path`; UnknownReference when there is none."""
        if path[0] not in self.values:
            raise UnknownReference(written(path), f"there is no `{path[0]}` here")
        return _walk(self.values[str(path[0])], path, 1, f"`{path[0]}`")


_NOT_YET = "has not finished"
_NO_OUTPUT = {
    "skipped": "was skipped, so it has no output",
    "failed": "failed, so it has no output",
    "cancelled": "was cancelled, so it has no output",
}


def references(value: JSON) -> list[Reference]:
    """Every placeholder in the texts of `value`, in order; Invalid names each one that cannot be read."""
    found, wrong = scan(value)
    if wrong:
        raise Invalid(f"{wrong[0][0] or 'the text'}: {wrong[0][1]}", wrong)
    return found


def scan(
    value: JSON, pointer: str = "", roots: tuple[str, ...] = ROOTS
) -> tuple[list[Reference], list[tuple[str, str]]]:
    """Every placeholder in the texts of `value`, and (pointer, what is wrong) of those that cannot be read."""
    found: list[Reference] = []
    wrong: list[tuple[str, str]] = []
    for place, text in _texts(value, pointer, wrong):
        try:
            found += (part for part in _parts(text, place, roots) if isinstance(part, Reference))
        except Invalid as error:
            wrong.append((place, error.message))
    return found, wrong


def _texts(value: JSON, pointer: str, wrong: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each text with its pointer, without recursion."""
    todo: list[tuple[JSON, str, int]] = [(value, pointer, 0)]
    while todo:
        here, place, depth = todo.pop()
        if isinstance(here, str):
            yield place, here
        elif depth > DEEPEST:
            wrong.append((place, f"is nested too deep: at most {DEEPEST} levels"))
        elif isinstance(here, Mapping):
            pairs = ((inner, f"{place}/{escaped(name)}", depth + 1) for name, inner in here.items())
            todo += reversed(list(pairs))
        elif isinstance(here, list):
            todo += reversed([(inner, f"{place}/{n}", depth + 1) for n, inner in enumerate(here)])


def escaped(name: object) -> str:
    """One part of a JSON pointer."""
    return str(name).replace("~", "~0").replace("/", "~1")


def resolve(value: JSON, scope: Scope, roots: tuple[str, ...] = ROOTS) -> JSON:
    """`value` with its placeholders replaced; `value` itself stays as it is.

    A text that is one placeholder and nothing else becomes what that stands for, of whatever type; in a longer text
    objects and lists are written as JSON and null as nothing. UnknownReference names the first that leads nowhere.
    """
    return _resolved(value, partial(_known, scope=scope), _Room(roots), 0)


def resolve_known(value: JSON, scope: Scope) -> tuple[JSON, list[str]]:
    """`value` with those placeholders replaced that lead somewhere; the others stay as written, and are listed."""
    open_still: dict[str, None] = {}

    def known(reference: Reference) -> JSON:
        try:
            return _known(reference, scope=scope)
        except UnknownReference:
            asis = f"{{{{{reference.text}}}}}"
            open_still[asis] = None
            return asis

    return _resolved(value, known, _Room(), 0), list(open_still)


class _Room:
    """How much more may come: ten thousand placeholders of a long output each would fill the memory."""

    def __init__(self, roots: tuple[str, ...] = ROOTS) -> None:
        self.left = LARGEST
        self.roots = roots

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLarge(f"what the placeholders stand for is longer than {LARGEST:,} characters")


def _resolved(value: JSON, known: Callable[[Reference], JSON], room: _Room, depth: int) -> JSON:
    if isinstance(value, str):
        return _text_resolved(value, known, room)
    if not isinstance(value, Mapping | list):
        return value
    if depth > DEEPEST:
        raise TooLarge(f"what placeholders stand in is nested too deep: at most {DEEPEST} levels")
    if isinstance(value, Mapping):
        return {name: _resolved(inner, known, room, depth + 1) for name, inner in value.items()}
    return [_resolved(inner, known, room, depth + 1) for inner in value]


def _text_resolved(text: str, known: Callable[[Reference], JSON], room: _Room) -> JSON:
    if "{{" not in text:
        return text
    try:
        parts = list(_parts(text, "", room.roots))
    except Invalid as error:
        raise UnknownReference(text[:80], error.message, error.message) from error
    if len(parts) == 1 and isinstance(parts[0], Reference):
        value = known(parts[0])
        room.take(len(as_text(value, parts[0].text)))
        return value
    pieces: list[str] = []
    for part in parts:
        pieces.append(as_text(known(part), part.text) if isinstance(part, Reference) else part)
        room.take(len(pieces[-1]))
    return "".join(pieces)


def as_text(value: JSON, reference: str) -> str:
    """How a value is written inside a longer text: text as it is, null as nothing, all else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError as deep:
        raise TooLarge(f"{{{{{reference}}}}}: what it stands for is nested too deep") from deep


def _known(reference: Reference, *, scope: Scope) -> JSON:
    """The first alternative that is there and not null; else null, if one of them was there."""
    missing: UnknownReference | None = None
    there = False
    for path in reference.alternatives:
        try:
            value = scope.look(path)
        except UnknownReference as unknown:
            missing = missing or unknown
            continue
        if value is not None:
            return value
        there = True
    if reference.literal:
        return reference.literal[0]
    if missing and not there:
        raise missing
    return None


# Reading placeholders.


def _parts(text: str, pointer: str, roots: tuple[str, ...]) -> Iterator[str | Reference]:
    """The text cut at its placeholders, without empty pieces."""
    at = 0
    while (start := text.find("{{", at)) >= 0:
        if start > at:
            yield text[at:start]
        reference, at = placeholder(text, start, pointer, roots)
        yield reference
    if at < len(text):
        yield text[at:]


def placeholder(
    text: str, start: int, pointer: str = "", roots: tuple[str, ...] = ROOTS
) -> tuple[Reference, int]:
    """The placeholder that opens at `start`, and where the text goes on after it; Invalid says what is wrong."""
    reading = _Reading(text[start : start + LONGEST], 2, roots)
    paths: list[Path] = []
    literal: tuple[JSON, ...] = ()
    while True:
        literal = reading.literal()
        if not literal:
            paths.append(reading.path())
        if not reading.skip("??"):
            break
        if literal:
            raise reading.wrong("nothing is tried after a literal, so it can only be the last")
    if not reading.skip("}}"):
        raise reading.wrong("expected `}}`, `??`, `.key` or `[0]`")
    inside = reading.text[2 : reading.at - 2].strip()
    return Reference(pointer, inside, tuple(paths), literal), start + reading.at


def is_one(text: str) -> bool:
    """Whether a text is a single placeholder and nothing else, so that it takes the type of what it stands for."""
    try:
        return text.startswith("{{") and placeholder(text, 0)[1] == len(text)
    except Invalid:
        return False


class _Reading:
    """A place in the text of a placeholder."""

    def __init__(self, text: str, at: int, roots: tuple[str, ...]) -> None:
        self.text, self.at, self.roots = text, at, roots

    def skip(self, mark: str) -> bool:
        """Go past `mark`, and blanks before it, if that is what comes."""
        at = self._blank()
        if not self.text.startswith(mark, at):
            return False
        self.at = at + len(mark)
        return True

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """What matches here, gone past."""
        found = pattern.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        return found[0]

    def literal(self) -> tuple[JSON, ...]:
        """(value,) if a literal comes, else ()."""
        self.at = self._blank()
        if quoted := self.take(_QUOTED):
            return (unquoted(quoted),)
        if number := self.take(_NUMBER):
            return (float(number) if "." in number else int(number),)
        for mark, empty in (("[]", list[JSON]), ("{}", dict[str, JSON])):
            if self.skip(mark):
                return (empty(),)
        name = _NAME.match(self.text, self.at)
        if name and name[0] in _WORDS:
            self.at = name.end()
            return (_WORDS[name[0]],)
        return ()

    def path(self) -> Path:
        """A path; its root and, for steps, its form are checked too."""
        self.at = self._blank()
        root = self.take(_NAME)
        if root is None:
            raise self.wrong("expected a path, like `steps.review.output.score`")
        path: list[str | int] = [root]
        while (part := self._part()) is not None:
            path.append(part)
        if problem := malformed(tuple(path), self.roots):
            raise Invalid(f"`{{{{{written(tuple(path))}}}}}`: {problem}")
        return tuple(path)

    def _part(self) -> str | int | None:
        if self.text.startswith(".", self.at):
            self.at += 1
            if (name := self.take(_NAME)) is not None:
                return name
            if (digits := self.take(_DIGITS)) is not None:
                return int(digits)
            raise self.wrong('expected a name after `.`; other keys are written ["so"]')
        if self.text.startswith("[", self.at) and not self.text.startswith("[]", self.at):
            self.at += 1
            quoted = self.take(_QUOTED)
            digits = None if quoted else self.take(_DIGITS)
            if (quoted is None and digits is None) or not self.skip("]"):
                raise self.wrong('expected `[0]` or `["key"]`')
            return unquoted(quoted) if quoted else int(str(digits))
        return None

    def wrong(self, what: str) -> Invalid:
        """The complaint, with a little of the text and the way out."""
        if "}}" not in self.text[2:]:
            what = "`{{` opens a placeholder that is never closed"
        shown = self.text[: min(len(self.text), 60)]
        return Invalid(f'`{shown}`: {what} (two braces as they are: {{{{ "{{{{" }}}})')

    def _blank(self) -> int:
        found = _SPACE.match(self.text, self.at)
        return found.end() if found else self.at


def unquoted(quoted: str) -> str:
    """The text between quotes, with its escapes read as in JSON; Invalid if they cannot be."""
    try:
        if quoted[0] == '"':
            return str(json.loads(quoted, strict=False))
        return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)
    except ValueError as error:
        raise Invalid(f"{quoted[:60]} has an escape that is none of JSON's") from error


def malformed(path: Path, roots: tuple[str, ...] = ROOTS) -> str | None:
    """What is wrong with a path, whatever the run."""
    if path[0] not in roots:
        return f"a path starts with {', '.join(f'`{root}`' for root in roots)}"
    if path[0] == "workflow" and (len(path) != 2 or path[1] not in {"id", "name"}):
        return "of the run there are `workflow.id` and `workflow.name`"
    if path[0] != "steps":
        return None
    names, at = named(path)
    if not names:
        return "name a step: `steps.review.output`"
    if at >= len(path):
        return f"say what of the step: `steps.{names[0]}.output`, `.status` or `.job_id`"
    return None


def named(path: Path) -> tuple[list[str], int]:
    """The step ids that a path beginning with `steps` names, outermost first, and where it goes on after them."""
    names: list[str] = []
    for part in path[1:]:
        if part in OF_A_STEP and names:
            break
        names.append(f"{names.pop()}[{part}]" if isinstance(part, int) and names else str(part))
    at = next((n for n, part in enumerate(path) if n > 1 and part in OF_A_STEP), len(path))
    return names, at


def written(path: Path) -> str:
    """A path as people write it."""
    first, *rest = path
    return str(first) + "".join(_written_part(part) for part in rest)


def _written_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _NAME.fullmatch(part) else f"[{json.dumps(part, ensure_ascii=False)}]"


def nowhere(path: Path) -> str:
    """Why a root leads nowhere here."""
    return f"`{path[0]}` is known only inside of a `map`"


def _walk(value: JSON, path: Path, start: int, whose: str) -> JSON:
    for at in range(start, len(path)):
        value = _step_down(value, path, at, whose if at == start else f"`{written(path[:at])}`")
    return value


def _step_down(value: JSON, path: Path, at: int, whose: str) -> JSON:
    part = path[at]
    if isinstance(value, Mapping):
        if part in value:
            return value[part]
        if isinstance(part, int) and str(part) in value:
            return value[str(part)]
        raise UnknownReference(written(path), f"{whose} has no `{part}`{_that_are(list(value), 'it has')}")
    if isinstance(value, list):
        if isinstance(part, int) and part < len(value):
            return value[part]
        counted = f"{len(value)} item{'' if len(value) == 1 else 's'}"
        said = f"no `[{part}]`" if isinstance(part, int) else f"no `{part}`; say which, like `[0]`"
        raise UnknownReference(written(path), f"{whose} is a list of {counted} and has {said}")
    raise UnknownReference(written(path), f"{whose} is {kind(value)} and has no `{part}`")


def kind(value: JSON) -> str:
    """The type of a JSON value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


def _that_are(names: list[str], lead: str) -> str:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"; {lead}: {shown}" if names else f"; {lead}: none"
