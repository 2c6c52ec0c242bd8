"""From what a model wrote to an article."""

from __future__ import annotations

import json

import pytest

from app.content.article import Article
from app.content.brief import Brief
from app.content.outline import outline

BRIEF = Brief(topic="night queues", tags=("operations",))
POST = (
    "# The *night* queue\n\nA queue works while everybody else is asleep.\n\n## Why\n\nBecause it is cheap."
)


@pytest.mark.parametrize(
    "wrapped",
    [
        POST,
        f"```markdown\n{POST}\n```",
        f"```\n{POST}\n```\n",
        f"Sure! Here is your blog post:\n\n{POST}",
        POST.replace("\n", "\r\n"),
        json.dumps({"content": POST, "tags": ["a"]}),
        f"```json\n{json.dumps({'title': 'Another', 'content': POST}, indent=2)}\n```",
        json.dumps({"title": "The night queue", "body": POST.partition("\n\n")[2]}),
    ],
)
def test_whatever_a_model_puts_around_a_post_is_taken_off(wrapped: str) -> None:
    article = Article.read(wrapped, BRIEF)
    assert article.content.replace("*", "") == POST.replace("*", "")
    assert article.title == "The night queue"
    assert article.excerpt == "A queue works while everybody else is asleep."
    assert article.body.startswith("A queue works")


def test_a_post_without_a_title_gets_its_topic() -> None:
    article = Article.read("A queue works while everybody else is asleep.", BRIEF)
    assert article.title == "night queues"
    assert article.content.startswith("# night queues\n\nA queue")


@pytest.mark.parametrize("text", ["{not json}", '{"a": 1}', "{}", '{"content": 3}', "{" * 5000 + "}" * 5000])
def test_braces_that_hold_no_post_stay(text: str) -> None:
    assert text in Article.read(text, BRIEF).content


def test_an_introduction_above_the_title_stays() -> None:
    text = "First words.\n\nSecond words.\n\n# Title\n\nThe rest of what there is to say here."
    article = Article.read(text, BRIEF)
    assert article.content == text
    assert article.body == text


def test_code_in_the_middle_is_no_fence_around_it() -> None:
    text = f"{POST}\n\n```\nmake run\n```"
    assert Article.read(text, BRIEF).content == text


def test_tags_are_those_that_were_asked_for_else_those_of_the_text() -> None:
    assert Article.read(POST, BRIEF).tags == ("operations",)
    assert "queue" in Article.read(POST, Brief(topic="x")).tags


def test_what_search_engines_show_has_the_length_that_they_show() -> None:
    long = f"# {'Long title ' * 20}\n\n{'Many words in a first paragraph. ' * 30}"
    article = Article.read(long, BRIEF)
    assert len(article.title) <= 200
    assert len(article.seo_title) <= 60
    assert len(article.seo_description) <= 155
    assert len(article.excerpt) <= 300


@pytest.mark.parametrize("odd", ["#", "# ", "```\n```", "\x00# A\n\nb", "#" * 5000, "[" * 5000])
def test_nothing_that_a_model_writes_is_too_odd(odd: str) -> None:
    article = Article.read(odd, BRIEF)
    assert article.title
    assert "\x00" not in article.content
    assert Article.of(article.document()) == article


def test_the_outline_says_that_it_is_one_and_what_is_wanted() -> None:
    brief = Brief(topic="night queues", primary_keyword="cheap nights", target_audience="small teams")
    text = outline(brief)
    article = Article.read(text, brief)
    assert article.title == "Night queues"
    assert "without a model" in text
    assert "[to write:" in text
    assert "cheap nights" in text
    assert "small teams" in text
