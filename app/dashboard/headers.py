"""Security headers of every answer of the web process, pages and API alike."""

from __future__ import annotations

from flask import Flask, Response, request

from app.dashboard import https

CONTENT_SECURITY_POLICY = "; ".join(  # noqa: FLY002 - one directive a line
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "private, no-cache",
}
YEAR_SECONDS = 31_536_000

# Addresses that open something by themselves, and what keeps them where they are.
BEARER_PATHS = ("/a/", "/reset/")
BEARER_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


# Scripts and programs ask for these, again and again: a 304 says only that there is nothing new. It has no body that a
# browser could run, frame or guess the type of, so it goes without what guards bodies: 300 bytes, not 900.
POLLED_PATHS = ("/ui/", "/api/")
NOT_MODIFIED = 304


def register(app: Flask) -> None:
    """Send them with every answer; a view that set one itself keeps its own (downloads are stricter)."""
    https.register(app)
    app.after_request(_protect)


def loggable(path: str) -> str:
    """An address as a log may have it: what is secret in it is left out."""
    return next((f"{start}[hidden]" for start in BEARER_PATHS if path.startswith(start)), path)


def _protect(response: Response) -> Response:
    if response.status_code == NOT_MODIFIED and request.path.startswith(POLLED_PATHS):
        return response
    if request.path.startswith(BEARER_PATHS):
        response.headers.update(BEARER_HEADERS)
    own = {name.lower() for name, _ in response.headers}
    for name, value in HEADERS.items():
        if name.lower() not in own:
            response.headers.add(name, value)
    if request.is_secure and "strict-transport-security" not in own:
        response.headers.add("Strict-Transport-Security", f"max-age={YEAR_SECONDS}; includeSubDomains")
    return response
