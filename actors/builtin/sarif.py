"""Findings as SARIF 2.1.0, the format that code hosts and editors read.

One run per tool, because a SARIF rule belongs to the tool that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote

import orjson

from actors.builtin.findings import Finding, Severity
from actors.runners.base import JSON

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
SCORES = {Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}
"""`security-severity`, a number in a string, by which GitHub sorts: over 7 is high, over 4 medium."""


def sarif(findings: Sequence[Finding], tools: Sequence[str]) -> bytes:
    """The SARIF log of `findings`; a tool of `tools` that found nothing has an empty run."""
    runs = [_run(tool, [finding for finding in findings if finding.tool == tool]) for tool in tools]
    return orjson.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": runs}, option=orjson.OPT_INDENT_2)


def _run(tool: str, findings: Sequence[Finding]) -> JSON:
    first_of_rule = {finding.rule: finding for finding in reversed(findings)}
    order = {rule: index for index, rule in enumerate(sorted(first_of_rule))}
    driver: JSON = {"name": tool, "rules": [_rule(first_of_rule[rule]) for rule in order]}
    if known := _version(tool):
        driver["version"] = known
    return {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, order[finding.rule]) for finding in findings],
    }


def _rule(finding: Finding) -> JSON:
    tags = ["security"] + ([f"external/cwe/cwe-{finding.cwe}"] if finding.cwe else [])
    rule: JSON = {
        "id": finding.rule,
        "shortDescription": {"text": finding.message},
        "properties": {"tags": tags, "security-severity": SCORES[finding.severity]},
    }
    if finding.help_url:
        rule["helpUri"] = finding.help_url
    return rule


def _result(finding: Finding, rule_index: int) -> JSON:
    region = {"startLine": max(1, finding.line), "startColumn": max(1, finding.column)}
    if finding.end_line and finding.end_line > finding.line:
        region["endLine"] = finding.end_line
    location = {"physicalLocation": {"artifactLocation": {"uri": quote(finding.path)}, "region": region}}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [location],
        "partialFingerprints": {"callboard/v1": finding.fingerprint},
    }


def _version(tool: str) -> str | None:
    try:
        return version(tool)
    except PackageNotFoundError:
        return None
