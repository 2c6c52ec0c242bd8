"""GET /ui/look: everything that a page watches, asked by one request.

A page sends the addresses of those of its regions that are due (`?r=/ui/nav?at=jobs&r=/ui/jobs/table`) and what it
has of them as one ETag: the tags of the regions in the same order, joined by `|`, nothing for a feed, whose cursor
stands in its address. What is unchanged for all of them is a true 304, whose `HX-Poll` says when to come back for
each. Otherwise `{"regions": […]}` has one entry for each, in order: `{poll}` unchanged, `{etag, poll}` with another
tag from now on; `{etag, poll, html}` new;
`{after, poll, html}` new lines of a feed; `{code}` not for you, gone, or broken. One broken region spoils no other.

Whether anything is new at all is first asked of what others read a moment ago (app/polling/together.py); what looks
new is read anew.

Each region is read by the function that its own address has, as whoever asks, so it is guarded in the same way. A
look reads what several regions want once (htmx.once) and holds no transaction: each region takes its tag before what
it draws, so whatever changes in between is new at the next look. One snapshot for all would cost three round trips
more than the single statement that an unchanged page needs, and would tell nothing that the next look does not.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map

from app.dashboard import errors
from app.dashboard.htmx import Feed, Panel, Seen, asked_by, what_others_read
from app.db import db
from app.errors import Malformed

Region = Panel | Feed
Answer = dict[str, Any]
Wanted = tuple[Region | None, dict[str, Any], MultiDict[str, str]]
"""A region, what is in its address, and the address's query."""

MOST = 20
"""Regions in one look; a page has a handful."""
PREFIX = "/ui/"
ENDPOINT = "dashboard.look"
UNKNOWN = 404
"""What a page of an older version hears of a region that is no more."""
EVERYTHING = (401, 503)
"""What goes wrong not with one region, but with all."""


def register(app: Flask, blueprint: Blueprint, regions: list[Region]) -> None:
    """Answer looks at `regions`, and read all of `/ui/` statement by statement on one connection."""
    app.extensions["callboard_regions"] = {region.endpoint: region for region in regions}
    blueprint.add_url_rule("/ui/look", "look", look)
    blueprint.before_request(_quickly)
    blueprint.teardown_request(_give_back)


def _quickly() -> None:
    if request.method == "GET" and request.path.startswith(PREFIX):
        g.quick = ExitStack()
        g.quick.enter_context(db.quick())


def _give_back(_error: BaseException | None) -> None:
    if "quick" in g:
        g.pop("quick").close()


def look() -> Response:
    """GET /ui/look?r=ADDRESS&r=…: 304, or what is new of each."""
    addresses = request.args.getlist("r")
    if not 1 <= len(addresses) <= MOST:
        raise Malformed(f"Name 1 to {MOST} regions by r=, not {len(addresses)}.")
    wanted = [_region(address) for address in addresses]
    known = _known(len(wanted))
    if polls := _by_what_others_read(wanted, known):
        return _unchanged(polls)
    answers = [_look(*each, tag) for each, tag in zip(wanted, known, strict=True)]
    if all(set(answer) == {"poll"} for answer in answers):
        return _unchanged([answer["poll"] for answer in answers])
    return Response(orjson.dumps({"regions": answers}), mimetype="application/json")


def _unchanged(polls: list[str]) -> Response:
    return Response(status=304, headers={"HX-Poll": ",".join(polls)})


def _by_what_others_read(wanted: list[Wanted], known: list[str]) -> list[str] | None:
    """When to come back for each region, if by what others read a moment ago all are as the page has them.

    Whatever looks new by that, and what somebody asks for by hand (`now=1`), is read anew.
    """
    age = current_app.config["CALLBOARD"].poll_shared_ms / 1000
    if not age or "now" in request.args:
        return None
    polls = []
    with what_others_read(age):
        for (region, values, query), tag in zip(wanted, known, strict=True):
            if region is None or region.glance is None:
                return None
            try:
                with asked_by(query):
                    seen = region.unchanged(tag, **values)
            except Exception as error:
                if errors.meaning(error)[0] in EVERYTHING:
                    raise
                return None
            if seen is None:
                return None
            polls.append(seen.poll)
    return polls


def _known(count: int) -> list[str]:
    """The tag that the page has of each region; "" where it has none, or where they do not fit the addresses."""
    sent = request.headers.get("If-None-Match", "").removeprefix("W/").strip('"')
    tags = [f'"{tag}"' if tag else "" for tag in sent.split("|")]
    return tags if len(tags) == count else [""] * count


def _region(address: str) -> Wanted:
    """Whose address that is, and what is in it; None: one that this version does not have."""
    endpoint, values, query = _led(current_app.url_map, address)
    if endpoint is None:
        return None, {}, MultiDict()
    region = current_app.extensions["callboard_regions"].get(endpoint)
    if region is None:
        raise Malformed("This address cannot be looked at.")
    return region, dict(values), query


@lru_cache(maxsize=5000)
def _led(urls: Map, address: str) -> tuple[str | None, dict[str, Any], MultiDict[str, str]]:
    """The endpoint of an address, and what is in it; the same pages ask for the same again and again."""
    path, _, query = address.partition("?")
    if not path.startswith(PREFIX) or "%00" in address:
        raise Malformed("A region has an address under /ui/, without NUL.")
    try:
        endpoint, values = urls.bind("").match(unquote(path), method="GET")
    except NotFound:
        return None, {}, ImmutableMultiDict()
    except HTTPException:
        raise Malformed("This address cannot be looked at.") from None
    return endpoint, dict(values), ImmutableMultiDict(parse_qsl(query, keep_blank_values=True))


def _look(region: Region | None, values: dict[str, Any], query: MultiDict[str, str], known: str) -> Answer:
    """What one region has to say; what goes wrong with it is its own, but for what goes wrong with everything."""
    if region is None:
        return {"code": UNKNOWN}
    try:
        with asked_by(query):
            return _said(region.look(known, **values), known)
    except Exception as error:
        status = errors.meaning(error)[0]
        if status in EVERYTHING:
            raise
        return {"code": status}


def _said(seen: Seen, known: str) -> Answer:
    if seen.html is None:
        return {"poll": seen.poll} | ({"etag": seen.tag} if seen.tag != known else {})
    if seen.after is not None:
        return {"poll": seen.poll, "html": seen.html, "after": seen.after}
    return {"poll": seen.poll, "html": seen.html, "etag": seen.tag}
