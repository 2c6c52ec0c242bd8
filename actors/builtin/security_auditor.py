"""security-auditor: insecure code and leaked secrets in a folder, a git checkout or a git bundle.

Steps: copy → bandit and ruff's security rules over Python → detect-secrets over every text file →
report.md, findings.json, findings.sarif.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from actors.builtin import commands, places, scanners, sources
from actors.builtin.findings import (
    KEPT,
    RETURNED,
    Finding,
    Severity,
    by_rule,
    cell,
    counts,
    merged,
    plural,
    shortened,
    table,
)
from actors.builtin.sarif import sarif
from actors.builtin.sources import Source
from actors.runners.base import JSON, Context, Health, Work

GATES = {
    "none": frozenset[Severity](),
    "high": frozenset({Severity.HIGH}),
    "medium": frozenset({Severity.HIGH, Severity.MEDIUM}),
    "low": frozenset(Severity),
}
PASSWORD_RULES = frozenset({"B105", "B106", "B107", "S105", "S106", "S107"})


def run(work: Work, context: Context) -> JSON:
    """Audit `target_path`; the job completes whatever is found, `passed` says what `fail_on` thinks of it."""
    asked = work.parameters
    source = _source(work, context)
    found, silenced = _audit(source, asked.get("scope", "full"), context)
    context.stage("report", "Writing the report")
    findings = merged(found)
    gate = asked.get("fail_on", "none")
    result = _result(source, findings, silenced, gate)
    _keep(result, findings, context)
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether the tools are installed; git is needed for bundles and refs only."""
    needed = commands.health(modules=("bandit", "ruff", "detect_secrets"))
    if needed.status == "ready" and commands.health(programs=("git",)).status != "ready":
        return Health("degraded", "without git, bundles and `ref` cannot be audited")
    return needed


def _source(work: Work, context: Context) -> Source:
    context.stage("prepare", "Copying what is to be audited")
    context.progress(2, "Copying what is to be audited")
    allowed = places.roots(work, places.READ)
    place = places.readable(work, "target_path")
    return sources.take(
        place, context, parameter="target_path", allowed=allowed, ref=work.parameters.get("ref")
    )


def _audit(source: Source, scope: str, context: Context) -> tuple[list[Finding], int]:
    found: list[Finding] = []
    silenced = 0

    def code() -> None:
        nonlocal silenced
        issues, silenced = scanners.bandit(source, context)
        found.extend(issues)

    steps: list[tuple[str, str, Callable[[], None]]] = []
    if scope != "secrets" and source.python:
        steps.append(("bandit", "Looking for insecure code with bandit", code))
        compare = lambda: found.extend(scanners.ruff(source, context, rules=["S"]))  # noqa: E731 - one of three
        steps.append(("ruff", "Comparing with ruff's security rules", compare))
    elif scope != "secrets":
        context.log("There are no Python files here, so only secrets can be looked for.", level="warning")
    if scope != "code":
        search = lambda: found.extend(scanners.detect_secrets(source, context))  # noqa: E731
        steps.append(("secrets", "Looking for keys and passwords", search))
    for number, (name, words, step) in enumerate(steps):
        context.checkpoint_due()
        context.stage(name, words)
        context.progress(15 + 75 * number / len(steps), words)
        step()
        context.log(f"{words}: done, {plural(len(found), 'finding')} so far", source=name)
    return _meant(found), silenced


def _meant(found: list[Finding]) -> list[Finding]:
    """Without asserts in tests, guesses another tool made better, and a file's second syntax error."""
    passwords = {(finding.path, finding.line) for finding in found if finding.rule in PASSWORD_RULES}
    unreadable: set[str] = set()
    kept = []
    for finding in sorted(
        found, key=lambda finding: finding.tool != "ruff"
    ):  # ruff knows the line of a syntax error
        if finding.rule in {"B101", "S101"} and scanners.is_test(finding.path):
            continue
        if finding.rule == "secret-keyword" and (finding.path, finding.line) in passwords:
            continue
        if finding.rule == scanners.SYNTAX:
            if finding.path in unreadable:
                continue
            unreadable.add(finding.path)
        kept.append(finding)
    return sorted(kept, key=lambda finding: finding.tool != "bandit")  # bandit's severity is the finer one


def _result(source: Source, findings: list[Finding], silenced: int, gate: str) -> JSON:
    numbers = counts(findings)
    passed = not any(finding.severity in GATES[gate] for finding in findings)
    told = ", ".join(f"{numbers[severity]} {severity}" for severity in Severity)
    summary = f"{plural(numbers['total'], 'finding')} in {source.name}: {told}."
    if gate != "none":
        summary += f" The gate `{gate}` is {'kept' if passed else 'broken'}."
    return {
        "summary": summary,
        "passed": passed,
        "fail_on": gate,
        "counts": numbers,
        "by_rule": by_rule(findings),
        "files": source.files,
        "python_files": len(source.python),
        "silenced": silenced,
        "findings": [finding.as_json() for finding in findings[:RETURNED]],
        "truncated": len(findings) > RETURNED,
    }


def _keep(result: JSON, findings: list[Finding], context: Context) -> None:
    kept = findings[:KEPT]
    document = {
        **result,
        "findings": [finding.as_json() for finding in kept],
        "truncated": len(findings) > KEPT,
    }
    context.artifact("findings.json", orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json")
    context.artifact(
        "findings.sarif", sarif(kept, ["bandit", "ruff", "detect-secrets"]), "application/sarif+json"
    )
    report = _report(result, findings)
    context.artifact("report.md", report.encode(), "text/markdown")
    result["report"] = shortened(report)


def _report(result: JSON, findings: list[Finding]) -> str:
    verdict = "" if result["fail_on"] == "none" else f"**{'Passed' if result['passed'] else 'Not passed'}.** "
    lines = [
        "# Security audit",
        "",
        f"{verdict}{cell(result['summary'], 400)}",
        "",
        f"Looked at {plural(result['files'], 'file')}, {result['python_files']} of them Python.",
        "",
        table(findings),
    ]
    if result["silenced"]:
        lines += [f"{plural(result['silenced'], 'line')} silenced by `# nosec` in the code itself.", ""]
    lines += [
        "A finding is a place to look at, not a proof. Severity is how bad it would be if it were real."
    ]
    return "\n".join(lines) + "\n"
