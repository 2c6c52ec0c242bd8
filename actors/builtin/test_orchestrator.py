"""test-orchestrator: runs a project's test suite and tells what failed, what is slow and what is untested.

Steps: find the project around `scan_path` → copy it → pytest with coverage, progress by tests done →
report.md, junit.xml, coverage.json.
"""

from __future__ import annotations

from pathlib import Path

from actors.builtin import commands, places, sources, suites
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.suites import LISTED, Suite
from actors.runners.base import JSON, Context, Health, Work

LEAST_COVERED = 15
"""Files in the report's table of what is tested least."""


def run(work: Work, context: Context) -> JSON:
    """Run the tests of `scan_path`; the job completes with `passed: false` if any fails."""
    asked = work.parameters
    context.stage("prepare", "Copying the project")
    context.progress(2, "Copying the project")
    place = places.executable(work, "scan_path")
    allowed = places.roots(work, places.EXECUTE)
    project = places.project_of(place, allowed)
    source = sources.take(project, context, parameter="scan_path", allowed=allowed)
    context.stage("collect", "Collecting tests")
    context.progress(10, "Collecting tests")
    suite = suites.run_suite(
        source.root,
        context,
        paths=_paths(asked, source.root, place, project),
        measure=place.relative_to(project).as_posix(),
        options=_options(asked),
        plugins=suites.plugins_wanted(work.config),
    )
    context.stage("report", "Writing the report")
    result = _result(suite, project.name, asked.get("min_coverage", 0))
    _keep(result, suite, context)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest and its coverage plugin are installed."""
    return commands.health(modules=("pytest", "pytest_cov"))


def _paths(asked: JSON, copy: Path, place: Path, project: Path) -> list[str]:
    """What pytest is pointed at: `test_path`, else a test file that is itself the target, else everything."""
    if wanted := asked.get("test_path"):
        path = (copy / wanted).resolve()
        if not path.is_relative_to(copy.resolve()) or not path.exists():
            places.refuse("test_path", f"There is no `{wanted}` in {project.name}.")
        return [path.relative_to(copy.resolve()).as_posix()]
    if place.is_file() and place.name.startswith("test_"):
        return [place.relative_to(project).as_posix()]
    return []


def _options(asked: JSON) -> list[str]:
    """The safe part of pytest's options. Joined with their flag, so that no value can become a flag."""
    options = []
    if keyword := asked.get("keyword"):
        options.append(f"-k{keyword}")
    if markers := asked.get("markers"):
        options.append(f"-m{markers}")
    if limit := asked.get("max_failures"):
        options.append(f"--maxfail={int(limit)}")
    return options


def _result(suite: Suite, name: str, least: float) -> JSON:
    percent = suite.coverage_percent
    enough = not least or (percent is not None and percent >= least)
    summary = suite.sentence(name)
    if not enough:
        summary += f" Coverage is below the wanted {least:g} %."
    return {
        "summary": summary,
        "passed": suite.all_passed and enough,
        "counts": suite.counts(),
        "duration_seconds": suite.seconds,
        "coverage_percent": percent,
        "min_coverage": least,
        "failures": [problem.as_json() for problem in suite.problems[:LISTED]],
        "collection_errors": [problem.as_json() for problem in suite.collection_errors[:LISTED]],
        "missing_modules": suite.missing_modules,
        "slowest": suite.slowest,
        "least_covered": _least_covered(suite),
        "truncated": len(suite.problems) > LISTED or len(suite.collection_errors) > LISTED,
    }


def _least_covered(suite: Suite) -> list[JSON]:
    files = (suite.coverage or {"files": {}})["files"]
    rows = [
        {
            "path": path,
            "percent": round(float(file["summary"]["percent_covered"]), 1),
            "missing_lines": len(file["missing_lines"]),
        }
        for path, file in files.items()
        if file["missing_lines"]
    ]
    return sorted(rows, key=lambda row: (-int(row["missing_lines"]), str(row["path"])))[:LEAST_COVERED]


def _keep(result: JSON, suite: Suite, context: Context) -> None:
    report = "\n".join(_report(result, suite))
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)


def _report(result: JSON, suite: Suite) -> list[str]:
    verdict = "Passed" if result["passed"] else "Not passed"
    lines = ["# Tests", "", f"**{verdict}.** {cell(result['summary'], 600)}", ""]
    if result["missing_modules"]:
        missing = ", ".join(code(name) for name in result["missing_modules"])
        lines += [f"The worker's Python lacks {missing}: install them where the worker runs.", ""]
    lines += told_problems("Could not be collected", suite.collection_errors)
    lines += told_problems("Failures", suite.problems)
    if result["least_covered"]:
        lines += ["## Least covered", "", "| File | Covered | Lines never run |", "|---|---|---|"]
        rows = result["least_covered"]
        lines += [f"| {code(row['path'])} | {row['percent']} % | {row['missing_lines']} |" for row in rows]
        lines.append("")
    if result["slowest"]:
        lines += ["## Slowest", "", "| Test | Seconds |", "|---|---|"]
        lines += [f"| {code(row['test'])} | {row['seconds']:.3f} |" for row in result["slowest"]]
    return [*lines, ""]


def told_problems(title: str, problems: list[suites.Case]) -> list[str]:
    """A section with each problem, its message and the end of its traceback; nothing if there are none."""
    if not problems:
        return []
    lines = [f"## {title}", ""]
    for problem in problems[:20]:
        detail = problem.detail.replace("```", "'''")
        lines += [
            f"### {cell(problem.name, 200)}",
            "",
            cell(problem.message, 400),
            "",
            "```",
            detail,
            "```",
            "",
        ]
    more = len(problems) - 20
    return lines + ([f"…and {plural(more, 'more problem')} in junit.xml.", ""] if more > 0 else [])
