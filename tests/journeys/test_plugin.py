"""A package of agents, built and installed as its author's users would, runs by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from app.settings import ROOT
from tests.journeys.contract import Contract
from tests.journeys.person import Person
from tests.journeys.product import API_KEY, Product
from tests.waiting import until

PLUGIN = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has what ours has, and the plugin besides."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    interpreter = place / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    for program in ("gunicorn", "dramatiq"):
        shutil.copy(Path(sys.executable).parent / program, interpreter.parent)
    source = place / "plugin"
    shutil.copytree(PLUGIN, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", interpreter, "install", "--no-deps", "--quiet", source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return interpreter


@pytest.fixture(scope="module")
def admin(python: Path) -> Iterator[Person]:
    """The admin of a product that runs in that environment."""
    home = Path(tempfile.mkdtemp(prefix="cb-p-"))
    product = Product(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        product.start()
    contract = Contract(httpx2.get(f"{product.url}/api/openapi.json").json())
    with Person(product.url, API_KEY, contract) as person:
        yield person
    assert product.stop() == 0, product.said.read_text()
    product.said.unlink()
    shutil.rmtree(home)


def test_an_installed_package_brings_an_agent_that_runs(admin: Person) -> None:
    agent = admin.get("/api/v1/agents/greeter")
    assert (agent["source"], agent["team"], agent["agent_name"]) == (
        "plugin:callboard-greeter",
        "EXAMPLES",
        "Greeter",
    )
    until(lambda: admin.get("/api/v1/agents/greeter")["health"]["status"] == "ready", 60)

    job = admin.submit("greeter", agent["example"])
    done = admin.reaches(job, "completed")

    assert done["result"]["count"] == 2
    (file,) = admin.story(job, "artifacts")
    assert admin.call("GET", file["links"]["download"]).content == b"Hello, Ada!\nHello, Grace!"


def test_what_its_function_refuses_is_a_failure_of_the_job(admin: Person) -> None:
    job = admin.submit("greeter", {"names": ["Ada", "Ada"]})

    assert admin.reaches(job, "failed")["error"]["message"] == "A name is there twice."
