"""Collections of agents as the public ones are laid out, written into a folder of the test's own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

# The three teams of a well-known workspace by their sizes and habits: lists, comma texts, names unlike stems.
TEAMS = {"MARKETING_TEAM": 17, "TEST_AGENT": 5, "ENGINEERING_TEAM": 12}

_LISTED = """---
name: {title}
description: Does the work of number {n} in {team}.
model: claude-sonnet-4-20250514
tools:
  - Read
  - mcp__tool_{n}__*   # all of it
capabilities:
  - one
  - two
skills: [docx]
---
You are number {n} of {team}.
"""

_FOLDED = """---
name: {id}
description: Use this one when: number {n} is wanted. Example: user: "please"
model: opus
tools: Read, Write
  - workspace_enforcer
  - path_validator
---
You are number {n} of {team}.
"""


def three_teams(root: Path) -> Path:
    """34 files in `<TEAM>/.claude/agents`, with the other things such a repository has."""
    for team, size in TEAMS.items():
        folder = root / team / ".claude" / "agents"
        folder.mkdir(parents=True)
        text = _FOLDED if team == "ENGINEERING_TEAM" else _LISTED
        for n in range(size):
            stem = f"{team.split('_')[0].lower()}-agent-{n}"
            (folder / f"{stem}.md").write_text(
                text.format(n=n, team=team, id=stem, title=f"Agent Number {n}")
            )
        (root / team / ".claude" / "commands").mkdir()
        (root / team / ".claude" / "commands" / "deploy.md").write_text("Deploy it.")
    (root / "README.md").write_text("# A workspace")
    (root / "NOTES.md").write_text("No agent at all.")
    return root


def flat(root: Path, count: int = 100, body: str = "Do it well. " * 400) -> Path:
    """A folder of many files, none of which says a word of ours."""
    root.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        text = f"---\nname: worker-{n}\ndescription: Does thing {n}.\ntools: Read, Grep\n---\n# Worker {n}\n{body}\n"
        (root / f"worker-{n}.md").write_text(text)
    (root / "README.md").write_text("# Workers")
    return root


SIDECAR = """
defaults:
  max_concurrent: 2
  pool: engineering
agents:
  reviewer: {title: The reviewer, timeout: 90}
"""


def repository(root: Path) -> Path:
    """A repository with agents at its root and in a package, and a sidecar for all of them."""
    files = {
        ".claude/agents/reviewer.md": "---\nname: reviewer\ndescription: Reviews.\n---\nReview.\n",
        ".claude/agents/planner.md": (
            "---\nname: planner\ndescription: Plans.\nx-callboard: {max_concurrent: 7, team: PLANNING}\n---\nPlan.\n"
        ),
        "packages/shop/.claude/agents/seller.md": "---\nname: seller\ndescription: Sells.\n---\nSell.\n",
        "callboard.yaml": SIDECAR,
        "docs/guide.md": "# Guide",
        "node_modules/x/.claude/agents/stranger.md": "---\ndescription: no\n---\n",
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def zipped(files: dict[str, str | bytes]) -> bytes:
    """An archive of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return made.getvalue()


def zipped_folder(root: Path) -> bytes:
    """An archive of a folder, below one folder of its own as hosts make them."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    return zipped({f"{root.name}-main/{name}": content for name, content in files.items()})
