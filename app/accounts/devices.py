"""What people call the thing they signed in with, from what it says of itself; nothing is decided by it."""

from __future__ import annotations

import re

# The first that fits; many browsers also name those they descend from.
_BROWSERS = (
    (r"\bEdgA?(?:iOS)?/", "Edge"),
    (r"\bOPR/|\bOpera\b", "Opera"),
    (r"\bSamsungBrowser/", "Samsung Internet"),
    (r"\bVivaldi/", "Vivaldi"),
    (r"\b(?:Firefox|FxiOS)/", "Firefox"),
    (r"\bHeadlessChrome/", "Chrome without a window"),
    (r"\bChromium/", "Chromium"),
    (r"\b(?:Chrome|CriOS)/", "Chrome"),
    (r"\bVersion/[\d.]+.* Safari/", "Safari"),
    (r"^curl/", "curl"),
    (r"^Wget/", "Wget"),
    (r"^python-requests/", "Python (requests)"),
    (r"^python-httpx/", "Python (httpx)"),
    (r"^Python-urllib/", "Python"),
    (r"^Werkzeug/", "Python (Werkzeug)"),
    (r"^(?:PostmanRuntime|insomnia)/", "an API client"),
    (r"^(?:node|axios|undici)\b", "Node.js"),
    (r"^Go-http-client/", "a Go program"),
)
_SYSTEMS = (
    (r"\biPhone\b", "iPhone"),
    (r"\biPad\b", "iPad"),
    (r"\bAndroid\b", "Android"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\bWindows\b", "Windows"),
    (r"\bMac OS X\b|\bMacintosh\b", "macOS"),
    (r"\bLinux\b|\bX11\b", "Linux"),
)
UNKNOWN = "An unknown program"


def named(user_agent: str | None) -> str:
    """`Firefox on Windows`, `curl`, …; what nobody knows is called unknown."""
    said = user_agent or ""
    browser, system = _first(_BROWSERS, said), _first(_SYSTEMS, said)
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"A browser on {system}" if system else UNKNOWN)


def _first(names: tuple[tuple[str, str], ...], said: str) -> str:
    return next((name for pattern, name in names if re.search(pattern, said)), "")
