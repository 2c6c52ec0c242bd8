"""integration-test-agent: which modules of a package use each other, and whether they work together.

Steps: read the import and call graph → write smoke tests (each module imported first, every public chain of
calls that needs no argument) → run them boxed → test_integration.py, graph.json, report.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from actors.builtin import boxed_tests, call_graph, commands, places, python_modules
from actors.builtin.boxed_tests import Ran
from actors.builtin.call_graph import Graph
from actors.builtin.findings import cell, code, plural, shortened
from actors.builtin.python_outline import Function
from actors.builtin.test_orchestrator import told_problems
from actors.runners.base import JSON, Context, Health, Work

FILE = "test_integration.py"
MOST_CHAINS = 200
HEADER = '''\
"""How the modules of {package} work together: made by Callboard's integration-test-agent; needs pytest."""

import asyncio
import importlib
import sys

import pytest

MODULES = {modules}


@pytest.fixture
def nothing_imported():
    """As in a new process: no module of the package is loaded yet."""
    before = {{name: module for name, module in sys.modules.items() if name in MODULES}}
    for name in before:
        del sys.modules[name]
    yield
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.parametrize("name", MODULES)
def test_can_be_imported_first(nothing_imported, name):
    importlib.import_module(name)
'''


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A public function that leads into other modules; `reason` says why it is not called."""

    function: str
    through: tuple[str, ...]
    is_async: bool
    reason: str | None

    @property
    def test(self) -> str:
        """The name of its test."""
        return "test_" + self.function.replace(".", "_")


def run(work: Work, context: Context) -> JSON:
    """Test how the package's modules work together; `passed: false` if an import or a chain fails."""
    module = python_modules.take(work, context)
    python_modules.parsed(module)
    context.stage("read", "Reading who calls whom")
    context.progress(8, "Reading who calls whom")
    graph = call_graph.read(module.source, module.folder, context)
    if not graph.nodes:
        places.refuse("module", f"There are no modules to test in `{module.folder}`.")
    chains = _chains(graph)[:MOST_CHAINS]
    called = [chain for chain in chains if not chain.reason]
    package = python_modules.dotted(module.folder) if module.folder != "." else module.dotted
    context.log(f"{plural(len(graph.nodes), 'module')}, {plural(len(graph.calls), 'call')} across them.")
    context.artifact(
        "graph.json", orjson.dumps(graph.as_json(), option=orjson.OPT_INDENT_2), "application/json"
    )
    text = _file(package, graph, called)
    context.artifact(FILE, text.encode(), "text/x-python")
    context.stage("test", "Running the tests")
    ran = boxed_tests.run({FILE: text}, module, work, context)
    context.stage("report", "Writing the report")
    result = _result(package, graph, chains, ran)
    report = "\n".join(_report(result, graph, ran))
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether pytest and its coverage plugin are installed."""
    return commands.health(modules=("pytest", "pytest_cov"))


def _chains(graph: Graph) -> list[Chain]:
    """Public functions from which a call leads into another module."""
    found = []
    for name, node in sorted(graph.nodes.items()):
        for function, body in node.functions.items():
            through = graph.reached(f"{name}.{function}")
            if not function.startswith("_") and any(callee.rpartition(".")[0] != name for callee in through):
                found.append(
                    Chain(
                        function=f"{name}.{function}",
                        through=tuple(through),
                        is_async=body.__class__.__name__ == "AsyncFunctionDef",
                        reason=_why_not(body),
                    )
                )
    return found


def _why_not(body: Function) -> str | None:
    needed = len(body.args.posonlyargs) + len(body.args.args) - len(body.args.defaults)
    needed += sum(default is None for default in body.args.kw_defaults)
    return f"it needs {plural(needed, 'argument')}" if needed else None


def _file(package: str, graph: Graph, chains: list[Chain]) -> str:
    modules = "[\n" + "".join(f"    {name!r},\n" for name in sorted(graph.nodes)) + "]"
    parts = [HEADER.format(package=package, modules=modules)]
    for chain in chains:
        module, _, function = chain.function.rpartition(".")
        called = f"importlib.import_module({module!r}).{function}()"
        parts.append(
            f"def {chain.test}():\n"
            f'    """Leads through {", ".join(chain.through[:6])}."""\n'
            f"    {f'asyncio.run({called})' if chain.is_async else called}\n"
        )
    return "\n\n".join(parts)


def _result(package: str, graph: Graph, chains: list[Chain], ran: Ran) -> JSON:
    told = [_outcome(chain, ran) for chain in chains]
    suite = ran.suite
    refused = sum(each["outcome"] == "not_called" for each in told if each["error"] == "EffectRefused")
    passed = bool(suite.total) and not suite.errors and not suite.interrupted
    passed = passed and not suite.collection_errors and suite.failed == refused
    return {
        "summary": _summary(package, graph, told, ran, refused),
        "passed": passed,
        "package": package,
        "counts": suite.counts(),
        "modules": len(graph.nodes),
        "imports": len(graph.imports),
        "calls": len(graph.calls),
        "cycles": graph.cycles(),
        "chains": told,
        "failures": [each.as_json() for each in suite.problems[:100]],
        "collection_errors": [each.as_json() for each in suite.collection_errors],
        "coverage_percent": suite.coverage_percent,
        "unreadable": graph.unreadable,
        "file_path": FILE,
    }


def _outcome(chain: Chain, ran: Ran) -> JSON:
    failure = ran.failures.get(chain.test)
    outcome, reason, error = ("failed", None, None) if failure else ("passed", None, None)
    if chain.reason:
        outcome, reason = "not_called", chain.reason
    elif failure:
        error, reason = failure["error"], f"{failure['error']}: {failure['message']}"
        if error == "EffectRefused":
            outcome, reason = "not_called", f"it tried to reach outside its box: {failure['message']}"
    elif not ran.suite.total:
        outcome, reason = "not_called", "the tests could not be run"
    return {
        "function": chain.function,
        "through": list(chain.through[:20]),
        "outcome": outcome,
        "reason": reason,
        "error": error,
    }


def _summary(package: str, graph: Graph, told: list[JSON], ran: Ran, refused: int) -> str:
    suite = ran.suite
    if not suite.total:
        return suite.sentence(package)
    said = (
        f"{plural(len(graph.nodes), 'module')} of {package}, {plural(len(graph.calls), 'call')} across them; "
    )
    said += f"{suite.passed} of {plural(suite.total - refused, 'test')} passed"
    open_ends = sum(each["outcome"] == "not_called" for each in told)
    said += f", {plural(open_ends, 'chain')} not called" if open_ends else ""
    circles = graph.cycles()
    return said + (f"; {plural(len(circles), 'import circle')}." if circles else ".")


def _report(result: JSON, graph: Graph, ran: Ran) -> list[str]:
    verdict = "Passed" if result["passed"] else "Not passed"
    lines = [f"# How {cell(result['package'])} works together", ""]
    lines += [f"**{verdict}.** {cell(result['summary'], 600)}", ""]
    for circle in result["cycles"][:20]:
        lines += ["Import circle: " + ", ".join(code(name) for name in circle), ""]
    lines += told_problems("Could not be collected", ran.suite.collection_errors)
    lines += told_problems("Failures", ran.suite.problems)
    if result["chains"]:
        lines += ["## Chains of calls", "", "| From | Through | Outcome |", "|---|---|---|"]
        lines += [
            f"| {code(each['function'])} | {', '.join(code(name) for name in each['through'][:4])} "
            f"| {each['outcome'].replace('_', ' ')}{': ' + cell(each['reason']) if each['reason'] else ''} |"
            for each in result["chains"][:60]
        ]
        lines += [""]
    if graph.imports:
        lines += ["## Imports", "", "| Module | Imports |", "|---|---|"]
        lines += [
            f"| {code(name)} | {', '.join(code(other) for other in sorted(node.imports))} |"
            for name, node in sorted(graph.nodes.items())
            if node.imports
        ]
    return [*lines, ""]
