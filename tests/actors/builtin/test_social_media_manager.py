from __future__ import annotations

import jsonschema
import orjson
import pytest

from actors.builtin.text.posts import PLATFORMS, length
from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "social-media-manager"
ARTICLE = (EXAMPLES / "articles" / "night-shift.md").read_text()


def test_the_example_is_one_post_with_hashtags(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert len(result["posts"]) == 1
    assert result["posts"][0]["text"].endswith(" ".join(result["hashtags"]))
    assert "#SupportTickets" in result["hashtags"]
    assert orjson.loads(desk.context.artifacts["posts.json"]) == result["posts"]


@pytest.mark.parametrize(("platform", "limit"), [("twitter", 280), ("linkedin", 3000), ("mastodon", 500)])
def test_every_post_keeps_the_limit_and_no_word_is_lost(desk: Desk, platform: str, limit: int) -> None:
    result = desk.run(AGENT, platform=platform, content=ARTICLE, link="https://example.com/" + "x" * 300)

    assert all(post["characters"] <= limit == post["limit"] for post in result["posts"])
    joined = " ".join(post["text"] for post in result["posts"])
    assert all(word in joined for word in ("resize", "1,400", "lawsuit", "96,000", "coffee"))
    assert result["posts"][-1]["text"].count("https://example.com/") == 1


def test_a_thread_is_numbered_and_cut_between_sentences(desk: Desk) -> None:
    posts = [post["text"] for post in desk.run(AGENT, platform="twitter", content=ARTICLE)["posts"]]
    assert [post.rsplit(" ", 1)[1] for post in posts] == [
        f"({at}/{len(posts)})" for at in range(1, len(posts) + 1)
    ]
    assert all(post.rsplit(" (", 1)[0].endswith((".", ":", "?")) for post in posts[:-1])


def test_addresses_and_wide_signs_count_as_the_platform_counts_them() -> None:
    address = "https://example.com/" + "x" * 100
    assert length(address, PLATFORMS["twitter"]) == 23
    assert length(address, PLATFORMS["linkedin"]) == len(address)
    assert length("你好", PLATFORMS["twitter"]) == 4
    assert length("你好", PLATFORMS["mastodon"]) == 2


def test_hashtags_given_are_used_as_they_are(desk: Desk) -> None:
    result = desk.run(
        AGENT,
        platform="mastodon",
        content="Short.",
        hashtags=["#opensource", "job queue", "JSON", "2026", "!"],
    )
    assert result["hashtags"] == ["#Opensource", "#JobQueue", "#JSON"]


def test_no_hashtags_if_none_are_wanted(desk: Desk) -> None:
    assert desk.run(AGENT, platform="linkedin", content=ARTICLE, hashtag_count=0)["hashtags"] == []


def test_a_long_thread_is_cut_and_said_so(desk: Desk) -> None:
    result = desk.run(AGENT, platform="twitter", content=ARTICLE, max_posts=2)
    assert len(result["posts"]) == 2
    assert result["needed_posts"] > 2
    assert "kept the first 2" in desk.context.said


@pytest.mark.parametrize(
    "content",
    [
        "x" * 50_000,
        "你" * 20_000,
        "a " * 25_000,
        "é.\n\n" * 12_000,
        "https://a.example/" + "y" * 40_000,
        "#" * 50_000,
        "<b>" * 16_000,
    ],
)
@pytest.mark.parametrize("platform", ["twitter", "linkedin", "mastodon"])
def test_hostile_text_keeps_the_limits_in_bounded_time(desk: Desk, platform: str, content: str) -> None:
    desk.context.timeout_seconds = 60
    result = desk.run(AGENT, platform=platform, content=content, max_posts=250)
    assert all(post["characters"] <= post["limit"] for post in result["posts"])
    assert len(result["report"].encode()) <= 20_000
    assert "<b>" not in result["report"]
    assert desk.context.remaining_seconds > 0


def test_nothing_to_post_and_unknown_platforms_are_refused(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="nothing to post") as caught:
        desk.run(AGENT, platform="twitter", content="\u202e \n")
    assert caught.value.user_error
    with pytest.raises(jsonschema.ValidationError):
        desk.run(AGENT, platform="fax", content="x")
