from __future__ import annotations

import io
from pathlib import Path

import pytest
from pypdf import PdfReader

from actors.builtin import pdf_fonts
from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "pdf-specialist"


def _read(desk: Desk, name: str) -> PdfReader:
    return PdfReader(io.BytesIO(desk.context.artifacts[name]))


def _text(desk: Desk, name: str) -> str:
    return " ".join(" ".join(page.extract_text() for page in _read(desk, name).pages).split())


def test_the_example_prints_everything_it_was_given(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    pdf, text = _read(desk, "night-work.pdf"), _text(desk, "night-work.pdf")
    assert result["pages"] == len(pdf.pages) == 1
    assert pdf.metadata is not None
    assert (pdf.metadata.title, pdf.metadata.author) == ("Night work", "Harbour office")
    assert [entry.title for entry in pdf.outline] == ["In short", "Figures"]  # type: ignore[union-attr]
    for piece in (
        "What a year of queues taught us", "must be seen", "2. Nothing is done twice.", "June 1850 1",
        "The bell may be lost", "make run", "1 / 1",
    ):  # fmt: skip
        assert piece in text
    assert result["replaced"] == []


def test_every_page_has_its_number_and_the_contents_name_the_right_ones(desk: Desk) -> None:
    content = "".join(f"## Chapter {n}\n\n{'Water. ' * 120}\n\n" for n in range(60))
    desk.run(AGENT, title="Tides", content=content, toc=True)

    pages = [page.extract_text() for page in _read(desk, "tides.pdf").pages]
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page
    contents = pages[0] + pages[1]
    for chapter in (0, 31, 59):
        page = next(
            n
            for n, text in enumerate(pages, 1)
            if text.startswith(f"Chapter {chapter}\n") or f"\nChapter {chapter}\n" in text
        )
        line = next(line for line in contents.splitlines() if line.startswith(f"Chapter {chapter} "))
        assert line.split()[-1] == str(page)


def test_typographic_signs_need_no_font_of_the_machine(desk: Desk) -> None:
    result = desk.run(AGENT, title="“Quoted” – 5 €", content="It’s… naïve • ok")
    assert result["replaced"] == []
    assert "It’s… naïve • ok" in _text(desk, "quoted-5.pdf")
    assert "Set in the built-in fonts." in desk.context.said


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_fonts, "_files_here", dict)


@pytest.mark.usefixtures("no_fonts")
def test_signs_that_no_font_has_are_replaced_and_named(desk: Desk) -> None:
    result = desk.run(AGENT, title="Łódź", content="Žatec, Привет")

    assert set("ŁźПривет") <= set(result["replaced"])
    assert "Žatec, ??????" in _text(desk, "odz.pdf")
    assert "replaced in the text" in desk.context.said


def test_a_font_of_the_machine_is_used_when_it_has_more_signs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a font made here, so that the test knows what it has: capitals and Cyrillic П only."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    codes = {code: f"g{code}" for code in [*range(32, 127), 0x41F]}
    names = [".notdef", *codes.values()]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 500))
    pen.lineTo((500, 0))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(codes)
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "DejaVuSans.ttf")
    monkeypatch.setattr(pdf_fonts, "_files_here", lambda: {"DejaVuSans": tmp_path / "DejaVuSans.ttf"})

    result = desk.run(AGENT, title="A", content="П я **bold**\n\n`code`")

    assert result["replaced"] == ["я"]
    assert "П ? bold" in _text(desk, "a.pdf")


def test_nothing_is_fetched_and_no_html_is_obeyed(desk: Desk) -> None:
    content = '![map](http://127.0.0.1:1/x.png) ![](/etc/passwd)\n\n<img src="/etc/passwd"><script>x</script>\n\n[a](javascript:x)'
    desk.run(AGENT, title="T", content=content)

    text = _text(desk, "t.pdf")
    assert "[map] [picture]" in text
    assert '<img src="/etc/passwd">' in text
    assert b"javascript" not in desk.context.artifacts["t.pdf"]


def test_a_wide_table_becomes_lines_and_long_words_are_broken(desk: Desk) -> None:
    row = "|" + "|".join(f"c{n}" for n in range(30)) + "|\n"
    content = row + "|" + "---|" * 30 + "\n" + row + "\n" + "x" * 5000
    result = desk.run(AGENT, title="T", content=content)
    assert "c0 | c1" in _text(desk, "t.pdf")
    assert result["pages"] >= 1


def test_the_first_heading_is_not_printed_twice(desk: Desk) -> None:
    desk.run(
        AGENT, title="Tides", content="# Tides\n\nHigh.", page_size="A5", filename="../../Plan für Ann.pdf"
    )
    assert list(desk.context.artifacts) == ["plan-fur-ann.pdf"]
    assert _text(desk, "plan-fur-ann.pdf").count("Tides") == 2  # title and foot


def test_nothing_to_print_is_the_submitters_error(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="nothing to print") as refused:
        desk.run(AGENT, title="T", content=" \n\u200b")
    assert refused.value.user_error


@pytest.mark.parametrize(
    "bomb",
    ["a" * 200_000, ">" * 50_000, "* " * 50_000, "|a" * 5_000 + "|\n" + "|-" * 5_000 + "|", "[x](" * 30_000],
)
def test_hostile_markdown_is_printed_or_refused_in_bounded_time(desk: Desk, bomb: str) -> None:
    try:
        desk.run(AGENT, title="T", content=bomb)
    except PermanentError as error:
        assert error.user_error  # noqa: PT017
    assert desk.context.remaining_seconds > 60
