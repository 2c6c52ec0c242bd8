from __future__ import annotations

import io
from typing import Any

import jsonschema
import pytest
from pptx import Presentation
from pptx.util import Inches

from actors.builtin.powerpoint import THEMES
from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "presentation-designer"
OUTLINE = """\
# Harbour plan

## Berths

- Forty places
  - ten for guests
- **Power** at [each](https://x.example)

> Say that the pier was new in 2019.

## Money

Mooring pays for the pier. Nobody has to subsidise it any more.

Note: bring the figures

```
not shown
```
"""


def _pages(desk: Desk) -> Any:
    [name] = desk.context.artifacts
    return Presentation(io.BytesIO(desk.context.artifacts[name]))


def _shown(page: Any) -> tuple[str, list[str]]:
    body = page.placeholders[1].text_frame
    return page.shapes.title.text_frame.text, [line.text for line in body.paragraphs if line.text]


def test_the_example_is_a_deck_with_a_title_and_notes(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    book = _pages(desk)
    assert len(book.slides) == result["slides"] == 6
    assert _shown(book.slides[0])[0] == "Work queues"
    assert [_shown(page)[0] for page in list(book.slides)[1:]] == [
        each["title"] for each in result["outline"]
    ]
    assert book.slides[3].has_notes_slide


def test_an_outline_becomes_slides_points_levels_and_notes(desk: Desk) -> None:
    result = desk.run(AGENT, topic="Harbour plan", content=OUTLINE, subtitle="Spring", author="Ann")

    book = _pages(desk)
    assert result["made_from"] == "outline"
    assert [_shown(page) for page in book.slides] == [
        ("Harbour plan", ["Spring"]),
        ("Berths", ["Forty places", "ten for guests", "Power at each"]),
        ("Money", ["Mooring pays for the pier."]),
    ]
    levels = [line.level for line in book.slides[1].placeholders[1].text_frame.paragraphs]
    assert levels == [0, 1, 0]
    notes = [page.notes_slide.notes_text_frame.text for page in list(book.slides)[1:]]
    assert notes[0] == "Say that the pier was new in 2019."
    assert "Nobody has to subsidise it any more." in notes[1]
    assert "bring the figures" in notes[1]
    assert (book.core_properties.title, book.core_properties.author) == ("Harbour plan", "Ann")
    assert (book.slide_width, book.slide_height) == (Inches(13.333), Inches(7.5))


def test_a_text_without_outline_is_reduced_to_sentences_that_stand_in_it(desk: Desk) -> None:
    text = (EXAMPLES / "articles" / "retries.txt").read_text()
    result = desk.run(AGENT, topic="Retries", content=text, slides=4)

    assert result["made_from"] == "sentences"
    flat = " ".join(text.split())
    bullets = [bullet for slide in result["outline"] for bullet in slide["bullets"]]
    assert len(bullets) >= 3
    assert all(bullet.rstrip("…") in flat for bullet in bullets)


def test_a_full_slide_is_continued_and_what_is_too_much_is_named(desk: Desk) -> None:
    content = "## Long\n" + "".join(f"- point {n}\n" for n in range(14)) + "\n## Last\n- end\n"
    result = desk.run(AGENT, topic="T", content=content, slides=3)

    assert [slide["title"] for slide in result["outline"]] == ["Long", "Long (continued)", "Long (continued)"]
    assert [len(slide["bullets"]) for slide in result["outline"]] == [6, 6, 2]
    assert _pages(desk).slides[3].notes_slide.notes_text_frame.text == "Left out: Last"


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_every_theme_can_be_read(desk: Desk, theme: str) -> None:
    """Contrast of text and ground, by WCAG's formula."""
    desk.run(AGENT, topic="T", content=OUTLINE, theme=theme)
    page = _pages(desk).slides[1]
    ground = page.background.fill.fore_color.rgb
    inks = [line.runs[0].font.color.rgb for line in page.placeholders[1].text_frame.paragraphs]
    inks.append(page.shapes.title.text_frame.paragraphs[0].runs[0].font.color.rgb)
    assert min(_contrast(ground, ink) for ink in inks) > 7


def _contrast(one: Any, other: Any) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Any) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_slides_need_something_to_say(desk: Desk) -> None:
    with pytest.raises(jsonschema.ValidationError, match="content"):
        desk.run(AGENT, topic="Anything")
    with pytest.raises(PermanentError, match="nothing to show") as refused:
        desk.run(AGENT, topic="T", content="# Only\n\n## Headings\n\n## Here\n")
    assert refused.value.user_error


def test_control_characters_do_not_break_the_file(desk: Desk) -> None:
    desk.run(AGENT, topic="T\x0bx", content="## A\x00\n- b\x08 \u202e c\x0b\n- d\n- e\n")
    assert _shown(_pages(desk).slides[1]) == ("A", ["b c", "d", "e"])


@pytest.mark.parametrize(
    "bomb", ["# " * 90_000, "- a\n" * 50_000, "a. " * 60_000, "> " * 90_000, "## x\n\ny.\n" * 20_000]
)
def test_hostile_content_is_shown_or_refused_in_bounded_time(desk: Desk, bomb: str) -> None:
    try:
        assert desk.run(AGENT, topic="T", content=bomb)["slides"] <= 11
    except PermanentError as error:
        assert error.user_error  # noqa: PT017
    assert desk.context.remaining_seconds > 60
