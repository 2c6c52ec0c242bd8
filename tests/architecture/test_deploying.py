"""What platforms are told (app.json, railway.toml, Dockerfile, compose.yaml) agrees with the Procfile and the settings."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml
from pydantic import AliasChoices

from app import __version__
from app.ops import procfile
from app.settings import ROOT, Settings

LINES = procfile.read(ROOT / "Procfile")
HEROKU = json.loads((ROOT / "app.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
RAILWAY = {"web": "railway.toml", "worker": ".railway/worker.toml", "scheduler": ".railway/scheduler.toml"}
# What the reference of config-as-code lists (September 2026), and of which type; the platform refuses other types.
RAILWAY_KEYS: dict[str, dict[str, type]] = {
    "build": {"builder": str, "dockerfilePath": str},
    "deploy": {
        "startCommand": str,
        "preDeployCommand": str,
        "healthcheckPath": str,
        "healthcheckTimeout": int,
        "overlapSeconds": int,
        "drainingSeconds": int,
        "restartPolicyType": str,
    },
}
# Names of other programs in the files: the images of Postgres and their like.
NOT_OURS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PATH", "PYTHONUNBUFFERED"}
TOP = {
    # as the product is asked for
    "pyproject.toml", "README.md", "app", "actors", "templates", "static", "migrations", "tests", "Procfile",
    # one command for everything, what changed, whose it is, what is installed, guides and what agents work on
    "Makefile", "CHANGELOG.md", "LICENSE", "requirements.txt", "docs", "examples",
    # Heroku, Railway and Docker look for these at the top and nowhere else
    "app.json", "railway.toml", "Dockerfile", "compose.yaml",
}  # fmt: skip


def test_the_top_level_has_what_is_asked_for_and_what_a_tool_demands() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}

    assert {name for name in top if not name.startswith(".")} == TOP


def _names() -> set[str]:
    """Every variable that the settings read."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names |= (
            set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {str(alias or name.upper())}
        )
    return names


def _environments() -> dict[str, set[str]]:
    """Which variables each file sets."""
    image = re.search(r"^ENV (.*?[^\\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    assert image
    review = HEROKU["environments"]["review"]["env"]
    return {
        "app.json": {*HEROKU["env"], *review},
        "Dockerfile": set(re.findall(r"(\w+)=", image[1])),
        "compose.yaml": {
            name for service in COMPOSE["services"].values() for name in service.get("environment", ())
        },
    }


@pytest.mark.parametrize("file", ["app.json", "Dockerfile", "compose.yaml"])
def test_every_variable_that_is_set_is_a_setting(file: str) -> None:
    assert _environments()[file] - NOT_OURS - _names() == set()


# What the plans of Postgres in app.json allow, as docs/deploying.md says.
CONNECTIONS = {"heroku-postgresql:essential-2": 40, "heroku-postgresql:essential-0": 20}
RELEASE, SCHEDULER = 2, 6


def _on_heroku(**more: str) -> Settings:
    """The settings that app.json makes, with what the platform and a person add."""
    chosen = {name: said["value"] for name, said in HEROKU["env"].items() if "value" in said}
    given = {
        "SECRET_KEY": "0123456789abcdef" * 4,
        "CALLBOARD_ADMIN_PASSWORD": "coffee and oranges",
        "DATABASE_URL": "postgres://u:p@h:5432/d",
        "REDIS_URL": "rediss://:p@h:6380",
    }
    return Settings(**{**chosen, **given, **more})


def test_heroku_runs_the_processes_of_the_procfile_with_settings_that_are_taken() -> None:
    assert set(HEROKU["formation"]) == set(LINES) - {"release"}
    settings = _on_heroku()

    assert settings.database_url.endswith("sslmode=require")
    assert settings.redis_url.endswith("ssl_cert_reqs=none")


def test_herokus_plans_have_connections_for_all_processes_and_a_release() -> None:
    review = HEROKU["environments"]["review"]
    changed = {name: said["value"] for name, said in review["env"].items() if "value" in said}
    for addons, settings in ((HEROKU["addons"], _on_heroku()), (review["addons"], _on_heroku(**changed))):
        pool = settings.db_pool_size
        web = settings.web_processes * (pool + settings.db_max_overflow)
        worker = min(pool, settings.worker_threads + 4) + settings.worker_threads
        assert web + worker + SCHEDULER + RELEASE <= CONNECTIONS[addons[0]["plan"]]


@pytest.mark.parametrize("service", RAILWAY)
def test_railway_runs_the_procfiles_line(service: str) -> None:
    said = tomllib.loads((ROOT / RAILWAY[service]).read_text())
    deploy = said["deploy"]

    assert shlex.split(deploy["startCommand"]) == ["/bin/sh", "-c", LINES[service]]
    assert deploy.get("preDeployCommand") == (LINES["release"] if service == "web" else None)
    assert deploy["drainingSeconds"] > Settings.model_fields["shutdown_grace_seconds"].default + 10
    for part, keys in said.items():
        assert {name: type(value) for name, value in keys.items()}.items() <= RAILWAY_KEYS[part].items()


def test_the_units_of_the_guide_run_the_procfiles_lines() -> None:
    guide = (ROOT / "docs" / "deploying.md").read_text()
    started = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", guide, re.MULTILINE)

    # systemd fills in `${NAME}` itself unless the sign is doubled.
    assert [line.replace("$$", "$") for line in started] == [LINES[n] for n in ("web", "worker", "scheduler")]


def test_the_image_is_the_web_process_unless_told_otherwise() -> None:
    said = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^CMD (.*)$", said, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)", said, re.MULTILINE)

    assert command
    assert json.loads(command[1]) == ["/bin/sh", "-c", LINES["web"]]
    assert [image for image in stages if ":" not in image or image.endswith(":latest")] == []
    assert re.search(r"^USER (?!0|root)\d+:\d+$", said, re.MULTILINE)
    assert not re.search(r"(?i)\b(?:ENV|ARG)\b.*(?:SECRET|PASSWORD|TOKEN|API_KEY)", said)


@pytest.mark.parametrize("service", ["release", "worker", "scheduler"])
def test_compose_runs_the_procfiles_line(service: str) -> None:
    words = [word.replace("$$", "$") for word in COMPOSE["services"][service]["command"]]

    assert words == ["/bin/sh", "-c", LINES[service]]


def test_compose_waits_for_what_is_needed_and_keeps_what_must_stay() -> None:
    services, release = COMPOSE["services"], COMPOSE["services"]["release"]
    for name in ("web", "worker", "scheduler"):
        assert services[name]["depends_on"]["release"] == {"condition": "service_completed_successfully"}
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= 30
    assert release["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert "noeviction" in services["redis"]["command"]
    assert services["web"]["image"].endswith(f":{__version__}")
    assert set(COMPOSE["volumes"]) == {
        volume.partition(":")[0] for service in services.values() for volume in service["volumes"]
    }


def test_the_image_gets_what_it_copies_and_nothing_else_of_the_folder() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    wanted = {name for names in copied for name in names.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == wanted
    assert [name for name in wanted if not (ROOT / name).exists()] == []


def test_one_place_says_the_version_and_the_others_repeat_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert project["version"] == newest[1] == __version__


def _locked(file: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def _wanted() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by lock file."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())
    product = list(said["project"]["dependencies"])
    return {"requirements.txt": product, "tests/requirements.txt": product + said["dependency-groups"]["dev"]}


@pytest.mark.parametrize("file", ["requirements.txt", "tests/requirements.txt"])
def test_the_lock_has_all_that_the_project_asks_for_in_versions_it_allows(file: str) -> None:
    from packaging.requirements import Requirement

    locked = _locked(file)
    drifted = []
    for text in _wanted()[file]:
        asked = Requirement(text)
        version = locked.get(re.sub(r"[-_.]+", "-", asked.name).lower())
        if version is None or not asked.specifier.contains(version, prereleases=True):
            drifted.append(f"{text}: locked is {version}")
    assert drifted == []


def test_every_locked_package_was_asked_for_and_has_hashes() -> None:
    for file, asked in _wanted().items():
        text = (ROOT / file).read_text()
        direct = set(
            re.findall(
                r"^([\w.-]+)==(?:(?!^\S).)*?# via(?:(?!^\S).)*?callboard", text, re.MULTILINE | re.DOTALL
            )
        )
        named = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", each)[0]).lower() for each in asked}
        extra = {re.sub(r"[-_.]+", "-", name).lower() for name in direct} - named
        assert extra == set(), f"{file} has what pyproject.toml no longer asks for"
        assert text.count("--hash=sha256:") >= len(_locked(file))


def test_both_locks_agree() -> None:
    product, tests = _locked("requirements.txt"), _locked("tests/requirements.txt")

    assert {name: tests.get(name) for name in product} == product
