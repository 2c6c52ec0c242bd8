from __future__ import annotations

import io
from typing import Any

import jsonschema
import pytest
from openpyxl import load_workbook

from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "user-story-agent"


def _story(desk: Desk, notes: str, **more: Any) -> dict[str, Any]:
    [story] = desk.run(AGENT, notes=notes, **more)["stories"]
    return dict(story)


def test_the_example_becomes_a_backlog_and_nothing_of_the_notes_is_lost(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert [(story["epic"], story["priority"], story["story"]) for story in result["stories"]] == [
        (
            "Booking",
            "must",
            "As a passenger, I want to cancel a ticket until two hours before departure, because plans change.",
        ),
        (
            "Booking",
            "should",
            "As harbour staff, I want to have a list of all passengers, so that nobody is left behind.",
        ),
        ("Booking", "could", "As a user, I want the product to show free seats faster."),
        ("Payment", "should", "As a user, I want the product to send a receipt by mail."),
    ]
    assert result["questions"] == [{"text": "Do we accept cash?", "line": 10}]
    assert result["not_used"] == [{"text": "The old ticket machine was bought in 2009.", "line": 11}]
    assert result["made_by"] == "rules"


def test_conditions_become_scenarios(desk: Desk) -> None:
    story = _story(
        desk,
        "- Members must be able to book a berth so that they know where to moor\n"
        "  - when the harbour is full, then a waiting list is offered\n"
        "  - at most two berths for each member\n",
    )

    assert story["acceptance_criteria"] == [
        (
            "Scenario: Book a berth\n  Given a member\n  When the member wants to book a berth\n"
            "  Then they know where to moor"
        ),
        "Scenario: Book a berth, condition 1\n  Given the harbour is full\n  Then a waiting list is offered",
        (
            "Scenario: Book a berth, condition 2\n  Given the member wants to book a berth\n"
            "  Then at most two berths for each member"
        ),
    ]
    assert story["to_clarify"] == []


def test_explicit_criteria_are_sentences_to_tick(desk: Desk) -> None:
    story = _story(desk, "- Members can book a berth\n  - at most two for each\n", format="explicit")
    assert story["acceptance_criteria"] == ["A member can book a berth.", "At most two for each."]
    assert "- [ ] A member can book a berth." in desk.context.artifacts["user_stories.md"].decode()


@pytest.mark.parametrize(
    ("notes", "sentence"),
    [
        (
            "As an admin, I want to export data in order to audit it.",
            "As an admin, I want to export data, so that I can audit it.",
        ),
        ("Customers cannot see their invoices", "As a customer, I want to see their invoices."),
        ("The system must not show addresses", "As a user, I want the product not to show addresses."),
        ("Guests must not enter the pier", "As a guest, I want nobody to enter the pier."),
        ("We need a map", "As a user, I want to have a map."),
        ("API clients should get an error", "As an API client, I want to get an error."),
        ("1) [ ] Export the list as CSV", "As a user, I want the product to export the list as CSV."),
    ],
)
def test_needs_are_recognised_by_their_form(desk: Desk, notes: str, sentence: str) -> None:
    assert _story(desk, notes)["story"] == sentence


def test_what_the_notes_do_not_say_is_asked(desk: Desk) -> None:
    asked = " ".join(_story(desk, "- Make the search faster")["to_clarify"])

    assert "The notes name nobody" in asked
    assert "What is it good for?" in asked
    assert "The notes name no condition" in asked
    assert "“faster”" in asked


@pytest.mark.parametrize(
    ("mark", "priority"),
    [("[P1]", "must"), ("(low)", "could"), ("(Won't)", "won't"), ("", "should"), ("urgent", "must")],
)
def test_priorities_come_from_marks_and_words(desk: Desk, mark: str, priority: str) -> None:
    assert _story(desk, f"- Print the ticket {mark}")["priority"] == priority


def test_the_role_for_needs_that_name_nobody_is_asked_for(desk: Desk) -> None:
    assert _story(desk, "- Add a map", role="skipper")["role"] == "skipper"


def test_needs_below_a_point_that_is_none_are_found_under_its_name(desk: Desk) -> None:
    result = desk.run(
        AGENT, notes="- Operations:\n    - Add a restart button\n    - Add a log\n    - Add a log\n"
    )
    assert [(story["epic"], story["goal"]) for story in result["stories"]] == [
        ("Operations", "add a restart button"),
        ("Operations", "add a log"),
    ]


def test_the_excel_file_holds_the_same_and_no_formula(desk: Desk) -> None:
    result = desk.run(
        AGENT,
        notes='- Add =HYPERLINK("http://x.example","y") to the page\n- =1+1 what is this?\n- =cmd|calc\n\x07- Add a bell\n',
        project="=2+2",
    )

    book = load_workbook(io.BytesIO(desk.context.artifacts["user_stories.xlsx"]))
    assert book.sheetnames == ["Stories", "Questions", "Not used"]
    stories = list(book["Stories"].values)
    assert stories[0][:5] == ("ID", "Epic", "Title", "As a", "I want to")
    assert [row[0] for row in stories[1:]] == [story["id"] for story in result["stories"]]
    assert [row[4] for row in stories[1:]] == [story["goal"] for story in result["stories"]]
    assert book["Questions"]["A2"].value == "=1+1 what is this?"
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"}


def test_notes_without_a_need_are_the_submitters_error(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="No need was found") as refused:
        desk.run(AGENT, notes="It rained. The ferry was late.")
    assert refused.value.user_error
    with pytest.raises(jsonschema.ValidationError):
        desk.run(AGENT, notes="")


@pytest.mark.parametrize(
    "bomb",
    [
        "a" * 200_000,
        "- " * 100_000,
        "as a " * 40_000,
        "x must " * 28_000,
        "  - a\n" * 30_000,
        "so that " * 25_000,
    ],
)
def test_hostile_notes_are_read_in_bounded_time(desk: Desk, bomb: str) -> None:
    try:
        desk.run(AGENT, notes=bomb)
    except PermanentError as error:
        assert error.user_error  # noqa: PT017 - some of them are no notes at all
    assert desk.context.remaining_seconds > 90
