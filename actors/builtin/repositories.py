"""Read git histories without trusting them: always from a private mirror, never in the user's folder.

A checkout's own configuration can name programs that git would start (filters, diff drivers, hooks, remotes
of partial clones). So only its objects and refs are copied, and git runs with a configuration of ours.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from actors.builtin import commands
from actors.builtin.copies import copy_tree
from actors.builtin.places import refuse
from actors.runners.base import Context
from app.errors import PermanentError

HISTORY = ("objects", "refs", "packed-refs", "HEAD", "shallow")
MAX_BYTES = 1_000_000_000
BUNDLE_MARKS = (b"# v2 git bundle", b"# v3 git bundle")
REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+~^-]{0,199}")

CONFIGURATION = """\
[safe]
    directory = *
[core]
    symlinks = false
    hooksPath = /dev/null
    fsmonitor = false
[gc]
    auto = 0
[advice]
    detachedHead = false
"""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A private mirror of a history; every branch, remote branch and tag of the original is in it."""

    git_dir: Path
    context: Context = field(repr=False)

    def git(self, *arguments: str, work_tree: Path | None = None) -> str:
        """Run a git command on the mirror and answer its output; raises PermanentError if it fails."""
        where = [f"--git-dir={self.git_dir}"] + ([f"--work-tree={work_tree}"] if work_tree else [])
        return _git(self.context, *where, *arguments)

    def commit(self, ref: str, *, parameter: str) -> str:
        """The full id of the commit that `ref` names; refuses `parameter` if there is none."""
        if not REF.fullmatch(ref):
            refuse(parameter, f"`{ref}` is no name of a commit, tag or branch.")
        try:
            named = f"{ref}^{{commit}}"
            return self.git("rev-parse", "--verify", "--quiet", "--end-of-options", named).strip()
        except PermanentError:
            return refuse(
                parameter, f"There is no commit, tag or branch `{ref}` in this history.{self._known()}"
            )

    def check_out(self, commit: str, folder: Path) -> Path:
        """Write the files of `commit` into `folder`; links become small text files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.git("read-tree", commit, work_tree=folder)
        self.git("checkout-index", "--all", "--force", work_tree=folder)
        return folder

    def changed_lines(self, base: str, folder: Path) -> dict[str, set[int]]:
        """Which lines of the files in `folder` are new or different since the commit `base`.

        The index is the mirror's, so files that were never committed count too.
        """
        self.git("read-tree", base, work_tree=folder)
        self.git("add", "--all", "--force", ".", work_tree=folder)
        options = ("--cached", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        return added_lines(self.git("-c", "core.quotePath=false", "diff", *options, base, work_tree=folder))

    def _known(self) -> str:
        form = "--format=%(refname:short)"
        tags = self.git("for-each-ref", "--count=5", "--sort=-creatordate", form, "refs/tags")
        return f" Its latest tags: {', '.join(tags.split())}." if tags.strip() else ""


def is_history(place: Path) -> bool:
    """Whether `place` is the top folder of a git checkout, or a git bundle."""
    if place.is_dir():
        return (place / ".git").exists()
    with place.open("rb") as file:
        return file.read(15) in BUNDLE_MARKS


def mirror(place: Path, context: Context, *, parameter: str, allowed: list[Path]) -> Repository:
    """Copy the history of the checkout or bundle at `place` into the workspace."""
    if not is_history(place):
        refuse(parameter, f"`{place.name}` is neither the top folder of a git checkout nor a git bundle.")
    if place.is_dir():
        _check_borders(place / ".git", allowed, parameter)
    git_dir = context.workspace / "mirror.git"
    try:
        _git(context, "init", "--quiet", "--bare", "--template=", "--", str(git_dir))
        if place.is_dir():
            _copy_history(place / ".git", git_dir, context, parameter)
        else:
            _unpack(place, git_dir, context)
        repository = Repository(git_dir=git_dir, context=context)
        commits = repository.git("rev-list", "--max-count=1", "--all").strip()
    except PermanentError as error:
        if error.user_error:
            raise
        refuse(parameter, f"git cannot read the history in `{place.name}`. {error.message[-400:]}")
    if not commits:
        refuse(parameter, f"The history in `{place.name}` has no commits yet.")
    return repository


def _copy_history(git: Path, git_dir: Path, context: Context, parameter: str) -> None:
    total = 0
    left_out: Counter[str] = Counter()
    for name in HISTORY:
        into = git_dir / name if (git / name).is_dir() else git_dir
        if not (git / name).exists():
            continue
        for number, (_, size) in enumerate(copy_tree(git / name, into, left_out, max_file_bytes=MAX_BYTES)):
            total += size
            if total > MAX_BYTES:
                limit = f"{MAX_BYTES // 1_000_000} MB"
                refuse(parameter, f"The history is larger than {limit}; give a `git bundle` of a part.")
            if number % 200 == 0:
                context.checkpoint_due()


def _unpack(bundle: Path, git_dir: Path, context: Context) -> None:
    """All refs of the bundle, and its HEAD; a bundle without one gets its first branch."""
    within = f"--git-dir={git_dir}"
    _git(context, within, "fetch", "--quiet", "--no-write-fetch-head", "--", str(bundle), "+refs/*:refs/*")
    listed = _git(context, "bundle", "list-heads", str(bundle)).splitlines()
    heads = [line.split(" ", 1) for line in listed]
    head = next((commit for commit, name in heads if name == "HEAD"), heads[0][0])
    _git(context, within, "update-ref", "--no-deref", "HEAD", head)


def added_lines(diff: str) -> dict[str, set[int]]:
    """Line numbers on the new side of a `--unified=0` diff, by path."""
    lines: dict[str, set[int]] = {}
    current: set[int] = set()
    for line in diff.splitlines():
        if line.startswith("+++ "):
            name = line[4:].strip().strip('"').removeprefix("b/")
            current = set() if name == "/dev/null" else lines.setdefault(name, set())
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            current.update(range(start, start + count))
    return lines


def _check_borders(git: Path, allowed: list[Path], parameter: str) -> None:
    """Refuse checkouts whose history lies elsewhere: it could be outside the folders agents may read."""
    if git.is_symlink() or not git.is_dir():
        _elsewhere(parameter)
    elsewhere = (git / "commondir", git / "objects" / "info" / "alternates")
    linked = (git / "objects", git / "refs", git / "packed-refs", git / "HEAD", git / "objects" / "pack")
    if any(path.exists() for path in elsewhere) or any(path.is_symlink() for path in linked):
        _elsewhere(parameter)
    if not any(git.resolve().is_relative_to(root) for root in allowed):
        _elsewhere(parameter)


def _elsewhere(parameter: str) -> NoReturn:
    refuse(
        parameter,
        "The history of this checkout is kept outside its own `.git` folder (a worktree, a submodule or a "
        "shared clone). Give the main checkout, or a `git bundle`.",
    )


def _git(context: Context, *arguments: str) -> str:
    workspace = context.workspace
    configuration = workspace / ".gitconfig"
    if not configuration.exists():
        configuration.write_text(CONFIGURATION, encoding="utf-8")
    env = commands.environment(
        workspace,
        GIT_CONFIG_GLOBAL=str(configuration),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_ALLOW_PROTOCOL="file",
        GIT_LFS_SKIP_SMUDGE="1",
        GIT_NO_LAZY_FETCH="1",
    )
    done = commands.run([commands.program("git"), *arguments], context, tool="git", env=env)
    return done.stdout.decode("utf-8", errors="replace")
