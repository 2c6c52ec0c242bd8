"""Conditions: `when: "{{steps.review.output.score}} >= 7"`. Operators and operands, nothing to call.

    either      both { or both }
    both        single { and single }
    single      not single | ( either ) | operand [ operator operand ]
    operator    == != > >= < <= in contains, and not before the last two
    operand     {{placeholder}} (in quotes or not), "text", 'text', 1.5, true, false, null, [operand, …]

A placeholder that leads nowhere (its step was skipped, its key is missing) is null here. Values of different types
are never equal, and cannot be put in order: that is an error, not an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from app.errors import Invalid, PermanentError
from app.workflows.references import (
    Reference,
    Scope,
    TooLarge,
    UnknownReference,
    kind,
    placeholder,
    resolve,
    scan,
    unquoted,
)

JSON = Any
DEEPEST = 20
LONGEST_SHOWN = 60

_TOKEN = re.compile(
    r"(?P<operator>==|!=|>=|<=|>|<)|(?P<mark>[()\[\],])"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<number>-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?![A-Za-z0-9_.]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.-]{0,200})",
    re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_LITERALS: Final[dict[str, JSON]] = {"true": True, "false": False, "null": None}
_KEYWORDS = {"and", "or", "not", "in", "contains"}


class BadCondition(Invalid):
    """A condition that cannot be read; `column` counts from 1."""

    code = "bad_condition"

    def __init__(self, what: str, column: int) -> None:
        """The message begins with the column."""
        said = f"column {column}: {what}"
        super().__init__(said, [("", said)])
        self.column = column


class CannotCompare(PermanentError):
    """A condition asks which of two different things is larger."""

    code = "cannot_compare"


class _Node(Protocol):
    def holds(self, scope: Scope) -> bool: ...

    def said(self, scope: Scope) -> str: ...


@dataclass(frozen=True)
class Condition:
    """A condition that could be read."""

    text: str
    references: tuple[Reference, ...]
    _node: _Node

    def holds(self, scope: Scope) -> bool:
        """Whether it is so; CannotCompare (or TooLarge) when that cannot be said."""
        try:
            return self._node.holds(scope)
        except RecursionError as deep:
            raise CannotCompare("what the condition looks at is nested too deep") from deep

    def said(self, scope: Scope) -> str:
        """Why it holds or not, for people: `{{steps.review.output.score}} is 5, not >= 7`."""
        try:
            return self._node.said(scope)
        except (CannotCompare, TooLarge) as error:
            return error.message
        except RecursionError:
            return "what the condition looks at is nested too deep"


def parse(text: str) -> Condition:
    """Read a condition; BadCondition (an Invalid) names the column where it goes wrong."""
    reading = _Reading(_tokens(text), len(text) + 1)
    node = reading.either(0)
    if reading.comes.kind != "end":
        raise BadCondition(
            f"expected `and`, `or` or the end, not `{reading.comes.text}`", reading.comes.column
        )
    found = [each for token in reading.tokens for each in token.references]
    return Condition(text.strip(), tuple(found), node)


# What a condition is made of.


@dataclass(frozen=True)
class _Operand:
    """A value: a literal, a placeholder, a text with placeholders, or a list of such."""

    text: str
    value: JSON
    fixed: bool

    def look(self, scope: Scope) -> JSON:
        return self.value if self.fixed else _resolved(self.value, scope)

    def holds(self, scope: Scope) -> bool:
        return bool(self.look(scope))

    def said(self, scope: Scope) -> str:
        return f"{self.text} is {_shown(self.look(scope))}"

    def after(self, scope: Scope) -> str:
        """How it is written to the right of an operator."""
        return self.text if self.fixed else f"{self.text} ({_shown(self.look(scope))})"


def _resolved(value: JSON, scope: Scope) -> JSON:
    if isinstance(value, list):
        return [_resolved(each, scope) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return resolve(value, scope)
    except UnknownReference:
        return None


@dataclass(frozen=True)
class _Compared:
    left: _Operand
    operator: str
    right: _Operand
    negated: bool = False

    def holds(self, scope: Scope) -> bool:
        left, right = self.left.look(scope), self.right.look(scope)
        if self.operator in _ORDER and not _can_be_ordered(left, right):
            raise CannotCompare(
                f"{self.left.said(scope)}: {kind(left)} and {kind(right)} cannot be compared by {self.operator}"
            )
        return _COMPARISONS[self.operator](left, right) != self.negated

    def said(self, scope: Scope) -> str:
        negated = "" if self.holds(scope) != self.negated else "not "
        return f"{self.left.said(scope)}, {negated}{self.operator} {self.right.after(scope)}"


@dataclass(frozen=True)
class _Negated:
    inner: _Node

    def holds(self, scope: Scope) -> bool:
        return not self.inner.holds(scope)

    def said(self, scope: Scope) -> str:
        return self.inner.said(scope)


@dataclass(frozen=True)
class _Joined:
    """Several, joined by `and` or by `or`; the rest is not looked at once one of them settles it."""

    parts: tuple[_Node, ...]
    settled_by: bool

    def holds(self, scope: Scope) -> bool:
        return self.settled_by == any(part.holds(scope) == self.settled_by for part in self.parts)

    def said(self, scope: Scope) -> str:
        for part in self.parts:
            if part.holds(scope) == self.settled_by:
                return part.said(scope)
        return " and ".join(part.said(scope) for part in self.parts)


def _shown(value: JSON) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= LONGEST_SHOWN else said[: LONGEST_SHOWN - 1] + "…"


# Comparing.


def same(left: JSON, right: JSON) -> bool:
    """Equal and of one type, all the way down: true is not 1, "1" is not 1, but 1.0 is 1."""
    if _type(left) != _type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    return bool(left == right)


def _type(value: JSON) -> str:
    return "a truth" if isinstance(value, bool) else kind(value)


def _can_be_ordered(left: JSON, right: JSON) -> bool:
    return _type(left) == _type(right) and _type(left) in {"a number", "text"}


def _contains(whole: JSON, part: JSON) -> bool:
    if isinstance(whole, list):
        return any(same(each, part) for each in whole)
    return isinstance(part, str) and isinstance(whole, str | dict) and part in whole


_COMPARISONS: dict[str, Callable[[JSON, JSON], bool]] = {
    "==": same,
    "!=": lambda left, right: not same(left, right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    "in": lambda left, right: _contains(right, left),
    "contains": _contains,
}
_ORDER = {">", ">=", "<", "<="}


# Reading.


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int
    value: JSON = None
    references: tuple[Reference, ...] = ()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = _blank(text, 0)
    while at < len(text):
        token, end = _token(text, at)
        tokens.append(token)
        at = _blank(text, end)
    return tokens


def _blank(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _token(text: str, at: int) -> tuple[_Token, int]:
    if text.startswith("{{", at):
        return _placeholder(text, at, at)
    if text[at] in "\"'" and text.startswith("{{", at + 1):
        token, end = _placeholder(text, at, at + 1)
        if text.startswith(text[at], end):  # the quotes hold this placeholder and nothing else
            return token, end + 1
    found = _TOKEN.match(text, at)
    if not found:
        raise BadCondition(f"`{text[at : at + 20]}` is nothing a condition knows", at + 1)
    return _read(found, at + 1), found.end()


def _placeholder(text: str, at: int, start: int) -> tuple[_Token, int]:
    try:
        reference, end = placeholder(text, start)
    except Invalid as error:
        raise BadCondition(error.message, at + 1) from error
    written = f"{{{{{reference.text}}}}}"
    return _Token("open", written, at + 1, text[start:end], (reference,)), end


def _read(found: re.Match[str], column: int) -> _Token:
    what, text = str(found.lastgroup), found[0]
    if what == "quoted":
        return _quoted(text, column)
    if what == "number":
        return _Token("value", text, column, float(text) if "." in text else int(text))
    if what == "word" and text in _LITERALS:
        return _Token("value", text, column, _LITERALS[text])
    if what == "word" and text not in _KEYWORDS:
        hint = f"{{{{{text}}}}}" if "." in text or text in {"item", "index"} else f'"{text}"'
        raise BadCondition(f"`{text}` means nothing here; did you mean {hint}?", column)
    return _Token("operator" if text in {"in", "contains"} else what, text, column)


def _quoted(text: str, column: int) -> _Token:
    try:
        value = unquoted(text)
    except Invalid as error:
        raise BadCondition(error.message, column) from error
    found, wrong = scan(value)
    if wrong:
        raise BadCondition(wrong[0][1], column)
    return _Token("open" if found else "value", text, column, value, tuple(found))


class _Reading:
    """Tokens from left to right."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self.tokens, self.at = tokens, 0
        self.end = _Token("end", "", end)

    @property
    def comes(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def skip(self, text: str) -> bool:
        found = self.comes.kind in {"word", "mark", "operator"} and self.comes.text == text
        self.at += found
        return found

    def either(self, depth: int) -> _Node:
        parts = [self.both(depth)]
        while self.skip("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else _Joined(tuple(parts), settled_by=True)

    def both(self, depth: int) -> _Node:
        parts = [self.single(depth)]
        while self.skip("and"):
            parts.append(self.single(depth))
        return parts[0] if len(parts) == 1 else _Joined(tuple(parts), settled_by=False)

    def single(self, depth: int) -> _Node:
        self._demand_shallow(depth)
        if self.skip("not"):
            return _Negated(self.single(depth + 1))
        if self.skip("("):
            node = self.either(depth + 1)
            self._demand(")")
            return node
        return self.compared(depth)

    def compared(self, depth: int) -> _Node:
        left = self.operand(depth)
        negated = self.skip("not")
        if self.comes.kind != "operator":
            if negated:
                raise BadCondition("expected `in` or `contains` after `not`", self.comes.column)
            return left
        operator = self.comes
        if negated and operator.text not in {"in", "contains"}:
            raise BadCondition("`not` goes before `in` and `contains` only", operator.column)
        self.at += 1
        right = self.operand(depth)
        if self.comes.kind == "operator":
            raise BadCondition("compare two values at a time, and join them by `and`", self.comes.column)
        return _Compared(left, operator.text, right, negated)

    def operand(self, depth: int) -> _Operand:
        self._demand_shallow(depth)
        token = self.comes
        if self.skip("["):
            return self._list(depth + 1)
        if token.kind not in {"value", "open"}:
            found = f"`{token.text}`" if token.text else "the end"
            raise BadCondition(f"expected a value or a placeholder, not {found}", token.column)
        self.at += 1
        return _Operand(token.text, token.value, fixed=token.kind == "value")

    def _list(self, depth: int) -> _Operand:
        parts: list[_Operand] = []
        while not self.skip("]"):
            if parts:
                self._demand(",")
            parts.append(self.operand(depth))
        text = f"[{', '.join(part.text for part in parts)}]"
        return _Operand(text, [part.value for part in parts], fixed=all(part.fixed for part in parts))

    def _demand(self, mark: str) -> None:
        if not self.skip(mark):
            raise BadCondition(f"expected `{mark}`", self.comes.column)

    def _demand_shallow(self, depth: int) -> None:
        if depth > DEEPEST:
            raise BadCondition(f"nested too deep: at most {DEEPEST} levels", self.comes.column)
