"""The world outside of the content pipeline: a model, a judge, pictures and a CMS that stop a job at a boundary of it."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests import strapi_server
from tests.model_server import Hang, Model, Say, speaking
from tests.openai_server import Chat
from tests.strapi_server import Attribute, Call, Strapi, article

POOR, GOOD = 3.0, 9.0
LONGEST_HOLD = 90.0
TOPIC = re.compile(r"Write a blog post about: (?P<topic>.+)")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360f8cf50000003860180e6e14d0e0000000049454e44ae426082"
)


class Gone(Exception):
    """The request never arrives: whoever sent it is dead."""


@dataclass
class Boundaries:
    """Where each job is to stop, and which are there. Whoever is held comes on by `let`, or never, by `drop`."""

    wanted: dict[str, str] = field(default_factory=dict)
    """Topic → boundary."""
    there: set[str] = field(default_factory=set)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a topic came to a boundary."""
    topics: dict[str, str] = field(default_factory=dict)
    """The key of a post → its topic."""
    _over: dict[str, threading.Event] = field(default_factory=dict)
    _dropped: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, topic: str, boundary: str) -> None:
        """Let the job with `topic` be held when it comes to `boundary` for the first time."""
        self.wanted[topic], self._over[topic] = boundary, threading.Event()

    def come(self, topic: str, boundary: str) -> None:
        """A request at a boundary; returns when it may go on, raises Gone when it is dropped."""
        with self._lock:
            self.seen[topic, boundary] += 1
            held = self.wanted.get(topic) == boundary and topic not in self.there
            if held:
                self.there.add(topic)
        if held:
            assert self._over[topic].wait(LONGEST_HOLD), f"nobody let {topic} go"
            if topic in self._dropped:
                raise Gone

    def let(self, *topics: str) -> None:
        """Let their requests through."""
        for topic in topics:
            self._over[topic].set()

    def drop(self) -> None:
        """Throw away what is held still: nobody is there any more to send it, or to hear the answer."""
        self._dropped = {topic for topic, event in self._over.items() if not event.is_set()}
        self.let(*self._dropped)


@dataclass
class Outside:
    """All that the pipeline calls."""

    boundaries: Boundaries
    model: Model
    cms: Strapi

    @property
    def environ(self) -> dict[str, str]:
        """The settings of workers that call it."""
        return {
            "STRAPI_URL": self.cms.url,
            "STRAPI_API_TOKEN": self.cms.token,
            "STRAPI_FIELDS": "title=title content=content slug=slug excerpt=excerpt tags=tags image=featured_image",
            "PEXELS_API_KEY": "px-chaos",
            "CHAOS_PEXELS_URL": self.model.url,
            "HTTP_ALLOW_PRIVATE": "true",
        }

    @property
    def gate(self) -> dict[str, Any]:
        """One whose judge is here: the first draft is poor, the second good."""
        check = {"check": "http", "name": "judge", "url": f"{self.model.url}/judge", "threshold": 7.0}
        return {"title": "Chaos", "threshold": 7.0, "refinements": 2, "checks": [check]}


@contextmanager
def outside() -> Iterator[Outside]:
    """All of it on free ports."""
    boundaries = Boundaries()
    bound = type("Here", (Services,), {"boundaries": boundaries})
    # The CMS itself keeps no second post out.
    attributes = article() | {"slug": Attribute("uid")}
    with strapi_server.strapi(attributes=attributes) as cms, speaking(bound, Say("")) as model:
        phases = Phases(boundaries)
        cms.watch = phases.watch
        try:
            yield Outside(boundaries, model, cms)
        finally:
            boundaries.drop()


class Services(Chat):
    """The model, the judge and the pictures."""

    boundaries: Boundaries
    topic = ""

    def reply(self, request: dict[str, Any]) -> None:
        """By its path."""
        url = urlsplit(self.path)
        try:
            if url.path.endswith("/chat/completions"):
                self._write(request)
            elif url.path == "/judge":
                self._judge(request)
            elif url.path == "/v1/search":
                self._search(parse_qs(url.query)["query"][0])
            elif url.path.startswith("/photo/"):
                self._photo(unquote(url.path).removeprefix("/photo/").removesuffix(".png"))
            else:
                super().reply(request)
        except Gone:
            self.close_connection = True

    def _write(self, request: dict[str, Any]) -> None:
        prompt = str(request["messages"])
        found = TOPIC.search(prompt.replace("\\n", "\n"))
        assert found, prompt[:500]
        topic, again = found["topic"], "is not good enough yet" in prompt
        self.boundaries.come(topic, "refine" if again else "write")
        text = f"# About {topic}\n\n" + ("Better words. " if again else "Words. ") * 40
        self.topic = topic
        half = self.boundaries.wanted.get(topic) == "half a draft" and topic not in self.boundaries.there
        self.stream(Hang(text[:200]) if half else Say(text), str(request.get("model")), request)

    def hold(self) -> None:
        """In the middle of an answer."""
        self.boundaries.come(self.topic, "half a draft")

    def _judge(self, asked: dict[str, Any]) -> None:
        self.boundaries.come(asked["brief"]["topic"], f"judge {asked['draft']}")
        better = "Better words." in asked["text"]
        self.send_json(200, {"score": GOOD if better else POOR, "issues": [] if better else ["poor"]})

    def _search(self, topic: str) -> None:
        self.boundaries.come(topic, "picture")
        src = {"original": f"{self.model.url}/photo/{topic.replace(' ', '%20')}.png"}
        by = {"photographer": "Ada", "photographer_url": "https://example.com/ada"}
        photo = {"src": src, "url": "https://example.com/photo", "alt": topic, **by}
        self.send_json(200, {"photos": [photo] if topic.startswith("pictured") else []})

    def _photo(self, topic: str) -> None:
        self.boundaries.come(topic, "download")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG)


class Phases:
    """What a request to the CMS is to the post that it is about."""

    def __init__(self, boundaries: Boundaries) -> None:
        """Nothing was asked yet."""
        self.boundaries = boundaries
        self.published: set[str] = set()

    def watch(self, when: str, call: Call) -> None:
        """Called in the thread of the request."""
        # Only one job uploads before anybody is killed: it says no key.
        topic = self.boundaries.topics.get(call.key, "pictured upload")
        self.boundaries.come(topic, self._boundary(when, call))
        if (when, call.method) == ("done", "PUT"):
            self.published.add(topic)

    def _boundary(self, when: str, call: Call) -> str:
        if call.path == "/api/upload":
            return f"upload {when}"
        if call.method == "GET":
            known = self.boundaries.topics.get(call.key) in self.published
            return f"{'confirm' if known else 'look'} {when}"
        return f"{'create' if call.method == 'POST' else 'publish'} {when}"
