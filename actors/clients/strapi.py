"""Strapi, version 5 or 4, by its REST API: find, create, publish and delete posts; upload a picture.

Which version it is, the first answer that holds a post tells: version 5 has document ids, a row for the draft and one
for what is public, and refuses keys that it does not know; version 4 has attributes, one row, and forgets such keys.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx2

from actors.runners import outbound
from actors.runners.base import JSON
from actors.runners.http import checked_url, facts, retry_after, translated
from app import clock
from app.content.slug import ending
from app.errors import JobError, PermanentError, RateLimitError, TemporaryError

SECONDS = 30.0
SLACK_SECONDS = 5.0
MAX_BYTES = 10_000_000
PAGE = 100
INVALID_KEY = re.compile(r"Invalid key (\S+)")
UNIQUE = "must be unique"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where posts are published, and how a post's fields are called there."""

    url: str
    token: str = field(repr=False)
    collection: str = "articles"
    fields: dict[str, str] = field(default_factory=dict)
    """Our names → Strapi's; what is not named is not sent."""
    key_field: str = "callboard_key"
    public_url: str = ""

    @classmethod
    def of(cls, config: JSON) -> Self | None:
        """The account in the configuration of a worker; None: no CMS is configured."""
        return cls(**config) if config.get("url") else None

    def address(self, post: Post) -> str:
        """Where people find the post; without a template, where its API has it."""
        if not self.public_url:
            return f"{self.url}/api/{self.collection}/{post.ref}"
        slug = str(post.fields.get(self.fields.get("slug", "slug")) or post.ref)
        filled = self.public_url.replace("{slug}", slug).replace("{id}", str(post.id))
        return filled.replace("{document_id}", post.ref)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A post as it stands in the CMS."""

    id: int
    document_id: str | None
    fields: JSON
    published: bool

    @property
    def ref(self) -> str:
        """What it is called in addresses."""
        return self.document_id or str(self.id)


class Refused(PermanentError):
    """Strapi does not take the data (400)."""

    code = "cms_refused"

    def __init__(
        self, message: str, names: tuple[str, ...], *, unknown: bool, taken: bool, **more: Any
    ) -> None:
        """`names` are the fields it complains of; `unknown`: it has no such fields; `taken`: another post has the value."""
        super().__init__(message, **more)
        self.names, self.unknown, self.taken = names, unknown, taken


class Gone(TemporaryError):
    """The post is not there any more."""

    code = "cms_gone"


class Strapi:
    """One account during one attempt of a job; `patrol` may raise to end a call."""

    def __init__(self, account: Account, patrol: outbound.Patrol) -> None:
        """Nothing is called yet."""
        self.account, self.patrol = account, patrol
        self.version: int | None = None
        self.by_slug = False
        """The content type has no field for our key: the end of the slug stands for it."""

    # -- reading

    def posts(self, key: str) -> list[Post]:
        """All posts of this key, drafts as well, oldest first."""
        if not self.by_slug:
            name = self.account.key_field
            found = self._known(name, "$eq", key)
            if found is not None and all(name in post.fields for post in found):
                return [post for post in found if post.fields[name] == key]
            self.by_slug = True
        name, mark = self._slug_field(), ending(key)
        found = self._known(name, "$endsWith", mark) or []
        # Version 4 forgets filters that it does not know, and answers with everything.
        return [post for post in found if str(post.fields.get(name, "")).endswith(mark)]

    def _slug_field(self) -> str:
        if name := self.account.fields.get("slug"):
            return name
        raise PermanentError(
            f"The content type has no field `{self.account.key_field}` (STRAPI_KEY_FIELD), and STRAPI_FIELDS names no "
            "slug: one of them is needed to tell a post that was published before."
        )

    def _known(self, name: str, operator: str, value: str) -> list[Post] | None:
        """The posts that a filter lets through; None: there is no such field."""
        query = {f"filters[{name}][{operator}]": value, "sort": "id:asc", "pagination[pageSize]": str(PAGE)}
        drafts = {} if self.version == 4 else {"status": "draft"}
        drafts |= {} if self.version == 5 else {"publicationState": "preview"}
        try:
            found = self._read("GET", "", params=query | drafts)
        except Refused as refused:
            if refused.unknown and name in refused.names:
                return None
            raise
        if self.version != 5 or not found:
            return found
        public = {post.ref for post in self._read("GET", "", params=query | {"status": "published"})}
        return [replace(post, published=post.published or post.ref in public) for post in found]

    # -- writing

    def create(self, data: JSON, key: str) -> Post:
        """A new draft that carries the key, as far as the content type has a place for it."""
        name = self.account.key_field
        drafted = data if self.version == 5 else data | {"publishedAt": None}
        keyed = drafted if self.by_slug else drafted | {name: key}
        try:
            post = self._written("POST", "", params={"status": "draft"}, json={"data": keyed})
        except Refused as refused:
            if refused.unknown and name in refused.names and not self.by_slug:
                self.by_slug = True
            elif refused.unknown and "publishedAt" in refused.names and self.version != 5:
                self.version = 5
            else:
                raise
            return self.create(data, key)
        self.by_slug = self.by_slug or name not in post.fields
        return post

    def rewrite(self, post: Post, data: JSON) -> Post:
        """Give a draft new content; it stays a draft."""
        return self._written("PUT", f"/{post.ref}", params={"status": "draft"}, json={"data": data})

    def publish(self, post: Post, data: JSON) -> Post:
        """Make a draft public, with this content; raises Gone if it was deleted meanwhile."""
        whole = data | {"publishedAt": clock.now().isoformat()} if post.document_id is None else data
        # Seconds from the goal: a wish to stop is not heard, or nobody would know whether the post is public.
        found = self._written("PUT", f"/{post.ref}", insist=True, json={"data": whole})
        return replace(found, published=True)

    def delete(self, post: Post) -> None:
        """Remove a post; one that is not there any more is no matter."""
        try:
            self._call("DELETE", self._path(f"/{post.ref}"))
        except Gone:
            return

    def upload(self, name: str, content: bytes, media_type: str, *, alt: str, caption: str) -> int:
        """Put a picture into the media library; answers its id."""
        about = {"name": name, "alternativeText": alt, "caption": caption}
        said = self._call(
            "POST",
            "/api/upload",
            files={"files": (name, content, media_type)},
            data={"fileInfo": json.dumps(about)},
        )
        try:
            return int(said[0]["id"])
        except (LookupError, TypeError, ValueError) as odd:
            raise TemporaryError("Strapi took the picture and did not say its id.") from odd

    # -- calling

    def _path(self, more: str) -> str:
        return f"/api/{self.account.collection}{more}"

    def _read(self, method: str, more: str, **request: Any) -> list[Post]:
        said = self._call(method, self._path(more), **request)
        data = said.get("data") if isinstance(said, dict) else None
        rows = data if isinstance(data, list) else [data]
        try:
            return [self._post(row) for row in rows]
        except (AttributeError, LookupError, TypeError, ValueError) as odd:
            raise TemporaryError("Strapi answered something that is no post.") from odd

    def _written(self, method: str, more: str, **request: Any) -> Post:
        found = self._read(method, more, **request)
        if len(found) != 1:
            raise TemporaryError("Strapi was told to write one post, and answered with none or several.")
        return found[0]

    def _post(self, row: Any) -> Post:
        document = row.get("documentId")
        self.version = 5 if document else 4
        fields = row if document else row["attributes"]
        return Post(
            id=int(row["id"]),
            document_id=document,
            fields=fields,
            published=fields.get("publishedAt") is not None,
        )

    def _call(self, method: str, path: str, *, insist: bool = False, **request: Any) -> Any:
        url = checked_url(self.account.url + path)
        late = outbound.deadline(
            SECONDS, lambda: TemporaryError(f"Strapi did not answer within {SECONDS:g} s.")
        )

        def patrol() -> None:
            if not insist:
                self.patrol()
            late()

        headers = {"Authorization": f"Bearer {self.account.token}"} if self.account.token else {}
        # The operator of Callboard set the address, so that it may be one of the house.
        with (
            translated(self.account.url),
            outbound.client(patrol=patrol, timeout=SECONDS + SLACK_SECONDS, allow_private=True) as client,
            client.stream(method, url, headers=headers, **request) as response,
        ):
            body = outbound.read_body(response, MAX_BYTES)
        if not response.is_success:
            raise self._failure(response, body, path)
        return value_of(body)

    def _failure(self, response: httpx2.Response, body: bytes, path: str) -> JobError:
        status, details = response.status_code, facts(response, body)
        said = error_of(body)
        words = str(said.get("message") or response.reason_phrase)[:500]
        if status == 429:
            return RateLimitError(
                f"Strapi asks to slow down: {words}", retry_after=retry_after(response), details=details
            )
        if status >= 500 or status == 408:
            message = f"Strapi answered {status}: {words}"
            return TemporaryError(message, retry_after=retry_after(response), details=details)
        if status in (401, 403):
            return PermanentError(self._no_entry(status, words, path), details=details)
        if status == 404:
            return self._not_there(path, details)
        if status == 400:
            return refusal(said, words, details)
        return PermanentError(f"Strapi answered {status}: {words}", details=details)

    def _no_entry(self, status: int, words: str, path: str) -> str:
        if not self.account.token:
            return f"Strapi refused ({status} {words}): STRAPI_API_TOKEN is not set."
        if status == 401:
            return "Strapi does not know the token (401): set a valid STRAPI_API_TOKEN."
        return (
            f"Strapi does not let this token do that (403 at {path}): in Settings → API Tokens give it find, create, "
            f"update and delete of `{self.account.collection}`, and upload."
        )

    def _not_there(self, path: str, details: dict[str, object]) -> JobError:
        if path.count("/") > 2:
            return Gone("The post is not in the CMS any more.", details=details)
        return PermanentError(
            f"Strapi has no {path}: create the collection type, or name another under STRAPI_COLLECTION.",
            details=details,
        )


def value_of(body: bytes) -> Any:
    """The JSON of an answer; nothing for an empty one."""
    try:
        return json.loads(body) if body.strip() else None
    except (ValueError, RecursionError) as error:
        raise TemporaryError("Strapi's answer is no JSON: does STRAPI_URL lead to it?") from error


def error_of(body: bytes) -> JSON:
    """The `error` in an answer, as far as it has one."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {"message": str(said)}


def refusal(said: JSON, words: str, details: dict[str, object]) -> Refused:
    """What a 400 means: fields that are unknown, or values that do not fit, each by its name."""
    about = said.get("details")
    told = about.get("errors") if isinstance(about, dict) else None
    if unknown := INVALID_KEY.search(words):
        name = unknown[1]
        message = (
            f"Strapi has no field `{name}` ({words}): add it to the content type, or change STRAPI_FIELDS."
        )
        return Refused(message, (name,), unknown=True, taken=False, details=details)
    errors = [each for each in told or () if isinstance(each, dict)]
    complaints = [(".".join(map(str, each.get("path") or ())), str(each.get("message"))) for each in errors]
    listed = "; ".join(f"`{name}`: {why}" for name, why in complaints[:10]) or words
    return Refused(
        f"Strapi refuses the post: {listed}",
        tuple(name for name, _ in complaints),
        unknown=False,
        taken=bool(complaints) and all(UNIQUE in why for _, why in complaints),
        details=details,
    )
