"""What a child process prints: cut into lines, cleaned, bounded, and passed on while it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from actors.runners.base import JSON, Context

OnLine = Callable[[str, str], None]
"""Called with the stream (`stdout` or `stderr`) and one line without its end."""

LINE_BYTES = 4_000_000  # coding CLIs print a whole tool output as one line of JSON
TAIL_BYTES = 1_000_000
LOGGED_LINE_CHARS = 8_000
LOGGED_CHARS = 1_000_000
JSON_TRIES = 200

# CSI and OSC sequences, other escapes, then control characters apart from the tab (C1 included).
UNPRINTABLE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


class Stream:
    """One stream of a child: calls `on_line` for each line and keeps the end of it all."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        """Start empty; `name` is passed on with each line."""
        self.name = name
        self.on_line = on_line
        self.total_bytes = 0
        self._begun = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what was read; a line longer than LINE_BYTES is passed on in pieces."""
        self.total_bytes += len(data)
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._pass_on(line)
        self._begun += rest
        if len(self._begun) > LINE_BYTES:
            self._pass_on(b"")

    def end(self) -> None:
        """Pass on a last line that has no end."""
        if self._begun:
            self._pass_on(b"")

    def _pass_on(self, more: bytes) -> None:
        line, self._begun = self._begun + more, bytearray()
        self.on_line(self.name, line.decode("utf-8", "replace"))

    @property
    def cut(self) -> bool:
        """Whether `text` is not everything."""
        return self.total_bytes > TAIL_BYTES

    @property
    def text(self) -> str:
        """The last megabyte."""
        return bytes(self._tail[-TAIL_BYTES:]).decode("utf-8", "replace")


class OutputLog:
    """An OnLine that writes to the job's log until a megabyte is reached."""

    def __init__(self, context: Context) -> None:
        """Log into `context`."""
        self.context = context
        self.left_chars = LOGGED_CHARS

    def __call__(self, stream: str, text: str) -> None:
        """Log one line, shortened and without control characters; blank lines are left out."""
        line = clean(text[: 4 * LOGGED_LINE_CHARS])
        if not line.strip() or self.left_chars <= 0:
            return
        if len(line) > LOGGED_LINE_CHARS:
            line = line[:LOGGED_LINE_CHARS] + "…"
        self.left_chars -= len(line)
        self.context.log(line, source=stream)
        if self.left_chars <= 0:
            message = "The agent prints too much; the rest is not logged."
            self.context.log(message, level="warning", source="runner")


def clean(text: str) -> str:
    """`text` without escape sequences and control characters; of a redrawn line, its last state."""
    return UNPRINTABLE.sub("", text.rstrip("\r\n").rpartition("\r")[2])


def clean_block(text: str) -> str:
    """As `clean`, for text of several lines."""
    return "\n".join(clean(line) for line in text.split("\n"))


def last_json_object(text: str) -> JSON | None:
    """The last complete JSON object in `text`: the whole, the last line, or one that begins a line."""
    for candidate in (text, text.rstrip().rpartition("\n")[2]):
        found = _loaded(candidate)
        if found is not None:
            return found
    return _last_embedded(text)


def _loaded(text: str) -> JSON | None:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _last_embedded(text: str) -> JSON | None:
    decoder, found, end, tries = json.JSONDecoder(), None, 0, JSON_TRIES
    for match in re.finditer(r"^[ \t]*(\{)", text, re.MULTILINE):
        if match.start(1) < end:
            continue
        try:
            found, end = decoder.raw_decode(text, match.start(1))
        except (ValueError, RecursionError):
            tries -= 1  # each may read to the end: hostile output must not cost quadratic time
            if not tries:
                break
    return found
