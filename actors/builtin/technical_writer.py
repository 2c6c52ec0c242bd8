"""technical-writer: a changelog or release notes from a git history, or an outline of a Python API.

Steps: clone the checkout or bundle → read commits release by release → CHANGELOG.md; or
copy → read each module's syntax tree → outline.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from actors.builtin import api_outline, changelogs, commands, places, repositories, sources
from actors.builtin.findings import shortened
from actors.runners.base import JSON, Context, Health, Work


def run(work: Work, context: Context) -> JSON:
    """Write the `document_type` about `topic`."""
    writers: dict[str, Callable[[Work, Context], tuple[str, str, JSON]]] = {
        "changelog": _changelog,
        "release-notes": _changelog,
        "api-outline": _api_outline,
    }
    kind = str(work.parameters["document_type"])
    if kind not in writers:
        places.refuse("document_type", f"`document_type` must be one of {', '.join(writers)}.")
    name, document, result = writers[kind](work, context)
    context.artifact(name, document.encode(), "text/markdown")
    result |= {
        "document_type": kind,
        "topic": work.parameters["topic"],
        "file": name,
        "report": shortened(document),
    }
    context.progress(100, result["summary"])
    return result


def health() -> Health:
    """Whether git is installed; API outlines of folders do without."""
    if commands.health(programs=("git",)).status != "ready":
        return Health("degraded", "without git only `api-outline` of a folder can be written")
    return Health()


def _changelog(work: Work, context: Context) -> tuple[str, str, JSON]:
    asked = work.parameters
    context.stage("prepare", "Copying the history")
    context.progress(3, "Copying the history")
    allowed = places.roots(work, places.READ)
    repository = repositories.mirror(_repo(work), context, parameter="repo", allowed=allowed)
    context.stage("read", "Reading commits")
    only_latest = asked["document_type"] == "release-notes"
    releases = changelogs.releases(
        repository, from_ref=asked.get("from_ref"), to_ref=asked.get("to_ref"), only_latest=only_latest
    )
    context.stage("write", "Writing")
    context.progress(90, "Writing")
    name = "RELEASE_NOTES.md" if only_latest else "CHANGELOG.md"
    return (
        name,
        changelogs.markdown(str(asked["topic"]), releases),
        changelogs.summary(str(asked["topic"]), releases),
    )


def _api_outline(work: Work, context: Context) -> tuple[str, str, JSON]:
    context.stage("prepare", "Copying the source")
    context.progress(3, "Copying the source")
    allowed = places.roots(work, places.READ)
    source = sources.take(
        _repo(work), context, parameter="repo", allowed=allowed, ref=work.parameters.get("to_ref")
    )
    context.stage("read", "Reading modules")
    modules = api_outline.modules(source, context)
    topic = str(work.parameters["topic"])
    return "outline.md", api_outline.markdown(topic, modules), api_outline.summary(topic, modules)


def _repo(work: Work) -> Path:
    """`repo`, or the first workspace root that is a git checkout."""
    if work.parameters.get("repo"):
        return places.readable(work, "repo")
    for root in places.roots(work, places.READ):
        if (root / ".git").exists():
            return root
    ways = "a git checkout or a `git bundle` file in a workspace root"
    return places.refuse("repo", f"Say what to read with `repo`: {ways}.")
