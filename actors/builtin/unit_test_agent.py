"""unit-test-agent: the tests of one Python module, what they leave untested, and a scaffold for the rest.

Steps: find the module → find the tests that import it → run them with coverage of that module alone →
list functions no test reaches → suggested_tests.py, report.md, junit.xml, coverage.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from actors.builtin import commands, python_modules, scanners, suites
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.python_modules import dotted
from actors.builtin.python_outline import Outline, Piece, imports
from actors.builtin.sources import Source
from actors.builtin.suites import LISTED, Suite
from actors.builtin.test_orchestrator import told_problems
from actors.runners.base import JSON, Context, Health, Work

MOST_HINTS = 6


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A function that tests reach in part or not at all."""

    piece: Piece
    percent: float
    missing_lines: tuple[int, ...]

    def as_json(self) -> JSON:
        """For the job's result."""
        return {
            "function": self.piece.name,
            "line": self.piece.line,
            "percent": self.percent,
            "missing_lines": list(self.missing_lines[:100]),
            "raises": list(self.piece.raises),
        }


def run(work: Work, context: Context) -> JSON:
    """Run the tests of `module`; the job completes with `passed: false` if one fails or there are none."""
    module = python_modules.take(work, context)
    source, path = module.source, module.path
    read = python_modules.outlined(source, path)
    tests = _tests_of(source, path)
    suite = _run_tests(source, path, tests, context, plugins=suites.plugins_wanted(work.config))
    context.stage("report", "Looking for what is untested")
    gaps = gaps_of(read, suite, path)
    least = work.parameters.get("min_coverage", 0)
    result = _result(path, tests=tests, suite=suite, gaps=gaps, read=read, least=least)
    _keep(result, suite, gaps, path, context)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest and its coverage plugin are installed."""
    return commands.health(modules=("pytest", "pytest_cov"))


def _tests_of(source: Source, path: str) -> list[str]:
    """Test files that are named after the module or import it."""
    stem = dotted(path).rsplit(".", 1)[-1]
    return [file for file in source.python if _is_test_file(file) and _is_about(source, file, stem, path)]


def _is_test_file(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return scanners.is_test(path) and (name.startswith("test_") or name.endswith("_test.py"))


def _is_about(source: Source, file: str, stem: str, path: str) -> bool:
    if Path(file).name in {f"test_{stem}.py", f"{stem}_test.py"}:
        return True
    try:
        imported = imports((source.root / file).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError):
        return False
    own = dotted(path)
    return any(own == name or own.endswith("." + name) for name in imported)


def _run_tests(source: Source, path: str, tests: list[str], context: Context, *, plugins: bool) -> Suite:
    if not tests:
        context.log(f"No test imports {dotted(path)}.", level="warning")
        return Suite()
    context.stage("collect", f"Collecting tests in {plural(len(tests), 'file')}")
    context.progress(10, f"Collecting tests in {plural(len(tests), 'file')}")
    return suites.run_suite(source.root, context, paths=tests, measure=path, plugins=plugins)


def gaps_of(read: Outline, suite: Suite, path: str) -> list[Gap]:
    """Functions below full coverage, least covered first; without coverage data every function."""
    measured = suite.coverage["files"][path] if suite.coverage and path in suite.coverage["files"] else None
    if measured is None:
        return [Gap(piece=piece, percent=0.0, missing_lines=()) for piece in read.functions]
    gaps = []
    for piece in read.functions:
        body = range(piece.line + 1, piece.end_line + 1)  # the `def` itself runs on import
        missing = tuple(line for line in measured["missing_lines"] if line in body)
        run_lines = sum(line in body for line in measured["executed_lines"])
        if missing:
            percent = round(100 * run_lines / (run_lines + len(missing)), 1)
            gaps.append(Gap(piece=piece, percent=percent, missing_lines=missing))
    return sorted(gaps, key=lambda gap: (gap.percent, gap.piece.line))


def _result(
    path: str, *, tests: list[str], suite: Suite, gaps: list[Gap], read: Outline, least: float
) -> JSON:
    percent = suite.coverage_percent
    enough = not least or (percent is not None and percent >= least)
    untested = sum(gap.percent == 0 for gap in gaps)
    said = suite.sentence(dotted(path)) if tests else f"No test imports {dotted(path)}."
    summary = f"{said} {untested} of {plural(len(read.functions), 'function')} are never run by a test."
    return {
        "summary": summary + ("" if enough else f" Coverage is below the wanted {least:g} %."),
        "passed": suite.all_passed and enough,
        "module": dotted(path),
        "path": path,
        "test_files": tests,
        "counts": suite.counts(),
        "coverage_percent": percent if tests else 0.0,
        "min_coverage": least,
        "functions": len(read.functions),
        "gaps": [gap.as_json() for gap in gaps[:LISTED]],
        "failures": [problem.as_json() for problem in suite.problems[:LISTED]],
        "collection_errors": [problem.as_json() for problem in suite.collection_errors[:LISTED]],
        "missing_modules": suite.missing_modules,
    }


def _keep(result: JSON, suite: Suite, gaps: list[Gap], path: str, context: Context) -> None:
    if gaps:
        context.artifact("suggested_tests.py", scaffold(path, gaps).encode(), "text/x-python")
    report = "\n".join(_report(result, suite, gaps))
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)


def scaffold(path: str, gaps: list[Gap]) -> str:
    """A pytest file with one skipped test for each gap, and what to try in it as comments."""
    purpose = f'"""Tests that {dotted(path)} still needs: fill them in and remove the skip."""'
    lines = [purpose, "", "import pytest", ""]
    for gap in gaps:
        name = gap.piece.name.replace(".", "_").strip("_").lower()
        lines += ["", '@pytest.mark.skip(reason="to be written")', f"def test_{name}():"]
        lines += [f"    # {hint}" for hint in _hints(gap)]
        lines += [f"    from {dotted(path)} import {gap.piece.name.split('.')[0]}  # noqa: F401", ""]
    return "\n".join(lines)


def _hints(gap: Gap) -> list[str]:
    piece = gap.piece
    hints = [piece.signature]
    hints += [piece.doc] if piece.doc else []
    hints += [f"never run: line {ranges(gap.missing_lines)}"] if gap.missing_lines else []
    hints += [f"raises {name}: make it" for name in piece.raises]
    hints += [f"both sides of: {condition}" for condition in piece.decisions]
    return [" ".join(hint.split())[:150] for hint in hints[: MOST_HINTS + 2]]


def ranges(lines: tuple[int, ...]) -> str:
    """`3-5, 8` for 3, 4, 5, 8."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _report(result: JSON, suite: Suite, gaps: list[Gap]) -> list[str]:
    verdict = "Passed" if result["passed"] else "Not passed"
    lines = [f"# Tests of {cell(result['module'])}", "", f"**{verdict}.** {cell(result['summary'], 600)}", ""]
    if result["test_files"]:
        lines += ["Test files: " + ", ".join(code(path) for path in result["test_files"][:20]), ""]
    lines += told_problems("Could not be collected", suite.collection_errors)
    lines += told_problems("Failures", suite.problems)
    if gaps:
        lines += ["## Untested", "", "| Function | Covered | Lines never run |", "|---|---|---|"]
        lines += [
            f"| {code(gap.piece.name)} | {gap.percent} % | {ranges(gap.missing_lines) or 'all'} |"
            for gap in gaps[:60]
        ]
        lines += ["", "`suggested_tests.py` has a skipped test for each of them to start from."]
    return [*lines, ""]
