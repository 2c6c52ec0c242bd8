"""A backup's files brought here, decrypted and found whole, before anything is done with them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import Invalid, NotFound
from app.ops.backups import sealed
from app.ops.backups.dumping import manifest_of
from app.ops.backups.places import Place
from app.ops.backups.programs import Programs
from app.ops.backups.sealed import Damaged
from app.secrets.keys import Key

SEALED = ".sealed"
ENDINGS = (".dump", ".dump.sealed")
PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Found:
    """One backup as it lies in its place."""

    place: Place
    file: str
    manifest: dict[str, Any] | None
    """None: somebody brought only the dump; then nothing can be compared after a restore."""

    @property
    def name(self) -> str:
        """What its files are called, without their endings."""
        return stem(self.file)


def stem(file: str) -> str:
    """What all files of a backup begin with, by the name of its dump."""
    return file.removesuffix(SEALED).removesuffix(".dump")


def named(reference: str, place: Place) -> Found:
    """By a path, an id (or its end), a file's name, or `latest`; raises NotFound, Invalid."""
    path = Path(reference).expanduser()
    if path.is_file():
        return in_place(Place(f"file://{path.resolve().parent}"), path.name)
    dumps = [name for name in place.names() if name.endswith(ENDINGS)]
    if reference == "latest":
        for name in sorted(dumps, reverse=True):
            found = in_place(place, name)
            if (found.manifest or {}).get("kind") != "before_restore":
                return found
    fit = [name for name in dumps if reference == name or stem(name).rpartition("-")[2] == reference[-8:]]
    if len(fit) != 1:
        raise NotFound(
            f"there is no backup {reference!r} in {place.shown}; `callboard backup list` shows them"
        )
    return in_place(place, fit[0])


def in_place(place: Place, file: str) -> Found:
    """A dump by its name."""
    if not file.endswith(ENDINGS):
        raise Invalid(f"{file} is no backup: their names end in .dump or .dump.sealed")
    return Found(place=place, file=file, manifest=manifest_of(place, stem(file)))


def fetch(found: Found, folder: Path, keys: Sequence[Key]) -> tuple[Path, dict[str, Any] | None]:
    """The plain dump in `folder`, and what is told of it; raises Damaged, WrongKey, Unavailable.

    What an encrypted file says of itself is proved by the key; the JSON beside it is not.
    """
    about = found.manifest
    wanted = about["dump"]["sha256"] if about and about["dump"]["name"] == found.file else None
    dump, inside = _fetched(found.place, found.file, folder / "dump", keys, wanted)
    return dump, inside or about


def fetch_artifacts(found: Found, folder: Path, keys: Sequence[Key]) -> Path | None:
    """The tar of artifacts in `folder`; None if there is none."""
    facts = (found.manifest or {}).get("artifacts")
    names = found.place.names()
    there = next(
        (n for n in (f"{found.name}.artifacts.tar", f"{found.name}.artifacts.tar.sealed") if n in names), None
    )
    if there is None:
        if facts:
            raise Damaged(f"{facts['name']} belongs to this backup and is not there")
        return None
    wanted = facts["sha256"] if facts and facts["name"] == there else None
    return _fetched(found.place, there, folder / "artifacts.tar", keys, wanted)[0]


def _fetched(
    place: Place, name: str, to: Path, keys: Sequence[Key], wanted: str | None
) -> tuple[Path, dict[str, Any] | None]:
    with place.reading(name) as source:
        if wanted and _hash(source) != wanted:
            raise Damaged(f"{name} is not what was written: its SHA-256 differs; nothing was restored")
        source.seek(0)
        with to.open("wb") as target:
            if not name.endswith(SEALED):
                sealed.poured(iter(lambda: source.read(PIECE), b""), target)
                return to, None
            about: dict[str, Any] = sealed.header(source)["about"]
            source.seek(0)
            sealed.poured(sealed.opened(source, keys), target)
    return to, about


def _hash(source: Any) -> str:
    found = hashlib.sha256()
    while piece := source.read(PIECE):
        found.update(piece)
    return found.hexdigest()


def revision_of(dump: Path, found: Programs) -> str:
    """The schema's revision that stands in a dump, whatever is told of it; raises Damaged if it is no dump of ours."""
    argv = [found.path("pg_restore"), "--data-only", "--table=alembic_version", "--file=-", str(dump)]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    )
    lines = done.stdout.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("COPY public.alembic_version")), None)
    if done.returncode or start is None or start + 1 >= len(lines):
        why = done.stderr.strip().splitlines()
        raise Damaged(
            f"{dump.name} cannot be read as a backup of Callboard{': ' + why[-1][:200] if why else ''}"
        )
    return lines[start + 1].strip()
