"""What to try on the functions of a module, read from its syntax tree: argument types, boundary values, errors.

A function is tried with what its annotations, defaults and use of each argument say it takes; the numbers
and texts it compares an argument with are tried with their neighbours. What has effects is left alone.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actors.builtin.python_outline import Function

BOUNDARIES = {
    "integers": ("0", "1", "-1", "2**31", "2**63"),
    "floats": ("0.0", "-1.0", "0.1", "1e308"),
    "text": ("''", "' '", "'0'", "'ß'", "'a' * 1000"),
    "lists": ("[]",),
    "dictionaries": ("{}",),
    "binary": ("b''",),
}
SIMPLE = {"int": "integers", "float": "floats", "str": "text", "bool": "booleans", "bytes": "binary"}
CHECKED_ANSWERS = {"int", "str", "bool", "bytes", "list", "dict", "tuple", "set"}
SEQUENCES = frozenset("list List Sequence Iterable Collection MutableSequence".split())  # noqa: SIM905
MAPPINGS = frozenset("dict Dict Mapping MutableMapping".split())  # noqa: SIM905
TEXT_METHODS = frozenset(
    """encode format split rsplit splitlines strip lstrip rstrip lower upper title startswith endswith replace
    partition rpartition casefold isdigit isalpha zfill""".split()  # noqa: SIM905
)
MAPPING_METHODS = frozenset("items keys values get setdefault".split())  # noqa: SIM905
LIST_METHODS = frozenset("append extend sort insert reverse".split())  # noqa: SIM905
EFFECTS = tuple(
    """subprocess. shutil. socket. requests. httpx. httpx2. urllib.request. smtplib. ftplib. pickle.load eval exec
    os.system os.remove os.unlink os.rmdir os.removedirs os.rename os.replace os.mkdir os.makedirs os.kill
    os.exec os.fork os.spawn os.popen os.putenv sys.exit os._exit input""".split()  # noqa: SIM905
)
EFFECT_METHODS = frozenset(
    "write_text write_bytes unlink rmdir mkdir rename touch symlink_to execute commit sendall".split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument and the hypothesis strategy, as source, that makes values for it."""

    name: str
    strategy: str
    guessed: bool = False
    """The strategy comes from how the argument is used, not from an annotation or a default."""
    positional: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """A function to try; `reason` says why it is not tried."""

    name: str
    line: int
    arguments: tuple[Argument, ...] = ()
    errors: tuple[str, ...] = ()
    """Errors it raises on purpose, as source: `ValueError`, `_subject.Full`."""
    answer: str | None = None
    is_async: bool = False
    is_generator: bool = False
    reason: str | None = None

    @property
    def guessed(self) -> bool:
        """Whether a type of an argument is a guess."""
        return any(argument.guessed for argument in self.arguments)


class Reader:
    """Reads the targets of one module."""

    def __init__(self, tree: ast.Module) -> None:
        """Note what the module's top level binds."""
        self.functions = {node.name: node for node in tree.body if isinstance(node, Function)}
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.bound = set(self.functions) | set(self.classes) | set(_bound(tree.body))
        self.constants = dict(_constants(tree.body))

    def targets(self) -> list[Target]:
        """Public functions and the public methods of public classes, in order."""
        found = [self._target(node) for name, node in self.functions.items() if not name.startswith("_")]
        for name, node in self.classes.items():
            if not name.startswith("_"):
                found += [self._target(method, owner=name) for method in _methods(node)]
        return sorted(found, key=lambda target: target.line)

    def _target(self, node: Function, owner: str | None = None) -> Target:
        name = f"{owner}.{node.name}" if owner else node.name
        reason = self._reason(node)
        arguments: list[Argument] = []
        if not reason:
            arguments, reason = self._arguments(node, owner)
        return Target(
            name=name,
            line=node.lineno,
            arguments=tuple(arguments),
            errors=tuple(self._errors(node)),
            answer=_answer(node),
            is_async=isinstance(node, ast.AsyncFunctionDef),
            is_generator=_is_generator(node),
            reason=reason,
        )

    def _reason(self, node: Function) -> str | None:
        kinds = {ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list}
        if kinds & {"property", "staticmethod", "classmethod", "overload", "abstractmethod"}:
            return f"it is a {min(kinds)}"
        effect = next(iter(self._effects(node, {node.name})), None)
        return f"it has effects: it calls `{effect}`" if effect else None

    def _effects(self, node: Function, seen: set[str]) -> Iterator[str]:
        """Calls that reach outside, here and in the module's functions it calls."""
        for call in _calls(node):
            name = ast.unparse(call.func)
            if _has_effect(name, call):
                yield name[:60]
            elif name in self.functions and name not in seen:
                seen.add(name)
                yield from self._effects(self.functions[name], seen)

    def _arguments(self, node: Function, owner: str | None) -> tuple[list[Argument], str | None]:
        """The arguments that can be made, or why one that is needed cannot."""
        found: list[Argument] = []
        for given, default, positional in _given(node):
            if owner and not found and given is _first(node):
                strategy: str | None = _deferred(f"_subject.{owner}")
                guessed = False
            else:
                strategy, guessed = self._strategy(node, given, default)
            if strategy:
                found.append(
                    Argument(name=given.arg, strategy=strategy, guessed=guessed, positional=positional)
                )
            elif default is None:
                return [], f"nothing says what `{given.arg}` may be; annotate it"
        return found, None

    def _strategy(self, node: Function, given: ast.arg, default: ast.expr | None) -> tuple[str | None, bool]:
        """The strategy for an argument, and whether it is a guess."""
        if given.annotation is not None:
            made = self._of_type(given.annotation)
            return (self._with_edges(made, node, given.arg) if made else None), False
        kind = _kind_of_default(default)
        if kind:
            return self._with_edges(f"st.{kind}()", node, given.arg), False
        made = self._by_use(node, given.arg)
        return (self._with_edges(made, node, given.arg) if made else None), True

    def _of_type(self, annotation: ast.expr) -> str | None:
        """The strategy for an annotation; None where it says too little."""
        match annotation:
            case ast.Constant(value=None):
                return "st.none()"
            case ast.Constant(value=str(text)):
                return self._of_text(text)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._either([left, right])
            case ast.Subscript(value=value, slice=inner):
                return self._of_generic(ast.unparse(value).rsplit(".", 1)[-1], inner)
            case ast.Name(id=name) if name in SIMPLE:
                return "FLOATS" if name == "float" else f"st.{SIMPLE[name]}()"
            case ast.Name(id=name) if name in {"list", "dict", "tuple", "set"}:
                return _of_anything(name)
            case ast.Name(id=name) if name in {"Any", "object"}:
                return None
            case ast.Name() | ast.Attribute() if _root(annotation) in self.bound:
                return _deferred(f"_subject.{ast.unparse(annotation)}")
        return None

    def _of_text(self, text: str) -> str | None:
        try:
            return self._of_type(ast.parse(text, mode="eval").body)
        except SyntaxError:
            return None

    def _either(self, choices: Iterable[ast.expr]) -> str | None:
        made = [self._of_type(choice) for choice in choices]
        known = [strategy for strategy in made if strategy]
        return f"st.one_of({', '.join(known)})" if known and len(known) == len(made) else None

    def _of_generic(self, name: str, inner: ast.expr) -> str | None:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if name == "Literal":
            return f"st.sampled_from([{', '.join(ast.unparse(part) for part in parts)}])"
        if name == "Optional":
            return self._either([*parts, ast.Constant(value=None)])
        if name == "Union":
            return self._either(parts)
        made = [self._of_type(part) for part in parts if not _is_ellipsis(part)]
        if not all(made):
            return None
        if name in SEQUENCES or (name == "tuple" and len(made) < len(parts)):
            lists = f"st.lists({made[0]}, max_size=5)"
            return lists if name != "tuple" else f"{lists}.map(tuple)"
        shapes = {"set": "st.sets({}, max_size=5)", "frozenset": "st.frozensets({}, max_size=5)"}
        shapes |= {"tuple": "st.tuples({})"} | dict.fromkeys(MAPPINGS, "st.dictionaries({}, max_size=5)")
        return shapes[name].format(", ".join(str(part) for part in made)) if name in shapes else None

    def _by_use(self, node: Function, name: str) -> str | None:
        """What an argument without annotation is used as: compared, reckoned with, called methods of."""
        kinds = {kind for kind in (_use(inner, name, self.constants) for inner in ast.walk(node)) if kind}
        for kind in ("text", "mappings", "lists", "floats", "integers"):
            if kind in kinds:
                return {"mappings": _of_anything("dict"), "lists": _of_anything("list")}.get(
                    kind, f"st.{kind}()"
                )
        return None

    def _with_edges(self, strategy: str, node: Function, name: str) -> str:
        """The strategy with the boundary values of its kind and of the code in front."""
        kind = "floats" if strategy == "FLOATS" else strategy.removeprefix("st.").split("(")[0]
        strategy = "FLOATS" if strategy == "st.floats()" else strategy
        kinds: dict[str, tuple[type, ...]] = {"integers": (int,), "floats": (int, float), "text": (str,)}
        fitting = kinds.get(kind, ())
        compared = [value for value in self._compared(node, name) if isinstance(value, fitting)]
        values = [
            *BOUNDARIES.get(kind, ()),
            *dict.fromkeys(each for value in compared for each in _near(value)),
        ]
        return f"st.sampled_from([{', '.join(dict.fromkeys(values))}]) | {strategy}" if values else strategy

    def _compared(self, node: Function, name: str) -> Iterator[object]:
        """The constants that the code compares the argument with."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Compare):
                sides = [inner.left, *inner.comparators]
                if any(isinstance(side, ast.Name) and side.id == name for side in sides):
                    for side in sides:
                        yield from _values(side, self.constants)

    def _errors(self, node: Function) -> list[str]:
        """What it and the functions it calls raise, where the name can be reached."""
        names: dict[str, None] = {}
        for function in self._reached(node, {}).values():
            for inner in ast.walk(function):
                if isinstance(inner, ast.Raise) and inner.exc:
                    raised = inner.exc.func if isinstance(inner.exc, ast.Call) else inner.exc
                    names[ast.unparse(raised)] = None
        return [known for name in names if (known := self._reachable(name))]

    def _reached(self, node: Function, seen: dict[str, Function]) -> dict[str, Function]:
        if node.name not in seen:
            seen[node.name] = node
            for call in _calls(node):
                name = ast.unparse(call.func)
                if name in self.functions:
                    self._reached(self.functions[name], seen)
        return seen

    def _reachable(self, name: str) -> str | None:
        if name.split(".", maxsplit=1)[0] in self.bound:
            return f"_subject.{name}"
        return name if isinstance(getattr(builtins, name, None), type) else None


def _given(node: Function) -> Iterator[tuple[ast.arg, ast.expr | None, bool]]:
    """Each named argument, its default, and whether it must be given by place."""
    places = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(places) - len(node.args.defaults)) + list(node.args.defaults)
    for at, (given, default) in enumerate(zip(places, defaults, strict=True)):
        yield given, default, at < len(node.args.posonlyargs)
    for given, late in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        yield given, late, False


def _first(node: Function) -> ast.arg | None:
    return next(iter([*node.args.posonlyargs, *node.args.args]), None)


def _methods(node: ast.ClassDef) -> list[Function]:
    return [inner for inner in node.body if isinstance(inner, Function) and not inner.name.startswith("_")]


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))


def _has_effect(name: str, call: ast.Call) -> bool:
    if name == "open" or name.endswith(".open"):
        return any(set("wax+") & set(str(part.value)) for part in _texts(call))
    outright = any(name == effect or (effect.endswith(".") and name.startswith(effect)) for effect in EFFECTS)
    return (
        outright
        or (name in {f"pickle.{verb}" for verb in ("load", "loads")})
        or _method(name) in EFFECT_METHODS
    )


def _texts(call: ast.Call) -> list[ast.Constant]:
    """The mode of an `open`: its second argument or `mode=`."""
    places = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return [part for part in places if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _method(name: str) -> str:
    return name.rsplit(".", 1)[-1] if "." in name else ""


def _use(node: ast.AST, name: str, constants: dict[str, object]) -> str | None:
    """The kind of value that this one use of the argument speaks for."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=used), attr=method)) if used == name:
            return (
                "text"
                if method in TEXT_METHODS
                else "mappings"
                if method in MAPPING_METHODS
                else "lists"
                if method in LIST_METHODS
                else None
            )
        case ast.Call(keywords=keywords) if any(
            word.arg is None and isinstance(word.value, ast.Name) and word.value.id == name
            for word in keywords
        ):
            return "mappings"
        case ast.BinOp(left=left, op=op, right=right) if name in {_name(left), _name(right)}:
            if isinstance(op, ast.FloorDiv):
                return "integers"
            return "floats" if isinstance(op, ast.Div | ast.Mult | ast.Sub | ast.Pow) else None
        case ast.Compare(left=left, comparators=others) if _name(left) == name:
            kinds = {type(value) for other in others for value in _values(other, constants)}
            return "text" if str in kinds else "integers" if kinds & {int, float} else None
        case ast.For(iter=ast.Name(id=used)) | ast.comprehension(iter=ast.Name(id=used)) if used == name:
            return "lists"
    return None


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _values(node: ast.expr, constants: dict[str, object]) -> Iterator[object]:
    """The literal numbers and texts of one side of a comparison."""
    value = constants.get(node.id) if isinstance(node, ast.Name) else _literal(node)
    for each in value if isinstance(value, tuple | list | set | frozenset) else [value]:
        if isinstance(each, int | float | str) and not isinstance(each, bool):
            yield each


def _near(value: object) -> list[str]:
    """A constant and its neighbours, as source."""
    if isinstance(value, int | float):
        return [repr(value - 1), repr(value), repr(value + 1)]
    return [repr(value)]


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _constants(body: list[ast.stmt]) -> Iterator[tuple[str, object]]:
    for node in body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _literal(node.value)


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that imports and assignments of the top level bind."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _kind_of_default(default: ast.expr | None) -> str | None:
    value = _literal(default) if default is not None else None
    return SIMPLE.get(type(value).__name__)


def _answer(node: Function) -> str | None:
    """The plain type its annotation says it answers."""
    told = _name(node.returns) if node.returns else None
    return told if told in CHECKED_ANSWERS else None


def _is_generator(node: Function) -> bool:
    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return _name(node)


def _deferred(name: str) -> str:
    """From a type of the module: looked up when the test runs, so that a failure is that test's alone."""
    return f"st.deferred(lambda: st.from_type({name}))"


def _of_anything(name: str) -> str:
    shapes = {"list": "st.lists(ANYTHING, max_size=5)", "set": "st.sets(ANYTHING, max_size=5)"}
    shapes |= {"tuple": "st.lists(ANYTHING, max_size=5).map(tuple)"}
    return shapes.get(name, "st.dictionaries(st.text(), ANYTHING, max_size=5)")
