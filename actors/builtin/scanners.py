"""The analysers behind the auditor and the reviewer: each runs one tool over a copied source.

Tools are started in the workspace, not in the source, and told to ignore its configuration: a project
must not be able to switch its own audit off, nor to name files or plugins for a tool to load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actors.builtin import commands
from actors.builtin.findings import Finding, Severity
from actors.builtin.sources import Source
from actors.runners.base import Context

SYNTAX = "invalid-syntax"
MINOR_RULES = re.compile(r"S(1(01|03|10|12)|311|40\d|60[367])")
SECRET_IN_MESSAGE = re.compile(r"(hardcoded password[^:]*: ).*")


def bandit(source: Source, context: Context) -> tuple[list[Finding], int]:
    """Security findings in Python code, and how many the code itself silenced with `# nosec`."""
    settings = context.workspace / "bandit.ini"
    settings.write_text("[bandit]\n", encoding="utf-8")
    argv = commands.module(
        "bandit", "-r", "./source", "-f", "json", "-q", "--exit-zero", "--ini", settings.name
    )
    report = commands.run(argv, context, tool="bandit").json()
    found = [_from_bandit(issue) for issue in report["results"]]
    found += [
        _syntax("bandit", _inside(error["filename"], source), 1, str(error["reason"]))
        for error in report["errors"]
    ]
    return found, int(report["metrics"]["_totals"].get("nosec", 0))


def ruff(source: Source, context: Context, *, rules: Iterable[str]) -> list[Finding]:
    """Findings of ruff's `rules` (prefixes such as `S` or `B0`)."""
    options = ["--isolated", "--no-cache", "--exit-zero", "--output-format", "json", "--no-respect-gitignore"]
    options += ["--config", "exclude=[]", "--target-version", "py314", "--select", ",".join(rules)]
    argv = commands.module("ruff", "check", *options, "./source")
    report = commands.run(argv, context, tool="ruff").json()
    return [_from_ruff(issue, source) for issue in report]


def detect_secrets(source: Source, context: Context) -> list[Finding]:
    """Keys, passwords and tokens in any text file. Never asks a service whether they work."""
    argv = commands.module("detect_secrets", "-c", "1", "scan", "--all-files", "--no-verify", "./source")
    report = commands.run(argv, context, tool="detect-secrets").json()
    return [_from_detect_secrets(issue, source) for issues in report["results"].values() for issue in issues]


def vulture(source: Source, context: Context) -> list[Finding]:
    """Code that nothing in the source uses."""
    # 0: nothing, 1: a file could not be parsed (ruff tells that better), 3: dead code
    argv = commands.module("vulture", "--min-confidence", "60", "./source")
    done = commands.run(argv, context, tool="vulture", fine=(0, 1, 3))
    pattern = re.compile(r"(?P<path>.+?):(?P<line>\d+): (?P<what>.+) \((?P<sure>\d+)% confidence[^)]*\)")
    matches = (pattern.fullmatch(line) for line in done.stdout.decode(errors="replace").splitlines())
    return [_from_vulture(match, source) for match in matches if match]


def complexity(source: Source, context: Context) -> list[dict[str, Any]]:
    """Cyclomatic complexity of each function: {path, name, line, end_line, complexity}."""
    report = commands.run(commands.module("radon", "cc", "-j", "./source"), context, tool="radon").json()
    return [
        {
            "path": _inside(path, source),
            "name": f"{block['classname']}.{block['name']}" if block.get("classname") else block["name"],
            "line": block["lineno"],
            "end_line": block["endline"],
            "complexity": block["complexity"],
        }
        for path, blocks in report.items()
        if isinstance(blocks, list)
        for block in blocks
        if block["type"] in {"function", "method"}
    ]


def maintainability(source: Source, context: Context) -> dict[str, float]:
    """Radon's maintainability index (0-100, higher is better) of each file."""
    report = commands.run(commands.module("radon", "mi", "-j", "./source"), context, tool="radon").json()
    return {
        _inside(path, source): round(float(file["mi"]), 1) for path, file in report.items() if "mi" in file
    }


def is_test(path: str) -> bool:
    """Whether `path` looks like test code, where asserts and odd values are as they should be."""
    parts = Path(path).parts
    return (
        bool({"tests", "test"} & set(parts[:-1]))
        or parts[-1].startswith("test_")
        or parts[-1] == "conftest.py"
    )


def _from_bandit(issue: dict[str, Any]) -> Finding:
    return Finding(
        tool="bandit",
        rule=issue["test_id"],
        severity=Severity(issue["issue_severity"].lower())
        if issue["issue_severity"] != "UNDEFINED"
        else Severity.LOW,
        path=issue["filename"].removeprefix("./").removeprefix("source/"),
        line=issue["line_number"],
        column=issue.get("col_offset", 0) + 1,
        end_line=max(issue.get("line_range") or [issue["line_number"]]),
        # the report must not repeat the password it complains about
        message=SECRET_IN_MESSAGE.sub(r"\1(not shown)", issue["issue_text"]),
        confidence=issue["issue_confidence"].lower(),
        cwe=(issue.get("issue_cwe") or {}).get("id"),
        help_url=issue.get("more_info"),
    )


def _from_ruff(issue: dict[str, Any], source: Source) -> Finding:
    path, line = _inside(issue["filename"], source), issue["location"]["row"]
    if issue["code"] in {None, SYNTAX, "E999"}:
        return _syntax("ruff", path, line, issue["message"])
    return Finding(
        tool="ruff",
        rule=issue["code"],
        severity=Severity.LOW if MINOR_RULES.fullmatch(issue["code"]) else Severity.MEDIUM,
        path=path,
        line=line,
        column=issue["location"]["column"],
        end_line=issue["end_location"]["row"],
        message=SECRET_IN_MESSAGE.sub(r"\1(not shown)", issue["message"]),
        help_url=issue.get("url"),
    )


def _from_detect_secrets(issue: dict[str, Any], source: Source) -> Finding:
    kind = issue["type"]
    likely = "Entropy" not in kind and kind != "Secret Keyword"  # these two guess; the others know a format
    return Finding(
        tool="detect-secrets",
        rule=re.sub(r"\W+", "-", kind).strip("-").lower(),
        severity=Severity.HIGH if likely else Severity.MEDIUM,
        path=_inside(issue["filename"], source),
        line=issue["line_number"],
        message=f"Possible secret in the source: {kind}",
        confidence="high" if likely else "low",
        cwe=798,
    )


def _from_vulture(match: re.Match[str], source: Source) -> Finding:
    return Finding(
        tool="vulture",
        rule="dead-code",
        severity=Severity.MEDIUM if int(match["sure"]) >= 90 else Severity.LOW,
        path=_inside(match["path"], source),
        line=int(match["line"]),
        message=match["what"][:1].upper() + match["what"][1:],
        confidence=f"{match['sure']}%",
    )


def _syntax(tool: str, path: str, line: int, message: str) -> Finding:
    text = f"Not readable as Python: {message}"
    return Finding(tool=tool, rule=SYNTAX, severity=Severity.MEDIUM, path=path, line=line, message=text)


def _inside(path: str, source: Source) -> str:
    """`path` as the tools print it, made relative to the source."""
    absolute = Path(path) if Path(path).is_absolute() else source.root.parent / path
    return absolute.resolve().relative_to(source.root.resolve()).as_posix()
