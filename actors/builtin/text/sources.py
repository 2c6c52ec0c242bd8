"""Where agents get text from: files and folders in the workspace roots, read with limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from actors.builtin.text.html import parse, text_of, title_of
from app.errors import PermanentError
from app.quality.text.sentences import clean, one_line, plain, words

HTML = frozenset({".html", ".htm", ".xhtml"})
MARKDOWN = frozenset({".md", ".markdown"})
READABLE = HTML | MARKDOWN | {".txt", ".text", ".rst"}
MOST_BYTES = 2_000_000


@dataclass(frozen=True)
class Source:
    """A text with the name to cite it by; `raw` is as written, `text` its prose."""

    name: str
    title: str
    text: str
    raw: str

    @cached_property
    def words(self) -> int:
        """Number of words in the prose."""
        return len(words(self.text))


def refuse(message: str) -> PermanentError:
    """The error for a mistake only the person who submitted the job can repair."""
    return PermanentError(message, user_error=True)


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 with a mark, or else Windows-1252."""
    if not path.is_file():
        raise refuse(f"{path.name} is not a file. Name a text, markdown or HTML file.")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise refuse(f"{path.name} is larger than {MOST_BYTES // 1_000_000} MB. Split it into smaller files.")
    return decode(content, path.name)


def decode(content: bytes, name: str) -> str:
    """Text of `content`; `name` is for the message when it is not text at all."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\x00" in content:
        raise refuse(
            f"{name} is not a text file (it contains zero bytes). Name a text, markdown or HTML file."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def from_text(raw: str, name: str, suffix: str = ".md") -> Source:
    """A source from text in hand; `suffix` says how it is marked up."""
    if suffix.lower() in HTML:
        soup = parse(raw)
        return Source(name, one_line(title_of(soup)) or name, clean(text_of(soup)), raw)
    return Source(name, one_line(_heading(raw)) or name, plain(raw), raw)


def _heading(raw: str) -> str:
    """The first top heading, or a short first line that stands alone and is no sentence."""
    lines = raw[:20_000].splitlines()[:20]
    marked = next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")
    alone = (
        len(lines) > 1
        and not lines[1].strip()
        and len(lines[0]) <= 80
        and not lines[0].rstrip().endswith((".", ":", ","))
    )
    return marked or (lines[0].lstrip("#> ") if alone else "")


def from_file(path: Path) -> Source:
    """A source from a file, cited by its file name."""
    return from_text(read_text(path), one_line(path.name, 80), path.suffix)


def files_in(path: Path, suffixes: frozenset[str], most: int) -> list[Path]:
    """The file itself, or at most `most` files with these suffixes below a folder.

    Symbolic links and hidden names below the folder are left out: they could lead out of it.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for file in _walk(path):
        if file.suffix.lower() in suffixes:
            found.append(file)
        if len(found) == most:
            break
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Regular files below a folder in a fixed order, hidden ones and links left out."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
