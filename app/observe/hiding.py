"""What looks like a secret is taken out of every log line, whoever wrote it and in whichever words.

Keys with telling names are hidden by logs.py, and what an attempt knows as its own secrets by the attempt itself.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

HIDDEN = "[hidden]"
# What one of the patterns below must have in it: nearly no line has, and only such a one is looked at closely.
_SIGNS = ("cb_", "cbr_", "whsec_", "eyJ", "earer ", "asic ", "@", "callboard-sealed:", "sk-")
_PATTERNS = re.compile(
    r"""
    (?P<kept>(?i:\b(?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{8,}    # credentials of HTTP
  | \bcb_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{20,}                        # keys of our own; the id of one may be told
  | \bcbr_[A-Za-z0-9_-]{8,}                                       # and refresh tokens
  | \bwhsec_[A-Za-z0-9+/=_-]{16,}                                 # what signs webhooks
  | \bsk-[A-Za-z0-9_-]{16,}                                       # keys of providers
  | \beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*     # JSON Web Tokens
  | (?P<scheme>\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@]{0,200}:)[^\s/@]{1,500}(?=@)   # the password of an address
  | callboard-sealed:1:[0-9a-f]{8}:[^:\s]{1,300}:[A-Za-z0-9_=-]+:
    """,
    re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """`text` with `[hidden]` for what looks like a key, a token or a password."""
    if not any(sign in text for sign in _SIGNS):
        return text
    return _PATTERNS.sub(_hide, text)


def in_log_line(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide it in every value of a line: a processor."""
    for key, value in event.items():
        if type(value) is str:
            event[key] = without_secrets(value)
        elif isinstance(value, dict | list | tuple):
            event[key] = _inside(value)
    return event


def _inside(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: _inside(inner) for key, inner in value.items()}
    return [_inside(inner) for inner in value] if isinstance(value, list | tuple) else value


def _hide(found: re.Match[str]) -> str:
    return (found["kept"] or found["scheme"] or "") + HIDDEN
