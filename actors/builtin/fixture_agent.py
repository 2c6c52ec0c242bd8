"""fixture-agent: a conftest.py with pytest fixtures for a module, proved by making every one of them.

Steps: read the module's syntax tree → write fixtures → make each in a boxed pytest run → drop those that
cannot be made and prove again → conftest.py, report.md.
"""

from __future__ import annotations

from actors.builtin import boxed_tests, commands, places, python_modules
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.fixtures import Fixture, Workshop, conftest, proof
from actors.builtin.python_modules import Module
from actors.runners.base import JSON, Context, Health, Work

ROUNDS = 4


def run(work: Work, context: Context) -> JSON:
    """Write and prove the fixtures; only what could be made is in the file."""
    module = python_modules.take(work, context)
    workshop = Workshop(module.source, module.path, python_modules.parsed(module))
    fixtures = workshop.all()
    left_out = [{"name": name, "reason": reason} for name, reason in workshop.left_out.items()]
    if not fixtures:
        why = f" ({left_out[0]['name']}: {left_out[0]['reason']})" if left_out else ""
        places.refuse("module", f"`{module.dotted}` has nothing to make a fixture of{why}.")
    context.log(f"{plural(len(fixtures), 'fixture')} to prove", left_out=len(left_out))
    kept, broken, problem = _proved(fixtures, module, work, context)
    context.stage("report", "Writing the report")
    text = conftest(module.dotted, kept)
    if kept:
        context.artifact("conftest.py", text.encode(), "text/x-python")
    result = _result(module, kept, [*left_out, *broken], problem)
    report = "\n".join(_report(result, text))
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest and its coverage plugin are installed."""
    return commands.health(modules=("pytest", "pytest_cov"))


def _proved(
    fixtures: list[Fixture], module: Module, work: Work, context: Context
) -> tuple[list[Fixture], list[JSON], str | None]:
    """Those that can all be made together, why others cannot, and what keeps the module from being imported."""
    kept, broken = fixtures, list[JSON]()
    for turn in range(ROUNDS):
        context.stage("test", f"Making {plural(len(kept), 'fixture')}")
        files = {
            "conftest.py": conftest(module.dotted, kept),
            "test_fixtures.py": proof(module.dotted, kept),
        }
        ran = boxed_tests.run(files, module, work, context, turn=turn)
        if not ran.suite.total:
            errors = ran.suite.collection_errors
            return [], broken, errors[0].message if errors else ran.suite.interrupted or "no test ran"
        failed = {name.removeprefix("test_"): told for name, told in ran.failures.items()}
        if not failed and ran.suite.all_passed:
            return kept, broken, None
        reasons = {each.name: _why(each, failed) for each in kept}
        broken += [{"name": each.subject, "reason": why} for each in kept if (why := reasons[each.name])]
        kept = [each for each in kept if not reasons[each.name]]
        if not kept:
            break
    return [], broken, None


def _why(fixture: Fixture, failed: dict[str, JSON]) -> str | None:
    """Why a fixture is dropped: something it uses failed, or it did itself."""
    if lost := sorted(set(fixture.needs) & set(failed)):
        return f"it uses {', '.join(lost)}, which cannot be made"
    told = failed.get(fixture.name)
    return f"{told['error']}: {told['message']}" if told else None


def _result(module: Module, kept: list[Fixture], left_out: list[JSON], problem: str | None) -> JSON:
    said = f"{plural(len(kept), 'fixture')} for {module.dotted}, each made once in a test run."
    if problem:
        said = f"{module.dotted} could not be imported: {problem[:200]}"
    return {
        "summary": said + (f" {len(left_out)} left out." if left_out else ""),
        "passed": bool(kept),
        "module": module.dotted,
        "path": module.path,
        "fixtures": [
            {"name": each.name, "for": each.subject, "kind": each.kind, "needs": list(each.needs)}
            for each in kept
        ],
        "left_out": left_out,
        "file_path": "conftest.py" if kept else None,
    }


def _report(result: JSON, text: str) -> list[str]:
    lines = [f"# Fixtures for {cell(result['module'])}", "", cell(result["summary"], 600), ""]
    if result["fixtures"]:
        lines += ["| Fixture | For | Uses |", "|---|---|---|"]
        lines += [
            f"| {code(each['name'])} | {code(each['for'])} | {', '.join(code(need) for need in each['needs']) or '–'} |"
            for each in result["fixtures"]
        ]
        lines += ["", "```python", text.replace("```", "'''").rstrip(), "```", ""]
    if result["left_out"]:
        lines += ["## Left out", "", "| What | Why |", "|---|---|"]
        lines += [f"| {code(each['name'])} | {cell(each['reason'])} |" for each in result["left_out"]]
    return [*lines, ""]
