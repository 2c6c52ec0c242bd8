"""Pages and the regions on them that refresh by themselves: panels, which are redrawn, and feeds, which grow.

A Panel is read by one function and drawn by one fragment. On a page it is embedded in a region that polls;
at its own address (`/ui/…`) it answers alone, with an ETag so that an unchanged panel is a 304, and with
`HX-Poll`, which says when to come back or to stop. A Feed is a list that only grows at its end and is read by
cursor. What a page asks again and again is one request for all its regions (app/dashboard/look.py); each of
them says by `look` what is new since the tag that the page has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from flask import Response, g, make_response, render_template, request, url_for
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from app import clock

Context = dict[str, Any]
Found = TypeVar("Found")

STOP = "stop"
BEHIND = "~"
"""Behind it stands, in a panel's tag, the hash of what is drawn."""
UNTIL = "@"
"""Behind it stands, in a panel's tag, how long what is drawn will do, in seconds since 1970."""

# Compression writes its algorithm behind a tag (`"abc:br"`); it is the same panel.
_COMPRESSION = re.compile(r':(br|gzip|zstd|deflate)"$')

_REGION = Markup(
    '<div class="region" id="r-{name}" hx-get="{url}" hx-trigger="poll" hx-swap="innerMorph" hx-poll="{poll}"'
    ' data-etag="{etag}">{html}</div>'
)

_asked: ContextVar[MultiDict[str, str] | None] = ContextVar("asked", default=None)
_others_will_do: ContextVar[float] = ContextVar("others_will_do", default=0.0)


def is_poll() -> bool:
    """Whether a page only asks again what is new; then what others asked a few seconds ago will do."""
    return request.method == "GET" and request.path.startswith("/ui/")


def every(milliseconds: int) -> str:
    """An interval as `HX-Poll` says it."""
    return f"{milliseconds}ms"


def asked() -> MultiDict[str, str]:
    """The query of the panel that is being read: of its own address, however it is asked."""
    own = _asked.get()
    return request.args if own is None else own


@contextmanager
def asked_by(query: MultiDict[str, str]) -> Iterator[None]:
    """Until the end of the block, `asked()` answers `query`."""
    before = _asked.set(query)
    try:
        yield
    finally:
        _asked.reset(before)


def others_will_do() -> float:
    """So many seconds old may be what is read now, because nothing will be shown of it; 0: it must be read now."""
    return _others_will_do.get()


@contextmanager
def what_others_read(seconds: float) -> Iterator[None]:
    """Until the end of the block, what others read within so many `seconds` will do."""
    before = _others_will_do.set(seconds)
    try:
        yield
    finally:
        _others_will_do.reset(before)


def once(key: Hashable, make: Callable[[], Found]) -> Found:
    """What `make` says, asked once while a page or a look is read: several regions want the same row.

    Whoever changes something (POST) always asks anew.
    """
    if request.method != "GET":
        return make()
    known: dict[Hashable, Any] = g.setdefault("once", {})
    if key not in known:
        known[key] = make()
    return known[key]  # type: ignore[no-any-return]


def has_asked(key: Hashable) -> bool:
    """Whether this request has asked that by `once`."""
    return key in g.get("once", ())


class Seen(NamedTuple):
    """What a region says to a page that looks: its tag, when to come back, and its HTML if that is not unchanged."""

    tag: str
    poll: str
    html: str | None = None
    after: int | None = None
    """Of a feed: the cursor to come back with."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of a page with an address of its own.

    `read(**view_args)` answers the fragment's context; its key `poll` is an interval ("5000ms") or STOP.
    `glance(**view_args)`, where there is one, answers (ETag, poll) without drawing anything: a poll of
    something unchanged then costs one look at a primary key. An empty tag means that only drawing can tell.
    Both take their query from `asked()`.

    What no glance can tell, as the place in a queue, is drawn anew when its time is over: the context's key `good_for`
    says how many seconds it will do. The page holds that in its tag, so every process knows.

    The tag of what is drawn is the glance's with a hash of the HTML behind it: what was drawn anew and is as it was,
    the page is not told.
    """

    name: str
    template: str
    read: Callable[..., Context]
    glance: Callable[..., tuple[str, str]] | None = None

    @property
    def endpoint(self) -> str:
        """Its name in Flask's table of addresses."""
        return f"dashboard.ui_{self.name}"

    def embed(self, query: dict[str, Any] | None = None, **view_args: Any) -> Markup:
        """The panel inside its region, for a page; `query` is what its own address must carry along."""
        html, tag, poll = self._draw(view_args)
        return _REGION.format(
            name=self.name.replace("_", "-"),
            url=url_for(self.endpoint, **view_args, **(query or {})),
            poll=poll,
            etag=tag,
            html=Markup(html),  # noqa: S704 - the template engine has escaped it
        )

    def unchanged(self, known: str, **view_args: Any) -> Seen | None:
        """What a glance says to a page that has the tag `known`, if that is: nothing new."""
        if known and self.glance:
            tag, poll = self.glance(**view_args)
            if tag and tag == _glanced(known):
                return Seen(known, poll)
        return None

    def look(self, known: str, **view_args: Any) -> Seen:
        """What is new for a page that has the tag `known`; "" has nothing yet."""
        if seen := self.unchanged(known, **view_args):
            return seen
        html, tag, poll = self._draw(view_args)
        return Seen(tag, poll) if _drawn(tag) == _drawn(known) else Seen(tag, poll, html)

    def answer(self, **view_args: Any) -> Response:
        """The panel alone, or 304 if the client has just this."""
        known = _COMPRESSION.sub('"', request.headers.get("If-None-Match", ""))
        seen = self.look(known, **view_args)
        response = make_response(seen.html or "", 304 if seen.html is None else 200)
        response.headers["ETag"] = seen.tag
        response.headers["HX-Poll"] = seen.poll
        return response

    def _draw(self, view_args: dict[str, Any]) -> tuple[str, str, str]:
        # The tag is taken first: if something changes meanwhile, the next poll sees it.
        tag = self.glance(**view_args)[0] if self.glance else ""
        glanced = tag.strip('"')
        context = self.read(**view_args)
        html = render_template(self.template, **context)
        until = f"{UNTIL}{_now() + context['good_for']}" if "good_for" in context else ""
        return html, f'"{glanced}{until}{BEHIND}{_hash(html)}"', context["poll"]


class Lines(NamedTuple):
    """What stands in a feed above a cursor: drawn, the cursor behind it, and when to come back."""

    html: str
    after: int
    poll: str


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A list that grows at its end, with an address of its own that takes a cursor: `?after=N`.

    `glance(**view_args)` answers (the highest number there is, poll); `read(after, **view_args)` what stands above
    a cursor. Who has the highest number learns by the glance alone that there is nothing new.
    """

    name: str
    read: Callable[..., Lines]
    glance: Callable[..., tuple[int, str]]

    @property
    def endpoint(self) -> str:
        """Its name in Flask's table of addresses."""
        return f"dashboard.ui_{self.name}"

    def unchanged(self, known: str, **view_args: Any) -> Seen | None:  # noqa: ARG002 - a feed is known by its cursor
        """What a glance says, if nothing stands above the cursor in the address; its tag is empty."""
        last, poll = self.glance(**view_args)
        return Seen("", poll) if number(asked().get("after")) >= last else None

    def look(self, known: str, **view_args: Any) -> Seen:
        """What is new above the cursor in the address; the tag of nothing new is empty."""
        if seen := self.unchanged(known, **view_args):
            return seen
        after = number(asked().get("after"))
        lines = self.read(after, **view_args)
        if not lines.html and lines.after <= after:
            return Seen("", lines.poll)
        return Seen(f'"{lines.after}"', lines.poll, lines.html, lines.after)

    def answer(self, **view_args: Any) -> Response:
        """The new lines alone, or 204; `HX-After` is the cursor to come back with."""
        seen = self.look("", **view_args)
        response = make_response(seen.html, 200) if seen.html else make_response("", 204)
        response.headers["HX-Poll"] = seen.poll
        response.headers["HX-After"] = str(number(asked().get("after")) if seen.after is None else seen.after)
        return response


def number(text: str | None) -> int:
    """A cursor from an address; 0 for anything odd."""
    return min(int(text), 2**62) if text and text.isdecimal() else 0


def _hash(html: str) -> str:
    return hashlib.blake2s(html.encode(), digest_size=9).hexdigest()


def _glanced(tag: str) -> str:
    """The part of a panel's tag that its glance made, as the glance says it; empty once what is drawn had its time."""
    glanced, _, until = tag.rpartition(BEHIND)[0].partition(UNTIL)
    return "" if until and _now() >= number(until) else f'{glanced}"'


def _now() -> int:
    return int(clock.now().timestamp())


def _drawn(tag: str) -> str:
    """The part of a panel's tag that stands for what is drawn."""
    return tag.rpartition(BEHIND)[2]
