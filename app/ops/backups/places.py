"""Where backups lie: a folder of this machine, or a bucket behind fsspec. What is half written never looks finished.

In a folder a file is written as `.part-NAME`, reaches the disk, and gets its name at once. An object store shows
nothing before an upload is complete, and what failed is given up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from app.audit.export import shown
from app.errors import Unavailable
from app.ops.processes import reach_the_disk

PART = ".part-"
ROOM = 64 << 20
"""So much must stay free beside a backup: a full disk stops Postgres, too."""


@dataclass(frozen=True)
class Place:
    """A folder by its URL (`file:///…`, `s3://bucket/…`) or its path."""

    url: str

    @property
    def shown(self) -> str:
        """Without credentials."""
        return shown(self.url)

    @property
    def local(self) -> Path | None:
        """The folder, if it is one of this machine."""
        parts = urlsplit(self.url)
        return Path(parts.path) if parts.scheme in ("", "file", "local") else None

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file of that name, which is there as a whole when the block ends well, and not at all otherwise."""
        with _plainly(self):
            yield from self._into_folder(self.local, name) if self.local else self._into_store(name)

    def _into_folder(self, folder: Path, name: str) -> Iterator[IO[bytes]]:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f"{PART}{name}"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / name)
            reach_the_disk(folder)
        finally:
            with suppress(OSError):
                part.unlink()

    def _into_store(self, name: str) -> Iterator[IO[bytes]]:
        filesystem, base = self._filesystem()
        filesystem.makedirs(base, exist_ok=True)
        file = filesystem.open(f"{base}/{name}", "wb", block_size=8 << 20)
        try:
            yield file
        except BaseException:
            file.discard() if hasattr(file, "discard") else None
            file.closed = True  # its own close would finish the upload
            raise
        file.close()

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """A file of that name; raises Unavailable if it is not there."""
        with _plainly(self):
            filesystem, base = self._filesystem()
            with filesystem.open(f"{base}/{name}", "rb") as file:
                yield file

    def names(self) -> dict[str, int]:
        """The finished files with their sizes; none if the folder is not there yet."""
        with _plainly(self):
            filesystem, base = self._filesystem()
            try:
                rows = filesystem.ls(base, detail=True)
            except FileNotFoundError:
                return {}
        found = {row["name"].rsplit("/", 1)[-1]: row["size"] or 0 for row in rows if row["type"] == "file"}
        return {name: size for name, size in sorted(found.items()) if not name.startswith(".")}

    def remove(self, name: str) -> None:
        """Delete a file, and what is half written of it; silent if there is none."""
        with _plainly(self):
            filesystem, base = self._filesystem()
            for each in (name, f"{PART}{name}"):
                with suppress(FileNotFoundError):
                    filesystem.rm_file(f"{base}/{each}")

    def demand_room(self, size: int) -> None:
        """Raise Unavailable unless a folder has room for so much and a little more."""
        if self.local is None:
            return
        with _plainly(self):
            self.local.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self.local).free
        if free < size + ROOM:
            raise Unavailable(
                f"{free / 1e6:,.0f} MB are free at {self.shown}, and the backup may need {(size + ROOM) / 1e6:,.0f} MB"
            )

    def _filesystem(self) -> tuple[Any, str]:
        import fsspec  # loaded where a backup is looked at, which is seldom

        filesystem, base = fsspec.core.url_to_fs(self.url)
        filesystem.invalidate_cache()
        return filesystem, base.rstrip("/")


@contextmanager
def _plainly(place: Place) -> Iterator[None]:
    """What the disk or the library behind fsspec says, as one sentence without credentials."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise Unavailable(f"{place.shown}: {_why(error, place)}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("botocore", "s3fs", "aiobotocore", "gcsfs", "adlfs"):
            raise
        raise Unavailable(f"{place.shown}: {_why(error, place)}") from error


def _why(error: Exception, place: Place) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
    return said.replace(place.url, place.shown).splitlines()[0][:200]
