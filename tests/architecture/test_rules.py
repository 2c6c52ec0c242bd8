"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from pydantic import AliasChoices

from app.settings import ROOT, Settings

README = ROOT / "README.md"


@cache
def _tracked() -> tuple[Path, ...]:
    """Every file of the project: known to git, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return tuple(path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file())


def _sources(*suffixes: str, under: tuple[str, ...]) -> list[Path]:
    return [p for p in _tracked() if p.suffix in suffixes and p.relative_to(ROOT).parts[0] in under]


# A SET list of an UPDATE of jobs, up to what ends it, in which `status` itself is written.
_WRITES_STATUS = re.compile(
    r"UPDATE\s+(?:ONLY\s+)?jobs\b(?:\s+(?:AS\s+)?\w+)?\s+SET\b(?:(?!\bWHERE\b|\bFROM\b|\bRETURNING\b).)*?(?<![\w.])status\s*=",
    re.IGNORECASE | re.DOTALL,
)
_INSERTS_JOBS = re.compile(r"INSERT\s+INTO\s+jobs\s*\(", re.IGNORECASE)


def test_the_status_of_a_job_is_written_in_the_lifecycle_and_the_claim_and_nowhere_else() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for path in _sources(".py", ".sql", under=("app", "actors", "migrations"))
        if _WRITES_STATUS.search(path.read_text()) or _INSERTS_JOBS.search(path.read_text())
    }
    assert writers == {
        "app/jobs/lifecycle.py",
        "migrations/sql/0001_jobs.sql",
        "migrations/sql/0002_spending.sql",
        "migrations/sql/0003_workflows.sql",
        "migrations/sql/0010_turns.sql",
        "migrations/versions/0004_quality_content_approvals.py",  # going back, nothing may wait for a person
    }


def test_the_orm_never_writes_a_job() -> None:
    guilty = [
        path.relative_to(ROOT)
        for path in _sources(".py", under=("app", "actors"))
        if re.search(r"\bJob\(\s*\w+=|update\(Job\)|insert\(Job\)|\bjob\.status\s*=[^=]", path.read_text())
    ]
    assert guilty == []


def test_the_pattern_of_the_rule_above_does_find_a_writer() -> None:
    assert _WRITES_STATUS.search("UPDATE jobs j SET progress = 1, status = 'x' WHERE true")
    assert not _WRITES_STATUS.search("UPDATE jobs SET progress = 1 WHERE status = 'x'")
    assert not _WRITES_STATUS.search("UPDATE jobs SET health_status = 'x'")


def test_nothing_opens_a_socket_to_the_browser() -> None:
    words = re.compile(
        r"\b(WebSocket|EventSource|text/event-stream|flask_sock|socketio|hx-ext=.ws|sse-connect)\b",
        re.IGNORECASE,
    )
    guilty = [
        path.relative_to(ROOT)
        for path in _sources(".py", ".html", ".js", under=("app", "actors", "templates", "static"))
        if "vendor" not in path.parts and words.search(path.read_text())
    ]
    assert guilty == []


def test_pages_carry_no_inline_script_or_style() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*type=.application/json)|\sstyle=[\"']|\son[a-z]+=[\"']|[\"']\s*javascript:"
        r"|<style\b|\shx-on|\shx-vars|[\"']\s*js:|\ssrcdoc=",
        re.IGNORECASE,
    )
    guilty = [
        p.relative_to(ROOT) for p in _sources(".html", under=("templates",)) if inline.search(p.read_text())
    ]
    assert guilty == []


def test_pages_load_nothing_from_elsewhere() -> None:
    foreign = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"'](?:https?:)?//", re.IGNORECASE)
    guilty = [
        p.relative_to(ROOT) for p in _sources(".html", under=("templates",)) if foreign.search(p.read_text())
    ]
    assert guilty == []


def test_only_the_settings_read_the_environment() -> None:
    reads = re.compile(r"os\.environ|os\.getenv")
    allowed = ("app/settings.py", "app/ops/", "app/cli/", "app/client/", "actors/runners/", "actors/builtin/")
    guilty = [
        name
        for path in _sources(".py", under=("app", "actors"))
        if reads.search(path.read_text()) and not (name := str(path.relative_to(ROOT))).startswith(allowed)
    ]
    assert guilty == []


def test_no_room_commits() -> None:
    rooms = ("accounts", "agents", "budgets", "jobs", "polling", "providers", "workers")
    guilty = [
        path.relative_to(ROOT)
        for path in _sources(".py", under=("app",))
        if path.relative_to(ROOT).parts[1] in rooms and re.search(r"\.commit\(", path.read_text())
    ]
    assert guilty == []


def _variables(name: str) -> list[str]:
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias) if alias else name.upper()]


def _table() -> dict[str, str]:
    """The settings of the README: {variable: meaning}."""
    rows = re.findall(
        r"^\|\s*`([A-Z][A-Z0-9_]*)`\s*\|[^|\n]*\|\s*(.+?)\s*\|\s*$", README.read_text(), re.MULTILINE
    )
    return dict(rows)


def test_the_readme_lists_every_setting_and_no_other() -> None:
    assert set(_table()) == {_variables(name)[0] for name in Settings.model_fields}


def test_the_readme_says_of_each_setting_what_the_code_says() -> None:
    told = _table()
    differing = [
        name
        for name, field in Settings.model_fields.items()
        if told.get(_variables(name)[0]) != field.description
    ]
    assert differing == []


_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def _documents() -> list[Path]:
    return [
        p for p in _tracked() if p.suffix == ".md" and p.relative_to(ROOT).parts[0] in ("docs", "README.md")
    ]


def test_no_link_of_the_documents_is_dead() -> None:
    dead = []
    for page in _documents():
        for target in _LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            found = (page.parent / path).resolve() if path else page
            if not found.exists() or (anchor and found.suffix == ".md" and anchor not in _anchors(found)):
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+?)\s*$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
