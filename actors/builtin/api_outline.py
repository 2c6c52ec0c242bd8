"""An outline of a Python API: modules, classes, functions with their first sentence, and what lacks one."""

from __future__ import annotations

from dataclasses import dataclass

from actors.builtin import scanners
from actors.builtin.changelogs import escaped
from actors.builtin.findings import plural
from actors.builtin.places import refuse
from actors.builtin.python_outline import Outline, Piece, outline
from actors.builtin.sources import Source
from actors.runners.base import JSON, Context

MOST_MODULES = 2_000


@dataclass(frozen=True, kw_only=True)
class Module:
    """A public module and its public pieces."""

    path: str
    read: Outline

    @property
    def name(self) -> str:
        """The dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")

    @property
    def public(self) -> list[Piece]:
        """What others may use."""
        return [piece for piece in self.read.pieces if piece.public]


def modules(source: Source, context: Context) -> list[Module]:
    """Read every module of the source but tests; unreadable ones are logged and left out."""
    paths = [path for path in source.python if not scanners.is_test(path)][:MOST_MODULES]
    if not paths:
        refuse("repo", f"There are no Python modules in `{source.name}`.")
    read: list[Module] = []
    for number, path in enumerate(paths):
        context.checkpoint_due()
        context.progress(10 + 80 * number / len(paths), f"Reading {path}")
        try:
            read.append(Module(path=path, read=outline((source.root / path).read_text(encoding="utf-8"))))
        except (SyntaxError, ValueError, RecursionError) as error:
            context.log(f"{path} is not readable as Python: {error}", level="warning")
    return read


def markdown(topic: str, found: list[Module]) -> str:
    """The document."""
    lines = [f"# {escaped(topic)}", "", _documented_sentence(found), ""]
    for module in found:
        lines += [f"## `{module.name}`", "", escaped(module.read.doc or "No docstring."), ""]
        lines += [_line(piece) for piece in module.public]
        lines.append("")
    return "\n".join(lines)


def summary(topic: str, found: list[Module]) -> JSON:
    """Counts for the job's result."""
    pieces = [piece for module in found for piece in module.public]
    missing = [f"{module.name}.{piece.name}" for module in found for piece in module.public if not piece.doc]
    return {
        "summary": f"{topic}: {_documented_sentence(found)}",
        "counts": {
            "modules": len(found),
            "classes": sum(piece.kind == "class" for piece in pieces),
            "functions": sum(piece.kind != "class" for piece in pieces),
            "documented": len(pieces) - len(missing),
        },
        "documented_percent": _percent(found),
        "undocumented": missing[:100],
    }


def _line(piece: Piece) -> str:
    indent = "  " * piece.name.count(".")
    signature = piece.signature.replace("`", "'")
    return f"{indent}- `{signature}`" + (f": {escaped(piece.doc)}" if piece.doc else "")


def _documented_sentence(found: list[Module]) -> str:
    pieces = sum(len(module.public) for module in found)
    public = plural(pieces, "public class or function", "public classes and functions")
    return f"{plural(len(found), 'module')} with {public}, {_percent(found):g} % documented."


def _percent(found: list[Module]) -> float:
    docs = [piece.doc for module in found for piece in module.public] + [module.read.doc for module in found]
    return round(100 * sum(doc is not None for doc in docs) / len(docs), 1) if docs else 0.0
