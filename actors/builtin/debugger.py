"""debugger: reads a traceback, finds its lines in the repository, and says what to look at first.

Steps: read the error out of the text → find the frames' files → code around them, who changed the lines and when
→ known causes and next steps → debugging.md. Nothing is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from actors.builtin import commands, places, repositories, sources, tracebacks
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.known_errors import Known, known
from actors.builtin.python_outline import Function
from actors.builtin.sources import Source
from actors.builtin.tracebacks import Frame, Problem
from actors.runners.base import JSON, Context, Health, Work
from app.errors import PermanentError

AROUND = 5
SHOWN_FRAMES = 8
MOST_MENTIONS = 15
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,60}")
CODE_FILES = frozenset(
    (".py", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".java", ".kt", ".scala", ".go", ".rb")
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A frame found in the repository."""

    frame: Frame
    path: str
    code: list[tuple[int, str]]
    history: list[str]


def run(work: Work, context: Context) -> JSON:
    """Explain the error in `error` or `task`; without a traceback, where the words of the task occur."""
    asked = work.parameters
    text = str(asked.get("error") or "") or str(asked["task"])
    context.stage("read", "Reading the error")
    found = tracebacks.problems(text)
    problem = found[-1] if found else None
    source = _source(work, context)
    context.progress(40, "Looking for the lines")
    shown = _places(problem, source, context) if problem and source else []
    fitting = known(problem.name, problem.message) if problem else None
    mentions = _mentions(text, source, context) if source and not shown else []
    result = _result(problem, found[:-1], shown, fitting, mentions, source)
    context.stage("report", "Writing the report")
    report = "\n".join(_report(result, shown, str(asked["task"]), str(asked.get("context") or "")))
    context.artifact("debugging.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether git is installed; without it there is no history of lines."""
    if commands.health(programs=("git",)).status != "ready":
        return Health("degraded", "without git it cannot say who changed a line")
    return Health()


def _source(work: Work, context: Context) -> Source | None:
    """A copy of the repository with its history, if one was named."""
    if not work.parameters.get("repo"):
        return None
    place = places.readable(work, "repo")
    allowed = places.roots(work, places.READ)
    history = repositories.is_history(place) and commands.health(programs=("git",)).status == "ready"
    return sources.take(place, context, parameter="repo", allowed=allowed, history=history)


def _places(problem: Problem, source: Source, context: Context) -> list[Place]:
    """The frames that are in the repository, innermost first."""
    files = {path.relative_to(source.root).as_posix() for path in source.root.rglob("*") if path.is_file()}
    found: list[Place] = []
    for frame in reversed(problem.frames):
        context.checkpoint_due()
        path = _file_of(frame, files)
        if (
            path
            and len(found) < SHOWN_FRAMES
            and (path, frame.line) not in {(p.path, p.frame.line) for p in found}
        ):
            lines = _around(source.root / path, frame.line)
            found.append(
                Place(frame=frame, path=path, code=lines, history=_history(path, frame.line, source))
            )
    return found


def _file_of(frame: Frame, files: set[str]) -> str | None:
    """The repository's file with the longest common end; a bare name only if it is the only one."""
    if frame.foreign:
        return None
    parts = PurePosixPath(frame.path.replace("\\", "/")).parts
    if frame.path.endswith((".java", ".kt", ".scala")) and "." in frame.function:
        parts = (*frame.function.split("$")[0].split(".")[:-2], frame.path)  # the package is the folder
    for at in range(len(parts)):
        end = "/".join(parts[at:]).lstrip("/")
        fitting = [path for path in files if path == end or path.endswith("/" + end)]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _around(path: Path, line: int) -> list[tuple[int, str]]:
    lines = path.read_bytes()[:2_000_000].decode("utf-8", "replace").splitlines()
    first = max(1, line - AROUND)
    return [(number, lines[number - 1][:300]) for number in range(first, min(len(lines), line + AROUND) + 1)]


def _history(path: str, line: int, source: Source) -> list[str]:
    """Who changed the line last, and the file's last commits; empty without a history."""
    if not source.repository:
        return []
    form = "--format=%h %ad %an: %s"
    try:
        blamed = source.repository.git(
            "blame", "--porcelain", f"-L{line},{line}", "HEAD", "--", path
        ).split()[0]
        last = source.repository.git("log", "--max-count=1", "--date=short", form, blamed)
        others = source.repository.git("log", "--max-count=4", "--date=short", form, "HEAD", "--", path)
    except (PermanentError, IndexError):
        return []  # the line is not committed, or the file is new
    told = [f"line {line} last changed by {last.strip()}"]
    return told + [entry for entry in others.splitlines() if entry.strip() != last.strip()][:3]


def _suspects(problem: Problem, place: Place, source: Source) -> list[str]:
    """The parts of the failing Python line that the error can mean, and where their values come from."""
    try:
        tree = ast.parse((source.root / place.path).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError):
        return []
    line = place.frame.line
    told = []
    for node in ast.walk(tree):
        if (
            getattr(node, "lineno", 0) <= line <= (getattr(node, "end_lineno", 0) or 0)
            and getattr(node, "lineno", 0) == line
        ):
            part = _part(node, problem)
            if part is not None:
                told.append(f"`{ast.unparse(part)[:120]}`{_origin(part, tree, line)}")
    return list(dict.fromkeys(told))[:5]


def _part(node: ast.AST, problem: Problem) -> ast.expr | None:
    """What in this node the error can be about."""
    match problem.name, node:
        case (("KeyError" | "IndexError"), ast.Subscript(value=value)):
            return value
        case "AttributeError", ast.Attribute(value=value, attr=attr) if f"'{attr}'" in problem.message:
            return value
        case "ZeroDivisionError", ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=right):
            return right
        case (("NameError" | "UnboundLocalError"), ast.Name(id=name)) if f"'{name}'" in problem.message:
            return node
        case "TypeError", ast.Subscript(value=value) if "subscriptable" in problem.message:
            return value
        case (("ValueError" | "TypeError"), ast.Call(func=ast.Name(id="int" | "float"), args=[first, *_])):
            return first
    return None


def _origin(part: ast.expr, tree: ast.Module, line: int) -> str:
    """Where the value of its first name was set last before the line."""
    root = part
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not isinstance(root, ast.Name):
        return ""
    scopes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, Function) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    scope = max(scopes, key=lambda node: node.lineno, default=None)
    set_at = [at for at in _settings_of(root.id, scope or tree) if at < line]
    if set_at:
        return f", set in line {max(set_at)}"
    if scope and root.id in {
        arg.arg for arg in [*scope.args.args, *scope.args.kwonlyargs, *scope.args.posonlyargs]
    }:
        return f", given to {scope.name}() by its caller"
    return ""


def _settings_of(name: str, scope: ast.AST) -> Iterator[int]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            yield node.lineno


def _mentions(text: str, source: Source, context: Context) -> list[JSON]:
    """Lines of the repository with the rarest identifiers of the text, for a task without a traceback."""
    words = {word for word in WORD.findall(text) if "_" in word or not word.islower()}
    words |= set(re.findall(r"[`'\"]([A-Za-z_][\w.]{2,60})[`'\"]", text))
    found: dict[str, list[JSON]] = {word: [] for word in sorted(words)[:40]}
    for path in sorted(source.root.rglob("*")):
        if path.suffix in CODE_FILES and path.is_file() and path.stat().st_size < 1_000_000:
            context.checkpoint_due()
            _note_mentions(path, path.relative_to(source.root).as_posix(), found)
    rare = sorted((each for each in found.values() if each), key=len)
    return [mention for each in rare for mention in each[:3]][:MOST_MENTIONS]


def _note_mentions(path: Path, name: str, found: dict[str, list[JSON]]) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        for word, places_of in found.items():
            if word in line and len(places_of) < 50:
                places_of.append({"word": word, "path": name, "line": number, "code": line.strip()[:200]})


def _result(
    problem: Problem | None,
    before: list[Problem],
    shown: list[Place],
    fitting: Known | None,
    mentions: list[JSON],
    source: Source | None,
) -> JSON:
    suspects = (
        _suspects(problem, shown[0], source)
        if problem and shown and source and problem.language == "python"
        else []
    )
    return {
        "summary": _summary(problem, shown, mentions),
        "found": problem is not None,
        "language": problem.language if problem else None,
        "error": problem.error if problem else None,
        "message": problem.message if problem else None,
        "caused_by": [{"error": each.error, "message": each.message} for each in before[-5:]],
        "place": f"{shown[0].path}:{shown[0].frame.line}" if shown else None,
        "frames": [
            {"path": each.path, "line": each.line, "function": each.function, "library": each.foreign}
            for each in (problem.frames[-50:] if problem else [])
        ],
        "suspects": suspects,
        "cause": fitting.cause if fitting else None,
        "history": shown[0].history if shown else [],
        "next_steps": _next_steps(problem, shown, fitting, suspects, source),
        "mentions": mentions,
    }


def _summary(problem: Problem | None, shown: list[Place], mentions: list[JSON]) -> str:
    if problem is None:
        said = "There is no error message in the text."
        return said + (
            f" Its words occur in {mentions[0]['path']}:{mentions[0]['line']}." if mentions else ""
        )
    what = f"{problem.name}: {problem.message[:160]}" if problem.message else problem.name
    if shown:
        inside = f" in {shown[0].frame.function}" if shown[0].frame.function else ""
        return f"{what}, at {shown[0].path}:{shown[0].frame.line}{inside}."
    own = next((frame for frame in reversed(problem.frames) if not frame.foreign), None)
    return f"{what}, at {own.path}:{own.line}." if own else f"{what}."


def _next_steps(
    problem: Problem | None,
    shown: list[Place],
    fitting: Known | None,
    suspects: list[str],
    source: Source | None,
) -> list[str]:
    if problem is None:
        return [
            "Run it again and give the whole traceback as `error`: it names the line.",
            *_ask_for_repo(source),
        ]
    steps = (
        [f"Look at {shown[0].path}:{shown[0].frame.line}" + (f": {suspects[0]}." if suspects else ".")]
        if shown
        else []
    )
    steps += (
        [fitting.step] if fitting else ["Read the message word by word; search the code for its fixed part."]
    )
    if shown and shown[0].history:
        steps.append(f"Compare with the last change: {shown[0].history[0]}.")
    if len(shown) > 1:
        steps.append(f"Then its caller, {shown[1].path}:{shown[1].frame.line}: is what it hands over right?")
    steps += _ask_for_repo(source)
    return [*steps, "Write a test that fails in the same way before you mend it."]


def _ask_for_repo(source: Source | None) -> list[str]:
    return [] if source else ["Name the `repo` next time: then the lines and their history are shown here."]


def _report(result: JSON, shown: list[Place], task: str, about: str) -> list[str]:
    lines = ["# Debugging", "", f"**{cell(result['summary'], 400)}**", ""]
    if result["cause"]:
        lines += [f"Usual cause: {result['cause']}", ""]
    lines += ["## Next steps", "", *(f"{at}. {step}" for at, step in enumerate(result["next_steps"], 1)), ""]
    if result["suspects"]:
        lines += ["## What the line uses", "", *(f"- {each}" for each in result["suspects"]), ""]
    for place in shown:
        lines += _told(place)
    if result["caused_by"]:
        lines += ["## Errors before it", ""]
        lines += [
            f"- {cell(each['error'])}: {cell(each['message'], 300)}" for each in result["caused_by"]
        ] + [""]
    if result["mentions"]:
        lines += ["## Where its words occur", "", "| Word | Where | Line |", "|---|---|---|"]
        lines += [
            f"| {code(each['word'])} | {code(each['path'] + ':' + str(each['line']))} | {code(each['code'])} |"
            for each in result["mentions"]
        ] + [""]
    if not shown and result["frames"]:
        lines += [
            f"{plural(len(result['frames']), 'frame')} of the traceback, none of them found in the repository.",
            "",
        ]
    if task and not result["found"]:
        lines += ["## Task", "", f"> {cell(task, 1000)}", ""]
    if about:
        lines += ["## Context", "", f"> {cell(about, 1000)}", ""]
    return lines


def _told(place: Place) -> list[str]:
    inside = f" in {code(place.frame.function)}" if place.frame.function else ""
    lines = [f"## {code(f'{place.path}:{place.frame.line}')}{inside}", "", "```"]
    lines += [
        f"{'>' if number == place.frame.line else ' '} {number:5d}  {text}".replace("```", "'''")
        for number, text in place.code
    ]
    return [*lines, "```", "", *(f"- {cell(entry, 200)}" for entry in place.history), ""]
