"""Pages and the panels on them that refresh by themselves.

A Panel is read by one function and drawn by one fragment. On a page it is embedded in a region that polls;
at its own address (`/ui/…`) it answers alone, with an ETag so that an unchanged panel is a 304, and with
`HX-Poll`, which says when to come back or to stop (static/js/poll.js obeys).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, make_response, render_template, request, url_for
from markupsafe import Markup

Context = dict[str, Any]

STOP = "stop"

# Compression writes its algorithm behind a tag (`"abc:br"`); it is the same panel.
_COMPRESSION = re.compile(r':(br|gzip|zstd|deflate)"$')

_REGION = Markup(
    '<div class="region" id="r-{name}" hx-get="{url}" hx-trigger="poll" hx-swap="innerMorph" hx-poll="{poll}"'
    ' data-etag="{etag}">{html}</div>'
)


def every(milliseconds: int) -> str:
    """An interval as `HX-Poll` says it."""
    return f"{milliseconds}ms"


def asked() -> Mapping[str, str]:
    """The query of the panel that is being read: of its own address, however it is asked."""
    return request.args


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of a page with an address of its own.

    `read(**view_args)` answers the fragment's context; its key `poll` is an interval ("5000ms") or STOP.
    `glance(**view_args)`, where there is one, answers (ETag, poll) without drawing anything: a poll of
    something unchanged then costs one look at a primary key.
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

    def answer(self, **view_args: Any) -> Response:
        """The panel alone, or 304 if the client has just this."""
        known = _COMPRESSION.sub('"', request.headers.get("If-None-Match", ""))
        if known and self.glance:
            tag, poll = self.glance(**view_args)
            if tag == known:
                return _reply("", tag, poll, 304)
        html, tag, poll = self._draw(view_args)
        return _reply("", tag, poll, 304) if tag == known else _reply(html, tag, poll)

    def _draw(self, view_args: dict[str, Any]) -> tuple[str, str, str]:
        # The tag is taken first: if something changes meanwhile, the next poll sees it.
        tag = self.glance(**view_args)[0] if self.glance else ""
        context = self.read(**view_args)
        html = render_template(self.template, **context)
        return html, tag or _etag(html), context["poll"]


def _reply(html: str, tag: str, poll: str, status: int = 200) -> Response:
    response = make_response(html, status)
    response.headers["ETag"] = tag
    response.headers["HX-Poll"] = poll
    return response


def _etag(html: str) -> str:
    return f'"{hashlib.blake2s(html.encode(), digest_size=9).hexdigest()}"'
