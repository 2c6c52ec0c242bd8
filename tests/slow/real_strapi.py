"""The real Strapi from npm: installed once into a cache, run on a database of its own, without its admin panel."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
from psycopg2 import sql
from sqlalchemy import make_url

from tests.services import execute, free_port, with_database
from tests.slow.npm import CACHE, npm

PROJECT = Path(__file__).parent / "strapi"
"""Its content type is the one that docs/ ask people for."""
NAME = "strapi_of_the_tests"


@dataclass(frozen=True)
class Strapi:
    """The running server and its tokens, made as its admin panel would."""

    url: str
    token: str
    read_only_token: str

    def articles(self, **query: str) -> list[dict[str, Any]]:
        """What is in the collection, published unless the query says else."""
        answer = httpx2.get(
            f"{self.url}/api/articles",
            params={"pagination[pageSize]": "100", "populate": "*", **query},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == httpx2.codes.OK, answer.text
        return list(answer.json()["data"])


def installed() -> Path:
    """The project's folder in the cache, with its packages as the lock file names them."""
    digest = hashlib.sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = CACHE / "strapi" / digest
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    # Its scripts only build what nobody needs here; sharp's binaries are packages.
    words = ("ci", "--ignore-scripts", "--legacy-peer-deps")
    npm(folder, *words, makes=folder / "node_modules" / ".package-lock.json")
    return folder


@contextmanager
def running(database_url: str) -> Iterator[Strapi]:
    """A Strapi with an empty database, which is made on the server of `database_url` and dropped at the end."""
    folder = installed()
    name = sql.Identifier(NAME)
    execute(database_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    execute(database_url, sql.SQL("CREATE DATABASE {}").format(name))
    try:
        with tempfile.TemporaryDirectory(prefix="cb-strapi-") as public:
            (Path(public) / "uploads").mkdir()
            with _process(folder, environ(with_database(database_url, NAME), Path(public))) as strapi:
                yield strapi
    finally:
        execute(database_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def environ(database_url: str, public: Path) -> dict[str, str]:
    """What its configuration reads."""
    where = make_url(database_url)
    given = {
        "PGHOST": where.host or str(where.query["host"]),
        "PGPORT": where.port,
        "PGUSER": where.username,
        "PGPASSWORD": where.password,
        "PGDATABASE": where.database,
    }
    fixed = {"NODE_ENV": "production", "STRAPI_TELEMETRY_DISABLED": "true", "NO_COLOR": "1"}
    rest = {"PORT": str(free_port()), "PUBLIC_FOLDER": str(public)}
    return {**os.environ, **{name: str(value) for name, value in given.items() if value}, **fixed, **rest}


@contextmanager
def _process(folder: Path, environ: dict[str, str]) -> Iterator[Strapi]:
    with (
        (Path(environ["PUBLIC_FOLDER"]) / "strapi.log").open("w+") as log,
        subprocess.Popen(
            ["node", "serve.js"], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield Strapi(f"http://127.0.0.1:{environ['PORT']}", **_tokens(process, log))
        finally:
            process.kill()


def _tokens(process: subprocess.Popen[str], log: IO[str]) -> dict[str, str]:
    """What it prints once it answers; fails with its log if it ends before that."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    log.seek(0)
    raise AssertionError(log.read()[-3000:])
