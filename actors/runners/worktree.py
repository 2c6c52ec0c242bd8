"""Where a CLI agent works: a folder per job, kept between its attempts on this machine, removed at its end.

    FOLDER/JOB.lock      held while an attempt works here
    FOLDER/JOB/home      what the CLI keeps itself: sessions, settings
    FOLDER/JOB/work      its current folder: empty at first, or a git worktree
    FOLDER/JOB/mirror.git   the private copy of the repository that the worktree belongs to

A repository is copied before anything else, so that an agent, which may do in its worktree whatever git allows,
cannot touch the original.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import psutil

from actors.builtin.copies import copy_tree
from actors.builtin.places import READ, readable, refuse, roots
from actors.builtin.repositories import Repository, is_history, mirror
from actors.runners.base import JSON, Context, Work
from actors.runners.collect import read_inside
from app.errors import Cancelled, JobError, PermanentError, StoppedByBudget, TemporaryError

LOCK_SECONDS = 30.0
FORGET_SECONDS = 3 * 86_400.0
SETTLE_SECONDS = 120.0
MAX_FILES = 50
MAX_BYTES = 50_000_000
MAX_PATCH_BYTES = 5_000_000
MAX_LISTED = 500
MAX_ENTRIES = 20_000
MAX_COPIED_BYTES = 500_000_000
MAX_COPIED_FILE_BYTES = 50_000_000
PASSING = {
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
}


@dataclass(kw_only=True)
class Place:
    """The folders of one job while an attempt works in them."""

    folder: Path
    job_id: str
    """Who worked here first; a job that goes on with a stopped one does so in the same place."""
    context: Context = field(repr=False)
    commit: str | None = None
    """Where the worktree began; None for a folder that was empty."""
    found: bool = False
    """An earlier attempt of the job worked here."""
    over: bool = False
    """No later attempt will want it."""

    @property
    def home(self) -> Path:
        """For what the CLI keeps itself."""
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """The CLI's current folder."""
        return self.folder / "work"

    @property
    def transcript(self) -> Path:
        """Everything the CLI said, in all attempts on this machine."""
        return self.folder / "transcript.jsonl"

    def keep_changes(self) -> list[str]:
        """Keep what was changed as artifacts; answers the paths. What cannot be kept is told in the log."""
        try:
            paths = self._changed_in_git() if self.commit else sorted(_files(self.work))
        except (JobError, OSError) as error:
            self._warn(f"What was changed could not be found out: {error}")
            return []
        self._keep_files(paths)
        if len(paths) > MAX_LISTED:
            self._warn(f"{len(paths)} files were changed; {MAX_LISTED} are listed.")
        return paths[:MAX_LISTED]

    def _keep_files(self, paths: list[str]) -> None:
        kept = total = 0
        for path in paths:
            content = read_inside(self.work, path)
            if content is None:
                continue  # deleted, a link, or too large
            total += len(content)
            if kept == MAX_FILES or total > MAX_BYTES:
                self._warn(
                    f"{kept} files of {len(paths)} were kept; the patch and the list tell of the rest."
                )
                return
            try:
                self.context.artifact(path, content)
            except PermanentError as error:
                self._warn(f"{path} was not kept: {error.message}")
            kept += 1

    def _changed_in_git(self) -> list[str]:
        """The paths that differ from the first commit, whatever the agent committed since; keeps the patch.

        Git looks from a fresh repository of ours: the agent may have written programs into the worktree's
        configuration that git would start.
        """
        fresh = Repository(git_dir=self.folder / "changes.git", context=self._settling())
        shutil.rmtree(fresh.git_dir, ignore_errors=True)
        fresh.git("init", "--quiet", "--template=")
        alternates = fresh.git_dir / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        alternates.write_text(f"{self.folder / 'mirror.git' / 'objects'}\n", encoding="utf-8")
        base = str(self.commit)
        fresh.git("read-tree", base, work_tree=self.work)
        fresh.git("add", "--all", ".", work_tree=self.work)
        options = ("--cached", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        patch = fresh.git("-c", "core.quotePath=false", "diff", *options, base, work_tree=self.work).encode()
        if patch:
            self._keep_patch(patch)
        names = fresh.git("diff", *options, "--name-only", "-z", base, work_tree=self.work)
        return [name for name in names.split("\0") if name]

    def _keep_patch(self, patch: bytes) -> None:
        if len(patch) > MAX_PATCH_BYTES:
            self._warn(f"The patch has {len(patch)} bytes; the first {MAX_PATCH_BYTES} are kept.")
        try:
            self.context.artifact("changes.patch", patch[:MAX_PATCH_BYTES], "text/x-diff")
        except PermanentError as error:
            self._warn(f"The patch was not kept: {error.message}")

    def _settling(self) -> Context:
        return cast("Context", Elsewhere(self.context, self.folder, stoppable=False))

    def _warn(self, message: str) -> None:
        self.context.log(message, level="warning", source="runner")


class Elsewhere:
    """A context whose workspace is another folder; what runs there at the end of a stopped job is not stopped."""

    def __init__(self, context: Context, workspace: Path, *, stoppable: bool) -> None:
        """Pass everything else on to `context`."""
        self.context, self.workspace, self.stoppable = context, workspace, stoppable
        self.until = time.monotonic() + SETTLE_SECONDS

    def checkpoint_due(self) -> None:
        """As the context has it, or never."""
        if self.stoppable:
            self.context.checkpoint_due()

    @property
    def remaining_seconds(self) -> float:
        """As the context has it, or a short time."""
        return self.context.remaining_seconds if self.stoppable else self.until - time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)


@contextmanager
def opened(work: Work, context: Context) -> Iterator[Place]:
    """The place of a job, all to this attempt; removed at the end unless a later attempt may go on in it."""
    base = base_folder(work)
    forget_old(base)
    name = _whose(work, context)
    with _lock(base / f"{name}.lock", context):
        place = _prepared(base / name, work, context)
        try:
            yield place
        except Exception as error:
            # with a larger budget somebody may have it go on from here
            place.over = is_end(error) and not isinstance(error, StoppedByBudget)
            raise
        finally:
            if place.over:
                shutil.rmtree(place.folder, ignore_errors=True)


def forget(work: Work, context: Context) -> None:
    """Remove the place of a job that ends without another attempt in it."""
    base = base_folder(work)
    name = _whose(work, context)
    with _lock(base / f"{name}.lock", context):
        shutil.rmtree(base / name, ignore_errors=True)


def _whose(work: Work, context: Context) -> str:
    """The job whose place it is: our own, or that of the stopped one that this one goes on with."""
    kept = context.checkpoint().get("cli")
    name = kept.get("place") if isinstance(kept, dict) else None
    return name if isinstance(name, str) and _is_jobs(name) else work.job_id


def base_folder(work: Work) -> Path:
    """Where all jobs' places are: `config.folder`, else one of ours among the temporary files."""
    given = work.config.get("folder")
    base = Path(given) if given else Path(tempfile.gettempdir()) / f"callboard-cli-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = base.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise PermanentError(f"{base} belongs to somebody else; remove it or set another temporary folder.")
    return base


def forget_old(base: Path) -> None:
    """Remove places that nobody has come back to for days: their jobs went on elsewhere, or ended there."""
    for lock in base.glob("*.lock"):
        if not _is_jobs(lock.stem):  # a folder of one's own may hold other locks
            continue
        with suppress(OSError), lock.open("rb") as held:
            if time.time() - lock.stat().st_mtime > FORGET_SECONDS:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()


def _is_jobs(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


@contextmanager
def _lock(path: Path, context: Context) -> Iterator[None]:
    """Have the place alone: an attempt that lost its lease may still be ending here."""
    until = time.monotonic() + LOCK_SECONDS
    with path.open("ab") as held:
        while not _locked(held):
            context.checkpoint_due()
            if time.monotonic() > until:
                raise TemporaryError("An earlier attempt of this job is still ending on this machine.")
            time.sleep(0.1)
        os.utime(path)
        yield


def _locked(held: IO[bytes]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepared(folder: Path, work: Work, context: Context) -> Place:
    """The place as an earlier attempt left it, or a new one."""
    place = Place(folder=folder, job_id=folder.name, context=context)
    ready = folder / "ready.json"
    if folder.exists():
        for job_id in {work.job_id, place.job_id}:
            end_stragglers(job_id)
    try:
        place.commit = json.loads(ready.read_text(encoding="utf-8"))["commit"]
        place.found = True
    except (OSError, ValueError, KeyError):
        shutil.rmtree(folder, ignore_errors=True)
        place.home.mkdir(mode=0o700, parents=True)
        place.commit = _filled(place, work)
        ready.write_text(json.dumps({"commit": place.commit}), encoding="utf-8")
    return place


def _filled(place: Place, work: Work) -> str | None:
    """Make the work folder: with a repository's files if the job names one. Answers its commit."""
    parameter = str(work.config.get("repository_parameter") or "repository")
    if work.config.get("workspace", "scratch") == "scratch" or not work.parameters.get(parameter):
        place.work.mkdir(mode=0o700)
        return None
    origin = readable(work, parameter)
    making = cast("Context", Elsewhere(place.context, place.folder, stoppable=True))
    if origin.is_dir() and not is_history(origin):
        return _filled_plainly(place, origin, making, parameter)
    repository = mirror(origin, making, parameter=parameter, allowed=roots(work, READ))
    ref = str(work.parameters.get("ref") or "HEAD")
    commit = repository.commit(ref, parameter="ref" if work.parameters.get("ref") else parameter)
    repository.git("worktree", "add", "--quiet", "--detach", str(place.work), commit)
    return commit


def _filled_plainly(place: Place, origin: Path, making: Context, parameter: str) -> str:
    """A folder without a history gets one, of a single commit, so that changes can be told from what was there."""
    copy, left_out, total = place.folder / "copy", Counter[str](), 0
    skip = frozenset(PASSING)
    for _, size in copy_tree(origin, copy, left_out, skip=skip, max_file_bytes=MAX_COPIED_FILE_BYTES):
        total += size
        if total > MAX_COPIED_BYTES:
            refuse(
                parameter,
                f"`{origin.name}` has more than {MAX_COPIED_BYTES // 1_000_000} MB; give a part of it.",
            )
        making.checkpoint_due()
    for what, count in left_out.items():
        making.log(f"Left out: {count} {what}", level="warning", source="runner")
    repository = Repository(git_dir=place.folder / "mirror.git", context=making)
    repository.git("init", "--quiet", "--bare", "--template=")
    repository.git("add", "--all", "--force", ".", work_tree=copy)
    tree = repository.git("write-tree").strip()
    people = ("-c", "user.name=Callboard", "-c", "user.email=callboard@localhost")
    commit = repository.git(*people, "commit-tree", "-m", "As it was", tree).strip()
    shutil.rmtree(copy)
    repository.git("worktree", "add", "--quiet", "--detach", str(place.work), commit)
    return commit


def end_stragglers(job_id: str) -> None:
    """Kill whatever an earlier attempt of the job still runs: its warden does that, unless it was killed too."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CALLBOARD_JOB_ID") == job_id and process.pid != os.getpid():
                process.kill()


def is_end(error: BaseException) -> bool:
    """Whether the job ends with this error, as far as its own retries go."""
    return isinstance(error, Cancelled) or (isinstance(error, JobError) and not error.retryable)


def _files(folder: Path) -> list[str]:
    """The files below `folder`, without those that tools make and nobody wants."""
    found: list[str] = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in PASSING]
        found += [str((Path(where) / name).relative_to(folder)) for name in names]
        if len(found) > MAX_ENTRIES:
            break
    return found[:MAX_ENTRIES]


def check(config: JSON) -> None:
    """Raise PermanentError for a kind of workspace that there is not."""
    if config.get("workspace", "scratch") not in {"scratch", "worktree"}:
        raise PermanentError("`cli.workspace` must be `scratch` or `worktree`.")
