"""The image: linted, built where there is an engine, and otherwise what it copies is run as it would run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from app.ops import procfile
from app.ops.instance import answers_health
from app.settings import ROOT
from tests.services import free_port, pair
from tests.slow.linters import heroku_schema, lint
from tests.waiting import until

ENGINES = ("docker", "podman", "buildah")
DOCKERFILE = ROOT / "Dockerfile"


def test_the_linters_find_nothing() -> None:
    assert lint("hadolint", DOCKERFILE) == ""
    assert lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml") == ""
    assert lint("check-jsonschema", "--schemafile", heroku_schema(), "app.json") == ""


def test_the_linters_do_find_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN sudo pip install flask\n")
    (tmp_path / "compose.yaml").write_text("services: {web: {imag: x}}\n")
    (tmp_path / "app.json").write_text(json.dumps({"addons": [{"as": "DATABASE"}]}))

    assert "DL3006" in lint("hadolint", tmp_path / "Dockerfile")
    assert "imag" in lint(
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml"
    )
    assert "addons" in lint("check-jsonschema", "--schemafile", heroku_schema(), tmp_path / "app.json")


def engine() -> str | None:
    """A program that can build images here: one whose server answers."""
    for name in filter(shutil.which, ENGINES):
        if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """What the last stage copies out of the project, laid out as there."""
    place = tmp_path / "srv"
    place.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "screenshots")
    for names in re.findall(
        r"^COPY (?!--from)(?!requirements)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE
    ):
        for name in names.split():
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, place / name, ignore=ignored)
            else:
                shutil.copy(source, place / name)
    return place


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the image and compose.yaml set, over servers of this test."""
    with pair() as servers:
        yield {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "CALLBOARD_HOME": str(tmp_path / "data"),
            "CALLBOARD_HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "WEB_CONCURRENCY": "1",
            "DATABASE_URL": servers.postgres.url.replace("postgresql+psycopg2", "postgres"),
            "REDIS_URL": servers.redis.url,
            "SECRET_KEY": "0123456789abcdef" * 4,
            "CALLBOARD_ADMIN_PASSWORD": "coffee and oranges",
        }


def test_it_is_built_and_what_it_holds_works(copied: Path, environ: dict[str, str], tmp_path: Path) -> None:
    program = engine()
    if program:
        words = ["build", "--no-cache", "--tag", "callboard-test", "--file", DOCKERFILE, ROOT]
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    # Without an engine the copied files alone must do: no tests, no Makefile, no lock beside them.
    lines = procfile.read(copied / "Procfile")
    (tmp_path / "data").mkdir()
    release = subprocess.run(
        procfile.command(lines["release"], environ),
        cwd=copied,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert release.returncode == 0, release.stdout + release.stderr
    processes = {
        role: subprocess.Popen(procfile.command(lines[role], environ), cwd=copied, env=environ)
        for role in ("web", "worker", "scheduler")
    }
    try:
        port = int(environ["PORT"])
        until(lambda: answers_health("127.0.0.1", port), 180)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            until(lambda: http.get("/api/health").json()["status"] == "healthy", 30)
            for page in ("/sign-in", "/docs", "/docs/deploying", "/api/openapi.json"):
                assert http.get(page).status_code == 200, page
        assert {role for role, process in processes.items() if process.poll() is not None} == set()
        check = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
        assert check
        _, *words = json.loads(check[1])
        assert subprocess.run([sys.executable, *words], env=environ, check=False).returncode == 0
    finally:
        for process in processes.values():
            process.terminate()
        codes = {role: process.wait(30) for role, process in processes.items()}
    assert codes == {"web": 0, "worker": 0, "scheduler": 0}
