"""The pages of sessions: who sees what, what its forms do, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.test import TestResponse

from app.sessions import made as _made
from app.sessions import memory as _memory
from app.sessions import talk as _talk
from tests.app.dashboard.aside import Aside, agent, db, job, lifecycle
from tests.app.dashboard.aside import claim as claim_one
from tests.app.dashboard.visiting import Visitor, words

talk, memory, made = Aside(_talk), Aside(_memory), Aside(_made)
HOSTILE = "\"'><img src=x onerror=alert(1)> {{7*7}}"
ONE = "/sessions/morning_meeting_001"
TABS = ("conversation", "memories", "artifacts", "jobs", "events")


@pytest.fixture(autouse=True)
def team(clean: None) -> None:
    """Somebody to hand work to."""
    agent(
        "writer",
        parameters={"type": "object", "required": ["topic"], "properties": {"topic": {"type": "string"}}},
    )


def opened(who: Visitor, **more: Any) -> TestResponse:
    """A new session, by its form."""
    told = {"session_id": "morning_meeting_001", "title": "Morning meeting", "participants": "Ada, Assistant"}
    return who.post("/new-session", told | more)


def said(who: Visitor, *texts: str) -> None:
    for text in texts:
        assert who.post(f"{ONE}/messages", {"speaker": "Ada", "text": text}).status_code == 303


def soup(answer: TestResponse) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def email_of(who: Visitor) -> str:
    return str(db.value("SELECT email FROM users WHERE user_id = %(id)s::uuid", id=who.user_id))


# -- the list, and opening one


def test_where_there_is_none_the_page_says_what_one_is_and_how_to_begin(
    user: Visitor, viewer: Visitor
) -> None:
    page = user.soup("/sessions")

    assert "A session is a workspace that you share" in words(page.select_one("main"))
    command = words(page.select_one("#session-curl"))
    assert "/api/v1/webhooks/session" in command
    assert json.loads(command[command.index("-d '") + 4 : -1])["command"] == "create_session"
    assert viewer.soup("/sessions").select("#session-curl, a[href='/new-session']") == []


def test_a_session_is_opened_and_listed_with_what_is_in_it(user: Visitor) -> None:
    suggested = user.soup("/new-session").select_one("#session_id")
    assert suggested is not None
    assert str(suggested["value"]).startswith("session_2")

    assert opened(user).headers["Location"] == ONE
    said(user, "Good morning.", "Well then.")
    row = words(user.soup("/sessions").select_one("#s-morning_meeting_001"))

    assert row.startswith("Morning meeting morning_meeting_001 2 messages Active Ada, Assistant 2 0 0 0")


@pytest.mark.parametrize(
    ("told", "field", "complaint"),
    [
        ({"session_id": "no blanks"}, "session_id", "letters, digits"),
        ({"callback_url": "not an address"}, "callback_url", ""),
        ({"title": "t" * 400}, "title", "at most 300"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(
    user: Visitor, told: dict[str, str], field: str, complaint: str
) -> None:
    answer = opened(user, **told)

    page = soup(answer)
    assert answer.status_code == 422
    assert complaint in words(page.select_one(f"#{field}-wrong"))
    typed = page.select_one(f"#{field}")
    assert typed is not None
    assert typed["value"] == told[field]
    assert typed["aria-invalid"] == "true"
    assert "Ada, Assistant" in words(page.select_one("#participants"))


def test_an_id_that_is_taken_is_said_at_the_id(user: Visitor, admin: Visitor) -> None:
    opened(admin)

    answer = opened(user, title="Mine")

    assert answer.status_code == 422
    assert "choose another id" in words(soup(answer).select_one("#session_id-wrong"))


def test_the_list_is_narrowed_by_words_and_status(user: Visitor) -> None:
    opened(user)
    opened(user, session_id="sprint_42", title="Planning")
    user.post("/sessions/sprint_42/pause")

    def ids(query: str) -> list[str]:
        return [str(row["id"]) for row in user.soup(f"/sessions?{query}").select("tr[data-row]")]

    assert ids("q=plan") == ids("status=paused") == ["s-sprint_42"]
    assert ids("q=morning_meet") == ids("status=active") == ["s-morning_meeting_001"]
    assert "No session fits" in words(user.soup("/sessions?q=nothing").select_one("#sessions"))


# -- who sees what


def test_others_find_nothing_and_viewers_see_that_it_is_there(
    user: Visitor, app: Flask, viewer: Visitor
) -> None:
    opened(user)
    said(user, "Between us.")
    memory.store("morning_meeting_001", key="k", content="Between us.", by=user.user_id)
    note = made.add("morning_meeting_001", name="n", content="Between us.", by=user.user_id)["artifact_id"]
    other = Visitor(app, "user")
    places = [
        ONE,
        f"{ONE}/edit",
        f"{ONE}/document.json",
        f"{ONE}/artifacts/{note}",
        f"{ONE}/artifacts/{note}/file",
    ]
    parts = ["status", "summary", "memories", "artifacts", "jobs", "talk", "events"]

    for place in [*places, *(f"/ui{ONE}/{part}" for part in parts)]:
        assert other.get(place).status_code == 404, place
        assert user.get(place).status_code in (200, 204), place
        if place not in (ONE, f"/ui{ONE}/status"):
            assert viewer.get(place).status_code == 403, place
    for place in (
        "messages",
        "memories",
        "memories/forget",
        "artifacts",
        "delegate",
        "pause",
        "delete",
        "edit",
    ):
        assert other.post(f"{ONE}/{place}").status_code == 404, place
        assert viewer.post(f"{ONE}/{place}").status_code == 403, place
    assert other.soup("/sessions").select("tr[data-row]") == []
    seen = words(viewer.soup(f"{ONE}?tab=memories").select_one("main"))
    assert "1 message, 1 memory, 1 artifact, 0 jobs" in seen
    assert "Between us" not in seen


def test_whoever_takes_part_adds_to_it_and_only_its_owner_steers_it(user: Visitor, app: Flask) -> None:
    friend = Visitor(app, "user")
    opened(user, participants=f"Ada, {email_of(friend)}")

    said(friend, "I am here, too.")
    page = friend.soup(ONE)

    assert "I am here, too." in words(user.soup(ONE).select_one("#talk"))
    assert "Pause" not in words(page.select_one("#session"))
    assert "Pause" in words(user.soup(ONE).select_one("#session"))
    for verb in ("pause", "complete", "delete", "edit"):
        assert friend.post(f"{ONE}/{verb}").status_code == 403, verb


# -- what was said


def test_the_newest_messages_come_last_and_one_pages_back(user: Visitor) -> None:
    opened(user)
    chunks = [{"speaker": "Ada", "text": f"Sentence {n}."} for n in range(1, 61)]
    talk.add("morning_meeting_001", chunks, by=user.user_id)

    page = user.soup(ONE)
    shown = [words(each) for each in page.select("#talk .msg")]
    assert shown[0] == "Sentence 11."
    assert shown[-1] == "Sentence 60."
    earlier = page.select_one("a[rel=prev]")
    assert earlier is not None
    before = user.soup(str(earlier["href"]))
    assert [words(each) for each in before.select("#talk .msg")] == [f"Sentence {n}." for n in range(1, 11)]
    assert before.select("[data-feed]") == []

    talk.add("morning_meeting_001", [{"speaker": "Ada", "text": "One more."}], by=user.user_id)
    fed = user.get(f"/ui{ONE}/talk?after=60")
    assert fed.headers["HX-After"] == "61"
    assert "One more." in fed.text
    assert "Sentence" not in fed.text
    assert user.get(f"/ui{ONE}/talk?after=61").status_code == 204


def test_a_message_without_words_is_refused_and_the_speaker_stays(user: Visitor) -> None:
    opened(user)

    answer = user.post(f"{ONE}/messages", {"speaker": "Grace", "text": " "})

    page = soup(answer)
    assert answer.status_code == 422
    assert "must not be empty" in words(page.select_one("#text-wrong"))
    speaker = page.select_one("#speaker")
    assert speaker is not None
    assert speaker["value"] == "Grace"


def test_a_summary_is_made_by_a_button(user: Visitor) -> None:
    opened(user)
    assert "Make a summary" not in words(user.soup(ONE).select_one("#summary"))
    said(user, "We decided to ship on Thursday.", "Grace will write the announcement until Wednesday.")

    answer = user.post(f"{ONE}/summary", follow=True)

    told = words(soup(answer).select_one("#summary"))
    assert "To do Grace will write the announcement" in told
    assert "Decided We decided to ship on Thursday." in told


# -- what is remembered and made


def test_a_memory_is_added_found_changed_and_forgotten(user: Visitor) -> None:
    opened(user)
    first = {"key": "release day", "content": "It is Thursday.", "tags": "release, plan", "importance": "9"}
    assert user.post(f"{ONE}/memories", first).headers["Location"] == f"{ONE}?tab=memories"
    user.post(f"{ONE}/memories", {"key": "tone", "content": "Friendly."})

    assert len(user.soup(f"{ONE}?tab=memories").select("#memories li")) == 2
    found = user.soup(f"{ONE}?tab=memories&q=thursday")
    assert [words(each) for each in found.select("#memories .said")] == ["It is Thursday."]
    assert len(user.soup(f"{ONE}?tab=memories&tag=plan").select("#memories li")) == 1
    form = user.soup(f"{ONE}?tab=memories&edit=release+day")
    key = form.select_one("#key")
    assert key is not None
    assert key["value"] == "release day"
    assert key.has_attr("readonly")

    user.post(f"{ONE}/memories", first | {"content": "It is Friday."})
    assert memory.get("morning_meeting_001", "release day")["version"] == 2
    user.post(f"{ONE}/memories/forget", {"key": "tone"})
    assert [each["key"] for each in memory.page("morning_meeting_001")] == ["release day"]


def test_a_memory_that_cannot_be_is_said_at_its_field(user: Visitor) -> None:
    opened(user)

    answer = user.post(f"{ONE}/memories", {"key": "k", "content": "Kept.", "importance": "99", "tags": "a"})

    page = soup(answer)
    assert answer.status_code == 422
    assert "at most 10" in words(page.select_one("#importance-wrong"))
    assert "Kept." in words(page.select_one("#content"))
    assert page.select("#remember details[open]") != []


def test_an_artifact_is_read_as_what_it_is(user: Visitor) -> None:
    opened(user)
    text = "# Minutes\n\n**Ship it.**\n\n<script>alert(1)</script>"
    user.post(f"{ONE}/artifacts", {"name": "minutes.md", "type": "text/markdown", "content": text})
    user.post(f"{ONE}/artifacts", {"name": "plain.txt", "type": "text/plain", "content": "# <b>as it is</b>"})
    user.post(f"{ONE}/artifacts", {"name": "Roadmap", "type": "link", "url": "https://example.org/map"})
    by_name = {
        each["name"]: f"{ONE}/artifacts/{each['artifact_id']}" for each in made.page("morning_meeting_001")
    }

    minutes = user.soup(by_name["minutes.md"])
    assert words(minutes.select_one(".prose strong")) == "Ship it."
    assert minutes.select("main script") == []
    assert words(user.soup(by_name["plain.txt"]).select_one("pre")) == "# <b>as it is</b>"
    link = user.soup(by_name["Roadmap"]).select_one("main a[href='https://example.org/map']")
    assert link is not None
    assert "noopener" in (link["rel"] or "")
    saved = user.get(f"{by_name['minutes.md']}/file")
    assert saved.text == text
    assert saved.mimetype == "application/octet-stream"
    assert "attachment" in saved.headers["Content-Disposition"]
    assert "sandbox" in saved.headers["Content-Security-Policy"]


def test_an_artifact_needs_a_text_or_an_address(user: Visitor) -> None:
    opened(user)

    neither = user.post(f"{ONE}/artifacts", {"name": "n"})
    unsafe = user.post(f"{ONE}/artifacts", {"name": "n", "url": "javascript:alert(1)"})

    assert "either content or url" in words(soup(neither).select_one("#make [role=alert]"))
    assert "https://" in words(soup(unsafe).select_one("#url-wrong"))
    assert (neither.status_code, unsafe.status_code) == (422, 422)


# -- what is handed out


def test_work_is_handed_out_by_the_agents_own_form(user: Visitor) -> None:
    opened(user)
    form = user.soup(f"{ONE}?tab=jobs&agent=writer")
    assert form.select("[name='p.topic']") != []

    refused = user.post(f"{ONE}/delegate", {"agent_id": "writer", "p.topic": "", "priority": "high"})
    page = soup(refused)
    assert refused.status_code == 422
    assert "required" in words(page.select_one("#f-topic-wrong"))
    assert words(page.select_one("#priority [selected]")) == "High"

    done = user.post(f"{ONE}/delegate", {"agent_id": "writer", "p.topic": "Ships", "priority": "high"})
    assert done.headers["Location"] == f"{ONE}?tab=jobs"
    handed = user.soup(f"{ONE}?tab=jobs").select_one("#jobs a")
    assert handed is not None
    job_id = str(handed["href"]).rpartition("/")[2]
    assert job(job_id)["session_id"] == "morning_meeting_001"
    back = user.soup(f"/jobs/{job_id}").select_one(f"a[href='{ONE}']")
    assert words(back) == "morning_meeting_001"
    lifecycle.complete(claim_one(), {"ok": True})
    assert "Completed" in words(user.soup(f"{ONE}?tab=jobs").select_one("#jobs"))
    assert "A job was handed out" in words(user.soup(f"{ONE}?tab=events").select_one("#events"))


# -- the session as a whole


def test_a_paused_session_takes_nothing_and_says_so(user: Visitor) -> None:
    opened(user)
    user.post(f"{ONE}/pause")

    page = user.soup(ONE)
    assert "Paused: it takes no messages" in words(page.select_one("#session"))
    assert page.select("#say") == []
    refused = user.post(f"{ONE}/messages", {"speaker": "Ada", "text": "Hello?"})
    assert refused.status_code == 422
    assert talk.page("morning_meeting_001") == []

    assert "The session goes on." in user.post(f"{ONE}/resume", follow=True).text
    assert user.soup(ONE).select("#say") != []
    assert user.post(f"{ONE}/stop").status_code == 404


def test_a_deleted_session_is_gone_for_those_who_take_part_and_comes_back(app: Flask, user: Visitor) -> None:
    friend = Visitor(app, "user")
    opened(user, participants=email_of(friend))
    said(user, "Keep this.")

    user.post(f"{ONE}/delete")

    assert friend.get(ONE).status_code == 404
    assert "s-morning_meeting_001" not in user.get("/sessions").text
    assert "s-morning_meeting_001" in user.get("/sessions?status=deleted").text
    assert user.soup(ONE).select("#say") == []
    assert "The session is back." in user.post(f"{ONE}/restore", follow=True).text
    assert "Keep this." in words(friend.soup(ONE).select_one("#talk"))


def test_the_whole_session_is_saved_as_json(user: Visitor) -> None:
    opened(user)
    said(user, "Good morning.")
    made.add("morning_meeting_001", name="n", content="All of it.", by=user.user_id)

    answer = user.get(f"{ONE}/document.json")

    whole = json.loads(answer.text)
    assert answer.headers["Content-Disposition"] == "attachment; filename=morning_meeting_001.json"
    assert whole["messages"][0]["text"] == "Good morning."
    assert whole["artifacts"][0]["content"] == "All of it."


def test_title_and_people_are_changed(user: Visitor) -> None:
    opened(user)

    answer = user.post(
        f"{ONE}/edit", {"title": "Evening", "participants": "Grace\nLinus", "callback_url": ""}, follow=True
    )

    head = words(soup(answer).select_one("#session"))
    assert head.startswith("Evening Active")
    assert "Grace Linus" in head


def test_what_people_wrote_is_text_wherever_it_stands(user: Visitor) -> None:
    opened(user, title=HOSTILE, participants=HOSTILE)
    said(user, HOSTILE)
    memory.store("morning_meeting_001", key=HOSTILE, content=HOSTILE, tags=[HOSTILE], by=user.user_id)
    made.add("morning_meeting_001", name=HOSTILE, content=HOSTILE, by=user.user_id)

    for place in ("/sessions", *(f"{ONE}?tab={tab}" for tab in TABS), f"{ONE}/edit"):
        page = user.soup(place)
        assert page.select("main img, main script") == [], place
        assert "49" not in words(page.select_one("main h1")), place
    assert HOSTILE in words(user.soup(ONE).select_one("#talk .msg"))
