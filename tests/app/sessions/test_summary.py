"""What a conversation comes to without a model, in English and German, and how a session keeps it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.errors import CallboardError, NotFound
from app.sessions import changes, events, facts, gist, processing, summary, talk
from tests.app.sessions.conftest import People


def said(*lines: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"speaker": who, "text": text, "place": at} for at, (who, text) in enumerate(lines, 1)]


def tasks(*lines: tuple[str, str]) -> list[tuple[str, str]]:
    return [(task.owner, task.due) for task in gist.of(said(*lines)).action_items]


@pytest.mark.parametrize(
    ("text", "owner", "due"),
    [
        ("I will send the report by Friday.", "Ada", "Friday"),
        ("I'll call them tomorrow at 3 pm.", "Ada", "tomorrow at 3 pm"),
        ("Let me check the logs.", "Ada", ""),
        ("Ben, can you book the room by end of week?", "Ben", "end of week"),
        ("Could you please review it by 2026-12-01?", "Ben", "2026-12-01"),
        ("Please write the minutes before Monday morning.", "Ben", "Monday morning"),
        ("Carla should update the slides until next week.", "Carla", "next week"),
        ("Action item: Dan to order paper by Dec 3rd", "Dan", "Dec 3rd"),
        ("TODO: fix the login ASAP", "", "ASAP"),
        ("- [ ] order cake", "", ""),
        ("We need to renew the contract before March 5.", "", "March 5"),
        ("Ich schicke dir den Entwurf bis Freitag.", "Ada", "Freitag"),
        ("Ich kümmere mich um die Gäste.", "Ada", ""),
        ("Ben, kannst du bitte bis morgen früh anrufen?", "Ben", "morgen früh"),
        ("Könntest du das prüfen?", "Ben", ""),
        ("Petra übernimmt die Einladungen bis zum 3. Dezember.", "Petra", "3. Dezember"),
        ("Aufgabe: Klaus soll die Rechnung bis Ende der Woche bezahlen", "Klaus", "Ende der Woche"),
        ("Wir müssen das Budget klären.", "", ""),
    ],
)
def test_what_somebody_is_to_do_with_who_and_when(text: str, owner: str, due: str) -> None:
    assert tasks(("Ada", text), ("Ben", "Fine.")) == [(owner, due)]


@pytest.mark.parametrize(
    "text",
    [
        "I will be late tomorrow.", "I think so.", "It will rain on Friday.", "I will not do that.", "We should not decide that today.",
        "This will take a week.", "Can you hear me?", "Let me know.", "Ich werde das nicht machen.", "Das muss so sein.", "I'll see.",
        "I would have called him.",
    ],
)  # fmt: skip
def test_what_is_no_task(text: str) -> None:
    assert tasks(("Ada", text), ("Ben", "Fine.")) == []


def test_decisions_and_open_questions() -> None:
    found = gist.of(
        said(
            ("Ada", "We agreed to use Postgres. Should we also keep Redis?"),
            ("Ben", "Yes, as a bell. We have not decided on the name."),
            ("Ada", "Who pays for the servers in Berlin?"),
            ("Ben", "Decision: the tests run every night. Wir haben uns für Blau entschieden."),
            ("Ada", "Open question: do we need a mascot"),
        )
    )
    assert [each.text for each in found.decisions] == [
        "We agreed to use Postgres.",
        "the tests run every night.",
        "Wir haben uns für Blau entschieden.",
    ]
    assert [each.text for each in found.questions] == [
        "Who pays for the servers in Berlin?",
        "do we need a mascot",
    ]


def test_the_text_names_who_spoke_of_what_and_quotes_what_matters() -> None:
    found = gist.of(
        said(
            ("Ada", "Hi there! The checkout page breaks for customers in Norway."),
            ("Ben", "The checkout page has been slow since the deploy."),
            ("Ada", "We decided to roll the deploy back."),
        )
    )
    assert found.text.startswith("3 messages by Ada and Ben about ")
    assert "Ada: We decided to roll the deploy back." in found.text
    assert "checkout page" in found.topics
    assert gist.of([]).text == "Nothing has been said yet."


def test_news_take_the_place_of_what_was_known() -> None:
    found = {
        fact.key: (fact.content, fact.type)
        for fact in facts.of(
            said(
                ("Ada", "The launch is on December 3rd. My favourite colour is green. I live in Bonn and I prefer tea over coffee."),
                ("Ben", "Merk dir, dass der Parkplatz zu ist. Mein Passwort ist geheim. Do you like coffee?"),
                ("Ada", "The launch has moved to Friday. I don't like tea any more."),
            )
        )
    }  # fmt: skip
    assert found["date_launch"] == ("The launch has moved to Friday.", "date")
    assert found["ada_on_tea"] == ("Ada: I don't like tea any more.", "preference")
    assert found["ada_lives"][1] == "fact"
    assert not any("Passwort" in content or "coffee?" in content for content, _ in found.values())
    assert any("Parkplatz" in content for content, _ in found.values())


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "I will " * 20_000,
        "? " * 50_000,
        "1. " * 30_000,
        "der " * 25_000,
        "my wife is " * 10_000,
    ],
)
def test_long_and_odd_texts_are_read_quickly(text: str) -> None:
    began = time.process_time()
    gist.of(said(("Ada", text)))
    facts.of(said(("Ada", text)))
    assert time.process_time() - began < 5


@pytest.mark.usefixtures("here")
class TestKept:
    """The summary as a session keeps it."""

    def test_it_is_made_for_the_answer_until_somebody_keeps_one(self, people: People) -> None:
        changes.create("sum-1", who=people.ada, participants=[people.bob.email])
        talk.add("sum-1", [{"speaker": "Ada", "text": "I will send it by Friday."}], by=people.ada.user_id)
        shown = summary.of("sum-1", people.bob)
        assert (shown["kept"], shown["action_items"][0]["due"]) == (False, "Friday")

        made = summary.make("sum-1", by=people.ada.user_id)
        assert made["made_by"] == "callboard"
        talk.add("sum-1", [{"speaker": "Bob", "text": "Thanks."}], by=people.bob.user_id)
        shown = summary.of("sum-1", people.bob)
        assert (shown["kept"], shown["up_to"], shown["new_messages"]) == (True, 1, 1)
        told = events.after("sum-1", 0, 10)[0]
        assert [row["data"]["action_items"] for row in told if row["type"] == "summary.made"] == [1]

    def test_others_read_none(self, people: People) -> None:
        changes.create("sum-2", who=people.ada)
        with pytest.raises(NotFound):
            summary.of("sum-2", people.eve)
        with pytest.raises(CallboardError, match="permissions"):
            summary.of("sum-2", people.vic)

    def test_a_session_of_which_the_agents_are_off_still_takes_what_is_said(self, people: People) -> None:
        changes.create("sum-3", who=people.ada, metadata={processing.SWITCH: True})
        ids = talk.add("sum-3", [{"speaker": "Ada", "text": "Hello."}], by="nobody")
        assert len(ids) == 1
