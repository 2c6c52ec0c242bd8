"""Which modules of a package use each other, and which functions call which, from their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actors.builtin.python_modules import dotted
from actors.builtin.python_outline import Function
from actors.builtin.sources import Source
from actors.runners.base import JSON, Context

MOST_MODULES = 500


@dataclass(kw_only=True)
class Node:
    """One module: what it imports of the package, and what its functions call in other modules."""

    name: str
    path: str
    functions: dict[str, Function] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    """A name of the module → the dotted thing it stands for."""
    calls: dict[str, list[str]] = field(default_factory=dict)
    """Function → dotted functions of the package that it calls, its own module's too."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The modules of a package by name, and those that could not be read."""

    nodes: dict[str, Node]
    unreadable: dict[str, str]

    @property
    def imports(self) -> list[tuple[str, str]]:
        """Who imports whom, at import time or later."""
        return sorted((name, other) for name, node in self.nodes.items() for other in node.imports)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Calls across modules, as dotted functions."""
        return sorted(
            (f"{name}.{function}", callee)
            for name, node in self.nodes.items()
            for function, callees in node.calls.items()
            for callee in callees
            if callee.rpartition(".")[0] != name
        )

    def reached(self, function: str) -> list[str]:
        """Functions of the package that a dotted function leads to, nearest first, itself left out."""
        found: dict[str, None] = {}
        waiting = [function]
        while waiting:
            module, _, name = waiting.pop(0).rpartition(".")
            node = self.nodes.get(module)
            for callee in node.calls.get(name, []) if node else []:
                if callee not in found and callee != function:
                    found[callee] = None
                    waiting.append(callee)
        return list(found)

    def cycles(self) -> list[list[str]]:
        """Modules that import each other in a circle, each circle once."""
        reach = {name: self._imported_by_way_of(name) for name in self.nodes}
        circles = {
            tuple(sorted({name} | {other for other in reach[name] if name in reach[other]}))
            for name in self.nodes
            if name in reach[name]
        }
        return [list(circle) for circle in sorted(circles)]

    def _imported_by_way_of(self, name: str) -> set[str]:
        seen: set[str] = set()
        waiting = set(self.nodes[name].imports)
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting |= self.nodes[other].imports - seen
        return seen

    def as_json(self) -> JSON:
        """For graph.json."""
        return {
            "modules": [
                {"module": node.name, "path": node.path, "functions": sorted(node.functions)}
                for node in self.nodes.values()
            ],
            "imports": [{"from": one, "to": other} for one, other in self.imports],
            "calls": [{"from": one, "to": other} for one, other in self.calls],
            "cycles": self.cycles(),
            "unreadable": self.unreadable,
        }


def read(source: Source, folder: str, context: Context) -> Graph:
    """The graph of the Python files below `folder` (relative; `.`: all), tests left out."""
    nodes: dict[str, Node] = {}
    trees: dict[str, ast.Module] = {}
    unreadable: dict[str, str] = {}
    for path in _of_package(source, folder)[:MOST_MODULES]:
        context.checkpoint_due()
        name = dotted(path)
        try:
            trees[name] = ast.parse((source.root / path).read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, RecursionError) as error:
            unreadable[path] = str(error)[:200]
            continue
        functions = {node.name: node for node in trees[name].body if isinstance(node, Function)}
        nodes[name] = Node(name=name, path=path, functions=functions)
    for name, node in nodes.items():
        _note_imports(node, trees[name], nodes)
    for node in nodes.values():
        node.calls = {
            function: list(_callees(body, node, nodes)) for function, body in node.functions.items()
        }
    return Graph(nodes=nodes, unreadable=unreadable)


def _of_package(source: Source, folder: str) -> list[str]:
    inside = [path for path in source.python if folder == "." or path.startswith(f"{folder}/")]
    return [
        path for path in inside if path.endswith(".py") and not _is_foreign(Path(path).relative_to(folder))
    ]


def _is_foreign(path: Path) -> bool:
    """Tests and scripts that are run, not imported."""
    own = path.name in {"setup.py", "conftest.py", "__main__.py"} or path.name.startswith("test_")
    return own or path.name.endswith("_test.py") or bool({"tests", "test"} & set(path.parts[:-1]))


def _note_imports(node: Node, tree: ast.Module, nodes: dict[str, Node]) -> None:
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Import):
            for alias in inner.names:
                node.aliases[alias.asname or alias.name] = alias.name
                _note(node, alias.name, nodes)
        elif isinstance(inner, ast.ImportFrom):
            origin = _origin(inner, node)
            for alias in inner.names:
                node.aliases[alias.asname or alias.name] = f"{origin}.{alias.name}"
                _note(node, f"{origin}.{alias.name}", nodes)


def _note(node: Node, imported: str, nodes: dict[str, Node]) -> None:
    """Note the module that an imported name is, or lies in."""
    for name in (imported, imported.rpartition(".")[0]):
        if name in nodes:
            if name != node.name:
                node.imports.add(name)
            return


def _origin(node: ast.ImportFrom, module: Node) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + module.path.endswith("__init__.py")]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _callees(body: Function, node: Node, nodes: dict[str, Node]) -> Iterator[str]:
    """Functions of the package called in a function, each once."""
    seen: set[str] = set()
    for inner in ast.walk(body):
        if isinstance(inner, ast.Call):
            meant = _meant(ast.unparse(inner.func), node)
            module, _, name = meant.rpartition(".")
            if module in nodes and name in nodes[module].functions and meant not in seen:
                seen.add(meant)
                yield meant


def _meant(called: str, node: Node) -> str:
    """The dotted function that a name in the module stands for."""
    first, _, rest = called.partition(".")
    if called in node.functions:
        return f"{node.name}.{called}"
    for alias in (called.rpartition(".")[0], first):  # `import a.b` binds a; `a.b.f` is written out
        if alias and alias in node.aliases:
            return f"{node.aliases[alias]}{called[len(alias) :]}"
    return node.aliases.get(called, called if rest else "")
