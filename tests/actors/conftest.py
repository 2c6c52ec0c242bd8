"""A worker's post in this process, with a bell that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from actors import execute
from actors.attempt import Attempt
from actors.post import Post
from actors.runners.base import Context, Health, Work
from app.jobs import dispatch
from app.settings import Settings


class QuietRinger:
    """Rings nothing; remembers what it was asked for."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, int]] = []

    def ring(self, pool: str, times: int = 1) -> None:
        self.rung.append((pool, times))


class FakeRunner:
    """Runs a function of the test."""

    name = "fake"

    def __init__(self, do: Callable[[Work, Context], Any]) -> None:
        self.do = do

    def run(self, work: Work, context: Context) -> Any:
        return self.do(work, context)

    def health(self, config: dict[str, Any]) -> Health:
        return Health()


@pytest.fixture
def make_post(
    quick: Engine, settings: Settings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Post]:
    """A post with some settings changed; what it holds is closed by the test's own code."""

    def make(**changes: Any) -> Post:
        told = settings.model_copy(update={"artifacts_url": f"file://{tmp_path}/artifacts"} | changes)
        made = Post(settings=told, ringer=QuietRinger())  # type: ignore[arg-type]
        monkeypatch.setattr(dispatch, "_ring", made.ringer.ring)
        return made

    return make


@pytest.fixture
def post(make_post: Callable[..., Post]) -> Iterator[Post]:
    """A post with the settings of tests."""
    made = make_post()
    yield made
    for attempt in made.in_hand():
        attempt.close()


@pytest.fixture
def hold(post: Post) -> Callable[..., Attempt]:
    """An attempt in hand, as if its runner were at work."""

    def make(claim: Any) -> Attempt:
        return execute._open(post, claim, execute._definition(post, claim))

    return make


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Work, Context], Any]], None]:
    """From now on every agent is this function."""

    def use(do: Callable[[Work, Context], Any]) -> None:
        monkeypatch.setattr(execute, "runner_named", lambda _name: FakeRunner(do))

    return use
