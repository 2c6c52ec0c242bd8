from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "seo-specialist"
SOUND = """<!doctype html><html lang="en"><head><title>Repairing bicycles in the harbour</title>
<meta name="viewport" content="width=device-width"><meta name="description" content="{description}">
<link rel="canonical" href="https://a.example/"></head><body><h1>Repairing bicycles</h1><p id="p">{text}</p>{more}</body></html>"""


def page(
    more: str = "", text: str = "bicycles are repaired here by people who like what they do all day " * 14
) -> str:
    return SOUND.format(
        description="All that has to be said of the shop in one line of fair length.", text=text, more=more
    )


def codes(result: dict[str, object], name: str) -> set[str]:
    findings = result["findings"]
    assert isinstance(findings, list)
    return {finding["code"] for finding in findings if finding["page"] == name}


def test_the_example_finds_the_flaws_that_were_put_there(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert {"broken-link", "duplicate-title"} == codes(result, "index.html")
    assert {"h1-many", "alt-missing", "heading-skipped", "description-short", "duplicate-title"} <= codes(
        result, "services.html"
    )
    assert {
        "h1-missing",
        "description-missing",
        "language-missing",
        "viewport-missing",
        "broken-link",
    } <= codes(result, "about.html")
    assert {"title-missing", "noindex"} <= codes(result, "contact.html")
    assert result["errors"] == 8
    kept = orjson.loads(desk.context.artifacts["findings.json"])
    assert kept["findings"] == result["findings"]
    assert desk.context.artifacts["report.md"].decode() == result["report"]


def test_a_sound_page_has_nothing_to_repair(desk: Desk) -> None:
    desk.write(
        {
            "index.html": page(
                '<a href="#p">down</a> <a href="https://b.example/x">out</a> <a href="mailto:a@b.example">mail</a>'
            )
        }
    )
    result = desk.run(AGENT, topic="bicycle", path="index.html")
    assert [finding for finding in result["findings"] if finding["code"] != "keyword-stuffed"] == []


def test_links_are_checked_within_the_folder(desk: Desk) -> None:
    links = [
        "/b.html",
        "b.html#p",
        "b.html?x=1#p",
        "sub/",
        "b%2Ehtml",
        "b.html#gone",
        "c.html",
        "../outside.txt",
        "//[",
        "\\",
    ]
    desk.write({
        "shop/a.html": page("".join(f'<a href="{link}">x</a>' for link in links)),
        "shop/b.html": page(),
        "shop/sub/index.html": page(),
        "outside.txt": "here",
    })  # fmt: skip
    result = desk.run(AGENT, topic="bicycle", path="shop")
    said = [finding["message"] for finding in result["findings"] if finding["code"] == "broken-link"]
    assert len(said) == 5
    assert any("leads out of the folder" in message for message in said)
    assert any("no “#gone”" in message for message in said)


def test_it_does_not_tell_whether_files_outside_exist(desk: Desk) -> None:
    desk.write(
        {
            "shop/a.html": page(
                '<a href="../../../../etc/passwd">x</a><a href="../../../../etc/nothing-here">y</a>'
            )
        }
    )
    result = desk.run(AGENT, topic="bicycle", path="shop")
    said = {
        finding["message"].split(": ")[1]
        for finding in result["findings"]
        if finding["code"] == "broken-link"
    }
    assert said == {"leads out of the folder."}


def test_pages_behind_links_out_of_the_folder_are_not_read(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text(page("a secret"))
    desk.write({"shop/a.html": page()})
    (desk.root / "shop" / "b.html").symlink_to(tmp_path / "secret.html")
    (desk.root / "shop" / "c").symlink_to(tmp_path)
    assert [found["page"] for found in desk.run(AGENT, topic="x", path="shop")["pages"]] == ["a.html"]


def test_keywords_are_looked_for_where_they_count(desk: Desk) -> None:
    desk.write(
        {
            "a.html": page(
                text="Our tandem is ready. " + "Many other words stand on this page as well today. " * 20
            )
        }
    )
    result = desk.run(AGENT, topic="shop", keywords=["tandem", "rickshaw", "unicycle"], path="a.html")
    assert result["pages"][0]["keyword_uses"] == {"tandem": 1, "rickshaw": 0, "unicycle": 0}
    assert {"keyword-buried", "keyword-absent"} <= codes(result, "a.html")


def test_markup_in_pages_is_harmless_in_the_report(desk: Desk) -> None:
    desk.write(
        {"a.html": "<title>&lt;script&gt;alert(1)&lt;/script&gt; | x</title>", "<img src=x>.html": "<p>x"}
    )
    report = desk.run(AGENT, topic="<b>", path=str(desk.root))["report"]
    assert "<script" not in report
    assert "<img" not in report


def test_the_number_of_pages_is_bounded(desk: Desk) -> None:
    desk.write({f"p{n}.html": "<title>x</title>" for n in range(30)})
    assert len(desk.run(AGENT, topic="x", path=str(desk.root), max_pages=7)["pages"]) == 7
    assert "max_pages" in desk.context.said


def test_hostile_pages_are_audited_in_bounded_time(desk: Desk) -> None:
    desk.context.timeout_seconds = 60
    desk.write({
        "deep.html": "<b>" * 400_000,
        "links.html": '<a href="x">' * 100_000,
        "attributes.html": "<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">",
        "open.html": "<![CDATA[" * 50_000 + "<" * 200_000,
        "empty.html": "",
        "nulls.html": "<title>\u202etxt</title>\x01",
    })  # fmt: skip
    result = desk.run(AGENT, topic="x", path=str(desk.root))
    assert len(result["pages"]) == 6
    assert len(result["report"].encode()) <= 20_000
    assert desk.context.remaining_seconds > 0


@pytest.mark.parametrize("path", ["../..", "/etc", "nothing.html", "notes.txt", "empty"])
def test_what_is_no_page_is_refused_with_the_way_out(desk: Desk, path: str) -> None:
    desk.write({"notes.txt": "text", "empty/x.txt": "text"})
    with pytest.raises(PermanentError) as caught:
        desk.run(AGENT, topic="x", path=path)
    assert caught.value.user_error
