"""The first start: quality gates, agents of the catalogue, plugins and folders, workflow templates, the first admin.

Doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.accounts import users
from app.agents import folders, importing, plugins, registry
from app.agents.folders import File
from app.agents.front_matter import Complaint
from app.agents.importing import BROKEN, UNCHANGED, Item, Plan
from app.errors import Invalid
from app.observe import logs
from app.providers import catalogue
from app.quality import gates
from app.workflows import templates

CATALOG = Path(__file__).resolve().parent.parent / "agents" / "catalog"
LIBRARY = Path(__file__).resolve().parent.parent / "workflows" / "library"
BUILT_IN = "catalog"

log = logs.get(__name__)


def agents(wanted: tuple[Path, ...] = ()) -> list[str]:
    """Install the catalogue, the plugins' definitions and those of the folders; later ones replace earlier ones.

    A file with a mistake leaves its agent as it was; it is logged, kept for the page of agents, and told in the
    lines that are answered. What somebody imported by hand stays. Does not commit.
    """
    known = importing.known()
    plans = [(source, importing.plan(files, known, gates.names())) for source, files in _sources(wanted)]
    broken: list[tuple[str, Item]] = []
    for number, (source, made) in enumerate(plans):
        later = {item.agent_id for _, other in plans[number + 1 :] for item in other.items if item.sound}
        chosen = _chosen(made, source, later, known)
        done = importing.apply(chosen, source=source, by="seed")
        broken += [(source, item) for item in done.broken if item.errors]
    importing.note_problems(broken)
    return [line for source, item in broken for line in _told(source, item)]


def _sources(wanted: tuple[Path, ...]) -> Iterator[tuple[str, list[File]]]:
    yield BUILT_IN, folders.read(CATALOG)
    for plugin in plugins.found():
        yield plugin.source, plugin.files()
    for folder in wanted:
        try:
            yield str(folder), folders.read(folder)
        except Invalid as wrong:
            yield str(folder), [File(path=f"{folder}/*.md", problem=wrong.message, chosen=True)]


def _chosen(made: Plan, source: str, later: set[str | None], known: dict[str, importing.Known]) -> Plan:
    """Without what a later source defines as well, and without what somebody replaced by an import."""
    items = []
    for item in made.items:
        before = known.get(item.agent_id or "")
        if item.sound and item.agent_id in later:
            continue
        if item.sound and before and before.source == registry.IMPORTED and item.action != UNCHANGED:
            if source == BUILT_IN:
                continue
            said = f"not installed: somebody imported another {item.agent_id}, which stays; import this one to change that"
            item = replace(item, action=BROKEN, errors=(Complaint(message=said),), definition=None)  # noqa: PLW2901
        items.append(item)
    return replace(made, items=tuple(items))


def _told(source: str, item: Item) -> Iterator[str]:
    for complaint in item.errors:
        place = f"{item.path}:{complaint.line}" if complaint.line else item.path
        said = f"{complaint.pointer}: {complaint.message}" if complaint.pointer else complaint.message
        log.warning("agents.broken", path=item.path, line=complaint.line, source=source, error=said)
        yield f"Not installed: {place}: {said}"


def workflow_templates(library: Path = LIBRARY) -> list[str]:
    """Install the templates that come with the product, by file name; answers those that are new or changed.

    What somebody saved over one stays. Does not commit.
    """
    return [
        path.stem for path in sorted(library.glob("*.yaml")) if templates.ship(path.stem, path.read_text())
    ]


def first_admin(email: str, password: str, api_key: str) -> list[str]:
    """Make the first admin if need be; answers lines that show, once, what was made up. Does not commit."""
    admin = users.ensure_admin(email, password, api_key)
    lines = [f"First admin: {admin.email}"] if admin.password or admin.api_key else []
    if admin.password:
        lines.append(f"  password:  {admin.password}   (shown once; change it after signing in)")
    if admin.api_key:
        lines.append(f"  API key:   {admin.api_key}   (shown once)")
    return lines


class Wanted(catalogue.Wanted, Protocol):
    """What the seed needs of the settings; rooms do not import them."""

    @property
    def admin_email(self) -> str:
        """Who it is."""

    @property
    def admin_password(self) -> str:
        """Empty: make one up."""

    @property
    def admin_api_key(self) -> str:
        """Empty: make one up."""

    @property
    def agent_folders(self) -> tuple[Path, ...]:
        """Folders of definitions besides the catalogue."""


def seed(wanted: Wanted) -> list[str]:
    """Everything that must exist; answers lines to print. Does not commit."""
    gates.seed_builtin()
    broken = agents(wanted.agent_folders)
    catalogue.seed(wanted)
    workflow_templates()
    return [*broken, *first_admin(wanted.admin_email, wanted.admin_password, wanted.admin_api_key)]
