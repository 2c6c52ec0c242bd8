"""edge-case-agent: tries the functions of a module with boundary values and says which ones they do not stand.

Steps: read the module's syntax tree → write property tests (hypothesis) with the boundaries the code itself
compares with → run them boxed → test_edge_cases.py, report.md.
"""

from __future__ import annotations

from actors.builtin import boxed_tests, commands, places, python_modules
from actors.builtin.edges import Reader, Target
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.python_modules import Module
from actors.runners.base import JSON, Context, Health, Work

FILE = "test_edge_cases.py"
MOST_FUNCTIONS = 100
HEADER = '''\
"""Edge cases of {module}: made by Callboard's edge-case-agent; needs pytest and hypothesis."""

import asyncio
import itertools

import {module} as _subject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FLOATS = st.floats(allow_nan={special}, allow_infinity={special})
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, st.text())
TRIES = settings(
    max_examples={tries},
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
'''


def run(work: Work, context: Context) -> JSON:
    """Try the module's functions; the job completes with `passed: false` if one does not stand a value."""
    module = python_modules.take(work, context)
    targets = _targets(module, work)
    tried = [target for target in targets if not target.reason]
    context.log(f"{plural(len(tried), 'function')} of {module.dotted} can be tried, of {len(targets)}.")
    ran = None
    if tried:
        context.stage("test", "Trying boundary values")
        context.progress(10, "Trying boundary values")
        text = _file(module, tried, work.parameters)
        context.artifact(FILE, text.encode(), "text/x-python")
        ran = boxed_tests.run({FILE: text}, module, work, context)
    context.stage("report", "Writing the report")
    result = _result(module, targets, ran)
    report = "\n".join(_report(result))
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest, its coverage plugin and hypothesis are installed."""
    return commands.health(modules=("pytest", "pytest_cov", "hypothesis"))


def _targets(module: Module, work: Work) -> list[Target]:
    targets = Reader(python_modules.parsed(module)).targets()
    wanted = [str(name) for name in work.parameters.get("functions") or []]
    known = {target.name for target in targets}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        has = ", ".join(sorted(known)[:20]) or "no public function"
        places.refuse("functions", f"`{module.dotted}` has no public `{unknown[0]}`; it has {has}.")
    return [target for target in targets if not wanted or target.name in wanted][:MOST_FUNCTIONS]


def _file(module: Module, targets: list[Target], asked: JSON) -> str:
    header = HEADER.format(
        module=module.dotted,
        special=bool(asked.get("special_numbers", False)),
        tries=int(asked.get("tries", 100)),
    )
    return "\n\n".join([header.rstrip("\n") + "\n", *(_test(target) for target in targets)])


def _test(target: Target) -> str:
    """One test: any values of the right kind, and only the errors that the code names."""
    names = [argument.name for argument in target.arguments]
    lines = [
        "@TRIES",
        *(["@given("] if names else []),
        *(f"    {argument.name}={argument.strategy}," for argument in target.arguments),
        *([")"] if names else []),
        f"def {_test_name(target)}({', '.join(names)}):",
    ]
    lines = lines if names else lines[1:]
    called = _call(target)
    lines += ["    try:", f"        answer = {called}"]
    lines += (
        [f"    except ({', '.join(target.errors)},):", "        return  # raised on purpose"]
        if (target.errors)
        else ["    except NotImplementedError:", "        return  # not written yet"]
    )
    lines += [f"    assert isinstance(answer, {target.answer})"] if target.answer else ["    del answer"]
    return "\n".join([*lines, ""])


def _call(target: Target) -> str:
    """The call as source; a method is called on an instance that is the first argument."""
    arguments = list(target.arguments)
    callee = f"_subject.{target.name}"
    if "." in target.name and arguments:
        callee = f"{arguments.pop(0).name}.{target.name.rsplit('.', 1)[-1]}"
    given = ", ".join(a.name if a.positional else f"{a.name}={a.name}" for a in arguments)
    called = f"{callee}({given})"
    if target.is_generator:
        return f"list(itertools.islice({called}, 100))" if not target.is_async else called
    return f"asyncio.run({called})" if target.is_async else called


def _test_name(target: Target) -> str:
    return f"test_{target.name.replace('.', '_')}"


def _result(module: Module, targets: list[Target], ran: boxed_tests.Ran | None) -> JSON:
    failures = ran.failures if ran else {}
    not_tried = [{"function": t.name, "line": t.line, "reason": t.reason} for t in targets if t.reason]
    found: list[JSON] = []
    stood: list[str] = []
    for target in (t for t in targets if not t.reason):
        failure = failures.get(_test_name(target))
        if failure is None:
            stood.append(target.name)
        elif reason := _why_not_tried(failure):
            not_tried.append({"function": target.name, "line": target.line, "reason": reason})
        else:
            found.append(_counterexample(target, failure))
    problem = ran and ran.suite.collection_errors
    stood = [] if problem or (ran and ran.suite.interrupted) else stood
    return {
        "summary": _summary(module, found, stood, not_tried, ran),
        "passed": bool(stood) and not found,
        "module": module.dotted,
        "path": module.path,
        "counts": {"stood": len(stood), "counterexamples": len(found), "not_tried": len(not_tried)},
        "counterexamples": found,
        "stood": stood,
        "not_tried": not_tried,
        "collection_errors": [each.as_json() for each in ran.suite.collection_errors] if ran else [],
        "file_path": FILE if ran else None,
    }


def _why_not_tried(failure: JSON) -> str | None:
    """What makes a failure no finding: the watch refused an effect, or no value could be made."""
    if failure["error"] == "EffectRefused":
        return f"it tried to reach outside its box: {failure['message']}"
    if failure["of"].startswith("hypothesis"):
        return f"no values could be made for it: {failure['message'].splitlines()[0][:160]}"
    return None


def _counterexample(target: Target, failure: JSON) -> JSON:
    given = ", ".join(f"{name}={value}" for name, value in failure["arguments"].items())
    return {
        "function": target.name,
        "line": target.line,
        "call": f"{target.name}({given})",
        "error": failure["error"],
        "message": failure["message"],
        "where": failure["where"].removeprefix("../"),
        "types_guessed": target.guessed,
    }


def _summary(
    module: Module, found: list[JSON], stood: list[str], not_tried: list[JSON], ran: boxed_tests.Ran | None
) -> str:
    if ran and ran.suite.collection_errors:
        return f"{module.dotted} could not be imported: {ran.suite.collection_errors[0].message[:200]}"
    if ran and ran.suite.interrupted:
        return ran.suite.interrupted
    said = f"{plural(len(found) + len(stood), 'function')} of {module.dotted} tried, "
    said += plural(len(found), "counterexample") if found else "no counterexample"
    if found:
        said += f": {found[0]['call'][:120]} raises {found[0]['error']}"
    return said + (f"; {len(not_tried)} not tried." if not_tried else ".")


def _report(result: JSON) -> list[str]:
    verdict = "Passed" if result["passed"] else "Not passed"
    lines = [
        f"# Edge cases of {cell(result['module'])}",
        "",
        f"**{verdict}.** {cell(result['summary'], 600)}",
        "",
    ]
    if result["counterexamples"]:
        lines += ["## Counterexamples", "", "| Call | Raises | Where | Types |", "|---|---|---|---|"]
        lines += [
            f"| {code(each['call'], 200)} | {cell(each['error'] + ': ' + each['message'])} | {code(each['where'])} "
            f"| {'guessed' if each['types_guessed'] else 'declared'} |"
            for each in result["counterexamples"]
        ]
        lines += ["", "An error that is meant: raise it by name in the function, then it is expected.", ""]
    if result["stood"]:
        lines += ["## Stood all values", "", ", ".join(code(name) for name in result["stood"]), ""]
    if result["not_tried"]:
        lines += ["## Not tried", "", "| Function | Why |", "|---|---|"]
        lines += [f"| {code(each['function'])} | {cell(each['reason'])} |" for each in result["not_tried"]]
        lines += [""]
    return lines
