"""test-engineer: where a repository needs tests most, by coverage and complexity, and which tests those are.

Steps: copy the project → run its tests with coverage → complexity of every function → rank what is complex and
not run → a list of tests to write, with a file for each module to start from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from actors.builtin import commands, places, scanners, sources, suites
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.python_outline import Outline, outline
from actors.builtin.sources import Source
from actors.builtin.suites import Suite
from actors.builtin.test_orchestrator import told_problems
from actors.builtin.unit_test_agent import Gap, gaps_of, ranges, scaffold
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import terms

MOST_FILES = 8
TESTS_OF_A_FUNCTION = 6
NAMED_TWICE = 2.0
"""How much more a function counts that the task speaks of."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A function that wants tests; `score` is its complexity times the part that no test runs."""

    path: str
    gap: Gap
    complexity: int
    named: bool

    @property
    def score(self) -> float:
        """The higher, the sooner."""
        return round(self.complexity * (100 - self.gap.percent) / 100 * (NAMED_TWICE if self.named else 1), 1)

    @property
    def why(self) -> str:
        """The reason in words."""
        run = "no test runs it" if not self.gap.percent else f"tests run {self.gap.percent:g} % of it"
        said = f"complexity {self.complexity}, {run}"
        return said + (", and the task speaks of it" if self.named else "")

    def tests(self) -> list[JSON]:
        """The tests it needs, by what its code decides and raises."""
        piece = self.gap.piece
        stem = re.sub(r"\W+", "_", piece.name).strip("_").lower()
        found = (
            [{"name": f"test_{stem}", "what": f"the common case of {piece.signature}"[:200]}]
            if not self.gap.percent
            else []
        )
        found += [
            {"name": f"test_{stem}_raises_{_word(name)}", "what": f"makes it raise {name}"}
            for name in piece.raises
        ]
        found += [
            {"name": f"test_{stem}_{_word(rule)}", "what": f"both sides of: {rule}"[:200]}
            for rule in piece.decisions
        ]
        return found[:TESTS_OF_A_FUNCTION]

    def as_json(self) -> JSON:
        """For the job's result."""
        return self.gap.as_json() | {
            "path": self.path,
            "complexity": self.complexity,
            "score": self.score,
            "why": self.why,
            "tests": self.tests(),
        }


def run(work: Work, context: Context) -> JSON:
    """Rank the functions of `repo` that want tests; a failing suite is told and is no error."""
    asked = work.parameters
    context.stage("prepare", "Copying the project")
    context.progress(2, "Copying the project")
    place = places.executable(work, "repo")
    allowed = places.roots(work, places.EXECUTE)
    project = places.project_of(place, allowed)
    source = sources.take(project, context, parameter="repo", allowed=allowed)
    if not source.python:
        places.refuse("repo", f"There is no Python in `{project.name}`; other languages are not measured.")
    context.stage("collect", "Collecting tests")
    inside = place.relative_to(project).as_posix()
    suite = suites.run_suite(
        source.root,
        context,
        paths=[],
        measure=inside,
        plugins=suites.plugins_wanted(work.config),
        span=(10, 75),
    )
    context.stage("measure", "Measuring complexity")
    context.progress(80, "Measuring complexity")
    needs = _needs(source, suite, inside, str(asked["task"]), context)
    context.stage("report", "Writing the plan")
    kept = needs[: int(asked.get("most", 15))]
    result = _result(project.name, suite, needs, kept)
    files = _scaffolds(kept, context)
    report = "\n".join(_report(result, kept, suite, files, asked))
    context.artifact("test-plan.md", report.encode(), "text/markdown")
    result |= {"files": files, "report": shortened(report)}
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest, its coverage plugin and radon are installed."""
    return commands.health(modules=("pytest", "pytest_cov", "radon"))


def _needs(source: Source, suite: Suite, inside: str, task: str, context: Context) -> list[Need]:
    """Functions that tests reach in part or not at all, the most needed first."""
    measured = {
        (each["path"], each["name"]): int(each["complexity"]) for each in scanners.complexity(source, context)
    }
    spoken = set(terms(task))
    found = []
    for path in source.python:
        if scanners.is_test(path) or not _is_inside(path, inside) or path.endswith(".pyi"):
            continue
        read = _outlined(source, path)
        for gap in gaps_of(read, suite, path) if read else []:
            named = bool(spoken & set(terms(f"{gap.piece.name} {path}".replace("_", " ").replace("/", " "))))
            complexity = measured.get((path, gap.piece.name), 1)
            found.append(Need(path=path, gap=gap, complexity=complexity, named=named))
    return sorted(found, key=lambda need: (-need.score, need.path, need.gap.piece.line))


def _is_inside(path: str, folder: str) -> bool:
    return folder in (".", path) or path.startswith(f"{folder}/")


def _outlined(source: Source, path: str) -> Outline | None:
    try:
        return outline((source.root / path).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _scaffolds(kept: list[Need], context: Context) -> list[str]:
    """A file of skipped tests for each of the first modules."""
    modules: dict[str, list[Gap]] = {}
    for need in kept:
        modules.setdefault(need.path, []).append(need.gap)
    names = []
    for path, gaps in list(modules.items())[:MOST_FILES]:
        stem = path.removesuffix(".py").removeprefix("src/").replace("/__init__", "").replace("/", "_")
        context.artifact(f"test_{stem}.py", scaffold(path, gaps).encode(), "text/x-python")
        names.append(f"test_{stem}.py")
    return names


def _result(name: str, suite: Suite, needs: list[Need], kept: list[Need]) -> JSON:
    untested = sum(not need.gap.percent for need in needs)
    said = suite.sentence(name)
    if needs:
        worst = needs[0]
        said += f" {plural(len(needs), 'function')} want tests ({untested} have none at all),"
        said += f" {worst.gap.piece.name} in {worst.path} most."
    else:
        said += " Every function is run by a test."
    return {
        "summary": said,
        "passed": suite.all_passed,
        "counts": suite.counts(),
        "coverage_percent": suite.coverage_percent,
        "wanting": len(needs),
        "untested": untested,
        "functions": [need.as_json() for need in kept],
        "proposed_tests": sum(len(need.tests()) for need in kept),
        "failures": [problem.as_json() for problem in suite.problems[:50]],
        "collection_errors": [problem.as_json() for problem in suite.collection_errors[:50]],
    }


def _report(result: JSON, kept: list[Need], suite: Suite, files: list[str], asked: JSON) -> list[str]:
    lines = [
        "# Test plan",
        "",
        f"**{cell(result['summary'], 600)}**",
        "",
        f"> {cell(str(asked['task']), 1000)}",
        "",
    ]
    if asked.get("context"):
        lines += [f"> {cell(str(asked['context']), 1000)}", ""]
    if kept:
        lines += ["| | Function | Where | Why | Lines never run |", "|---|---|---|---|---|"]
        lines += [
            f"| {at} | {code(need.gap.piece.name)} | {code(f'{need.path}:{need.gap.piece.line}')} | {need.why} "
            f"| {ranges(need.gap.missing_lines) or 'all'} |"
            for at, need in enumerate(kept, 1)
        ]
        lines += ["", "## Tests to write", ""]
    for need in kept:
        lines += [f"- {code(need.gap.piece.name)} in {code(need.path)}"]
        lines += [f"  - {code(test['name'])}: {cell(test['what'], 200)}" for test in need.tests()]
    if files:
        lines += ["", f"To start from: {', '.join(code(name) for name in files)}.", ""]
    lines += told_problems("Could not be collected", suite.collection_errors)
    return lines + told_problems("Failures", suite.problems)


def _word(text: str) -> str:
    """A condition or name as part of a test's name: `nights <= 0` → `nights_at_most_0`."""
    signs: tuple[tuple[str, str], ...] = (
        ("<=", " at most "), (">=", " at least "), ("==", " is "), ("!=", " is not "), ("<", " below "), (">", " above "),
    )  # fmt: skip
    for sign, word in signs:
        text = text.replace(sign, word)
    return re.sub(r"\W+", "_", text).strip("_").lower()[:50].rstrip("_")
