"""Fonts for a PDF: the built-in ones where they have all signs of the text, else a family of this machine."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError
from fpdf import FPDF

from actors.builtin.cards.typeset import FOLDERS

CORE_ENCODING = "windows-1252"
FAMILIES = (
    ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "DejaVuSansMono"),
    ("NotoSans-Regular", "NotoSans-Bold", "NotoSans-Italic", "NotoSans-BoldItalic", "NotoSansMono-Regular"),
    ("LiberationSans-Regular", "LiberationSans-Bold", "LiberationSans-Italic", "LiberationSans-BoldItalic",
     "LiberationMono-Regular"),
    ("FreeSans", "FreeSansBold", "FreeSansOblique", "FreeSansBoldOblique", "FreeMono"),
    ("NotoSansCJK-Regular", "NotoSansCJK-Bold", "", "", ""),
    ("unifont", "", "", "", ""),
)  # fmt: skip
"""File names without ending: regular, bold, italic, both, and one whose letters are equally wide."""
FILE_ENDINGS = (".ttf", ".otf", ".ttc")


@dataclass(frozen=True, kw_only=True)
class Fonts:
    """What a PDF is set in; `lacking` are the signs of the text that no font here has."""

    text: str
    code: str
    files: tuple[Path | None, ...] = ()
    lacking: frozenset[str] = frozenset()

    def add_to(self, pdf: FPDF) -> None:
        """Make them known to the document; a missing style borrows the regular one."""
        pdf.core_fonts_encoding = CORE_ENCODING
        if not self.files:
            return
        regular, mono = self.files[0], self.files[4] or self.files[0]
        for style, file in zip(("", "B", "I", "BI"), self.files[:4], strict=True):
            pdf.add_font(self.text, style, file or regular)
            pdf.add_font(self.code, style, mono)

    def fit(self, text: str) -> str:
        """The text with every lacking sign replaced: by its letter without marks, else by `?`."""
        if not self.lacking:
            return text
        return "".join(self._nearest(sign) if sign in self.lacking else sign for sign in text)

    def _nearest(self, sign: str) -> str:
        plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
        return plain or "?"


def fonts_for(text: str) -> Fonts:
    """The fonts that have most signs of the text; the built-in ones win if they have all."""
    signs = {sign for sign in text if sign.isprintable() and not sign.isspace()}
    beyond = frozenset(sign for sign in signs if not _in_core(sign))
    core = Fonts(text="helvetica", code="courier", lacking=beyond)
    if not beyond:
        return core
    families = [_family(names) for names in FAMILIES]
    there = [files for files in families if files[0]]
    found = [
        Fonts(text="reading", code="code", files=files, lacking=_lacking(files, signs)) for files in there
    ]
    best = min(found, key=lambda fonts: len(fonts.lacking), default=core)
    return best if len(best.lacking) < len(core.lacking) else core


def _in_core(sign: str) -> bool:
    try:
        sign.encode(CORE_ENCODING)
    except UnicodeEncodeError:
        return False
    return True


def _lacking(files: tuple[Path | None, ...], signs: Iterable[str]) -> frozenset[str]:
    assert files[0]
    has = _signs(files[0])
    return frozenset(sign for sign in signs if ord(sign) not in has)


@cache
def _signs(file: Path) -> frozenset[int]:
    try:
        with TTFont(file, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or {})
    except (TTLibError, OSError):
        return frozenset()


def _family(names: tuple[str, ...]) -> tuple[Path | None, ...]:
    return tuple(_files_here().get(name) for name in names)


@cache
def _files_here() -> dict[str, Path]:
    """The fonts of this machine that FAMILIES names, by name; the worker's folders do not change while it runs."""
    wanted = {name for family in FAMILIES for name in family if name}
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for file in sorted(Path(folder).rglob("*")):
            if file.stem in wanted and file.suffix.lower() in FILE_ENDINGS:
                found.setdefault(file.stem, file)
    return found
