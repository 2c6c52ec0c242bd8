"""A local server that speaks the search of Pexels and Unsplash, and serves the pictures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_server import Server, at_work, hold

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 50
PEXELS_KEY, UNSPLASH_KEY = "pexels-key-of-a-test", "unsplash-key-of-a-test"


@dataclass
class Photos:
    """Both services on one address; `pexels` and `unsplash` are what they answer: a status, or how many photos."""

    url: str = ""
    pexels: int = 1
    """Photos it has; a status from 400 on; -1: it never answers."""
    unsplash: int = 1
    picture: bytes = JPEG
    media_type: str = "image/jpeg"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path with query, and headers in small letters."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        """What was asked for, without queries."""
        return [urlsplit(path).path for path, _ in self.asked]

    def pexels_answer(self) -> dict[str, Any]:
        """As Pexels writes it."""
        photos = [
            {
                "id": n,
                "width": 4000,
                "height": 2000,
                "url": f"https://www.pexels.com/photo/{n}/",
                "photographer": "Grace [Hopper]",
                "photographer_url": "https://www.pexels.com/@grace",
                "alt": "A lamp at night",
                "src": {
                    "original": f"{self.url}/pictures/{n}-full.jpg",
                    "large2x": f"{self.url}/pictures/{n}.jpg",
                },
            }
            for n in range(1, self.pexels + 1)
        ]
        return {"page": 1, "per_page": 5, "total_results": len(photos), "photos": photos}

    def unsplash_answer(self) -> dict[str, Any]:
        """As Unsplash writes it."""
        results = [
            {
                "id": f"u{n}",
                "width": 3000,
                "height": 2000,
                "alt_description": "a desk with papers",
                "urls": {"regular": f"{self.url}/hot/u{n}.jpg"},
                "links": {
                    "html": f"https://unsplash.com/photos/u{n}",
                    "download_location": f"{self.url}/photos/u{n}/download",
                },
                "user": {"name": "Ada Lovelace", "links": {"html": "https://unsplash.com/@ada"}},
            }
            for n in range(1, self.unsplash + 1)
        ]
        return {"total": len(results), "total_pages": 1, "results": results}


class Door(BaseHTTPRequestHandler):
    """Takes requests for both."""

    protocol_version = "HTTP/1.1"
    photos: Photos

    def do_GET(self) -> None:
        """A search, a ping or a picture; searches want their key and a query."""
        photos, path = self.photos, urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        photos.asked.append((self.path, headers))
        if path.startswith(("/pictures/", "/hot/")):
            return self.say(200, photos.picture, photos.media_type)
        told = {
            "/v1/search": (photos.pexels, photos.pexels_answer, PEXELS_KEY),
            "/search/photos": (photos.unsplash, photos.unsplash_answer, f"Client-ID {UNSPLASH_KEY}"),
        }.get(path, (1, lambda: {"url": "https://images.unsplash.com/"}, f"Client-ID {UNSPLASH_KEY}"))
        much, answer, key = told
        if headers.get("authorization") != key or (
            "search" in path and not parse_qs(urlsplit(self.path).query).get("query")
        ):
            return self.say(401, b'{"error": "no"}')
        if much < 0:
            hold(self.connection, photos.over)
        if much >= 400 or much < 0:
            return self.say(max(much, 500), b'{"error": "told to fail"}')
        return self.say(200, json.dumps(answer()).encode())

    def say(self, status: int, body: bytes, media_type: str = "application/json") -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def photo_services(**changes: Any) -> Iterator[Photos]:
    """Both on a free port of 127.0.0.1; `changes` are fields of Photos."""
    photos = Photos(**changes)
    server = Server(("127.0.0.1", 0), type("Bound", (Door,), {"photos": photos}))
    photos.url = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield photos
        finally:
            photos.over.set()
