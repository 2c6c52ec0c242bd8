"""Search over what was said, remembered and made: who finds what, how it is shown, and that it stays quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app import search as everywhere
from app.accounts.permissions import Principal
from app.db import db
from app.sessions import changes, made, memory, search, talk

ADA = Principal(user_id="search-ada", email="search-ada@example.com", role="user")
BEN = Principal(user_id="search-ben", email="search-ben@example.com", role="user")
EVE = Principal(user_id="search-eve", email="search-eve@example.com", role="user")
VIEWER = Principal(user_id="search-viewer", email="search-viewer@example.com", role="viewer")
ADMIN = Principal(user_id="search-admin", email="search-admin@example.com", role="admin")


@pytest.fixture(autouse=True)
def harbor(quick: Engine) -> Iterator[None]:
    """A session of Ada's in which Ben takes part."""
    with db.transaction():
        db.run("DELETE FROM sessions WHERE owner LIKE 'search-%%'")
        changes.create("harbor-1", who=ADA, title="Zephyr harbour plans", participants=[BEN.email])
        talk.add(
            "harbor-1",
            [
                {"speaker": "Ada", "text": "The zeppelins are landing at the zeppelin pier. See [[docs]]."},
                {"speaker": "Ben", "text": "Wir brauchen die Ankerseile und zwei Kräne."},
            ],
            by=ADA.user_id,
        )
        memory.store("harbor-1", key="zeppelin_pier", content="The pier closes at nine.", by=ADA.user_id)
        made.add("harbor-1", name="mooring.md", content="# Mooring\n\nHow to moor zeppelins.", by=ADA.user_id)
    with db.quick():
        yield


def kinds(text: str, who: Principal) -> list[str]:
    return sorted({row["kind"] for row in search.find(text, who) if row["session_id"] == "harbor-1"})


def test_all_kinds_are_found_by_the_stem_of_a_word_with_what_fits_marked() -> None:
    found = {row["kind"]: row for row in search.find("zeppelin", ADA)}
    assert sorted(found) == ["artifacts", "memories", "messages"]
    assert "[[zeppelins]] are landing at the [[zeppelin]] pier. See [docs" in found["messages"]["excerpt"]
    assert found["messages"]["path"] == "/sessions/harbor-1?before=7#m-1"
    assert found["memories"]["path"].startswith("/sessions/harbor-1?tab=memories#memory-")
    assert found["artifacts"]["session_title"] == "Zephyr harbour plans"
    assert [row["kind"] for row in search.find("zephyr", ADA)] == ["sessions"]


@pytest.mark.parametrize(
    "text", ["ankerseile", "anker", "Kräne", '"zwei Kräne"', "ankerseile or nothing", "brauchen -wasser"]
)
def test_words_of_any_language_beginnings_phrases_and_operators_fit(text: str) -> None:
    (found,) = search.find(text, ADA)
    assert (found["kind"], found["title"]) == ("messages", "Ben")
    assert "[[" in found["excerpt"]


def test_what_is_taken_away_is_not_found_and_alone_finds_nothing() -> None:
    assert search.find("ankerseile -kräne", ADA) == []
    assert search.find("-zeppelin", ADA) == []


@pytest.mark.parametrize(
    "odd", ["", "  ", "&", "a | b & !", "':*", "\x00", "(((", '"', "the", "x" * 5000, "% _ \\"]
)
def test_odd_words_are_words(odd: str) -> None:
    assert isinstance(search.find(odd, ADA), list)
    assert isinstance(search.suggest(odd, ADA), list)


def test_only_those_find_it_who_may_read_it() -> None:
    assert kinds("zeppelin", BEN) == kinds("zeppelin", ADMIN) == ["artifacts", "memories", "messages"]
    assert kinds("zeppelin", EVE) == kinds("zeppelin", VIEWER) == []
    assert kinds("zephyr", EVE) == []
    assert kinds("zephyr", VIEWER) == ["sessions"]  # that it is there
    assert search.suggest("zepp", BEN) == ["zeppelin", "zeppelins"]
    assert search.suggest("zepp", EVE) == search.suggest("zepp", VIEWER) == []


def test_a_deleted_session_is_not_found_until_it_is_restored() -> None:
    changes.delete("harbor-1", who=ADA)
    assert kinds("zeppelin", ADA) == kinds("zeppelin", ADMIN) == kinds("zephyr", ADMIN) == []
    assert search.suggest("zepp", ADMIN) == []
    changes.restore("harbor-1", who=ADA)
    assert len(kinds("zeppelin", ADA)) == 3


def test_a_search_can_be_narrowed() -> None:
    changes.create("harbor-2", who=ADA)
    talk.add("harbor-2", [{"speaker": "Ada", "text": "Another zeppelin."}], by=ADA.user_id)
    assert {row["session_id"] for row in search.find("zeppelin", ADA, session_id="harbor-2")} == {"harbor-2"}
    assert {row["kind"] for row in search.find("zeppelin", ADA, kinds=("memories",))} == {"memories"}
    assert len(search.find("zeppelin", ADA, limit=1)) == 1


def test_of_what_fits_alike_the_newer_comes_first() -> None:
    talk.add("harbor-1", [{"speaker": "Ada", "text": "A quixotic idea."}] * 2, by=ADA.user_id)
    db.run(
        "UPDATE session_messages SET added_at = now() - interval '1 year' WHERE session_id = 'harbor-1' AND place = 4"
    )
    assert [row["path"].rpartition("-")[2] for row in search.find("quixotic", ADA)] == ["3", "4"]


def test_suggestions_complete_the_last_word_or_put_words_right() -> None:
    assert search.suggest("where is the moor", ADA)[0] == "where is the mooring"
    assert search.suggest("zepelin peir ", ADA) == ["zeppelin pier"]
    assert search.suggest("zeppelin ", ADA) == []
    assert search.suggest("z", ADA) == []


def test_the_search_over_everything_knows_sessions() -> None:
    found = everywhere.find("zeppelin", ADA)
    assert [hit["detail"] for hit in found["messages"]] == ["Zephyr harbour plans"]
    assert "[[zeppelin" in found["artifacts"][0]["excerpt"]
    assert everywhere.find("zeppelin", VIEWER)["messages"] == []


def test_of_a_frequent_beginning_only_the_newest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WINDOW", 4)
    monkeypatch.setattr(search, "CANDIDATES", 2)
    texts = [f"Quokka{n} here." for n in range(3)] + [f"Wombat{n} there." for n in range(3)]
    talk.add("harbor-1", [{"speaker": "Ada", "text": text} for text in texts], by=ADA.user_id)
    sees, values = search._seen("messages", ADA)
    plenty = {
        word: search._plenty("messages", db.value(search._BEGUN, **search._parts(word)), sees, values)
        for word in ("wombat", "quokka")
    }
    assert plenty == {"wombat": True, "quokka": False}
    for word in ("Wombat", "Quokka"):  # the newest two, wherever they stand
        found = sorted(row["excerpt"] for row in search.find(word, ADA, kinds=("messages",)))
        assert [excerpt.split("]]")[0] for excerpt in found] == [f"[[{word}1", f"[[{word}2"]


def test_a_search_reads_the_index_and_not_the_conversations() -> None:
    with db.transaction():
        db.run("SET LOCAL enable_seqscan = off")
        plan = db.rows(
            "EXPLAIN SELECT 1 FROM session_messages x WHERE x.words @@ %(query)s::tsquery",
            query=db.value(search._BEGUN, **search._parts("zepp")),
        )
    assert "ix_session_messages_words" in str(plan)
