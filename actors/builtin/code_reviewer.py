"""code-reviewer: a review of Python code with likely bugs, complexity, dead code and a score.

Steps: copy → ruff → radon → vulture → only changed lines when `diff_ref` is given → review.md, review.json.
"""

from __future__ import annotations

from typing import Any

import orjson

from actors.builtin import commands, places, scanners, sources
from actors.builtin.findings import (
    KEPT,
    RETURNED,
    Finding,
    Severity,
    by_rule,
    cell,
    code,
    counts,
    merged,
    plural,
    shortened,
    table,
)
from actors.builtin.sources import Source
from actors.runners.base import JSON, Context, Health, Work

FOCUS = {
    "bugs": ["F", "E9", "E722", "B", "BLE", "PLE", "PLW", "ASYNC", "DTZ", "RUF"],
    "security": ["S"],
    "simplicity": ["C4", "SIM", "PIE", "RET", "PERF", "UP"],
    "style": ["E", "W", "I", "N"],
}
DEFAULT_FOCUS = ("bugs", "security", "simplicity", "complexity", "dead-code")
LOW_RULES = (
    "SIM",
    "RET",
    "C4",
    "PIE",
    "PERF",
    "UP",
    "E5",
    "E70",
    "E71",
    "E73",
    "E74",
    "W",
    "I",
    "N",
    "RUF",
    "PLW",
    "F401",
    "F841",
    "DTZ",
)
HIGH_RULES = ("F821", "F822", "F823", "PLE", "E9", "B006", "S602", "S608", "S324", "S301", "S307")
COMPLEX, TANGLED = 10, 20
"""McCabe's own limit, and where testing each path stops being practical."""
WEIGHTS = {Severity.HIGH: 2.0, Severity.MEDIUM: 0.5, Severity.LOW: 0.1}
LEAST_LINES = 100
"""A file of ten lines with one small finding is not a disaster: lines are counted as at least this many."""


def run(work: Work, context: Context) -> JSON:
    """Review `target_path`, or only what changed in it since `diff_ref`."""
    asked = work.parameters
    source = _source(work, context)
    changed = _changed(source, asked.get("diff_ref"), context)
    found, measured = _review(source, asked.get("focus") or DEFAULT_FOCUS, context)
    context.stage("report", "Writing the review")
    findings = merged(_on_changed_lines(found, changed))
    result = _result(source, findings, measured, changed)
    _keep(work, result, findings, context)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether the tools are installed; git is needed for bundles and diffs only."""
    needed = commands.health(modules=("ruff", "radon", "vulture"))
    if needed.status == "ready" and commands.health(programs=("git",)).status != "ready":
        return Health("degraded", "without git, bundles and `diff_ref` cannot be reviewed")
    return needed


def _source(work: Work, context: Context) -> Source:
    context.stage("prepare", "Copying what is to be reviewed")
    context.progress(2, "Copying what is to be reviewed")
    allowed = places.roots(work, places.READ)
    place = places.readable(work, "target_path")
    with_history = bool(work.parameters.get("diff_ref"))
    source = sources.take(place, context, parameter="target_path", allowed=allowed, history=with_history)
    if not source.python:
        told = f"There are no Python files in `{source.name}`"
        places.refuse("target_path", f"{told}; this reviewer reads only Python.")
    return source


def _changed(source: Source, diff_ref: str | None, context: Context) -> dict[str, set[int]] | None:
    """Changed lines by path; None means that everything is reviewed."""
    if not diff_ref or not source.repository:
        return None
    context.stage("diff", f"Finding what changed since {diff_ref}")
    context.progress(10, f"Finding what changed since {diff_ref}")
    base = source.repository.commit(diff_ref, parameter="diff_ref")
    changed = source.repository.changed_lines(base, source.root)
    lines = sum(len(numbers) for numbers in changed.values())
    context.log(f"{plural(lines, 'changed line')} in {plural(len(changed), 'file')} since {diff_ref}")
    return changed


def _review(
    source: Source, focus: list[str] | tuple[str, ...], context: Context
) -> tuple[list[Finding], JSON]:
    found: list[Finding] = []
    rules = [rule for name in focus for rule in FOCUS.get(name, [])]
    if rules:
        _say(context, "ruff", 20, "Looking for likely bugs with ruff")
        found += _weighed(scanners.ruff(source, context, rules=rules))
    _say(context, "complexity", 45, "Measuring complexity")
    functions = [one for one in scanners.complexity(source, context) if not scanners.is_test(one["path"])]
    if "complexity" in focus:
        found += [_too_complex(function) for function in functions if function["complexity"] > COMPLEX]
    indexes = scanners.maintainability(source, context)
    if "dead-code" in focus:
        _say(context, "dead-code", 70, "Looking for code that nothing uses")
        found += _not_said_yet(scanners.vulture(source, context), found)
    return found, _measured(functions, indexes)


def _say(context: Context, name: str, percent: float, words: str) -> None:
    context.checkpoint_due()
    context.stage(name, words)
    context.progress(percent, words)


def _weighed(findings: list[Finding]) -> list[Finding]:
    """With our severities, as ruff has none; without asserts in tests and a file's second syntax error."""
    kept: list[Finding] = []
    unreadable: set[str] = set()
    for finding in findings:
        if (
            finding.rule.startswith("S")
            and not finding.rule.startswith("SIM")
            and scanners.is_test(finding.path)
        ):
            continue
        if finding.rule == scanners.SYNTAX:
            if finding.path in unreadable:
                continue
            unreadable.add(finding.path)
        kept.append(_with_severity(finding))
    return kept


def _with_severity(finding: Finding) -> Finding:
    severity = finding.severity
    if finding.rule == scanners.SYNTAX or finding.rule.startswith(HIGH_RULES):
        severity = Severity.HIGH
    elif finding.rule.startswith(LOW_RULES):
        severity = Severity.LOW
    return Finding(**{**vars(finding), "severity": severity})


def _not_said_yet(dead: list[Finding], found: list[Finding]) -> list[Finding]:
    """Dead code outside tests, without the imports and variables that ruff named on the same line."""
    said = {(finding.path, finding.line) for finding in found if finding.rule in {"F401", "F841"}}
    return [one for one in dead if not scanners.is_test(one.path) and (one.path, one.line) not in said]


def _too_complex(function: dict[str, Any]) -> Finding:
    paths = function["complexity"]
    return Finding(
        tool="radon",
        rule="too-complex",
        severity=Severity.HIGH if paths > TANGLED else Severity.MEDIUM,
        path=function["path"],
        line=function["line"],
        end_line=function["end_line"],
        message=f"{function['name']} has complexity {paths} (limit {COMPLEX}); split it along its branches.",
    )


def _measured(functions: list[dict[str, Any]], indexes: dict[str, float]) -> JSON:
    sizes = [function["complexity"] for function in functions]
    worst = sorted(functions, key=lambda function: -function["complexity"])[:10]
    return {
        "functions": len(functions),
        "mean_complexity": round(sum(sizes) / len(sizes), 1) if sizes else 0.0,
        "most_complex": worst,
        "maintainability": dict(sorted(indexes.items(), key=lambda item: item[1])[:20]),
    }


def _on_changed_lines(findings: list[Finding], changed: dict[str, set[int]] | None) -> list[Finding]:
    if changed is None:
        return findings
    return [
        finding
        for finding in findings
        if changed.get(finding.path, set()) & set(range(finding.line, (finding.end_line or finding.line) + 1))
    ]


def _result(
    source: Source, findings: list[Finding], measured: JSON, changed: dict[str, set[int]] | None
) -> JSON:
    lines = source.lines() if changed is None else sum(len(changed.get(path, ())) for path in source.python)
    numbers = counts(findings)
    score = _score(findings, lines)
    verdict = _verdict(findings)
    scope = "lines" if changed is None else "changed lines"
    told = f"{plural(numbers['total'], 'finding')} in {lines:,} {scope} of {source.name}"
    return {
        "summary": f"{told}: score {score} of 10, {verdict.replace('_', ' ')}.",
        "verdict": verdict,
        "score": score,
        "counts": numbers,
        "by_rule": by_rule(findings),
        "python_files": len(source.python),
        "lines": lines,
        "measured": measured,
        "changed_files": None if changed is None else len(changed),
        "findings": [finding.as_json() for finding in findings[:RETURNED]],
        "truncated": len(findings) > RETURNED,
    }


def _score(findings: list[Finding], lines: int) -> float:
    """10 without findings; each costs its weight per hundred lines, never below 0."""
    weight = sum(WEIGHTS[finding.severity] for finding in findings)
    return round(max(0.0, 10 - weight * 100 / max(lines, LEAST_LINES)), 1)


def _verdict(findings: list[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    if Severity.HIGH in severities:
        return "request_changes"
    return "comment" if Severity.MEDIUM in severities else "approve"


def _keep(work: Work, result: JSON, findings: list[Finding], context: Context) -> None:
    document = {**result, "findings": [finding.as_json() for finding in findings[:KEPT]]}
    document["truncated"] = len(findings) > KEPT
    context.artifact("review.json", orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json")
    report = _report(work.parameters, result, findings)
    context.artifact("review.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)


def _report(asked: JSON, result: JSON, findings: list[Finding]) -> str:
    lines = ["# Code review", "", cell(result["summary"], 400), ""]
    lines += [f"> {label}: {cell(asked[key], 1000)}\n" for key, label in _QUOTED if asked.get(key)]
    lines += ["## Findings", "", table(findings), *_complexity_table(result["measured"])]
    lines += [
        "## How the score is made",
        "",
        "10 minus 2 for each high, 0.5 for each medium and 0.1 for each low finding, per hundred lines.",
        "Dead code is a guess where other code that is not in this folder may use it.",
    ]
    return "\n".join(lines) + "\n"


_QUOTED = (("task", "Asked for"), ("context", "Context"), ("diff_ref", "Only what changed since"))


def _complexity_table(measured: JSON) -> list[str]:
    if not measured["most_complex"]:
        return []
    rows = ["## Most complex functions", "", "| Function | Where | Complexity |", "|---|---|---|"]
    rows += [
        f"| {code(function['name'])} | {code(_place(function))} | {function['complexity']} |"
        for function in measured["most_complex"][:5]
    ]
    return [*rows, ""]


def _place(function: dict[str, Any]) -> str:
    return f"{function['path']}:{function['line']}"
