"""The pages of agents: importing without scripts, versions, and examples that run."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.serving import make_server

from app.agents import importing as _importing
from app.agents import registry
from app.agents.folders import File
from tests.app.agents import collections
from tests.app.dashboard.aside import Aside, acting, agent, db, submitted
from tests.app.dashboard.visiting import Visitor

importing = Aside(_importing)
TEXT = "---\nname: Blog Writer\ndescription: Writes.\n---\nWrite well.\n"


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nobody remembers agents of other tests."""
    registry.forget()


def _install(text: str = TEXT, path: str = "TEAM/.claude/agents/writer.md") -> None:
    made = importing.plan([File(path=path, text=text)], importing.known())
    importing.apply(made, source="import", by="test")
    registry.forget()


def _upload(admin: Visitor, **files: str | bytes) -> Any:
    parts = [
        (io.BytesIO(content if isinstance(content, bytes) else content.encode()), name.replace("__", "."))
        for name, content in files.items()
    ]
    return admin.post("/agents/import", {"files": parts})


def test_files_are_looked_at_first_and_only_then_imported(admin: Visitor) -> None:
    looked = _upload(admin, writer__md=TEXT, bad__md="---\nname: [\n---\n")
    soup = BeautifulSoup(looked.text, "html.parser")

    assert looked.status_code == 200
    assert [row.select_one(".badge").text for row in soup.select("main .lines > li")] == ["broken", "new"]  # type: ignore[union-attr]
    assert "Line 2" in looked.text or "Line 3" in looked.text
    assert db.value("SELECT count(*) FROM agents WHERE agent_id = 'writer'") == 0

    packed = str(soup.select_one('main [name="packed"]')["value"])  # type: ignore[index]
    done = admin.post("/agents/import", {"packed": packed})

    assert "1 agent imported." in done.text
    assert "What was done" in done.text
    links = BeautifulSoup(done.text, "html.parser").select("main .lines a")
    assert [link["href"] for link in links] == ["/agents/writer"]
    assert db.value("SELECT source FROM agents WHERE agent_id = 'writer'") == "import"
    assert db.value("SELECT count(*) FROM agents WHERE agent_id = 'bad'") == 0


def test_a_changed_file_shows_what_changes(admin: Visitor) -> None:
    _install()
    looked = _upload(admin, writer__md=TEXT.replace("well", "<b>badly</b>"))
    soup = BeautifulSoup(looked.text, "html.parser")

    assert "-Write well." in [line.text.strip() for line in soup.select(".diff .del")]
    assert "+Write <b>badly</b>." in [line.text.strip() for line in soup.select(".diff .add")]


def test_a_whole_workspace_comes_in_as_a_zip(admin: Visitor, tmp_path: Path) -> None:
    looked = _upload(admin, ws__zip=collections.zipped_folder(collections.three_teams(tmp_path / "ws")))
    packed = BeautifulSoup(looked.text, "html.parser").select_one('main [name="packed"]')["value"]  # type: ignore[index]
    answer = admin.post("/agents/import", {"packed": packed})

    assert answer.status_code == 303
    assert db.value("SELECT count(*) FROM agents WHERE source = 'import'") == 34


def test_a_hundred_large_files_travel_along_in_the_form(admin: Visitor, tmp_path: Path) -> None:
    looked = _upload(admin, flat__zip=collections.zipped_folder(collections.flat(tmp_path / "flat")))
    packed = BeautifulSoup(looked.text, "html.parser").select_one('main [name="packed"]')["value"]  # type: ignore[index]

    assert admin.post("/agents/import", {"packed": packed}).status_code == 303
    assert db.value("SELECT count(*) FROM agents WHERE source = 'import'") == 100


@pytest.mark.parametrize("packed", ["x", "eJwDAAAAAAE=", "e30="])
def test_a_form_that_was_tampered_with_is_refused(admin: Visitor, packed: str) -> None:
    assert admin.post("/agents/import", {"packed": packed}).status_code == 400


def test_no_files_or_no_zip_is_told(admin: Visitor) -> None:
    assert admin.post("/agents/import").status_code == 422
    answer = _upload(admin, x__zip=b"PK no")
    assert (answer.status_code, "no zip archive" in answer.text) == (422, True)


def test_only_admins_import(user: Visitor, viewer: Visitor) -> None:
    for who in (user, viewer):
        assert who.get("/agents/import").status_code == 403
        assert who.post("/agents/import", {"packed": "x"}).status_code == 403
        assert not who.soup("/agents").select('a[href="/agents/import"]')


def test_versions_are_listed_and_compared(admin: Visitor, viewer: Visitor) -> None:
    _install()
    _install(TEXT + "Be brief.\n")

    links = [link["href"] for link in viewer.soup("/agents/writer").select("main .lines a")]
    assert links == ["/agents/writer/versions/2", "/agents/writer/versions/1"]
    page = viewer.soup("/agents/writer/versions/2")
    assert [line.text.strip() for line in page.select(".diff .add")] == ["+Be brief."]
    older = viewer.soup("/agents/writer/versions/1?against=2")
    assert "From v1 to v2" in older.text
    assert viewer.get("/agents/writer/versions/3").status_code == 404
    assert "No line differs" not in page.text


def test_what_may_be_secret_is_for_admins(admin: Visitor, user: Visitor) -> None:
    _install(
        "---\ndescription: d\nx-callboard: {runner: command, command: {argv: [x], env: {K: hunter2}}}\n---\n"
    )

    assert "hunter2" in admin.get("/agents/writer/versions/1").text
    assert "hunter2" not in user.get("/agents/writer/versions/1").text


def test_a_broken_file_of_a_folder_is_shown_to_admins(admin: Visitor, user: Visitor) -> None:
    _install()
    made = importing.plan([File(path="/srv/agents/writer.md", text="---\nname: [\n---\n")], importing.known())
    importing.note_problems([("/srv/agents", item) for item in made.broken])

    for path in ("/agents", "/agents/writer"):
        assert "/srv/agents/writer.md:" in admin.get(path).text
        assert "/srv/agents/writer.md" not in user.get(path).text


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The app on a port, for a program of somebody else's."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_python_example_runs_as_it_stands(
    admin: Visitor,
    served: str,
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from app.accounts import api_keys
    from app.accounts.permissions import Principal
    from app.db import db as database
    from app.jobs import lifecycle

    agent("shown", parameters={"type": "object", "required": ["task", "size"], "properties": {
        "task": {"type": "string"}, "size": {"type": "integer"}}})  # fmt: skip
    registry.forget()
    with database.transaction():
        principal = Principal(user_id=admin.user_id, email="x@example.org", role="admin")
        key = api_keys.create(principal, name="example", scopes=None).text
    code = admin.soup("/agents/shown").select_one("#python").text  # type: ignore[union-attr]
    code = code.replace(app.config["CALLBOARD"].public_url, served)
    monkeypatch.setenv("CALLBOARD_API_KEY", key)

    def worked(_seconds: float) -> None:
        taken = acting.claim()
        if taken:
            with database.quick():
                lifecycle.complete(taken, {"ok": True})

    monkeypatch.setattr("time.sleep", worked)
    exec(compile(code, "example", "exec"), {})

    assert capsys.readouterr().out.strip().endswith("completed {'ok': True}")


def test_other_names_are_shown(viewer: Visitor) -> None:
    _install("---\ndescription: d\nx-callboard: {aliases: [scribe]}\n---\n")

    assert "Also called" in viewer.soup("/agents/scribe").text
    assert submitted("scribe", parameters={"task": "x"})
