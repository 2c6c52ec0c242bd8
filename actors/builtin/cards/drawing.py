"""A title card drawn: gradient ground with glows, a quiet pattern, an accent, title and subtitle."""

from __future__ import annotations

import hashlib
import io
import math
from random import Random

from PIL import Image, ImageChops, ImageDraw

from actors.builtin.cards.themes import THEMES, Colour, Theme
from actors.builtin.cards.typeset import Setting, fit, right_to_left

SIZES = {"16:9": (1600, 900), "1:1": (1200, 1200), "4:5": (1080, 1350)}


def card(title: str, subtitle: str, aspect_ratio: str, theme: str) -> bytes:
    """A PNG of the size of the aspect ratio; the same words give the same bytes."""
    seed = hashlib.sha256(f"{title}\x1f{subtitle}\x1f{aspect_ratio}\x1f{theme}".encode()).digest()
    chance = Random(seed)  # noqa: S311 - for looks, not secrets
    colours = THEMES[theme]
    size = SIZES[aspect_ratio]
    picture = _grained(_glowing(_ground(size, colours), colours, chance), chance)
    pattern = chance.choice((_rings, _waves, _dots))(size, chance)
    picture.paste(Image.new("RGB", size, colours.accent), (0, 0), pattern)
    _words(picture, title, subtitle, colours)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def theme_for(title: str) -> str:
    """The theme a title gets if none is asked for."""
    names = sorted(THEMES)
    return names[hashlib.sha256(title.encode()).digest()[0] % len(names)]


def _ground(size: tuple[int, int], colours: Theme) -> Image.Image:
    """A diagonal gradient."""
    side = 2 * max(size)
    slope = (
        Image.linear_gradient("L")
        .resize((side, side), Image.Resampling.BICUBIC)
        .rotate(32, Image.Resampling.BICUBIC)
    )
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    mask = slope.crop((left, top, left + size[0], top + size[1]))
    return Image.composite(Image.new("RGB", size, colours.bottom), Image.new("RGB", size, colours.top), mask)


def _glowing(picture: Image.Image, colours: Theme, chance: Random) -> Image.Image:
    """Soft lights around the edges, away from the words."""
    width, height = picture.size
    spots = [(0.95, 0.08), (0.78, 0.98), (0.12, 1.05), (1.05, 0.6)]
    chance.shuffle(spots)
    for colour, (x, y) in zip(colours.glows, spots, strict=False):
        reach = round(max(width, height) * chance.uniform(0.75, 1.05))
        light = _light().resize((reach, reach), Image.Resampling.BICUBIC)
        at = (round(width * x - reach / 2), round(height * y - reach / 2))
        picture.paste(Image.new("RGB", (reach, reach), colour), at, light)
    return picture


def _light() -> Image.Image:
    """A round light that has faded to nothing where its square ends."""
    distance = Image.radial_gradient("L")
    edge = distance.getpixel((0, 128))
    assert isinstance(edge, int)
    near = [max(0.0, 1 - value / edge) for value in range(256)]
    return distance.point([round(255 * 0.9 * share * share * (3 - 2 * share)) for share in near])


def _grained(picture: Image.Image, chance: Random) -> Image.Image:
    """A grain of ±1 level against banding."""
    tile = (400, 300)
    grain = Image.frombytes("L", tile, chance.randbytes(tile[0] * tile[1])).point(
        [value // 86 for value in range(256)]
    )
    layer = Image.new("L", picture.size)
    for x in range(0, picture.width, tile[0]):
        for y in range(0, picture.height, tile[1]):
            layer.paste(grain, (x, y))
    return ImageChops.subtract(
        ImageChops.add(picture, Image.merge("RGB", (layer,) * 3)), Image.new("RGB", picture.size, (1, 1, 1))
    )


def _rings(size: tuple[int, int], chance: Random) -> Image.Image:
    """Concentric circles around a corner."""
    layer, draw = _double(size)
    x, y = size[0] * 2 * chance.uniform(0.86, 1.0), size[1] * 2 * chance.choice((0.05, 0.92))
    for step in range(1, 14):
        reach = step * max(size) * 0.085
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=max(16, 84 - 5 * step), width=3)
    return layer.resize(size, Image.Resampling.LANCZOS)


def _waves(size: tuple[int, int], chance: Random) -> Image.Image:
    """Overlapping hills along the lower edge."""
    layer, _ = _double(size)
    width, height = layer.size
    for row in range(5):
        base, swing = height * (0.74 + row * 0.055), height * chance.uniform(0.02, 0.055)
        shift, length = chance.uniform(0, 6.3), width / chance.uniform(0.9, 1.8)
        crest = [(x, base + swing * math.sin(shift + x / length * 6.3)) for x in range(0, width + 16, 16)]
        shade = Image.new("L", layer.size)
        ImageDraw.Draw(shade).polygon([*crest, (width, height), (0, height)], fill=12)
        layer = ImageChops.add(layer, shade)
        ImageDraw.Draw(layer).line(crest, fill=64, width=2)
    return layer.resize(size, Image.Resampling.LANCZOS)


def _dots(size: tuple[int, int], chance: Random) -> Image.Image:
    """A grid of dots that swells towards one side."""
    layer, draw = _double(size)
    step = max(size) // 16
    high = chance.random() < 0.5
    for x in range(step // 2, layer.width, step):
        for y in range(step // 2, layer.height, step):
            near = (x / layer.width) ** 2.2 * ((1 - y / layer.height) if high else y / layer.height)
            reach = step * 0.24 * near
            if reach > 1:
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=round(20 + 70 * near))
    return layer.resize(size, Image.Resampling.LANCZOS)


def _double(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty mask of twice the size: edges become smooth when it is reduced."""
    layer = Image.new("L", (size[0] * 2, size[1] * 2))
    return layer, ImageDraw.Draw(layer)


def _words(picture: Image.Image, title: str, subtitle: str, colours: Theme) -> None:
    """Accent, title and subtitle as one block, a little above the middle."""
    width, height = picture.size
    margin = round(min(width, height) * 0.1)
    box = width - 2 * margin
    measure = round(box * (0.84 if width > height else 1.0))
    main = fit(
        title,
        measure,
        round(height * 0.52),
        round(min(width, height) * 0.135),
        round(min(width, height) * 0.04),
        6,
    )
    small = max(26, min(round(main.size * 0.44), round(height * 0.045)))
    under = fit(subtitle, measure, round(height * 0.16), small, 24, 3) if subtitle else None
    gap = round(height * 0.035)
    total = 3 * gap + main.height + (gap + under.height if under else 0)
    top = max(margin // 2, round((height - total) * 0.47))
    _accent(picture, colours.accent, (margin, top), gap, mirrored=right_to_left(title))
    top += 2 * gap
    _set(picture, main, (margin, top), box, colours.ink, weight=max(1, main.size // 52))
    if under:
        _set(picture, under, (margin, top + main.height + gap), box, colours.soft, weight=0)


def _accent(picture: Image.Image, colour: Colour, at: tuple[int, int], gap: int, *, mirrored: bool) -> None:
    """A short bar above the title."""
    length, thick = gap * 3, max(6, gap // 4)
    x = picture.width - at[0] - length if mirrored else at[0]
    bar = Image.new("L", (length * 4, thick * 4))
    ImageDraw.Draw(bar).rounded_rectangle((0, 0, length * 4 - 1, thick * 4 - 1), radius=thick * 2, fill=255)
    picture.paste(
        Image.new("RGB", (length, thick), colour),
        (x, at[1]),
        bar.resize((length, thick), Image.Resampling.LANCZOS),
    )


def _set(
    picture: Image.Image, setting: Setting, at: tuple[int, int], box: int, colour: Colour, weight: int
) -> None:
    """Draw the lines; `weight` thickens the letters, as the built-in font has one weight only."""
    draw = ImageDraw.Draw(picture)
    x, y = at
    for line in setting.lines:
        mirrored = right_to_left(line)
        draw.text((x + box if mirrored else x, y), line, font=setting.font, fill=colour, anchor="ra" if mirrored else "la",
                  stroke_width=weight, stroke_fill=colour)  # fmt: skip
        y += setting.leading
