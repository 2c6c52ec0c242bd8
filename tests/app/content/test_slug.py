"""The last part of a post's address."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.slug import LONGEST, ending, slug


@pytest.mark.parametrize(
    ("title", "begins"),
    [
        ("The Night Queue", "the-night-queue-"),
        ("Déjà vu: 10 % más!", "deja-vu-10-mas-"),
        ("  --  ", "post-"),
        ("夜のキュー", "post-"),
        ("word " * 40, "word-word-"),
    ],
)
def test_titles_become_addresses(title: str, begins: str) -> None:
    assert slug(title, "key").startswith(begins)


@given(st.text(max_size=300), st.text(min_size=1, max_size=50))
def test_every_title_is_a_slug_that_strapi_takes_and_tells_its_key(title: str, key: str) -> None:
    made = slug(title, key)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert made.endswith(ending(key))
    assert len(made) <= LONGEST + len(ending(key))


def test_the_same_title_of_two_posts_is_two_addresses() -> None:
    assert slug("Queues", "one") != slug("Queues", "two")
