"""What the pipeline says of itself before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.runners import get
from actors.runners.base import Work
from actors.stages.base import KEPT_AS, Run
from app.settings import Settings
from tests.actors.models.desk import spec_of
from tests.doubles import RecordingContext

PIPELINE = get("pipeline")
READY = {"provider_specs": [spec_of("http://127.0.0.1:1")]}


def test_it_is_ready_with_a_model_and_a_cms() -> None:
    assert PIPELINE.health(READY | {"publishes": True}).status == "ready"


def test_what_is_missing_is_said_whatever_it_is() -> None:
    dry = PIPELINE.health(READY | {"publishes": False})
    assert (dry.status, "STRAPI_URL" in str(dry.reason)) == ("degraded", True)
    bare = PIPELINE.health({"provider_specs": [], "publishes": False})
    assert bare.status == "degraded"
    assert "No model is configured" in str(bare.reason)
    assert "STRAPI_URL" in str(bare.reason)


def test_a_definition_that_cannot_be_used_is_unavailable() -> None:
    assert PIPELINE.health(READY | {"max_output_tokens": -1}).status == "unavailable"


def work(**parameters: object) -> Work:
    return Work(
        job_id="j1", attempt=2, agent_id="content-pipeline", parameters={"topic": "Queues", **parameters}, config={},
        timeout_seconds=60, soft_seconds=60, memory_mb=0, idempotency_key="j1:2", root_job_id="j0",
    )  # fmt: skip


def test_a_checkpoint_holds_for_its_own_post_only(tmp_path: Path) -> None:
    context = RecordingContext(workspace=tmp_path)
    first = Run.of(work(), context)  # type: ignore[arg-type]
    first.done["image"] = {"image": None}
    first.note(file_id=7)
    assert first.key.startswith("j0-")

    same = Run.of(work(), context)  # type: ignore[arg-type]
    assert (same.done, same.notes) == ({"image": {"image": None}}, {"file_id": 7})
    other = Run.of(work(tone="casual"), context)  # type: ignore[arg-type]
    assert (other.done, other.notes) == ({}, {})


@pytest.mark.parametrize("odd", [{}, {"key": "another"}, "text", {"key": None, "done": []}])
def test_an_odd_checkpoint_is_none(tmp_path: Path, odd: object) -> None:
    context = RecordingContext(workspace=tmp_path, kept={KEPT_AS: odd})
    assert Run.of(work(), context).done == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("title=title", "title and content"),
        ("title=title content=content colour=colour", "'colour' is none of"),
        ("title=title content=content tags=tags:html", "tags=tags:text"),
        ("title=title content=content title=name", "once"),
        ("title content=content", "like title=title"),
    ],
)
def test_fields_that_make_no_sense_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, fields: str, words: str
) -> None:
    monkeypatch.setenv("STRAPI_FIELDS", fields)
    with pytest.raises(ValueError, match="strapi_fields") as wrong:
        Settings()
    assert words in str(wrong.value)


def test_fields_and_addresses_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRAPI_FIELDS", "title=headline content=body tags=tags:text")
    monkeypatch.setenv("STRAPI_URL", "http://localhost:1337/")
    account = Settings().content_services["strapi"]
    assert account["fields"] == {"title": "headline", "content": "body", "tags": "tags:text"}
    assert account["url"] == "http://localhost:1337"
