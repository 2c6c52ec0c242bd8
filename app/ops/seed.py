"""The first start: agents from the catalogue, and the first admin. Doing it again changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from app import audit
from app.accounts import users
from app.agents import registry
from app.agents.definition import Definition, read_folder

CATALOG = Path(__file__).resolve().parent.parent / "agents" / "catalog"


def agents(folders: tuple[Path, ...] = ()) -> int:
    """Install the catalogue and the definitions of `folders`; answers how many changed. Does not commit."""
    changed = 0
    for folder in (CATALOG, *folders):
        for definition in read_folder(folder):
            changed += _install(definition, "catalog" if folder == CATALOG else str(folder))
    return changed


def _install(definition: Definition, source: str) -> bool:
    changed = registry.install(definition, source)
    if changed:
        audit.record("agent.installed", actor="seed", subject=definition.agent_id,
                     details={"version": definition.version, "source": source})  # fmt: skip
    return changed


def first_admin(email: str, password: str, api_key: str) -> list[str]:
    """Make the first admin if need be; answers lines that show, once, what was made up. Does not commit."""
    admin = users.ensure_admin(email, password, api_key)
    lines = [f"First admin: {admin.email}"] if admin.password or admin.api_key else []
    if admin.password:
        lines.append(f"  password:  {admin.password}   (shown once; change it after signing in)")
    if admin.api_key:
        lines.append(f"  API key:   {admin.api_key}   (shown once)")
    return lines


class Wanted(Protocol):
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
    agents(wanted.agent_folders)
    return first_admin(wanted.admin_email, wanted.admin_password, wanted.admin_api_key)
