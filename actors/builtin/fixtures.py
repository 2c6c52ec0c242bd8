"""pytest fixtures for the classes of a module and the arguments of its functions, from its syntax tree.

A class gets a fixture that makes one with simple values for what its constructor requires; a function gets
`<name>_arguments`, a dictionary that fits its signature. Fixtures use each other where types do.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actors.builtin.python_modules import dotted
from actors.builtin.python_outline import Function
from actors.builtin.sources import Source

PLAIN = {
    "int": "1", "float": "1.0", "complex": "1j", "bool": "False", "bytes": "b'bytes'", "list": "[]", "dict": "{}",
    "set": "set()", "tuple": "()", "object": "object()", "Any": "object()", "None": "None",
}  # fmt: skip
LIBRARY = {
    "date": ("import datetime", "datetime.date(2026, 1, 2)"),
    "datetime": ("import datetime", "datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)"),
    "time": ("import datetime", "datetime.time(3, 4, 5)"),
    "timedelta": ("import datetime", "datetime.timedelta(hours=1)"),
    "Decimal": ("import decimal", "decimal.Decimal('1.50')"),
    "UUID": ("import uuid", "uuid.UUID(int=1)"),
    "Callable": ("", "lambda *_, **__: None"),
}
LISTS = frozenset("list List Sequence Iterable Collection MutableSequence Iterator".split())  # noqa: SIM905
MAPPINGS = frozenset("dict Dict Mapping MutableMapping".split())  # noqa: SIM905
UNMADE = frozenset("Protocol ABC Exception BaseException Error Warning".split())  # noqa: SIM905
TAKEN = ("request", "tmp_path", "monkeypatch", "capsys", "caplog", "cache", "pytestconfig", "recwarn")
"""Fixtures of pytest itself."""


class CannotMake(Exception):
    """A value that nothing in the source says how to make."""


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """One fixture: `value` is the source of what it returns, `needs` other fixtures, as arguments."""

    name: str
    subject: str
    """The class or function it is for."""
    kind: str
    value: str
    needs: tuple[str, ...]
    imports: tuple[str, ...]
    checks: str
    """Source of an assertion on `made`."""


class Workshop:
    """Makes the fixtures of one module; classes of other modules of the project are made when needed."""

    def __init__(self, source: Source, path: str, tree: ast.Module) -> None:
        """Read the module `path` of the project `source`."""
        self.source = source
        self.files = {dotted(name): name for name in source.python}
        self.trees = {dotted(path): tree}
        self.home = dotted(path)
        self.made: dict[tuple[str, str], Fixture] = {}
        self.left_out: dict[str, str] = {}
        self.names: set[str] = set(TAKEN)
        self._making: list[tuple[str, str]] = []

    def all(self) -> list[Fixture]:
        """Fixtures in an order in which each stands after what it needs."""
        tree = self.trees[self.home]
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                self._try(node.name, partial(self.of_class, self.home, node.name))
        functions = []
        for node in tree.body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                found = self._try(node.name, partial(self._of_function, node))
                functions += [found] if found else []
        return [*self.made.values(), *functions]

    def _try(self, name: str, make: Callable[[], Fixture]) -> Fixture | None:
        try:
            return make()
        except CannotMake as reason:
            self.left_out[name] = str(reason)
            return None

    def of_class(self, module: str, name: str) -> Fixture:
        """The fixture of a class; made once."""
        key = (module, name)
        if key in self.made:
            return self.made[key]
        if key in self._making:
            raise CannotMake(f"`{name}` needs itself to be made")
        self._making.append(key)
        try:
            fixture = self._of_class(module, name)
        finally:
            self._making.pop()
        self.made[key] = fixture
        return fixture

    def _of_class(self, module: str, name: str) -> Fixture:
        node = next(
            (n for n in self._tree(module).body if isinstance(n, ast.ClassDef) and n.name == name), None
        )
        if node is None:
            raise CannotMake(f"`{name}` is not defined in {module}")
        bases = [ast.unparse(base).split("[")[0].rsplit(".", 1)[-1] for base in node.bases]
        if any(base in UNMADE or base.endswith(("Error", "Warning")) for base in bases):
            raise CannotMake(f"`{name}` is an error or an interface; nothing is made of it")
        qualified = f"{module}.{name}"
        if any(base.endswith(("Enum", "Flag")) for base in bases):
            return self._fixture(
                name, "enum", f"next(iter({qualified}))", [], [f"import {module}"], qualified
            )
        if "TypedDict" in bases:
            return self._called(name, module, "dict", [*_fields(node)], "dict")
        return self._called(name, module, qualified, [*self._required(module, node)], qualified)

    def _called(
        self, name: str, module: str, callee: str, required: Iterable[tuple[str, ast.expr | None]], kind: str
    ) -> Fixture:
        value = Value(self, module)
        given = [f"{field}={value.of(annotation, field)}" for field, annotation in required]
        text = f"{callee}({', '.join(given)})"
        imports = [f"import {module}", *value.imports]
        return self._fixture(name, "class", text, value.needs, imports, kind)

    def _fixture(
        self, name: str, kind: str, value: str, needs: list[str], imports: list[str], checked: str
    ) -> Fixture:
        return Fixture(
            name=self._free(_snake(name)),
            subject=name,
            kind=kind,
            value=value,
            needs=tuple(dict.fromkeys(needs)),
            imports=tuple(dict.fromkeys(imports)),
            checks=f"assert isinstance(made, {checked})",
        )

    def _free(self, name: str) -> str:
        """The name, or one like it that is neither taken nor a word of Python."""
        while name in self.names or keyword.iskeyword(name):
            name += "_"
        self.names.add(name)
        return name

    def _of_function(self, node: Function) -> Fixture:
        value = Value(self, self.home)
        pairs = [f"'{arg.arg}': {value.of(arg.annotation, arg.arg)}" for arg in _needed(node, bound=False)]
        if not pairs:
            raise CannotMake("it needs no argument")
        if node.args.posonlyargs:
            raise CannotMake("its arguments can only be given by place")
        return Fixture(
            name=self._free(f"{_snake(node.name)}_arguments"),
            subject=node.name,
            kind="arguments",
            value="{" + ", ".join(pairs) + "}",
            needs=tuple(dict.fromkeys(value.needs)),
            imports=tuple(dict.fromkeys(value.imports)),
            checks=f"inspect.signature({self.home}.{node.name}).bind(**made)",
        )

    def _required(self, module: str, node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
        """What the constructor needs: `__init__`, else the fields of a dataclass and of its bases."""
        constructor = next((n for n in node.body if isinstance(n, Function) and n.name == "__init__"), None)
        if constructor:
            if constructor.args.posonlyargs[1:]:
                raise CannotMake(f"arguments of `{node.name}` can only be given by place")
            yield from ((arg.arg, arg.annotation) for arg in _needed(constructor, bound=True))
            return
        for base in node.bases:
            where = self.where(module, ast.unparse(base))
            if where:
                parent = next(
                    (
                        n
                        for n in self._tree(where[0]).body
                        if isinstance(n, ast.ClassDef) and n.name == where[1]
                    ),
                    None,
                )
                if parent:
                    yield from self._required(where[0], parent)
        if _has_fields(node):
            yield from _fields(node)

    def where(self, module: str, name: str) -> tuple[str, str] | None:
        """The project's module that defines the class `name` as `module` sees it."""
        first, _, rest = name.partition(".")
        tree = self._tree(module)
        if not rest and any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
            return module, name
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                origin = _absolute(node, module, self.files)
                for alias in node.names:
                    if (alias.asname or alias.name) == first:
                        inner = f"{origin}.{alias.name}"
                        found = (inner, rest) if rest and inner in self.files else (origin, alias.name)
                        return found if found[0] in self.files else None
        return (
            (name.rpartition(".")[0], name.rpartition(".")[2])
            if name.rpartition(".")[0] in self.files
            else None
        )

    def _tree(self, module: str) -> ast.Module:
        if module not in self.trees:
            try:
                self.trees[module] = ast.parse(
                    (self.source.root / self.files[module]).read_text(encoding="utf-8")
                )
            except (SyntaxError, ValueError, RecursionError, KeyError) as error:
                raise CannotMake(f"{module} is not readable as Python") from error
        return self.trees[module]


class Value:
    """Simple values for annotations; gathers which fixtures and imports they need."""

    def __init__(self, workshop: Workshop, module: str) -> None:
        """Annotations are read as `module` means them."""
        self.workshop, self.module = workshop, module
        self.needs: list[str] = []
        self.imports: list[str] = []

    def of(self, annotation: ast.expr | None, name: str) -> str:
        """A value's source; raises CannotMake. Without annotation it goes by nothing but the name."""
        match annotation:
            case None:
                raise CannotMake(f"`{name}` has no annotation")
            case ast.Constant(value=None):
                return "None"
            case ast.Constant(value=str(text)):
                return self._of_text(text, name)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._first([left, right], name)
            case ast.Subscript(value=value, slice=inner):
                return self._of_generic(ast.unparse(value).rsplit(".", 1)[-1], inner, name)
        return self._of_name(ast.unparse(annotation), name)

    def _of_text(self, text: str, name: str) -> str:
        try:
            return self.of(ast.parse(text, mode="eval").body, name)
        except SyntaxError as error:
            raise CannotMake(f"`{text}` is no type") from error

    def _first(self, choices: list[ast.expr], name: str) -> str:
        """The first choice that can be made; None only if nothing else can."""
        reason: CannotMake | None = None
        nothing = [each for each in choices if isinstance(each, ast.Constant) and each.value is None]
        for choice in [*(each for each in choices if each not in nothing), *nothing]:
            try:
                return self.of(choice, name)
            except CannotMake as error:
                reason = error
        raise reason or CannotMake(f"`{name}` has no type")

    def _of_generic(self, kind: str, inner: ast.expr, name: str) -> str:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if kind == "Literal":
            return ast.unparse(parts[0])
        if kind in {"Optional", "Union", "Annotated", "Final", "ClassVar"}:
            return self._first(parts[:1] if kind == "Annotated" else parts, name)
        if kind in LISTS | {"set", "frozenset"}:
            one = self.of(parts[0], name.removesuffix("s"))
            shape = {"set": "{{{}}}", "frozenset": "frozenset({{{}}})", "Iterator": "iter([{}])"}
            return shape.get(kind, "[{}]").format(one)
        if kind == "tuple":
            kept = [part for part in parts if not (isinstance(part, ast.Constant) and part.value is ...)]
            return f"({', '.join(self.of(part, name) for part in kept)},)"
        if kind in MAPPINGS and len(parts) == 2:
            return f"{{{self.of(parts[0], 'key')}: {self.of(parts[1], name)}}}"
        return self._of_name(kind, name)

    def _of_name(self, kind: str, name: str) -> str:
        short = kind.rsplit(".", 1)[-1]
        found = self.workshop.where(self.module, kind)
        if found:
            fixture = self.workshop.of_class(*found)
            self.needs.append(fixture.name)
            return fixture.name
        if short == "str":
            return repr(name.replace("_", " "))
        if short == "Path":
            self.needs.append("tmp_path")
            return "tmp_path"
        if short in LIBRARY:
            line, text = LIBRARY[short]
            self.imports += [line] if line else []
            return text
        if short in PLAIN:
            return PLAIN[short]
        raise CannotMake(f"nothing says how to make a `{kind}` for `{name}`")


def conftest(module: str, fixtures: list[Fixture]) -> str:
    """The conftest.py with these fixtures."""
    lines = {line for fixture in fixtures for line in fixture.imports}
    standard = sorted(line for line in lines if line in {each for each, _ in LIBRARY.values()})
    parts = [
        f'"""Fixtures for {module}: simple, valid values; made by Callboard\'s fixture-agent."""',
        "\n".join(standard),
        "\n".join(["import pytest", *sorted(lines - set(standard))]),
    ]
    text = "\n\n".join(part for part in parts if part)
    for fixture in fixtures:
        purpose = (
            f"Arguments that fit {fixture.subject}()."
            if fixture.kind == "arguments"
            else f"A {fixture.subject}."
        )
        text += (
            f'\n\n\n@pytest.fixture\ndef {fixture.name}({", ".join(fixture.needs)}):\n    """{purpose}"""\n'
        )
        text += f"    return {fixture.value}"
    return text + "\n"


def proof(module: str, fixtures: list[Fixture]) -> str:
    """Tests that make each fixture once; they fail where one cannot be made."""
    lines = ["import inspect", "", f"import {module}"]
    extra = {line for fixture in fixtures for line in fixture.imports if line.startswith("import ")}
    lines += sorted(extra - {f"import {module}"})
    for fixture in fixtures:
        lines += ["", "", f"def test_{fixture.name}(request):"]
        lines += [f"    made = request.getfixturevalue({fixture.name!r})", f"    {fixture.checks}"]
    return "\n".join([*lines, ""])


def _needed(node: Function, *, bound: bool) -> list[ast.arg]:
    """Arguments without a default; of a bound one not `self`."""
    places = [*node.args.posonlyargs, *node.args.args]
    places = places[: len(places) - len(node.args.defaults)][1 if bound else 0 :]
    late = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return [*places, *(arg for arg, default in late if default is None)]


def _has_fields(node: ast.ClassDef) -> bool:
    marks = [ast.unparse(decorator).split("(")[0].rsplit(".", 1)[-1] for decorator in node.decorator_list]
    bases = [ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases]
    return bool({"dataclass", "define", "frozen", "attrs"} & set(marks)) or bool(
        {"NamedTuple", "BaseModel"} & set(bases)
    )


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    """Annotated fields that must be given."""
    for inner in node.body:
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
            told = ast.unparse(inner.value) if inner.value else ""
            optional = inner.value is not None and (
                "field(" not in told.lower() or re.search(r"default|init=False", told)
            )
            if not optional and not ast.unparse(inner.annotation).startswith(("ClassVar", "typing.ClassVar")):
                yield inner.target.id, inner.annotation


def _absolute(node: ast.ImportFrom, module: str, files: dict[str, str]) -> str:
    """The module an import means, relative ones worked out."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    is_package = Path(files.get(module, "")).name == "__init__.py"
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
