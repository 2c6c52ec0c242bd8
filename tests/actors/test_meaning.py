"""Search by meaning, from a text in a session to its find: a real provider's protocol, the queue, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from actors.meaning import Reader
from app import search as everywhere
from app.accounts.permissions import Principal
from app.db import db
from app.providers import catalogue, embedding
from app.providers.embedding import NotEmbedded
from app.sessions import changes, made, memory, search, talk
from app.settings import Settings
from tests.model_server import Model, Refuse
from tests.openai_server import Embed, chat_model

ADA = Principal(user_id="meaning-ada", email="meaning-ada@example.com", role="user")
EVE = Principal(user_id="meaning-eve", email="meaning-eve@example.com", role="user")
VIEWER = Principal(user_id="meaning-vic", email="meaning-vic@example.com", role="viewer")
ADMIN = Principal(user_id="meaning-root", email="meaning-root@example.com", role="admin")
NAME = "embedder/test-embed"
QUESTION = "when does the ship come at dawn"


@pytest.fixture
def model(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """A provider with embeddings and a key, and a session of Ada's with something in it."""
    monkeypatch.setenv("EMBEDDER_KEY", "embedder-key")
    everywhere._questions.forget()
    with chat_model(Embed()) as served, db.quick():
        db.run("DELETE FROM sessions")
        values = {"base_url": f"{served.url}/v1", "model": "m", "key_name": "EMBEDDER_KEY"}
        catalogue.add("embedder", values)
        with db.transaction():
            changes.create("harbor-1", who=ADA)
        _say("harbor-1", "The vessel arrives in the morning.", "Lunch: potato soup, bread, cheese.")
        yield served


@pytest.fixture
def reader(model: Model, settings: Settings) -> Reader:
    return Reader(settings.model_copy(update={"embedding_model": NAME}))


def _say(session_id: str, *texts: str) -> None:
    with db.transaction():
        talk.add(session_id, [{"speaker": "Ada", "text": text} for text in texts], by=ADA.user_id)


def _read(reader: Reader) -> None:
    while reader.look():
        pass


def _found(text: str, who: Principal = ADA, **narrowed: Any) -> list[str]:
    asked = everywhere.question(text, NAME, reader_secret)
    assert asked.meant, asked.note
    return [row["excerpt"] for row in search.find(text, who, meant=asked.meant, **narrowed)]


def reader_secret(name: str) -> str | None:
    return {"EMBEDDER_KEY": "embedder-key"}.get(name)


def _asked_for(model: Model) -> list[str]:
    return [text for request in model.asked for text in request["input"]]


def test_a_paraphrase_is_found_that_no_word_finds(reader: Reader, model: Model) -> None:
    _read(reader)
    assert search.find(QUESTION, ADA) == []
    assert _found(QUESTION) == ["The vessel arrives in the morning."]
    assert model.asked[0]["authorization"] == "Bearer embedder-key"
    assert model.asked[0]["model"] == "test-embed"
    assert set(model.paths) == {"POST /v1/embeddings"}


def test_what_words_and_meaning_find_comes_before_what_only_one_finds(reader: Reader) -> None:
    _say("harbor-1", "A boat at sunrise, they say.", "The morning sunrise vessel comes, and it comes.")
    _read(reader)
    found = _found("boat sunrise")
    assert found[0] == "A [[boat]] at [[sunrise]], they say."
    assert "The morning sunrise vessel comes, and it comes." in found


def test_only_those_find_it_by_meaning_who_may_read_it(reader: Reader) -> None:
    _read(reader)
    assert len(_found(QUESTION, ADMIN)) == 1
    assert _found(QUESTION, EVE) == _found(QUESTION, VIEWER) == []
    with db.transaction():
        changes.create("harbor-2", who=ADA)
    assert _found(QUESTION, session_id="harbor-2") == []
    assert _found(QUESTION, kinds=("memories",)) == []
    with db.transaction():
        changes.delete("harbor-1", who=ADA)
    assert _found(QUESTION, ADMIN) == []


def test_each_text_is_asked_for_once_and_again_when_it_changes(reader: Reader, model: Model) -> None:
    with db.transaction():
        memory.store("harbor-1", key="arrival", content="The boat arrives at dawn.", by=ADA.user_id)
        made.add("harbor-1", name="plan.md", content="Potato harvest plans.", by=ADA.user_id)
    _read(reader)
    _read(reader)
    assert len(_asked_for(model)) == 4
    with db.transaction():
        memory.store("harbor-1", key="arrival", content="The train leaves at noon.", by=ADA.user_id)
    _read(reader)
    assert _asked_for(model)[4:] == ["arrival: The train leaves at noon."]
    assert _found("train leaves noon", kinds=("memories",)) == ["The [[train]] [[leaves]] at [[noon]]."]
    with db.transaction():
        memory.forget("harbor-1", "arrival", by=ADA.user_id)
    assert db.value("SELECT count(*) FROM session_vectors WHERE kind = 'memory'") == 0


def test_another_model_reads_all_of_it_anew(reader: Reader, model: Model) -> None:
    _read(reader)
    _read(Reader(reader.settings.model_copy(update={"embedding_model": "embedder/other"})))
    assert len(_asked_for(model)) == 4
    assert db.rows("SELECT DISTINCT model FROM session_vectors") == [{"model": "embedder/other"}]
    assert _found(QUESTION) == []  # a question to the one is not compared with answers of the other


def test_deleted_sessions_are_not_sent_anywhere(reader: Reader, model: Model) -> None:
    with db.transaction():
        changes.delete("harbor-1", who=ADA)
    _read(reader)
    assert model.asked == []


def test_two_processes_do_not_ask_for_the_same(reader: Reader, model: Model) -> None:
    from app.sessions import meaning

    with db.transaction():
        meaning.look_through(NAME, None)
    assert len(meaning.take(NAME, 10)) == 2
    assert meaning.take(NAME, 10) == []
    _read(reader)
    assert model.asked == []


def test_a_text_that_is_refused_waits_and_the_others_do_not(
    reader: Reader, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    model.script[:] = [Embed(refuses="potato")]
    _read(reader)
    assert _found(QUESTION) == ["The vessel arrives in the morning."]
    waiting = db.rows(
        "SELECT at > now() + interval '23 hours' AS late FROM session_vectors WHERE signs IS NULL"
    )
    assert waiting == [{"late": True}]
    asked = len(model.asked)
    _read(reader)
    assert len(model.asked) == asked


def test_a_provider_that_fails_hears_less_and_all_is_tried_again(reader: Reader, model: Model) -> None:
    model.script[:] = [Refuse(500, "server_error", "embedder-key is tired")]
    with pytest.raises(NotEmbedded) as wrong:
        _read(reader)
    assert wrong.value.kind == "overload"
    assert "embedder-key" not in wrong.value.message
    assert db.value("SELECT failures FROM providers WHERE provider_id = 'embedder'") == 1
    assert db.value("SELECT count(*) FROM provider_passes") == 0
    model.script[:] = [Embed()]
    db.run("UPDATE session_vectors SET at = now()")
    _read(reader)
    assert len(_found(QUESTION)) == 1
    assert db.value("SELECT failures FROM providers WHERE provider_id = 'embedder'") == 0


def test_the_limits_of_the_provider_hold(reader: Reader, model: Model) -> None:
    catalogue.change("embedder", {"requests_per_minute": 1})
    _read(reader)
    _say("harbor-1", "One more.")
    with pytest.raises(NotEmbedded, match="requests a minute"):
        _read(reader)
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [("nobody/m", "there is no provider 'nobody'"), ("anthropic/m", "no embeddings"), ("local-demo/m", "no embeddings"),
     ("openai/m", "OPENAI_API_KEY is not set")],
)  # fmt: skip
def test_what_cannot_be_asked_says_why(model: Model, settings: Settings, name: str, why: str) -> None:
    catalogue.seed(settings)
    with pytest.raises(NotEmbedded, match=why):
        embedding.place(name, lambda _: None)


def test_an_answer_that_only_trickles_is_given_up(model: Model) -> None:
    model.script[:] = [Embed(trickles=True)]
    with pytest.raises(NotEmbedded, match="takes too long") as wrong:
        embedding.place(NAME, reader_secret).vectors(["The vessel"], seconds=0.2)
    assert wrong.value.kind == "transport"


def test_a_question_without_an_answer_goes_by_words_and_says_so(reader: Reader, model: Model) -> None:
    assert "off here" in everywhere.question("a", "", reader_secret).note
    assert "no key" in everywhere.question("a", NAME, lambda _: None).note
    model.script[:] = [Refuse(500, "server_error", "no")]
    assert "cannot be asked now" in everywhere.question("a", NAME, reader_secret).note
    model.script[:] = [Embed()]
    assert everywhere.question("a question", NAME, reader_secret).meant
    asked = len(model.asked)
    assert everywhere.question("a  question", NAME, reader_secret).meant  # known by now
    assert len(model.asked) == asked


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data": [{"index": 0, "embedding": []}]}',
                                  b'{"data": [{"index": 0, "embedding": [0, 0]}]}',
                                  b'{"data": [{"index": 0, "embedding": ["a"]}]}',
                                  b'{"data": [{"index": 1, "embedding": [1]}]}'])  # fmt: skip
def test_answers_that_are_no_embeddings_are_refused(body: bytes) -> None:
    place = embedding.Place(provider_id="p", title="P", base_url="", model="m")
    with pytest.raises(NotEmbedded, match="no list of embeddings"):
        place._numbers(body, 1)
