"""MCP over HTTP: POST /mcp in the web process, stateless and answered as plain JSON; nothing is streamed.

The SDK speaks ASGI, so a loop runs in a thread of its own beside gunicorn's. It is started by the first request, hence
after the fork, and never in a process that gets none: the SDK costs a second and tens of megabytes to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from app.observe import correlation, logs
from app.settings import Settings

if TYPE_CHECKING:
    from a2wsgi import ASGIMiddleware
    from mcp.server.context import ServerRequestContext

    from app.mcp.caller import Caller

log = logs.get(__name__)

PATH = "/mcp"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
START_SECONDS = 30.0
VIA = "callboard.via"
"""In the environment of a request: the door it came by, which no header can set."""

REQUEST_ID = "callboard.request_id"

Admit = Callable[[], Response | None]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

blueprint = Blueprint("mcp", __name__)


def register(app: Flask, version: str, admit: Admit) -> None:
    """Serve /mcp in `app`; `admit` answers why the present caller may not come in, or None."""
    app.extensions["callboard-mcp"] = Door(app, version, admit)
    app.register_blueprint(blueprint)


@blueprint.post(PATH)
def answer() -> Response:
    """One JSON-RPC message of an MCP client."""
    door: Door = current_app.extensions["callboard-mcp"]
    refusal = door.admit()
    return refusal or door.answer()


class Door:
    """The server of this process, made when it is first needed."""

    def __init__(self, app: Flask, version: str, admit: Admit) -> None:
        """Nothing of the SDK is imported yet."""
        self.app, self.version, self.admit = app, version, admit
        settings: Settings = app.config["CALLBOARD"]
        self.settings = settings
        self.waits = BoundedSemaphore(max(1, settings.web_threads // 2))
        self._lock = Lock()
        self._made: ASGIMiddleware | None = None

    def answer(self) -> Response:
        """Hand the present request to the SDK, and its answer back."""
        data = request.get_data()  # as much as any body may be: MAX_CONTENT_LENGTH
        environ = {
            **request.environ,
            "wsgi.input": BytesIO(data),
            "CONTENT_LENGTH": str(len(data)),
            REQUEST_ID: correlation.current()["correlation_id"],
        }
        made = self._server()
        answer = cast(Response, Response.from_app(cast(Any, made), environ, buffered=True))
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        return answer

    def _server(self) -> ASGIMiddleware:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> ASGIMiddleware:
        from a2wsgi import ASGIMiddleware
        from mcp.server.transport_security import TransportSecuritySettings

        from app.mcp import loop
        from app.mcp.server import build

        server = build(self._caller, self.version)
        served = server.streamable_http_app(
            streamable_http_path=PATH,
            json_response=True,
            stateless_http=True,
            max_request_body_size=self.settings.max_body_bytes,
            transport_security=TransportSecuritySettings(
                allowed_hosts=hosts(self.settings.public_url),
                allowed_origins=origins(self.settings.public_url),
            ),
        )
        running = loop.start(server.session_manager.run, START_SECONDS)
        if running is None:
            raise ServiceUnavailable("The MCP server did not start in time; try again.")
        log.info("mcp.started")
        return ASGIMiddleware(cast(Any, served), loop=running)

    def _caller(self, context: ServerRequestContext[Any, Any]) -> Caller:
        """Whoever sent the message, by the credential in its own headers; the request was let in with it."""
        from httpx2 import WSGITransport

        from app.client import Client
        from app.mcp.caller import Caller

        assert context.request is not None
        environ: dict[str, Any] = context.request.scope["wsgi_environ"]
        headers = {
            "User-Agent": environ.get("HTTP_USER_AGENT", "mcp"),
            "X-Request-ID": environ.get(REQUEST_ID) or "",
        }
        transport = WSGITransport(app=cast(Any, self._as_mcp), remote_addr=environ.get("REMOTE_ADDR", ""))
        address = self.settings.public_url
        client = Client(address, credential(environ), transport=transport, attempts=1)
        return Caller(client, address, {k: v for k, v in headers.items() if v}, self.waits)

    def _as_mcp(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return self.app({**environ, VIA: "mcp"}, start)


def credential(environ: dict[str, Any]) -> str:
    """The token or key that a request brought; the API takes either as Bearer."""
    kind, _, said = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if kind.lower() == "bearer" and said.strip():
        return said.strip()
    return str(environ.get("HTTP_X_API_KEY", "")).strip()


def hosts(public_url: str) -> list[str]:
    """Names under which this server may be called; any other is somebody's page that rebinds its name to us."""
    parts = urlsplit(public_url)
    own = {parts.netloc, parts.hostname or "", f"{parts.hostname}:*"}
    return sorted(name for name in own if name) + [
        name for host in LOCAL_HOSTS for name in (host, f"{host}:*")
    ]


def origins(public_url: str) -> list[str]:
    """Pages that may call it: our own."""
    parts = urlsplit(public_url)
    local = [f"http://{host}{port}" for host in LOCAL_HOSTS for port in ("", ":*")]
    return [f"{parts.scheme}://{parts.netloc}", *local]
