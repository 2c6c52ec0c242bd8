"""Words set in lines: the largest size at which they fit a box, in lines of similar length."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
_LIKELY = ("NotoSans-Regular", "NotoSansCJK-Regular", "NotoSansArabic-Regular", "NotoSansHebrew-Regular", "DejaVuSans",
           "LiberationSans-Regular", "Arial Unicode", "PingFang", "msyh", "wqy-microhei", "unifont")  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Lines with the font they are set in."""

    lines: tuple[str, ...]
    font: FreeTypeFont
    size: int
    leading: int
    """From one baseline to the next."""

    @property
    def height(self) -> int:
        """Height of all lines."""
        return self.leading * len(self.lines)


def fit(text: str, width: int, height: int, largest: int, smallest: int, most_lines: int) -> Setting:
    """The largest setting that fits; at the smallest size the text is cut with an ellipsis."""
    face = face_for(text)
    for size in range(largest, smallest, -2):
        lines = _wrap(text, _font(face, size), width)
        leading = round(size * 1.16)
        whole = all(len(word) > 24 or _font(face, size).getlength(word) <= width for word in text.split())
        if whole and len(lines) <= most_lines and leading * len(lines) <= height:
            return Setting(
                _balanced(text, _font(face, size), width, len(lines)), _font(face, size), size, leading
            )
    leading = round(smallest * 1.16)
    most = max(1, min(most_lines, height // leading))
    return Setting(
        _cut(_wrap(text, _font(face, smallest), width), most), _font(face, smallest), smallest, leading
    )


def face_for(text: str) -> str | None:
    """Path of the font of this machine that has most signs of the text; None for the built-in one."""
    lacking = len(missing(text, None))
    if not lacking:
        return None
    best = min(_fonts_here(), key=lambda path: len(missing(text, path)), default=None)
    return best if best and len(missing(text, best)) < lacking else None


def missing(text: str, face: str | None) -> set[str]:
    """The signs of the text that a font has no picture for."""
    font = _font(face, 24)
    nothing = bytes(font.getmask("\uffff"))
    return {
        sign
        for sign in set(text)
        if not sign.isspace() and sign != "…" and bytes(font.getmask(sign)) == nothing
    }


def right_to_left(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    return next((unicodedata.bidirectional(sign) in ("R", "AL") for sign in text if sign.isalpha()), False)


@cache
def _font(face: str | None, size: int) -> FreeTypeFont:
    font = ImageFont.truetype(face, size) if face else ImageFont.load_default(size)
    assert isinstance(font, FreeTypeFont)
    return font


@cache
def _fonts_here() -> tuple[str, ...]:
    """Files of likely fonts on this machine, in the order of preference."""
    files: list[Path] = []
    for folder in map(Path, FOLDERS):
        if folder.is_dir():
            files += [file for file in folder.rglob("*") if file.suffix.lower() in (".ttf", ".otf", ".ttc")]
    ranked = sorted(files, key=lambda file: (file.name, str(file)))
    return tuple(str(file) for name in _LIKELY for file in ranked if file.stem.startswith(name))


def _wrap(text: str, font: FreeTypeFont, width: int) -> list[str]:
    """Words in lines no wider than `width`; a word wider than that is broken."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        for bit in _broken(word, font, width):
            longer = f"{current} {bit}".strip()
            if current and font.getlength(longer) > width:
                lines.append(current)
                current = bit
            else:
                current = longer
    return [*lines, current] if current else lines


def _broken(word: str, font: FreeTypeFont, width: int) -> list[str]:
    if font.getlength(word) <= width:
        return [word]
    bits = [""]
    for sign in word:
        if bits[-1] and font.getlength(bits[-1] + sign) > width:
            bits.append("")
        bits[-1] += sign
    return bits


def _balanced(text: str, font: FreeTypeFont, width: int, count: int) -> tuple[str, ...]:
    """The same number of lines in the narrowest measure, so that the last is no orphan."""
    low, high = width // 2, width
    while high - low > 8:
        middle = (low + high) // 2
        lines = _wrap(text, font, middle)
        fits = len(lines) <= count and all(
            len(word) > 24 or font.getlength(word) <= middle for word in text.split()
        )
        low, high = (low, middle) if fits else (middle, high)
    return tuple(_wrap(text, font, high))


def _cut(lines: list[str], most: int) -> tuple[str, ...]:
    if len(lines) <= most:
        return tuple(lines)
    return (*lines[: most - 1], lines[most - 1].rstrip(" ,.;:")[:-1] + "…")
