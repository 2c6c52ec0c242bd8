"""The real Strapi from npm: what our client, and the server that other tests publish to, take for granted."""

from __future__ import annotations

import secrets
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine

from actors.clients import images
from actors.clients.strapi import Account, Gone, Refused, Strapi
from actors.post import Post
from actors.runners.base import JSON, Work
from actors.stages.base import Run
from actors.stages.publish import Desk
from app.content.article import Article
from app.content.brief import Brief
from app.content.slug import slug
from app.db import db
from app.errors import PermanentError, TemporaryError
from app.jobs import intake
from tests import acting
from tests.doubles import RecordingContext
from tests.photos import PEXELS_KEY, photo_services
from tests.posting import TOPIC, attempt, attempts, drafts, job, pipeline, provide, said, submit, write
from tests.slow import real_strapi

WORKERS = 4

FIELDS = {
    "title": "title",
    "content": "content",
    "slug": "slug",
    "excerpt": "excerpt",
    "tags": "tags",
    "image": "featured_image",
}


@pytest.fixture(scope="module")
def cms(rig: dict[str, str]) -> Iterator[real_strapi.Strapi]:
    with real_strapi.running(rig["DATABASE_URL"]) as started:
        yield started


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


def client(cms: real_strapi.Strapi, **account: object) -> Strapi:
    given = {"url": cms.url, "token": cms.token, "fields": FIELDS} | account
    return Strapi(Account(**given), lambda: None)  # type: ignore[arg-type]


def data(key: str, **changes: object) -> JSON:
    fixed = {
        "title": "Tides",
        "content": "# Tides\n\nTwice a day.",
        "excerpt": "Twice a day.",
        "tags": ["sea"],
    }
    return fixed | {"slug": f"tides-{key[:8]}"} | changes


def of_key(cms: real_strapi.Strapi, key: str, status: str = "published") -> list[JSON]:
    return cms.articles(**{"filters[callboard_key][$eq]": key, "status": status})


def test_a_draft_is_found_by_its_key_and_published_as_the_same_post(
    cms: real_strapi.Strapi, key: str
) -> None:
    strapi = client(cms)
    assert strapi.posts(key) == []

    made = strapi.create(data(key), key)
    (found,) = client(cms).posts(key)
    assert (found.ref, found.published) == (made.ref, False)
    assert of_key(cms, key) == []

    public = client(cms).publish(found, data(key, title="Spring tides"))
    (again,) = client(cms).posts(key)
    (shown,) = of_key(cms, key)
    assert public.published
    assert (again.ref, again.published) == (made.ref, True)
    assert (shown["documentId"], shown["title"], shown["tags"]) == (made.ref, "Spring tides", ["sea"])
    assert shown["slug"] == f"tides-{key[:8]}"


def test_a_rewritten_draft_stays_one(cms: real_strapi.Strapi, key: str) -> None:
    strapi = client(cms)
    strapi.rewrite(strapi.create(data(key), key), data(key, title="Neap tides"))

    (draft,) = of_key(cms, key, "draft")
    assert draft["title"] == "Neap tides"
    assert of_key(cms, key) == []


def test_drafts_of_one_key_are_told_apart_and_only_one_can_be_published(
    cms: real_strapi.Strapi, key: str
) -> None:
    """`unique` does not hold among drafts: that there is one post is the publishing stage's business."""
    strapi = client(cms)
    first = strapi.create(data(key), key)
    second = strapi.create(data(key, slug=f"other-{key[:8]}"), key)
    assert [post.ref for post in strapi.posts(key)] == [first.ref, second.ref]

    strapi.publish(first, data(key))
    with pytest.raises(Refused) as caught:
        strapi.publish(second, data(key, slug=f"other-{key[:8]}"))
    assert caught.value.taken
    assert caught.value.names == ("callboard_key",)

    strapi.delete(second)
    strapi.delete(second)
    assert [(post.ref, post.published) for post in strapi.posts(key)] == [(first.ref, True)]
    with pytest.raises(Gone):
        strapi.publish(second, data(key))


def test_a_picture_is_uploaded_and_belongs_to_its_post(cms: real_strapi.Strapi, key: str) -> None:
    strapi = client(cms)
    number = strapi.upload("red.png", red_png(), "image/png", alt="Red", caption="Photo by Ada on Pexels")
    strapi.publish(strapi.create(data(key), key), data(key, featured_image=number))

    (shown,) = of_key(cms, key)
    image = shown["featured_image"]
    assert (image["alternativeText"], image["caption"]) == ("Red", "Photo by Ada on Pexels")
    assert (image["mime"], image["width"]) == ("image/png", 8)
    assert httpx2.get(cms.url + image["url"]).content[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("changes", "unknown", "name", "words"),
    [
        ({"subtitle": "No such field"}, True, "subtitle", "has no field `subtitle`"),
        ({"slug": "no slug!"}, False, "slug", "`slug`: "),
        ({"title": None}, False, "title", "`title`: "),
    ],
)
def test_what_strapi_refuses_is_said_by_the_name_of_the_field(
    cms: real_strapi.Strapi, key: str, changes: JSON, unknown: bool, name: str, words: str
) -> None:
    strapi = client(cms)
    post = strapi.create(data(key), key)

    with pytest.raises(Refused, match=words) as caught:
        strapi.publish(post, data(key, **changes))
    assert (caught.value.unknown, caught.value.names) == (unknown, (name,))
    assert of_key(cms, key) == []


def test_tokens_that_may_not_are_told_what_they_lack(cms: real_strapi.Strapi, key: str) -> None:
    with pytest.raises(PermanentError, match="STRAPI_API_TOKEN is not set"):
        client(cms, token="").posts(key)
    with pytest.raises(PermanentError, match="does not know the token"):
        client(cms, token="f" * 64).posts(key)
    reader = client(cms, token=cms.read_only_token)
    assert reader.posts(key) == []
    with pytest.raises(PermanentError, match="does not let this token do that"):
        reader.create(data(key), key)
    with pytest.raises(PermanentError, match="create the collection type"):
        client(cms, collection="novels").posts(key)


def test_without_a_field_for_the_key_the_slug_stands_for_it(cms: real_strapi.Strapi, key: str) -> None:
    strapi = client(cms, key_field="no_such_field")
    made = strapi.create(data(key, slug=slug("Tides", key)), key)
    (found,) = client(cms, key_field="no_such_field").posts(key)
    assert found.ref == made.ref


# -- the whole pipeline


@pytest.fixture
def servers(quick: Engine) -> Iterator[ExitStack]:
    """Servers of one test; stopped at its end."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def worker(
    make_post: Callable[..., Post],
    cms: real_strapi.Strapi,
    servers: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> Post:
    """One that publishes in the real Strapi, with pictures from this machine."""
    photos = servers.enter_context(photo_services(picture=red_png(), media_type="image/png"))
    monkeypatch.setattr(images, "PEXELS_URL", photos.url)
    return make_post(
        http_allow_private=True,
        pexels_api_key=PEXELS_KEY,
        strapi_url=cms.url,
        strapi_api_token=cms.token,
        strapi_fields=tuple(FIELDS.items()),
        strapi_public_url="https://blog.example/{slug}",
    )


def everything(cms: real_strapi.Strapi, job_id: str) -> tuple[list[JSON], list[JSON]]:
    """What Strapi has of a job's post: public ones, and all of them, which have a draft each."""
    starts = {"filters[callboard_key][$startsWith]": job_id}
    return cms.articles(**starts), cms.articles(**starts, status="draft")


def test_the_pipeline_publishes_a_post_with_its_picture_and_never_a_second(
    worker: Post, servers: ExitStack, cms: real_strapi.Strapi
) -> None:
    provide(servers, "real-strapi", *drafts(6.5, 8.2))
    pipeline("real-strapi")
    job_id = submit(tags=["queues", "operations"])
    assert attempt(worker) is None

    row = job(job_id)
    (public,), (_,) = everything(cms, job_id)
    assert (row["status"], row["result"]["strapi_post_id"]) == ("completed", public["documentId"])
    assert row["headline"] == {"text": "✓ Published", "url": f"https://blog.example/{public['slug']}"}
    assert (public["title"], public["tags"]) == ("The night queue", ["queues", "operations"])
    assert public["content"].startswith("A queue works while you sleep")
    image = public["featured_image"]
    assert (image["alternativeText"], image["mime"], image["width"]) == ("A lamp at night", "image/png", 8)

    with db.transaction():
        again = str(intake.again(job_id, by=acting.OWNER)["job_id"])
    assert attempt(worker) is None
    assert "The post is in the CMS already" in said(again)
    assert job(again)["result"]["strapi_post_id"] == public["documentId"]
    assert [[post["documentId"] for post in found] for found in everything(cms, job_id)] == [
        [public["documentId"]]
    ] * 2


def test_a_rejected_post_is_kept_as_a_draft_that_nobody_can_read(
    worker: Post, servers: ExitStack, cms: real_strapi.Strapi
) -> None:
    provide(servers, "real-strapi", *drafts(3.2, 3.3))
    pipeline("real-strapi")
    job_id = submit(keep_rejected_as_draft=True)
    assert attempt(worker) is None

    public, (draft,) = everything(cms, job_id)
    assert public == []
    row = job(job_id)
    assert (row["status"], row["verdict"], row["result"]["published"]) == ("completed", "rejected", False)
    assert row["result"]["strapi_post_id"] == draft["documentId"]
    assert row["headline"] == {"text": "Rejected: kept as a draft"}


@pytest.mark.parametrize("number", range(8))
def test_a_connection_that_breaks_at_any_request_leaves_one_post(
    worker: Post, servers: ExitStack, cms: real_strapi.Strapi, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What was asked for is done, and the answer is lost on the way."""
    provide(servers, "real-strapi", *drafts(8.2))
    pipeline("real-strapi")
    job_id, call, calls = submit(), Strapi._call, count()

    def lossy(self: Strapi, *request: Any, **more: Any) -> Any:
        answer = call(self, *request, **more)
        if next(calls) == number:
            raise TemporaryError("the answer was lost")
        return answer

    monkeypatch.setattr(Strapi, "_call", lossy)
    assert attempts(worker, job_id)["status"] == "completed"

    assert next(calls) > number, "so many requests were made"
    (public,), (draft,) = everything(cms, job_id)
    assert public["documentId"] == draft["documentId"]


def test_workers_at_the_same_post_at_the_same_moment_end_with_one(
    cms: real_strapi.Strapi, tmp_path: Path, key: str
) -> None:
    """Strapi itself would publish both: it looks whether a key is unique, and then writes, without a lock."""
    believed: list[str] = []
    ready = threading.Barrier(WORKERS)

    def work(who: str) -> None:
        mine = desk(cms, tmp_path, who, key)
        ready.wait()
        with suppress(TemporaryError):  # its job tries again
            believed.append(mine.settle(public=True)[0].ref)

    threads = [threading.Thread(target=work, args=(str(who),)) for who in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    believed.append(desk(cms, tmp_path, "last", key).settle(public=True)[0].ref)

    (public,), (_,) = everything(cms, key)
    assert believed[-1] == public["documentId"]


def desk(cms: real_strapi.Strapi, folder: Path, who: str, key: str) -> Desk:
    """A worker that is about to publish a post."""
    article = Article.read(write(8.2, body=f"Worker {who} wrote this."), Brief(topic=TOPIC))
    kept = {"article": article.document(), "model_used": "m", "quality": {"score": 8.2, "passed": True}}
    work = Work(
        job_id="j", attempt=1, agent_id="content-pipeline", parameters={}, config={}, timeout_seconds=60,
        soft_seconds=60, memory_mb=0, idempotency_key="j:1",
    )  # fmt: skip
    context: Any = RecordingContext(workspace=folder)
    run = Run(
        work=work, context=context, brief=Brief(topic=TOPIC), key=key, done={"generate": kept}, notes={}
    )
    return Desk(run, Account(url=cms.url, token=cms.token, fields=FIELDS))


def red_png() -> bytes:
    """A red square of eight pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    rows = (b"\0" + b"\xff\0\0" * 8) * 8
    size = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
