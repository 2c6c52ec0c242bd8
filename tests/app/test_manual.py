from __future__ import annotations

from pathlib import Path

import pytest

from app.manual import Manual, sections


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("# All\n\n- [Ships](ships.md#the-keel)\n")
    (tmp_path / "ships.md").write_text(
        "# Ships\n\nOf wood. [Up](../LICENSE), [there](https://example.org/a.md).\n\n"
        "## The keel\n\nIt holds `ribs` together.\n\n```bash\nrivet --all\n```\n\n## The keel\n\nAgain. <b>raw</b>\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "README.md").write_text(
        "# Pictures\n\n![One](light/one.webp) and [ships](../ships.md)\n"
    )
    (tmp_path / "notes.txt").write_text("no guide")
    return tmp_path


def test_the_guides_are_the_markdown_files_of_the_folder(folder: Path) -> None:
    assert Manual(folder).names == ["README", "pictures/README", "ships"]


def test_headings_get_anchors_of_their_own(folder: Path) -> None:
    guide = Manual(folder).guide("ships")

    assert guide.title == "Ships"
    assert [heading.anchor for heading in guide.headings] == ["ships", "the-keel", "the-keel-1"]
    assert '<h2 id="the-keel-1">' in guide.html


def test_links_lead_to_pages(folder: Path) -> None:
    manual = Manual(folder)

    assert 'href="/docs/ships#the-keel"' in manual.guide("README").html
    assert 'href="/docs/"' in manual.guide("ships").html
    assert 'href="https://example.org/a.md"' in manual.guide("ships").html
    pictures = manual.guide("pictures/README").html
    assert 'src="/docs/pictures/light/one.webp"' in pictures
    assert 'href="/docs/ships"' in pictures


def test_raw_html_stays_text_and_tables_can_be_scrolled(folder: Path) -> None:
    html = Manual(folder).guide("ships").html

    assert "&lt;b&gt;raw" in html
    assert '<div class="scroll" tabindex="0"' in html


def test_sections_have_the_words_that_stand_under_their_headings(folder: Path) -> None:
    found = sections(Manual(folder).guide("ships"))

    assert [heading.text for heading, _ in found] == ["Ships", "The keel", "The keel"]
    assert "ribs" in found[1][1]
    assert "rivet --all" in found[1][1]
    assert "ribs" not in found[2][1]


def test_all_words_must_stand_in_one_section_and_the_last_may_be_a_beginning(folder: Path) -> None:
    manual = Manual(folder)

    assert [found.anchor for found in manual.find("holding rib")] == ["the-keel"]
    assert manual.find("wood ribs") == []
    assert manual.find("  ") == []
    assert manual.find("keel")[0].guide == "ships"
    assert "<mark>ribs</mark>" in manual.find("ribs")[0].excerpt
