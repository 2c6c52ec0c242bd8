"""A changelog out of a git history.

Releases by tag, entries by conventional commits, in the order of Keep a Changelog.

    v1.1 ─● feat(cli): add --watch      → ## v1.1 — 2026-03-01
          ● fix: keep the order (#12)      ### Added    - **cli:** add --watch
    v1.0 ─● …                              ### Fixed    - Keep the order (#12)
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from actors.builtin.findings import plural
from actors.builtin.repositories import Repository
from actors.runners.base import JSON

UNRELEASED = "Unreleased"
MOST_RELEASES = 200
MOST_COMMITS = 20_000
FIELDS = "%H%x1f%cs%x1f%an%x1f%s%x1f%b%x1e"

HEADINGS = (
    "Breaking",
    "Security",
    "Added",
    "Changed",
    "Deprecated",
    "Removed",
    "Fixed",
    "Performance",
    "Documentation",
    "Other",
)
TYPES = {
    "feat": "Added",
    "feature": "Added",
    "fix": "Fixed",
    "perf": "Performance",
    "refactor": "Changed",
    "revert": "Changed",
    "deprecate": "Deprecated",
    "remove": "Removed",
    "security": "Security",
    "docs": "Documentation",
}
HOUSEKEEPING = frozenset(["chore", "ci", "test", "tests", "build", "style", "wip", "release"])
VERBS = {
    "Added": r"adds?|added|introduces?|supports?|implements?|allows?",
    "Fixed": r"fix(?:es|ed)?|corrects?|repairs?|prevents?",
    "Removed": r"removed?|removes|drops?|dropped|deletes?",
    "Changed": r"changes?|updates?|renames?|moves?|improves?|makes?|uses?",
    "Deprecated": r"deprecate[sd]?",
    "Documentation": r"documents?|docs|readme",
}
CONVENTIONAL = re.compile(r"(?P<type>[A-Za-z]+)(?:\((?P<scope>[^()]{1,60})\))?(?P<bang>!)?: +(?P<text>\S.*)")
BREAKING = re.compile(
    r"^BREAKING[ -]CHANGE: *(?P<text>.+?)(?=\n\n|\n[A-Z][\w-]+: |\Z)", re.MULTILINE | re.DOTALL
)
REFERENCE = re.compile(
    r"^(?:Closes|Fixes|Resolves|Refs?):? +((?:[\w./-]*#\d+[, ]*)+)", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit, as far as a changelog cares."""

    id: str
    date: str
    author: str
    subject: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the changelog under `heading`; `heading` None is housekeeping, which is only counted."""

    heading: str | None
    text: str
    breaking: str | None = None


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is new in one tag; `name` is "Unreleased" for what no tag has yet."""

    name: str
    date: str
    commits: tuple[Commit, ...]
    entries: tuple[Entry, ...] = field(default=())


def releases(
    repository: Repository,
    *,
    from_ref: str | None = None,
    to_ref: str | None = None,
    only_latest: bool = False,
) -> list[Release]:
    """Releases up to `to_ref` (HEAD) and after `from_ref` (the beginning), newest first."""
    end = repository.commit(to_ref or "HEAD", parameter="to_ref" if to_ref else "repo")
    start = repository.commit(from_ref, parameter="from_ref") if from_ref else None
    tags = _tags(repository, end, start)
    read: list[Release] = []
    known = [start] if start else []
    for number, (name, commit) in enumerate(tags):
        context = repository.context
        context.checkpoint_due()
        context.progress(10 + 75 * number / len(tags), f"Reading {name}")
        commits = _commits(repository, commit, known)
        known = [commit, *known]
        if commits:
            read.append(_release(name, commits))
    newest_first = read[::-1]
    return newest_first[:1] if only_latest else newest_first


def entry(commit: Commit) -> Entry:
    """Put one commit under its heading, by its conventional type or else by its first word."""
    breaking = BREAKING.search(commit.body)
    match = CONVENTIONAL.fullmatch(commit.subject)
    kind = match["type"].lower() if match else ""
    if match and (kind in TYPES or kind in HOUSEKEEPING):
        text = _sentence(match["text"], match["scope"])
        warning = (
            " ".join(breaking["text"].split()) if breaking else (match["text"] if match["bang"] else None)
        )
        return Entry(heading=TYPES.get(kind), text=text + _references(commit), breaking=warning)
    first = re.split(r"\W+", commit.subject.lower().strip(), maxsplit=1)[0]
    heading = next((name for name, words in VERBS.items() if re.fullmatch(words, first)), "Other")
    warning = " ".join(breaking["text"].split()) if breaking else None
    return Entry(
        heading=heading, text=_sentence(commit.subject, None) + _references(commit), breaking=warning
    )


def markdown(topic: str, found: list[Release]) -> str:
    """The document."""
    lines = [f"# {escaped(topic)}", ""]
    if not found:
        lines += ["There are no commits in this range.", ""]
    for release in found:
        lines += _section(release)
    return "\n".join(lines)


def summary(topic: str, found: list[Release]) -> JSON:
    """Counts for the job's result."""
    commits = [commit for release in found for commit in release.commits]
    entries = [entry for release in found for entry in release.entries]
    named = Counter(entry.heading for entry in entries if entry.heading)
    breaking = sum(entry.breaking is not None for entry in entries)
    tagged = [release.name for release in found if release.name != UNRELEASED]
    latest = f" (the latest is {tagged[0]})" if tagged else ""
    told = f"{plural(len(commits), 'commit')}, {plural(len(tagged), 'release')}{latest}"
    return {
        "summary": f"{topic}: {told}, {plural(breaking, 'breaking change')}.",
        "counts": {"releases": len(tagged), "commits": len(commits), "breaking": breaking} | dict(named),
        "releases": [
            {"name": release.name, "date": release.date, "commits": len(release.commits)}
            for release in found[:100]
        ],
        "contributors": [name for name, _ in Counter(commit.author for commit in commits).most_common(50)],
    }


def escaped(text: str) -> str:
    """Free text as one line of markdown in which nothing but plain words and `code` has a meaning."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    plain = [
        part if index % 2 else re.sub(r"([\\`*_<>\[\]|])", r"\\\1", part) for index, part in enumerate(parts)
    ]
    return re.sub(r"^([#+-])", r"\\\1", "".join(plain))  # what would begin a heading or a list


def _tags(repository: Repository, end: str, start: str | None) -> list[tuple[str, str]]:
    """(name, commit) of the tags in the range, oldest first, with the range's end as the last."""
    form = "%(refname:short)%09%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
    options = ["--merged", end] + (["--no-merged", start] if start else [])
    listed = repository.git("for-each-ref", "--sort=creatordate", f"--format={form}", *options, "refs/tags")
    tags = [(line.split("\t")[0], line.split("\t")[1]) for line in listed.splitlines()]
    tags = tags[-MOST_RELEASES:]
    return tags if tags and tags[-1][1] == end else [*tags, (UNRELEASED, end)]


def _commits(repository: Repository, commit: str, known: list[str]) -> tuple[Commit, ...]:
    without = ["--not", *known] if known else []
    limit = f"--max-count={MOST_COMMITS}"
    options = ["--no-merges", "--no-color", "--no-show-signature", limit, f"--format={FIELDS}"]
    raw = repository.git("log", *options, commit, *without, "--")
    records = [record.strip("\n").split("\x1f") for record in raw.split("\x1e") if record.strip()]
    return tuple(
        Commit(id=fields[0], date=fields[1], author=fields[2], subject=fields[3], body=fields[4])
        for fields in records
        if len(fields) == 5  # a message with our separator in it
    )


def _release(name: str, commits: tuple[Commit, ...]) -> Release:
    return Release(name=name, date=commits[0].date, commits=commits, entries=tuple(map(entry, commits)))


def _section(release: Release) -> list[str]:
    dated = release.name if release.name == UNRELEASED else f"{release.name} — {release.date}"
    lines = [f"## {escaped(dated)}", ""]
    under: dict[str, list[str]] = {heading: [] for heading in HEADINGS}
    for one in release.entries:
        if one.breaking:
            under["Breaking"].append(escaped(one.breaking))
        if one.heading:
            under[one.heading].append(one.text)
    for heading, texts in under.items():
        if texts:
            lines += [f"### {heading}", "", *(f"- {text}" for text in dict.fromkeys(texts)), ""]
    if quiet := sum(one.heading is None for one in release.entries):
        lines += [f"{plural(quiet, 'more commit')} of housekeeping (tests, builds, chores).", ""]
    return lines


def _sentence(text: str, scope: str | None) -> str:
    text = text.strip().rstrip(".")
    capital = text if scope else text[:1].upper() + text[1:]
    return f"**{escaped(scope)}:** {escaped(capital)}" if scope else escaped(capital)


def _references(commit: Commit) -> str:
    """Issue numbers from the footer that the subject does not name already."""
    named = re.findall(r"[\w./-]*#\d+", " ".join(REFERENCE.findall(commit.body)))
    fresh = [number for number in dict.fromkeys(named) if number not in commit.subject]
    return f" ({', '.join(fresh)})" if fresh else ""
