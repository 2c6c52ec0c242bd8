from __future__ import annotations

import io
import re
from itertools import cycle

import jsonschema
import pytest
from PIL import Image

from actors.builtin import visual_designer
from actors.builtin.cards.themes import THEMES
from actors.builtin.cards.typeset import fit
from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "visual-designer"


def picture(desk: Desk, **parameters: str) -> Image.Image:
    result = desk.run(AGENT, **parameters)
    opened = Image.open(io.BytesIO(desk.context.artifacts[result["file_path"]]))
    opened.load()
    return opened


def test_the_example_is_a_png_of_the_size_it_says(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["file_path"] == "new-ai-product-launch.png"
    opened = Image.open(io.BytesIO(desk.context.artifacts[result["file_path"]]))
    assert opened.format == "PNG"
    assert opened.size == (result["width"], result["height"]) == (1600, 900)
    assert desk.context.media_types[result["file_path"]] == "image/png"


SIZES = {"16:9": (1600, 900), "1:1": (1200, 1200), "4:5": (1080, 1350)}


def test_the_same_words_give_the_same_bytes_and_others_do_not(desk: Desk) -> None:
    first, again, other = (
        desk.run(AGENT, prompt=words) and desk.context.artifacts.copy() for words in ("One", "One", "Two")
    )
    assert first["one.png"] == again["one.png"]
    assert other["two.png"] != first["one.png"]


@pytest.mark.parametrize(("theme", "ratio"), [*zip(sorted(THEMES), cycle(SIZES), strict=False)])
def test_the_title_stands_out_in_every_theme_and_every_aspect_ratio_has_its_size(
    desk: Desk, theme: str, ratio: str
) -> None:
    drawn = picture(desk, prompt="A title with some words in it", theme=theme, aspect_ratio=ratio)
    assert drawn.size == SIZES[ratio]
    colours = drawn.convert("RGB").getcolors(2_000_000)
    assert colours
    ink = next((count for count, colour in colours if colour == THEMES[theme].ink), 0)
    assert ink > 5_000


def test_the_words_are_what_changes_the_picture_on_the_left(desk: Desk) -> None:
    with_title = picture(desk, prompt="Wide words", theme="paper").convert("L").crop((90, 300, 700, 600))
    assert min(with_title.tobytes()) < 60


@pytest.mark.parametrize("title", ["A", "word " * 60, "W" * 300, "x" * 40 + " and more", "a b " * 75])
def test_long_and_unbroken_titles_stay_inside_their_box(title: str) -> None:
    setting = fit(title, 1200, 450, 120, 36, 6)
    assert len(setting.lines) <= 6
    assert setting.height <= 450
    assert all(setting.font.getlength(line) <= 1200 for line in setting.lines)


def test_lines_are_balanced() -> None:
    lines = fit("How we cut our nightly build from forty minutes to six", 1200, 450, 120, 36, 6).lines
    widths = [len(line) for line in lines]
    assert len(lines) > 1
    assert min(widths) > max(widths) / 2


@pytest.mark.parametrize(
    "title",
    [
        "שלום עולם",
        "مرحبا بالعالم",
        "你好，世界",
        "🚀 Launch",
        "\u202egnp.exe",
        "é" * 300,
        "a\u0301\u0302" * 100,
    ],
)
def test_any_script_gives_a_picture(desk: Desk, title: str) -> None:
    result = desk.run(AGENT, prompt=title)
    assert Image.open(io.BytesIO(desk.context.artifacts[result["file_path"]])).size == (1600, 900)
    assert "\u202e" not in result["report"] + result["alt_text"] + result["file_path"]


def test_signs_that_no_font_has_are_named_in_the_log(desk: Desk) -> None:
    desk.run(AGENT, prompt="A \U0001f9ff\U00013000 title")
    assert "No font on this machine has" in desk.context.said


@pytest.mark.parametrize("title", ["../../etc/passwd", ".."])
def test_the_file_name_is_plain_whatever_the_title(desk: Desk, title: str) -> None:
    name = desk.run(AGENT, prompt=title)["file_path"]
    assert name == f"{visual_designer._slug(title)}.png"
    assert list(desk.context.artifacts) == [name]


@pytest.mark.parametrize("title", ["../../etc/passwd", "a/b\\c", "con.png", "..", "%2e%2e%2f"])
def test_what_a_title_becomes_in_a_file_name_has_no_signs(title: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", visual_designer._slug(title))


def test_a_title_of_nothing_and_unknown_themes_are_refused(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="no title") as caught:
        desk.run(AGENT, prompt="\u200b\u202e ")
    assert caught.value.user_error
    with pytest.raises(jsonschema.ValidationError):
        desk.run(AGENT, prompt="x", theme="neon")


def test_it_is_ready_here() -> None:
    assert visual_designer.health().status == "ready"
