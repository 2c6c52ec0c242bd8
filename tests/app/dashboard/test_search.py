"""One box for everything: what is found, by whom, and how it is shown."""

from __future__ import annotations

import pytest
from flask import Flask

from actors.meaning import Reader
from app.accounts.permissions import Principal
from app.db import db
from app.providers import catalogue
from app.sessions import changes, talk
from tests.app.dashboard.visiting import Visitor, words
from tests.openai_server import Embed, chat_model


def _submit(who: Visitor, title: str) -> str:
    answer = who.post("/submit/test-noop", {"task_name": title, "priority": "normal"})
    assert answer.status_code == 303, answer.text[:500]
    return answer.location.rsplit("/", 1)[1]


def test_a_job_is_found_by_its_title_and_by_the_start_of_its_id(admin: Visitor) -> None:
    job_id = _submit(admin, "Crawl the harbor")

    by_title = admin.soup("/search?q=harbor")
    by_id = admin.soup(f"/search?q={job_id[:13]}")

    assert by_title.select_one(f'a[href="/jobs/{job_id}"]')
    assert by_id.select_one(f'a[href="/jobs/{job_id}"]')


def test_nobody_finds_jobs_of_others(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    _submit(admin, "Secret plan")

    assert "Secret plan" not in words(user.soup("/search?q=secret").main)
    assert "Secret plan" not in user.get("/ui/search?q=secret").text
    assert "Secret plan" in words(viewer.soup("/search?q=secret").main)  # viewers see the state of every job


def test_agents_are_found_by_what_they_do(user: Visitor) -> None:
    assert user.soup("/search?q=test-noop&type=agents").select_one('a[href="/agents/test-noop"]')


def test_meaning_is_offered_where_it_is_configured(
    app: Flask, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not admin.soup("/search?q=tide&semantic=true").select("#semantic, #by-words")
    settings = app.config["CALLBOARD"].model_copy(update={"embedding_model": "embedder/m"})
    monkeypatch.setitem(app.config, "CALLBOARD", settings)
    with db.transaction():
        owner = db.value("SELECT user_id::text FROM users WHERE role = 'admin' LIMIT 1")
        changes.create("tides", who=Principal(user_id=owner, email="", role="admin"))
        talk.add("tides", [{"speaker": "Ada", "text": "The vessel arrives."}], by=owner)
        talk.add("tides", [{"speaker": "Ada", "text": "Potato soup for lunch."}], by=owner)
    with chat_model(Embed()) as model:
        with db.transaction():
            catalogue.add("embedder", {"base_url": f"{model.url}/v1", "model": "m"})
        Reader(settings).look()
        assert admin.soup("/search?q=boat+arrives").select_one("#semantic:not([checked])")
        assert "The vessel" not in words(admin.soup("/search?q=boat+arrives").main)
        found = admin.soup("/search?q=boat+arrives&semantic=true")
        assert found.select_one("#semantic[checked]")
        assert "The vessel arrives." in words(found.main)
        assert "Potato" not in words(found.main)
    fallen = admin.soup("/search?q=ship+arrives&semantic=true").select_one("#by-words")
    assert fallen is not None
    assert "went by words" in fallen.text


def test_without_words_the_page_says_what_can_be_found(user: Visitor) -> None:
    assert "What are you looking for?" in words(user.soup("/search").main)
    assert "Nothing is called this" in words(user.soup("/search?q=zzz-not-there").main)


def test_what_was_said_is_shown_with_what_fits_marked_and_suggestions(admin: Visitor, user: Visitor) -> None:
    with db.transaction():
        owner = db.value("SELECT user_id::text FROM users WHERE role = 'admin' LIMIT 1")
        who = Principal(user_id=owner, email="", role="admin")
        changes.create("search-page", who=who, title="Gulls & <b>more</b>")
        talk.add(
            "search-page", [{"speaker": "Ada", "text": "Tom & the seagull stole my seagulls."}], by=owner
        )

    page = admin.soup("/search?q=seagull")
    assert [mark.text for mark in page.select("mark")] == ["seagull", "seagulls"]
    assert "Tom & the seagull" in words(page.main)
    assert "Gulls & <b>more</b>" in words(page.main)
    assert page.select_one('a[href^="/sessions/search-page?before="]')
    wrong = admin.soup("/search?q=segull+stole")
    assert wrong.select_one("#suggestions a").text == "seagull stole"  # type: ignore[union-attr]
    assert "stole" not in words(user.soup("/search?q=seagull").main)


@pytest.mark.parametrize("odd", ["%", "_", "\\", "<script>", "a' OR 1=1", "x" * 5000, "%F0%9F%90%9D"])
def test_odd_words_are_words(admin: Visitor, odd: str) -> None:
    page = admin.client.get("/search", query_string={"q": odd})

    assert page.status_code == 200
    assert "<script>" not in page.text.replace("<script src", "")
    assert admin.client.get("/ui/search", query_string={"q": odd}).status_code == 200


def test_the_palette_offers_only_what_one_may_do(admin: Visitor, viewer: Visitor) -> None:
    def offered(who: Visitor) -> list[str]:
        first = who.get("/ui/search").get_json()["groups"][0]
        assert first["title"] == "Go to"
        return [item["title"] for item in first["items"]]

    assert {"New job", "Approval policies", "Jobs"} <= set(offered(admin))
    assert "Jobs" in offered(viewer)
    assert not {"New job", "Approval policies", "Import agents"} & set(offered(viewer))


def test_each_place_of_the_palette_is_there(admin: Visitor) -> None:
    for item in admin.get("/ui/search").get_json()["groups"][0]["items"]:
        assert admin.get(item["path"]).status_code == 200, item


def test_strangers_find_nothing(stranger: Visitor) -> None:
    assert stranger.get("/ui/search?q=a").status_code == 401
    assert stranger.get("/search?q=a").status_code == 302
