"""Run a project's pytest suite in a copy of it, watch it test by test, and read what came of it.

The code under test is executed: callers take the project from the execute roots only. A failing suite is
an outcome, not an error; errors are a missing pytest and arguments that pytest does not understand.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson

from actors.builtin import commands
from actors.builtin.commands import Finished
from actors.builtin.findings import plural
from actors.builtin.places import refuse
from actors.runners.base import JSON, Context
from app.errors import PermanentError

RESULT_LINE = re.compile(
    r"(?P<test>\S.*?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b"
    r".*\[\s*(?P<done>\d+)/(?P<total>\d+)\]\s*$"
)
COLLECTED = re.compile(r"collected (\d+) items?(?: / (\d+) errors?)?")
MISSING_MODULE = re.compile(r"No module named '([\w.]+)'")
MAX_JUNIT_BYTES = 20_000_000
MESSAGE_CHARACTERS = 2_000
LISTED = 100
"""Failing tests in the job's result; all are in junit.xml."""
ALL_RAN = (0, 1)
NONE_FOUND = 5
USAGE = 4

COVERAGE_SETTINGS = """\
[run]
branch = true
data_file = {data}
omit =
    */tests/*
    */test/*
    */test_*.py
    */conftest.py
    setup.py
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test that did not pass, or a file that could not be collected."""

    name: str
    outcome: str
    message: str
    detail: str

    def as_json(self) -> JSON:
        """For the job's result."""
        return {"test": self.name, "outcome": self.outcome, "message": self.message, "detail": self.detail}


@dataclass(kw_only=True)
class Suite:
    """What came of a run."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0
    problems: list[Case] = field(default_factory=list)
    collection_errors: list[Case] = field(default_factory=list)
    missing_modules: list[str] = field(default_factory=list)
    slowest: list[JSON] = field(default_factory=list)
    coverage: JSON | None = None
    exit_code: int = 0
    interrupted: str | None = None
    """Why the run ended early, in words."""

    @property
    def all_passed(self) -> bool:
        """Every test that was found ran and passed, and there was at least one."""
        return bool(self.total) and not (
            self.failed or self.errors or self.collection_errors or self.interrupted
        )

    @property
    def coverage_percent(self) -> float | None:
        """Lines and branches covered, or None where nothing was measured."""
        if not self.coverage or not self.coverage["totals"]["num_statements"]:
            return None
        return round(float(self.coverage["totals"]["percent_covered"]), 1)

    def counts(self) -> dict[str, int]:
        """Numbers for the result."""
        names = ("total", "passed", "failed", "errors", "skipped")
        return {name: getattr(self, name) for name in names} | {
            "collection_errors": len(self.collection_errors)
        }

    def sentence(self, name: str) -> str:
        """The outcome in a sentence."""
        if self.collection_errors and not self.total:
            return f"The tests of {name} could not be collected: {self.collection_errors[0].message[:200]}"
        if not self.total:
            return self.interrupted or f"There are no tests in {name}."
        said = f"{self.passed} of {plural(self.total, 'test')} of {name} passed in {self.seconds:.1f} s"
        for count, word in ((self.failed, "failed"), (self.errors, "had errors"), (self.skipped, "skipped")):
            said += f", {count} {word}" if count else ""
        if self.coverage_percent is not None:
            said += f"; coverage {self.coverage_percent} %"
        return said + (f". {self.interrupted}" if self.interrupted else ".")


@dataclass(kw_only=True)
class Watch:
    """Hears pytest's output line by line and tells how far it is, between `start` and `end` percent."""

    context: Context
    start: float
    end: float
    failed: int = 0
    collected: int | None = None

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        if found := COLLECTED.search(line):
            self.collected = int(found[1])
            self.context.stage("test", f"Running {plural(self.collected, 'test')}")
            self.context.log(line.strip(), source="pytest")
        elif result := RESULT_LINE.match(line):
            self._ran(result["test"], result["outcome"], int(result["done"]), int(result["total"]))

    def _ran(self, test: str, outcome: str, done: int, total: int) -> None:
        bad = outcome in {"FAILED", "ERROR"}
        self.failed += bad
        self.context.log(f"{outcome} {test}", level="warning" if bad else "debug", source="pytest")
        words = f"{done} of {plural(total, 'test')}" + (f", {self.failed} failed" if self.failed else "")
        percent = self.start + (self.end - self.start) * done / max(total, 1)
        self.context.progress(round(percent, 1), words)


def run_suite(
    copy: Path,
    context: Context,
    *,
    paths: Sequence[str],
    measure: str,
    options: Sequence[str] = (),
    plugins: bool = True,
    span: tuple[float, float] = (15.0, 90.0),
) -> Suite:
    """Run pytest in `copy` over `paths` (relative; none: what the project is set up for).

    `measure` is the folder or file, relative, whose coverage is wanted. Keeps junit.xml and coverage.json
    as artifacts. The project's own `addopts` are not used: they may ask for plugins that are not here.
    Without `plugins`, only coverage is loaded of what happens to be installed where the worker runs.
    """
    out = context.workspace / "out"
    out.mkdir(exist_ok=True)
    # pytest looks for options in every folder above: what lies beyond the job's own is none of the project's
    (context.workspace / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    argv = _argv(copy, out, paths, measure, [*options, *(() if plugins else ("-p", "pytest_cov"))])
    quiet = {} if plugins else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env = commands.environment(
        context.workspace,
        PYTHONPATH=_python_path(copy),
        PYTHONUNBUFFERED="1",
        COLUMNS="160",
        PY_COLORS="0",
        **quiet,
    )
    watch = Watch(context=context, start=span[0], end=span[1])
    done = commands.run(argv, context, tool="pytest", cwd=copy, env=env, fine=None, on_line=watch)
    suite = _read(done, out)
    suite.coverage = _coverage(out / "coverage.json", measure)
    _keep(out, context)
    return suite


def plugins_wanted(config: JSON) -> bool:
    """Whether the agent's configuration leaves pytest's plugins on; `pytest_plugins: none` turns them off."""
    return bool(config.get("pytest_plugins", "installed") != "none")


def _argv(copy: Path, out: Path, paths: Sequence[str], measure: str, options: Sequence[str]) -> list[str]:
    base = commands.module("pytest")
    settings = out / "coveragerc"
    measured = copy / measure
    measured = measured.parent if measured.is_file() else measured  # coverage measures folders
    settings.write_text(COVERAGE_SETTINGS.format(data=out / ".coverage"), encoding="utf-8")
    return [
        base[0],
        *base[2:],  # not isolated: a suite may import its project from the current folder
        "-v",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        "-o",
        "console_output_style=count",
        f"--rootdir={copy}",
        f"--junitxml={out / 'junit.xml'}",
        f"--cov={measured}",
        f"--cov-config={settings}",
        f"--cov-report=json:{out / 'coverage.json'}",
        *options,
        "--",
        *(f"./{path}" for path in paths),
    ]


def _python_path(copy: Path) -> str:
    return ":".join(str(folder) for folder in (copy / "src", copy) if folder.is_dir())


def _read(done: Finished, out: Path) -> Suite:
    said = done.stdout.decode(errors="replace")
    suite = _from_junit(out / "junit.xml")
    suite.exit_code = done.code
    if done.code == USAGE and "conftest" not in done.words:
        refuse("keyword", f"pytest could not be started: {done.words[-600:]}")
    if done.code == USAGE:
        suite.collection_errors.append(_spoken("conftest.py", done.words))
    elif done.code < 0:
        suite.interrupted = f"pytest was ended by {_signal_name(-done.code)}."
    elif suite.total < 0 or done.code not in {*ALL_RAN, 2, NONE_FOUND}:
        suite.interrupted = f"pytest ended early with code {done.code}: {done.words[-400:]}"
    suite.total = max(suite.total, 0)
    told = said + done.stderr + "".join(case.detail for case in suite.collection_errors)
    suite.missing_modules = sorted(set(MISSING_MODULE.findall(told))) if suite.collection_errors else []
    return suite


def _from_junit(path: Path) -> Suite:
    """Counts and problems; `total` is -1 when there is no readable report."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_JUNIT_BYTES:
        return Suite(total=-1)
    try:
        # written by a process that ran foreign code; expat itself refuses entity bombs
        root = ET.parse(path).getroot()  # noqa: S314
    except ET.ParseError:
        return Suite(total=-1)
    suite = Suite()
    cases = list(root.iter("testcase"))
    for case in cases:
        _count(suite, case)
    timed = sorted(((float(case.get("time") or 0), _name(case)) for case in cases), reverse=True)
    suite.slowest = [{"test": name, "seconds": round(seconds, 3)} for seconds, name in timed[:5]]
    suite.seconds = round(sum(float(part.get("time") or 0) for part in root.iter("testsuite")), 2)
    return suite


def _count(suite: Suite, case: ET.Element) -> None:
    outcomes = {child.tag: child for child in case if child.tag in {"failure", "error", "skipped"}}
    if (error := outcomes.get("error")) is not None and "collection" in (error.get("message") or ""):
        suite.collection_errors.append(_case(case, error, "collection"))
        return
    suite.total += 1
    if "failure" in outcomes:
        suite.failed += 1
        suite.problems.append(_case(case, outcomes["failure"], "failed"))
    elif "error" in outcomes:
        suite.errors += 1
        suite.problems.append(_case(case, outcomes["error"], "error"))
    elif "skipped" in outcomes:
        suite.skipped += 1
    else:
        suite.passed += 1


def _case(case: ET.Element, told: ET.Element, outcome: str) -> Case:
    detail = (told.text or "").strip()
    message = (told.get("message") or "").strip()
    if outcome == "collection":
        last_words = [line[1:].strip() for line in detail.splitlines() if line.startswith("E ")]
        message = (last_words or [message])[-1]
    return Case(name=_name(case), outcome=outcome, message=message[:500], detail=detail[-MESSAGE_CHARACTERS:])


def _spoken(name: str, words: str) -> Case:
    last_words = [line[1:].strip() for line in words.splitlines() if line.startswith("E ")]
    message = (last_words or words.splitlines() or ["could not be loaded"])[-1]
    return Case(name=name, outcome="collection", message=message[:500], detail=words)


def _name(case: ET.Element) -> str:
    return "::".join(part for part in (case.get("classname"), case.get("name")) if part)


def _coverage(path: Path, measure: str) -> JSON | None:
    if not path.is_file() or path.is_symlink():
        return None
    try:
        report: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return None
    if measure.endswith(".py"):  # the folder was measured; one file is what was asked for
        return _only(report, measure)
    return report


def _only(report: JSON, path: str) -> JSON | None:
    file = report["files"].get(path)
    return {**report, "files": {path: file}, "totals": file["summary"]} if file else None


def _keep(out: Path, context: Context) -> None:
    for name, media_type in (("junit.xml", "application/xml"), ("coverage.json", "application/json")):
        path = out / name
        if path.is_file() and not path.is_symlink():
            try:
                context.artifact(name, path, media_type)
            except PermanentError as error:
                context.log(f"{name} was not kept: {error.message}", level="warning")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
