"""The fenced blocks of a Markdown file, and what is said behind their language.

A block of `bash` is run. Said behind the language, separated by a comma:

    elsewhere: why       it needs what is not here, an account, a server of somebody else; only its grammar is checked
    fails: 3             it ends with that exit code
    any                  its exit code tells how things are, and may be any
    says: words          these words must be in what it prints
    later                it is left running, and ended with the guide

The address and the key that `make run` prints stand for those of the product that is tried.
Lines of a block that only show what comes out stand in a block of another language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SHELL = ("bash", "sh")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One example."""

    file: Path
    line: int
    language: str
    elsewhere: str | None
    fails: int | None
    """The exit code it must end with; None: any."""
    says: str | None
    later: bool
    text: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


def of(file: Path) -> list[Block]:
    """The blocks of `file` in order; raises ValueError for a word behind a language that means nothing."""
    source = file.read_text()
    found = []
    for match in _FENCE.finditer(source):
        language, _, said = match[1].strip().partition(" ")
        words = _words(said, file)
        found.append(
            Block(
                file=file,
                line=source.count("\n", 0, match.start()) + 1,
                language=language,
                elsewhere=words.get("elsewhere"),
                fails=None if "any" in words else int(words.get("fails") or 0),
                says=words.get("says"),
                later="later" in words,
                text=match[2],
            )
        )
    return found


def _words(said: str, file: Path) -> dict[str, str]:
    words = {}
    for each in filter(None, (part.strip() for part in said.split(","))):
        name, _, value = each.partition(":")
        if name not in ("elsewhere", "fails", "any", "says", "later"):
            msg = f"{file}: {each!r} behind a language means nothing; see tests/docs/blocks.py"
            raise ValueError(msg)
        if name == "elsewhere" and len(value.strip()) < 5:
            msg = f"{file}: say why a block is not run: `elsewhere: needs a Heroku account`"
            raise ValueError(msg)
        words[name] = value.strip()
    return words
