"""What a Python file offers, read from its syntax tree without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One class, function or method; methods have a dotted name."""

    name: str
    kind: str
    signature: str
    line: int
    end_line: int
    doc: str | None
    raises: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    """The conditions the code branches on, as written."""

    @property
    def public(self) -> bool:
        """No part of the name starts with an underscore; dunder methods are not counted as public."""
        return not any(part.startswith("_") for part in self.name.split("."))


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A module: the first sentence of its docstring, and its pieces in order."""

    doc: str | None
    pieces: tuple[Piece, ...]

    @property
    def functions(self) -> tuple[Piece, ...]:
        """Functions and methods only."""
        return tuple(piece for piece in self.pieces if piece.kind != "class")


def outline(text: str) -> Outline:
    """Read the source `text`; raises SyntaxError, ValueError (null bytes) or RecursionError (deep nesting)."""
    tree = ast.parse(text)
    return Outline(doc=_first_sentence(tree), pieces=tuple(_pieces(tree.body, "")))


def imports(text: str) -> set[str]:
    """Dotted names of all modules the source imports, with `from a import b` as both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _pieces(body: list[ast.stmt], prefix: str) -> Iterator[Piece]:
    for node in body:
        if isinstance(node, Function):
            yield _function(node, prefix)
        elif isinstance(node, ast.ClassDef):
            yield _class(node, prefix)
            yield from _pieces(node.body, f"{prefix}{node.name}.")


def _function(node: Function, prefix: str) -> Piece:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return Piece(
        name=prefix + node.name,
        kind="method" if prefix else "function",
        signature=f"{word} {node.name}({ast.unparse(node.args)}){returns}",
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        doc=_first_sentence(node),
        raises=_raised(node),
        decisions=tuple(_decisions(node)),
    )


def _class(node: ast.ClassDef, prefix: str) -> Piece:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    return Piece(
        name=prefix + node.name,
        kind="class",
        signature=f"class {node.name}({bases})" if bases else f"class {node.name}",
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        doc=_first_sentence(node),
    )


def _first_sentence(node: ast.Module | ast.ClassDef | Function) -> str | None:
    doc = ast.get_docstring(node)
    return " ".join(doc.split("\n\n")[0].split()) if doc else None


def _raised(node: Function) -> tuple[str, ...]:
    raised = [inner.exc for inner in ast.walk(node) if isinstance(inner, ast.Raise) and inner.exc]
    names = [ast.unparse(error.func if isinstance(error, ast.Call) else error) for error in raised]
    return tuple(dict.fromkeys(names))


def _decisions(node: Function) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.If | ast.While | ast.IfExp):
            yield ast.unparse(inner.test)[:120]
