"""What the settings say of backups, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from app import __version__ as release
from app.ops import embedded
from app.ops.backups.kept import Keep
from app.ops.backups.places import Place
from app.secrets.keys import Key, read
from app.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where from, where to, how often and how long."""

    database_url: str
    place: Place
    home: Path
    on: bool
    """Whether they are made by themselves."""
    embedded: bool
    """Whether the database is the one that `callboard up` runs."""
    at: time
    keep: Keep
    keys: tuple[Key, ...]
    """The first encrypts; all of them open."""
    verify: bool
    before_upgrade: bool
    artifact_store: str
    most_artifact_bytes: int
    release: str = release

    @property
    def scratch(self) -> Path:
        """Where a backup is unpacked and restored for a while, to see whether it can be."""
        return self.home / "scratch"

    def slot(self, now: datetime) -> datetime:
        """The last time at which a daily one was due."""
        today = datetime.combine(now.astimezone(UTC).date(), self.at, UTC)
        return today if today <= now else today - timedelta(days=1)

    def next_at(self, now: datetime) -> datetime | None:
        """When the next daily one is due; None if none is made."""
        return self.slot(now) + timedelta(days=1) if self.on else None


def plan_of(settings: Settings) -> Plan:
    """By the settings; an address of Postgres that is not set is that of the one which runs in the home."""
    here = embedded.url_of(settings.home)
    url = settings.database_url or here
    is_embedded = bool(here) and url == here
    return Plan(
        database_url=url,
        place=Place(settings.backup_url or f"file://{settings.home / 'backups'}"),
        home=settings.home,
        on=settings.backups == "on"
        or (settings.backups == "auto" and (is_embedded or bool(settings.backup_url))),
        embedded=is_embedded,
        at=time.fromisoformat(settings.backup_at),
        keep=Keep(**dict(zip(("daily", "weekly", "monthly"), settings.backup_keep, strict=True))),
        keys=read(settings.backup_key),
        verify=settings.backup_verify,
        before_upgrade=settings.backup_before_upgrade,
        artifact_store=settings.artifact_store,
        most_artifact_bytes=settings.backup_artifacts_mb * 1_000_000,
    )
