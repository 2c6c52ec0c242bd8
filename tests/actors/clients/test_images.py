"""Pictures for a topic: whose, from where, and what is told to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.clients import images
from actors.clients.images import Image, Images
from app.errors import Cancelled, JobError, PermanentError, TemporaryError
from tests.doubles import RecordingContext
from tests.photos import JPEG, PEXELS_KEY, UNSPLASH_KEY, Photos, photo_services


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> Iterator[Photos]:
    with photo_services() as found:
        monkeypatch.setattr(images, "PEXELS_URL", found.url)
        monkeypatch.setattr(images, "UNSPLASH_URL", found.url)
        yield found


def searcher(folder: Path, **keys: Any) -> Images:
    context = RecordingContext(workspace=folder)
    usual = {"pexels_key": PEXELS_KEY, "unsplash_key": UNSPLASH_KEY, "allow_private": True}
    return Images(context=context, **usual | keys)  # type: ignore[arg-type]


def test_the_first_picture_of_pexels_is_taken_with_its_credit(photos: Photos, tmp_path: Path) -> None:
    found = searcher(tmp_path).search("night queues & more")
    assert found is not None
    assert (found.provider, found.url, found.alt) == (
        "Pexels",
        f"{photos.url}/pictures/1.jpg",
        "A lamp at night",
    )
    assert found.may_be_copied
    assert found.credit == "Photo by Grace [Hopper] on Pexels"
    assert Image.of(found.document()) == found
    assert "query=night+queues+%26+more" in photos.asked[0][0] or "%20" in photos.asked[0][0]
    assert photos.paths == ["/v1/search"], "nobody else is asked"


def test_unsplash_is_asked_next_and_told_of_the_use(photos: Photos, tmp_path: Path) -> None:
    photos.pexels = 0
    found = searcher(tmp_path).search("queues")
    assert found is not None
    assert (found.provider, found.may_be_copied) == ("Unsplash", False)
    assert photos.paths == ["/v1/search", "/search/photos", "/photos/u1/download"]
    assert photos.asked[1][1]["accept-version"] == "v1"


def test_a_ping_that_fails_costs_no_picture(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Photos.unsplash_answer

    def elsewhere(self: Photos) -> dict[str, Any]:
        said = real(self)
        said["results"][0]["links"]["download_location"] = "https://evil.test/collect"
        return said

    monkeypatch.setattr(Photos, "unsplash_answer", elsewhere)
    found = searcher(tmp_path, pexels_key="").search("queues")
    assert found is not None
    assert photos.paths == ["/search/photos"], "the key goes to no other address"


def test_nothing_found_is_no_error_and_nobody_asked_is(photos: Photos, tmp_path: Path) -> None:
    photos.pexels = photos.unsplash = 0
    assert searcher(tmp_path).search("queues") is None
    photos.pexels, photos.unsplash = 500, 0
    with pytest.raises(TemporaryError, match="Pexels answered 500"):
        searcher(tmp_path).search("queues")
    with pytest.raises(PermanentError, match="Pexels refuses the key"):
        searcher(tmp_path, pexels_key="wrong", unsplash_key="").search("queues")


def test_a_service_that_never_answers_is_given_up(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SECONDS", 0.4)
    photos.pexels = -1
    with pytest.raises(TemporaryError, match=r"Pexels did not answer within 0\.4 s"):
        searcher(tmp_path, unsplash_key="").search("queues")


def test_a_stop_ends_the_search(photos: Photos, tmp_path: Path) -> None:
    photos.pexels = 500
    search = searcher(tmp_path)
    search.context.cancelled = True  # type: ignore[misc]
    with pytest.raises(Cancelled):
        search.search("queues")


def test_a_picture_is_fetched_only_from_public_places_and_only_if_it_is_one(
    photos: Photos, tmp_path: Path
) -> None:
    found = searcher(tmp_path).search("queues")
    assert found is not None
    assert searcher(tmp_path).download(found) == (JPEG, "image/jpeg")
    with pytest.raises(JobError, match="not an address of the public internet"):
        searcher(tmp_path, allow_private=False).download(found)
    photos.picture = b"<html><script>alert(1)</script></html>"
    with pytest.raises(PermanentError, match="something else and called it image/jpeg"):
        searcher(tmp_path).download(found)
    photos.media_type = "image/svg+xml"
    with pytest.raises(PermanentError, match="instead of a picture"):
        searcher(tmp_path).download(found)


def test_a_picture_that_is_too_large_is_left(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 100)
    found = searcher(tmp_path).search("queues")
    assert found is not None
    with pytest.raises(JobError, match="larger than 100 bytes"):
        searcher(tmp_path).download(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"photographer": None},
        {"photographer": " "},
        {"photographer_url": "javascript:alert(1)"},
        {"url": "https://a.example/) [free](https://b.example"},
        {"src": {"original": "data:image/png;base64,AAAA"}},
    ],
)
def test_a_picture_without_a_credit_that_can_be_given_is_passed_over(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    real = Photos.pexels_answer

    def spoilt(self: Photos) -> dict[str, Any]:
        said = real(self)
        good = said["photos"][0]
        return said | {"photos": [good | wrong, good | {"photographer": "Second"}]}

    monkeypatch.setattr(Photos, "pexels_answer", spoilt)
    found = searcher(tmp_path).search("queues")
    assert found is not None
    assert found.photographer == "Second"


def test_names_mean_nothing_in_markdown(photos: Photos, tmp_path: Path) -> None:
    found = searcher(tmp_path).search("queues")
    assert found is not None
    named = replace(found, photographer="a](https://evil.example) *b*")
    assert r"[a\](https://evil.example) \*b\*](https://www.pexels.com" in named.credit_markdown
