"""The demo model for real: SmolLM2 in this process streams, counts, keeps to a schema, and can be stopped.

The first test run on a machine fetches 130 MB, by the command that people use.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import invalidate_caches
from pathlib import Path

import pytest

from actors.models import local_demo
from actors.runners.base import JSON, ProviderSpec
from app.errors import Cancelled
from tests.actors.models.asking import EveryFigure, ask, asked_aside
from tests.actors.models.desk import spec_of
from tests.waiting import until

BY_NAME = [local_demo.PROVIDER_ID]


@pytest.fixture(scope="module")
def demo() -> ProviderSpec:
    if local_demo.missing():
        subprocess.run([sys.executable, "-m", "app", "models", "install-demo"], check=True)
        invalidate_caches()
    assert local_demo.missing() is None
    return spec_of(
        "http://nobody",
        local_demo.PROVIDER_ID,
        title="Local demo model",
        model=local_demo.MODEL,
        billing="local",
        demo=True,
    )


@pytest.fixture
def context(tmp_path: Path) -> EveryFigure:
    return EveryFigure(workspace=tmp_path)


def test_it_streams_and_counts_and_is_marked(context: EveryFigure, demo: ProviderSpec) -> None:
    result = ask(
        context,
        demo,
        providers=BY_NAME,
        parameters={"task": "Write ten sentences about the sea."},
        max_output_tokens=200,
    )

    assert len(result["result"].split()) > 20
    assert (result["demo"], result["provider"]) == (True, "local-demo")
    assert result["model_used"] == "Local demo model - smollm2-135m-instruct (demo model)"
    assert len(context.steps) >= 2
    *early, last = context.figures
    assert early
    assert all(figure.output_tokens <= last.output_tokens for figure in early)
    assert 20 < last.output_tokens <= 200
    assert (last.billing, last.final, context.desk.verdicts) == ("local", True, [("local-demo", "ok")])
    assert "demo model" in context.events[0]["message"]


def test_it_keeps_to_a_schema(context: EveryFigure, demo: ProviderSpec) -> None:
    schema: JSON = {
        "type": "object",
        "required": ["mood", "stars"],
        "additionalProperties": False,
        "properties": {
            "mood": {"enum": ["good", "bad"]},
            "stars": {"type": "integer", "minimum": 0, "maximum": 5},
        },
    }
    task = "Rate this review: the food was wonderful and the people kind."
    result = ask(context, demo, providers=BY_NAME, parameters={"task": task}, output_schema=schema)

    assert result["mood"] in ("good", "bad")
    assert 0 <= result["stars"] <= 5


def test_it_can_be_stopped_in_the_middle_and_asked_again(context: EveryFigure, demo: ProviderSpec) -> None:
    """A schema makes the answer long: by itself a small model stops when it likes."""
    coins = {"type": "array", "minItems": 400, "items": {"type": "boolean"}}
    schema: JSON = {"type": "object", "required": ["coins"], "properties": {"coins": coins}}
    wishes = {"output_schema": schema, "max_output_tokens": 3000}
    with asked_aside(
        context, demo, providers=BY_NAME, parameters={"task": "Toss coins."}, **wishes
    ) as running:
        until(lambda: context.partial_result, 60)
        began = time.monotonic()
        context.cancelled = True
        running.thread.join(10)
        assert time.monotonic() - began < 1
    assert isinstance(running.raised, Cancelled)
    assert context.figures[-1].final

    context.cancelled = False
    assert ask(context, demo, providers=BY_NAME, parameters={"task": "Say hello."}, max_output_tokens=30)[
        "result"
    ]


def test_strangers_are_not_served(demo: ProviderSpec) -> None:
    address, _ = local_demo.served()
    assert address.startswith("http://127.0.0.1:")

    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/chat/completions", data=b"{}", timeout=5)
