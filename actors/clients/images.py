"""Pictures for a topic, from Pexels and then from Unsplash: where they are, who made them, and how that is to be said.

Pexels lets pictures be copied; Unsplash wants them shown from its own servers, its photographers named, and to be told
when one is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from actors.runners import outbound
from actors.runners.base import JSON, Context
from actors.runners.http import checked_url, fetch_public, retry_after, translated
from app.errors import JobError, PermanentError, RateLimitError, TemporaryError
from app.quality.text.sentences import one_line

PEXELS_URL = "https://api.pexels.com"
UNSPLASH_URL = "https://api.unsplash.com"
UNSPLASH_CREDIT = "utm_source=callboard&utm_medium=referral"
SECONDS = 15.0
SLACK_SECONDS = 5.0
MAX_ANSWER_BYTES = 2_000_000
MAX_IMAGE_BYTES = 10_000_000
KINDS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
BEGINNINGS = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG", "image/webp": b"RIFF"}
LONGEST_ALT = 300
LONGEST_NAME = 200
SIGNS = re.compile(r"([\\`*_<>\[\]])")
"""What means something in markdown."""
ADDRESS = re.compile(r"https?://[^\s()<>\[\]\"\\\x00-\x1f]{1,2000}")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture and its origin."""

    provider: str
    url: str
    """Where its file is."""
    page_url: str
    alt: str
    photographer: str
    photographer_url: str
    width: int | None = None
    height: int | None = None
    may_be_copied: bool = False

    @classmethod
    def of(cls, kept: JSON) -> Self:
        """The picture as `document` wrote it."""
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__})

    def document(self) -> JSON:
        """The picture as JSON, with its credit in words and in markdown."""
        return asdict(self) | {"credit": self.credit, "credit_markdown": self.credit_markdown}

    @property
    def credit(self) -> str:
        """Who is to be named."""
        return f"Photo by {self.photographer} on {self.provider}"

    @property
    def credit_markdown(self) -> str:
        """The same with its links."""
        name = SIGNS.sub(r"\\\1", self.photographer)
        return f"Photo by [{name}]({self.photographer_url}) on [{self.provider}]({self.page_url})"


@dataclass(frozen=True, kw_only=True)
class Images:
    """The services for which there are keys."""

    pexels_key: str
    unsplash_key: str
    context: Context
    allow_private: bool = False

    @property
    def configured(self) -> bool:
        """There is somebody to ask."""
        return bool(self.pexels_key or self.unsplash_key)

    def search(self, topic: str) -> Image | None:
        """The first picture for a topic; raises a JobError if nobody could be asked and nothing was found."""
        asked: list[Callable[[str], Image | None]] = []
        asked += [self._pexels] if self.pexels_key else []
        asked += [self._unsplash] if self.unsplash_key else []
        failure: JobError | None = None
        for ask in asked:
            try:
                if found := ask(topic):
                    return found
            except JobError as error:
                self._pass_on_stops()
                self.context.log(error.message, level="warning", source="images")
                failure = error
        if failure:
            raise failure
        return None

    def download(self, image: Image) -> tuple[bytes, str]:
        """The file of a picture that may be copied, and its media type."""
        _, media_type, content = fetch_public(
            image.url,
            max_bytes=MAX_IMAGE_BYTES,
            timeout=2 * SECONDS,
            allow_private=self.allow_private,
            context=self.context,
        )
        if media_type not in KINDS:
            raise PermanentError(f"{image.provider} sent {media_type} instead of a picture.")
        if not content.startswith(BEGINNINGS[media_type]):
            raise PermanentError(f"{image.provider} sent something else and called it {media_type}.")
        return content, media_type

    def _pass_on_stops(self) -> None:
        """An attempt that has to stop does so, whatever else went wrong."""
        self.context.checkpoint_due()

    def _pexels(self, topic: str) -> Image | None:
        query = {"query": topic[:200], "per_page": "5", "orientation": "landscape"}
        said = self._get(f"{PEXELS_URL}/v1/search", query, {"Authorization": self.pexels_key}, "Pexels")
        return first(said.get("photos"), self._of_pexels, topic)

    @staticmethod
    def _of_pexels(photo: JSON, topic: str) -> Image:
        return Image(
            provider="Pexels",
            url=address(photo["src"].get("large2x") or photo["src"]["original"]),
            page_url=address(photo["url"]),
            alt=one_line(str(photo.get("alt") or topic), LONGEST_ALT),
            photographer=name_of(photo["photographer"]),
            photographer_url=address(photo["photographer_url"]),
            width=photo.get("width"),
            height=photo.get("height"),
            may_be_copied=True,
        )

    def _unsplash(self, topic: str) -> Image | None:
        query = {"query": topic[:200], "per_page": "5", "orientation": "landscape"}
        headers = {"Authorization": f"Client-ID {self.unsplash_key}", "Accept-Version": "v1"}
        said = self._get(f"{UNSPLASH_URL}/search/photos", query, headers, "Unsplash")
        found = first(said.get("results"), self._of_unsplash, topic)
        if found:
            self._tell_unsplash(said["results"], found, headers)
        return found

    @staticmethod
    def _of_unsplash(photo: JSON, topic: str) -> Image:
        return Image(
            provider="Unsplash",
            url=address(photo["urls"]["regular"]),
            page_url=f"{address(photo['links']['html'])}?{UNSPLASH_CREDIT}",
            alt=one_line(str(photo.get("alt_description") or topic), LONGEST_ALT),
            photographer=name_of(photo["user"]["name"]),
            photographer_url=f"{address(photo['user']['links']['html'])}?{UNSPLASH_CREDIT}",
            width=photo.get("width"),
            height=photo.get("height"),
        )

    def _tell_unsplash(self, photos: list[JSON], used: Image, headers: dict[str, str]) -> None:
        """Its rules ask for it; that it did not hear is no reason to go without the picture."""
        try:
            photo = next(each for each in photos if each.get("urls", {}).get("regular") == used.url)
            place = str(photo["links"]["download_location"])
            if place.startswith(f"{UNSPLASH_URL}/"):  # the key goes to nobody else
                self._get(place, {}, headers, "Unsplash")
        except (JobError, LookupError, TypeError, StopIteration) as odd:
            self._pass_on_stops()
            self.context.log(
                f"Unsplash was not told of the download: {odd}", level="warning", source="images"
            )

    def _get(self, url: str, query: dict[str, str], headers: dict[str, str], title: str) -> JSON:
        late = outbound.deadline(
            SECONDS, lambda: TemporaryError(f"{title} did not answer within {SECONDS:g} s.")
        )

        def patrol() -> None:
            self.context.checkpoint_due()
            late()

        with (
            translated(url),
            outbound.client(
                patrol=patrol, timeout=SECONDS + SLACK_SECONDS, allow_private=self.allow_private
            ) as client,
            client.stream("GET", checked_url(url), params=query or None, headers=headers) as response,
        ):
            body = outbound.read_body(response, MAX_ANSWER_BYTES)
        if response.status_code == 429:
            raise RateLimitError(f"{title} asks to slow down.", retry_after=retry_after(response))
        if response.status_code in (401, 403):
            raise PermanentError(f"{title} refuses the key ({response.status_code}).")
        if not response.is_success:
            raise TemporaryError(f"{title} answered {response.status_code}.")
        return dict_of(body, title)


def first(photos: Any, read: Callable[[JSON, str], Image], topic: str) -> Image | None:
    """The first photo of a list that is one."""
    for photo in photos if isinstance(photos, list) else ():
        try:
            return read(photo, topic)
        except (LookupError, TypeError, AttributeError):
            continue
    return None


def name_of(value: Any) -> str:
    """Who is to be named; LookupError for nobody: a picture without its credit must not be used."""
    if name := one_line(value, LONGEST_NAME) if isinstance(value, str) else "":
        return name
    raise LookupError


def address(value: Any) -> str:
    """An address that can stand in a link; LookupError for anything else."""
    if isinstance(value, str) and ADDRESS.fullmatch(value):
        return value
    raise LookupError


def dict_of(body: bytes, title: str) -> JSON:
    """The JSON object of an answer."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TemporaryError(f"{title}'s answer is no JSON.") from error
    if not isinstance(said, dict):
        raise TemporaryError(f"{title}'s answer is no object.")
    return said
