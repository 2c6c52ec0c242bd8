from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app import api
from app.api import glue
from app.api.glue import op
from app.api.reading import Input


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Operations of these tests are not added to the real ones."""
    fresh: list[Any] = []
    monkeypatch.setattr(glue, "OPERATIONS", fresh)
    return fresh


class Thing(Input):
    """A body."""

    name: str


def test_an_operation_without_verb_that_is_not_public_fails_at_import() -> None:
    with pytest.raises(TypeError, match="must name a verb"):
        op("GET", "/api/x")


def test_public_and_a_verb_contradict_each_other() -> None:
    with pytest.raises(TypeError, match="must name a verb"):
        op("GET", "/api/x", verb="view_task", public=True)


def test_a_verb_that_nobody_knows_fails_at_import() -> None:
    with pytest.raises(TypeError, match="no verb 'fly'"):
        op("GET", "/api/x", verb="fly")


def test_a_view_must_take_the_parts_of_its_path() -> None:
    with pytest.raises(TypeError, match="not the parts"):

        @op("GET", "/api/x/<job_id>", public=True)
        def view(job: UUID) -> None:
            """Sentence."""


def test_a_view_must_say_what_it_does() -> None:
    with pytest.raises(TypeError, match="docstring"):

        @op("GET", "/api/x", public=True)
        def view() -> None:
            pass


def test_what_a_view_takes_is_read_from_its_annotations(registry: list[Any]) -> None:
    @op("POST", "/api/x/<job_id>", public=True)
    def view(job_id: UUID, query: Thing, body: Thing | None) -> None:
        """Sentence."""

    (operation,) = registry
    assert (operation.body, operation.body_optional, operation.query) == (Thing, True, Thing)
    assert operation.parts["job_id"].validate_python("01890000-0000-7000-8000-000000000000")


def test_an_operation_that_is_not_in_the_contents_stops_the_start(registry: list[Any]) -> None:
    @op("GET", "/api/v1/forgotten", public=True)
    def view() -> None:
        """Sentence."""

    with pytest.raises(RuntimeError, match="/api/v1/forgotten"):
        api._compare()
