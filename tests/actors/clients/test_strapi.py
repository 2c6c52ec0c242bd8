"""The client of Strapi against a server that is as strict: versions, filters, and what errors mean."""

from __future__ import annotations

from typing import Any

import pytest

from actors.clients.strapi import Account, Gone, Refused, Strapi
from app.errors import PermanentError, TemporaryError
from tests.strapi_server import Fault, article, strapi
from tests.strapi_server import Strapi as Cms

FIELDS = {"title": "title", "content": "content", "slug": "slug", "image": "featured_image"}
POST = {"title": "Queues", "content": "Words.", "slug": "queues-1"}
VERSIONS = pytest.mark.parametrize("version", [5, 4])


def client(cms: Cms, **more: Any) -> Strapi:
    return Strapi(Account(**{"url": cms.url, "token": cms.token, "fields": FIELDS} | more), lambda: None)


@VERSIONS
def test_a_draft_is_found_published_found_again_and_deleted(version: int) -> None:
    with strapi(version) as cms:
        mine = client(cms)
        made = mine.create(POST, "key-1")
        assert mine.version == version
        assert (cms.published, len(cms.drafts)) == ([], 1)
        (found,) = client(cms).posts("key-1")
        assert (found.ref, found.published) == (made.ref, False)
        public = mine.publish(found, POST | {"title": "Better"})
        assert public.published
        assert cms.published[0]["title"] == "Better"
        (found,) = client(cms).posts("key-1")
        assert (found.ref, found.published) == (made.ref, True)
        mine.delete(found)
        mine.delete(found)
        assert client(cms).posts("key-1") == []


@VERSIONS
def test_a_draft_that_is_rewritten_stays_one(version: int) -> None:
    with strapi(version) as cms:
        mine = client(cms)
        mine.rewrite(mine.create(POST, "key-1"), POST | {"title": "Better"})
        assert cms.published == []
        assert cms.drafts[0]["title"] == "Better"


@VERSIONS
def test_posts_of_other_keys_are_never_mine(version: int) -> None:
    with strapi(version) as cms:
        mine = client(cms)
        mine.create(POST, "key-1")
        mine.create(POST | {"slug": "queues-2"}, "key-2")
        assert [post.fields["callboard_key"] for post in client(cms).posts("key-2")] == ["key-2"]
        assert client(cms).posts("key-3") == []


@VERSIONS
def test_what_is_gone_cannot_be_published(version: int) -> None:
    with strapi(version) as cms:
        mine = client(cms)
        made = mine.create(POST, "key-1")
        mine.delete(made)
        with pytest.raises(Gone):
            mine.publish(made, POST)


@VERSIONS
def test_a_picture_is_uploaded_with_its_words(version: int) -> None:
    with strapi(version) as cms:
        mine = client(cms)
        number = mine.upload(
            "lamp.jpg", b"\xff\xd8jpeg", "image/jpeg", alt="A lamp", caption="Photo by Grace"
        )
        mine.create(POST | {"featured_image": number}, "key-1")
        assert cms.files[0]["id"] == number
        assert (cms.files[0]["name"], cms.files[0]["alternativeText"], cms.files[0]["caption"]) == (
            "lamp.jpg", "A lamp", "Photo by Grace",
        )  # fmt: skip
        assert cms.drafts[0]["featured_image"] == number


def test_a_value_that_another_post_has_is_told_from_one_that_is_wrong() -> None:
    with strapi() as cms:
        mine = client(cms)
        mine.create(POST, "key-1")
        mine.publish(mine.posts("key-1")[0], POST)
        with pytest.raises(Refused) as taken:
            mine.publish(mine.create(POST, "key-2"), POST)
        assert (taken.value.taken, taken.value.names) == (True, ("slug",))
        with pytest.raises(Refused) as wrong:
            mine.create(POST | {"slug": "not a slug"}, "key-3")
        assert (wrong.value.taken, wrong.value.names) == (False, ("slug",))
        with pytest.raises(Refused) as unknown:
            mine.create(POST | {"slug": "queues-4", "colour": "red"}, "key-4")
        assert (unknown.value.unknown, unknown.value.names) == (True, ("colour",))


def test_the_key_is_not_in_messages() -> None:
    with strapi() as cms:
        cms.fail(Fault(status=500), "GET")
        with pytest.raises(TemporaryError) as failed:
            client(cms).posts("key-1")
        assert cms.token not in f"{failed.value.message} {failed.value.details} {client(cms).account!r}"


def test_an_address_where_no_strapi_is_is_named() -> None:
    account = Account(url="http://127.0.0.1:1", token="t", fields=FIELDS)
    with pytest.raises(TemporaryError, match=r"127\.0\.0\.1:1 could not be reached"):
        Strapi(account, lambda: None).posts("key-1")


def test_without_a_place_for_a_key_nothing_is_looked_for() -> None:
    neither = article("callboard_key", "slug")
    with strapi(attributes=neither) as cms, pytest.raises(PermanentError, match="STRAPI_KEY_FIELD"):
        client(cms, fields={"title": "title"}).posts("key-1")


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("", "{url}/api/articles/{ref}"),
        ("https://b.test/{slug}", "https://b.test/queues-1"),
        ("https://b.test/{document_id}/{id}", "https://b.test/{ref}/1"),
    ],
)
def test_the_address_of_a_post_is_as_the_settings_say(template: str, address: str) -> None:
    with strapi() as cms:
        mine = client(cms, public_url=template)
        made = mine.create(POST, "key-1")
        assert mine.account.address(made) == address.format(url=cms.url, ref=made.ref)
