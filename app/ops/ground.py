"""Where the embedded servers live: their folders, and the account that may run them.

<home>/        made 0711 for root; the folders above it are never touched
  data/        or a link to /var/lib/callboard-<hash>, when the account cannot enter the home
    postgres/ valkey/     0700, owned by the account
    programs/  copies of the binaries, only where the account cannot enter the virtual environment
  run/         0700: the sockets, unless the path is too long for one
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from app.errors import Unavailable

# A socket's whole path must fit 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET = 100
SYSTEM_DATA = Path("/var/lib")


class Identity(TypedDict, total=False):
    """Arguments of `subprocess` that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """An unprivileged account; Postgres refuses to run as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The folders of one home's servers; `account` None means: as ourselves."""

    home: Path
    data: Path
    sockets: Path
    account: Account | None

    def own_folder(self, path: Path) -> Path:
        """Make `path` (0700) and give it to the account."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        path.chmod(0o700)
        return path


def lay_out(home: Path) -> Ground:
    """Choose the account and make the folders; raises Unavailable with the way out."""
    home = home.resolve()
    _make_home(home)
    account = _choose_account(home / "data" / "postgres")
    data = _data_folder(home, account)
    ground = Ground(home=home, data=data, sockets=_sockets_folder(home, data, account), account=account)
    ground.own_folder(ground.sockets)
    return ground


def sockets_of(home: Path) -> Path | None:
    """Where the servers of `home` listen if they ever ran, None if not; makes and changes nothing."""
    home = home.resolve()
    data = (home / "data").resolve()
    folder = _sockets_place(home, data)
    try:
        trusted = {os.geteuid(), (data / "postgres").stat().st_uid}
        return folder if folder.lstat().st_uid in trusted and not folder.is_symlink() else None
    except OSError:
        return None


def identity(account: Account | None) -> Identity:
    """What `subprocess` needs to run as `account`; nothing for None."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def may_run(account: Account | None, program: Path) -> bool:
    """True when `account` can reach and start `program` (tried with `--version`)."""
    try:
        tried = subprocess.run(
            [program, "--version"], cwd="/", capture_output=True, check=False, timeout=30, **identity(account)
        )
    except PermissionError:
        return False
    return tried.returncode == 0


def digest(path: Path) -> str:
    """Ten characters that stand for `path`, for names outside the home."""
    return hashlib.sha256(str(path).encode()).hexdigest()[:10]


def _make_home(home: Path) -> None:
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        home.chmod(home.stat().st_mode & 0o777 | 0o111)  # the account must pass through, not read


def _choose_account(pgdata: Path) -> Account | None:
    """Nobody in particular for root, or whoever already owns the data; None for everyone else."""
    owner = pgdata.stat().st_uid if pgdata.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            msg = f"{pgdata} belongs to another account: run as that one (or root), or set CALLBOARD_HOME"
            raise Unavailable(msg)
        return None
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError as missing:
        msg = "Postgres does not run as root and there is no account `nobody`: set DATABASE_URL and REDIS_URL"
        raise Unavailable(msg) from missing
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def _data_folder(home: Path, account: Account | None) -> Path:
    """`home/data`, or what it links to when the account cannot enter the home (say, under /root)."""
    data = home / "data"
    if not data.is_symlink() and not (account and not _may_enter(account, home)):
        data.mkdir(mode=0o711, exist_ok=True)
        return data
    if not data.is_symlink():
        if data.exists():
            msg = f"the account that runs Postgres cannot enter {data}: open its parent folders, or move it"
            raise Unavailable(msg)
        data.symlink_to(SYSTEM_DATA / f"callboard-{digest(home)}")
    target = data.readlink()
    target.mkdir(mode=0o711, exist_ok=True)
    return target.resolve()


def _sockets_place(home: Path, data: Path) -> Path:
    folder = home / "run" if data.parent == home else data / "run"
    if len(str(folder / ".s.PGSQL.5432.lock")) <= LONGEST_SOCKET:
        return folder
    return Path(tempfile.gettempdir()) / f"callboard-{digest(home)}"


def _sockets_folder(home: Path, data: Path, account: Account | None) -> Path:
    """Beside the pid files if the account can go there and the name is short enough."""
    short = _sockets_place(home, data)
    if short.parent in (home, data):
        return short
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    # Anybody may write to the temporary folder: trust only a real directory of our own.
    if short.is_symlink() or found.st_uid not in {os.geteuid(), account.uid if account else os.geteuid()}:
        msg = f"{short} belongs to somebody else; set CALLBOARD_HOME to a shorter path"
        raise Unavailable(msg)
    return short


def _may_enter(account: Account, folder: Path) -> bool:
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", folder],
        cwd="/",
        capture_output=True,
        check=False,
        **identity(account),
    )
    return tried.returncode == 0


def remove(ground: Ground) -> None:
    """Delete all folders of `ground`, also those outside the home; for tests and `make clean`."""
    for folder in {ground.sockets, ground.data, ground.home}:
        shutil.rmtree(folder, ignore_errors=True)
