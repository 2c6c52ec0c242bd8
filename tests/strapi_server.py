"""A local server that speaks the REST of Strapi, version 5 or 4: real HTTP, tokens, drafts, media, validation, and faults.

    with strapi() as cms:
        ... STRAPI_URL=cms.url, STRAPI_API_TOKEN=cms.token ...
        cms.published, cms.drafts                  # what is in the collection now
        cms.fail(DROP_AFTER, "POST", "/api/articles")    # stored, and the answer never arrives; once
        cms.on_request = lambda method, path: ...  # called in the thread of each request, before it is looked at
        cms.watch = lambda when, call: ...         # the same with the post's key: "asked" before, "done" after it is done

It is strict where Strapi is: a key that the content type does not have is refused (v5) or dropped without a word (v4).
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.local_server import Server, at_work, hold

JSON = dict[str, Any]
LONGEST_STRING = 255
FILTER = re.compile(r"filters\[(?P<field>\w+)\]\[\$(?P<operator>eq|endsWith)\]")


@dataclass(frozen=True)
class Attribute:
    """One field of the content type."""

    kind: str = "string"
    """string, text, richtext, uid, json or media."""
    required: bool = False
    unique: bool = False


def article(*without: str) -> dict[str, Attribute]:
    """The fields of an article as blogs have them, with Callboard's own; leave some out by name."""
    fields = {
        "title": Attribute(required=True),
        "content": Attribute("richtext", required=True),
        "slug": Attribute("uid", unique=True),
        "excerpt": Attribute("text"),
        "tags": Attribute("json"),
        "featured_image": Attribute("media"),
        "callboard_key": Attribute(),
    }
    return {name: attribute for name, attribute in fields.items() if name not in without}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 0
    """This HTTP status; 0: the connection is reset without an answer."""
    after: bool = False
    """The request is done first; only its answer is lost."""
    silent: bool = False
    """Nothing is said until the client leaves."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request as whoever watches hears of it."""

    method: str
    path: str
    """Without its query."""
    key: str
    """The `callboard_key` of the post it is about; "" if it is about none that has one."""


DROP_BEFORE = Fault()
DROP_AFTER = Fault(after=True)
HANG = Fault(silent=True)
HANG_AFTER = Fault(silent=True, after=True)


class Refused(Exception):
    """Strapi says no."""

    def __init__(self, status: int, name: str, message: str, **details: Any) -> None:
        """As it stands in the body."""
        super().__init__(message)
        self.status, self.body = (
            status,
            {
                "data": None,
                "error": {"status": status, "name": name, "message": message, "details": details},
            },
        )


@dataclass
class Entry:
    """A draft or a published version of a document; in version 4 there is one row, published or not."""

    id: int
    document_id: str
    fields: JSON
    created: str
    published: str | None = None


@dataclass
class Strapi:
    """The CMS and what is in it. Everything that changes it happens under one lock, as in a database."""

    url: str = ""
    version: int = 5
    collection: str = "articles"
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    read_only_token: str = field(default_factory=lambda: secrets.token_hex(32))
    attributes: dict[str, Attribute] = field(default_factory=article)
    entries: list[Entry] = field(default_factory=list)
    files: list[JSON] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with its query, in the order they came."""
    deaf: bool = False
    """Something before it drops filters."""
    on_request: Callable[[str, str], None] | None = None
    """Called with method and path before each request is looked at, outside the lock: it may wait."""
    watch: Callable[[str, Call], None] | None = None
    """Called with "asked" and with "done", before its answer is sent; outside the lock: it may wait."""
    over: threading.Event = field(default_factory=threading.Event)
    _faults: list[tuple[Fault, str, str]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _last_id: int = 0

    def fail(self, fault: Fault, method: str = "", path: str = "", *, times: int = 1) -> None:
        """Let the next requests with this method, whose path begins so, go wrong."""
        with self._lock:
            self._faults += [(fault, method, path)] * times

    def add(self, **fields: Any) -> None:
        """A draft of somebody else."""
        with self._lock:
            self._insert(secrets.token_hex(12), fields, published=False)

    @property
    def published(self) -> list[JSON]:
        """What readers of the site see."""
        with self._lock:
            return [self.shown(entry) for entry in self.entries if entry.published]

    @property
    def drafts(self) -> list[JSON]:
        """Documents that nobody has published."""
        with self._lock:
            public = {entry.document_id for entry in self.entries if entry.published}
            return [self.shown(entry) for entry in self.entries if entry.document_id not in public]

    def calls(self, method: str) -> list[str]:
        """The paths that were asked with `method`, without queries."""
        return [path.partition("?")[0] for asked, path in list(self.asked) if asked == method]

    def shown(self, entry: Entry) -> JSON:
        """An entry's fields, flat, with its ids."""
        return {
            "id": entry.id,
            "documentId": entry.document_id,
            **entry.fields,
            "createdAt": entry.created,
            "publishedAt": entry.published,
        }

    def rendered(self, entry: Entry) -> JSON:
        """As this version writes it."""
        flat = self.shown(entry) | {n: None for n, a in self.attributes.items() if n not in entry.fields}
        flat = {n: v for n, v in flat.items() if getattr(self.attributes.get(n), "kind", "") != "media"}
        if self.version >= 5:
            return flat
        return {
            "id": entry.id,
            "attributes": {n: v for n, v in flat.items() if n not in ("id", "documentId")},
        }

    def tell(self, when: str, method: str, path: str, query: dict[str, str], body: bytes) -> None:
        """Let whoever watches know."""
        if self.watch:
            self.watch(when, Call(method, path, self._key_of(path, query, body)))

    def _key_of(self, path: str, query: dict[str, str], body: bytes) -> str:
        if asked := query.get("filters[callboard_key][$eq]"):
            return asked
        with self._lock:
            known = [e for e in self.entries if path.endswith((f"/{e.document_id}", f"/{e.id}"))]
            given = data_of(body) if body.startswith(b"{") else {}
            return str(
                given.get("callboard_key") or next((e.fields.get("callboard_key", "") for e in known), "")
            )

    def fault_for(self, method: str, path: str) -> Fault | None:
        """What is to go wrong with this request."""
        with self._lock:
            for number, (fault, its_method, its_path) in enumerate(self._faults):
                if its_method in ("", method) and path.startswith(its_path):
                    del self._faults[number]
                    return fault
        return None

    # -- what the collection does

    def answer(
        self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str
    ) -> tuple[int, Any]:
        """Status and body of a request by somebody who may make it."""
        base = f"/api/{self.collection}"
        with self._lock:
            if method == "POST" and path == "/api/upload":
                return self._upload(body, content_type)
            if path == base:
                return self._list(query) if method == "GET" else self._create(query, data_of(body))
            document = path.removeprefix(f"{base}/")
            if path.startswith(f"{base}/") and "/" not in document:
                return self._one(method, document, query, body)
        raise Refused(404, "NotFoundError", "Not Found")

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        found = [entry for entry in self.entries if self._asked_for(entry, query)]
        for name, value in query.items():
            if (match := FILTER.fullmatch(name)) and not self.deaf:
                found = self._filtered(found, match["field"], match["operator"], value)
        found.sort(key=lambda entry: entry.id)
        size = int(query.get("pagination[pageSize]", "25"))
        pages = {"page": 1, "pageSize": size, "pageCount": -(-len(found) // size), "total": len(found)}
        return 200, {
            "data": [self.rendered(entry) for entry in found[:size]],
            "meta": {"pagination": pages},
        }

    def _asked_for(self, entry: Entry, query: dict[str, str]) -> bool:
        if self.version >= 5:
            return (entry.published is None) == (query.get("status", "published") == "draft")
        return entry.published is not None or query.get("publicationState") == "preview"

    def _filtered(self, found: list[Entry], name: str, operator: str, value: str) -> list[Entry]:
        if name in self.attributes:
            fits = str.__eq__ if operator == "eq" else str.endswith
            return [entry for entry in found if fits(str(entry.fields.get(name)), value)]
        if self.version >= 5:
            raise Refused(400, "ValidationError", f"Invalid key {name}", key=name, source="query")
        return found  # version 4 forgets filters that it does not know

    def _create(self, query: dict[str, str], data: JSON) -> tuple[int, Any]:
        document = secrets.token_hex(12)
        if self.version >= 5:
            public = query.get("status") != "draft"
            self._validate(data, public=public, document=document)
            entry = self._insert(document, data, published=False)
            shown = self._publish(entry) if public else entry
            return 201, {"data": self.rendered(shown), "meta": {}}
        public = data.get("publishedAt", "now") is not None
        self._validate(data, public=public, document=document)
        entry = self._insert(document, data, published=public)
        return 200, {"data": self.rendered(entry), "meta": {}}

    def _one(self, method: str, document: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        mine = [e for e in self.entries if document == (e.document_id if self.version >= 5 else str(e.id))]
        if not mine:
            raise Refused(404, "NotFoundError", "Not Found")
        if method == "DELETE":
            self.entries = [entry for entry in self.entries if entry not in mine]
            return (204, None) if self.version >= 5 else (200, {"data": self.rendered(mine[0]), "meta": {}})
        if method == "GET":
            return 200, {"data": self.rendered(mine[0]), "meta": {}}
        return self._update(mine, query, data_of(body))

    def _update(self, mine: list[Entry], query: dict[str, str], data: JSON) -> tuple[int, Any]:
        draft = next((entry for entry in mine if entry.published is None), mine[0])
        whole = draft.fields | data
        if self.version >= 5:
            public = query.get("status") != "draft"
            self._validate(whole, public=public, document=draft.document_id)
            draft.fields |= self._known(data)
            entry = self._publish(draft) if public else draft
            return 200, {"data": self.rendered(entry), "meta": {}}
        published = data.get("publishedAt", draft.published)
        self._validate(whole, public=published is not None, document=draft.document_id)
        draft.fields |= self._known(data)
        draft.published = published
        return 200, {"data": self.rendered(draft), "meta": {}}

    def _insert(self, document: str, data: JSON, *, published: bool) -> Entry:
        self._last_id += 1
        moment = now()
        entry = Entry(self._last_id, document, self._known(data), moment, moment if published else None)
        self.entries.append(entry)
        return entry

    def _publish(self, draft: Entry) -> Entry:
        """The published version of a document is a row of its own, made anew each time."""
        same = [e for e in self.entries if e.document_id == draft.document_id and e.published]
        self.entries = [entry for entry in self.entries if entry not in same]
        return self._insert(draft.document_id, draft.fields, published=True)

    def _known(self, data: JSON) -> JSON:
        return {name: value for name, value in data.items() if name in self.attributes}

    def _validate(self, data: JSON, *, public: bool, document: str) -> None:
        for name in data:
            if self.version >= 5 and name not in self.attributes and name != "publishedAt":
                raise Refused(400, "ValidationError", f"Invalid key {name}", key=name, source="body")
        errors = [
            {"path": [name], "message": message, "name": "ValidationError", "value": data.get(name)}
            for name, attribute in self.attributes.items()
            if (message := self._wrong(name, attribute, data, public=public, document=document))
        ]
        if errors:
            message = errors[0]["message"] if len(errors) == 1 else f"{len(errors)} errors occurred"
            raise Refused(400, "ValidationError", str(message), errors=errors)

    def _wrong(
        self, name: str, attribute: Attribute, data: JSON, *, public: bool, document: str
    ) -> str | None:
        value = data.get(name)
        if value is None:
            return wrong_type(name, value) if attribute.required and public else None
        if message := wrong_value(name, attribute, value, {file["id"] for file in self.files}):
            return message
        if not attribute.unique or (self.version >= 5 and not public):  # drafts of version 5 may be alike
            return None
        others = [
            e
            for e in self.entries
            if e.document_id != document
            and (self.version < 5 or e.published is not None)
            and e.fields.get(name) == value
        ]
        return "This attribute must be unique" if others else None

    def _upload(self, body: bytes, content_type: str) -> tuple[int, Any]:
        parts = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        found: dict[str, Any] = {
            str(part.get_param("name", header="content-disposition")): part for part in parts.iter_parts()
        }
        if "files" not in found:
            raise Refused(400, "ValidationError", "Files are empty")
        file, info = (
            found["files"],
            json.loads(found["fileInfo"].get_content()) if "fileInfo" in found else {},
        )
        content = file.get_payload(decode=True)
        kept = {
            "id": len(self.files) + 1,
            "name": info.get("name") or file.get_filename(),
            "alternativeText": info.get("alternativeText"),
            "caption": info.get("caption"),
            "mime": file.get_content_type(),
            "size": len(content) / 1000,
            "url": f"/uploads/{file.get_filename()}",
        }
        self.files.append(kept)
        return 201 if self.version >= 5 else 200, [kept]


def wrong_value(name: str, attribute: Attribute, value: Any, files: set[int]) -> str | None:
    """What is wrong with a value, in Strapi's words."""
    if attribute.kind == "json":
        return None
    if attribute.kind == "media":
        return None if value in files else f"{name}: file {value} does not exist"
    if not isinstance(value, str):
        return wrong_type(name, value)
    if attribute.kind == "uid" and not re.fullmatch(r"[A-Za-z0-9\-_.~]*", value):
        return f'{name} must match the following: "/^[A-Za-z0-9-_.~]*$/"'
    if attribute.kind in ("string", "uid") and len(value) > LONGEST_STRING:
        return f"{name} must be at most {LONGEST_STRING} characters"
    return None


def wrong_type(name: str, value: Any) -> str:
    """Something that is no text, in Strapi's words; nothing at all is such a thing."""
    return f"{name} must be a `string` type, but the final value was: `{json.dumps(value)}`."


def data_of(body: bytes) -> JSON:
    """The `data` of a body."""
    try:
        data = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError):
        data = None
    if not isinstance(data, dict):
        raise Refused(400, "ValidationError", 'Missing "data" payload in the request body')
    return data


def now() -> str:
    """A time as Strapi writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Door(BaseHTTPRequestHandler):
    """Takes requests for one CMS."""

    protocol_version = "HTTP/1.1"
    cms: Strapi

    def do_GET(self) -> None:
        """Answer, or go wrong as told."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts, cms = urlsplit(self.path), self.cms
        query = dict(parse_qsl(parts.query))
        cms.asked.append((self.command, self.path))
        cms.tell("asked", self.command, parts.path, query, body)
        if cms.on_request:
            cms.on_request(self.command, parts.path)
        fault = cms.fault_for(self.command, parts.path)
        if fault and not fault.after:
            return self.go_wrong(fault)
        try:
            self.demand_token()
            status, said = cms.answer(
                self.command,
                parts.path,
                query,
                body,
                self.headers.get("Content-Type", ""),
            )
        except Refused as refused:
            status, said = refused.status, refused.body
        cms.tell("done", self.command, parts.path, query, body)
        return self.go_wrong(fault) if fault else self.say(status, said)

    do_POST = do_PUT = do_DELETE = do_GET

    def demand_token(self) -> None:
        """401 without a known token, 403 for one that may not do this."""
        given = self.headers.get("Authorization", "")
        if given and given not in (f"Bearer {self.cms.token}", f"Bearer {self.cms.read_only_token}"):
            raise Refused(401, "UnauthorizedError", "Missing or invalid credentials")
        reads = self.command == "GET" and given == f"Bearer {self.cms.read_only_token}"
        if given != f"Bearer {self.cms.token}" and not reads:
            raise Refused(403, "ForbiddenError", "Forbidden")

    def go_wrong(self, fault: Fault) -> None:
        """An error, silence, or a connection that is reset."""
        if fault.status:
            error = {"status": fault.status, "name": "Error", "message": "told to fail", "details": {}}
            return self.say(fault.status, {"data": None, "error": error}, fault.headers)
        if fault.silent:
            hold(self.connection, self.cms.over)
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        return None

    def say(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def strapi(version: int = 5, **changes: Any) -> Iterator[Strapi]:
    """A CMS on a free port of 127.0.0.1; `changes` are fields of Strapi."""
    cms = Strapi(version=version, **changes)
    server = Server(("127.0.0.1", 0), type("Bound", (Door,), {"cms": cms}))
    cms.url = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield cms
        finally:
            cms.over.set()
