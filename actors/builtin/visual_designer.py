"""visual-designer: a title card as PNG from a title, drawn here and always the same for the same words."""

from __future__ import annotations

import re

from PIL import features

from actors.builtin import places
from actors.builtin.cards.drawing import SIZES, card, theme_for
from actors.builtin.cards.themes import THEMES
from actors.builtin.cards.typeset import face_for, missing
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import one_line


def health() -> Health:
    """Needs Pillow with scalable fonts, which its wheels have."""
    if features.check("freetype2"):
        return Health()
    return Health(
        "unavailable",
        "Pillow was built without FreeType; install the wheel: pip install --force-reinstall pillow",
    )


def run(work: Work, context: Context) -> JSON:
    """Set the title, draw the card, keep it as an artifact."""
    title = one_line(str(work.parameters["prompt"]), 300)
    subtitle = one_line(str(work.parameters.get("subtitle") or ""), 200)
    if not title:
        places.refuse("prompt", "There is no title to draw. Give it as `prompt`.")
    ratio = str(work.parameters.get("aspect_ratio") or "16:9")
    theme = str(work.parameters.get("theme") or "auto")
    theme = theme if theme in THEMES else theme_for(title)
    context.stage("draw", "Drawing the card")
    context.progress(10, "Setting the title")
    _warn_of_missing(title + subtitle, context)
    context.checkpoint_due()
    picture = card(title, subtitle, ratio, theme)
    context.progress(90, "Keeping the picture")
    name = f"{_slug(title)}.png"
    artifact = context.artifact(name, picture, "image/png")
    width, height = SIZES[ratio]
    context.log(f"{name}: {width} × {height}, theme {theme}, {len(picture) // 1024} kB")
    context.progress(100, "Done")
    return {
        "summary": f"A {width} × {height} title card in the theme {theme}.",
        "file_path": name,
        "artifact_id": artifact,
        "width": width,
        "height": height,
        "aspect_ratio": ratio,
        "theme": theme,
        "alt_text": f"Title card: {title}" + (f" – {subtitle}" if subtitle else ""),
        "report": f"**{markdown.escape(title, 300)}**\n\n{width} × {height} pixels, theme {theme}, kept as `{name}`.\n",
    }


def _warn_of_missing(text: str, context: Context) -> None:
    """Say which signs will show as empty boxes because no font here has them."""
    lacking = missing(text, face_for(text))
    if lacking:
        shown = " ".join(sorted(lacking)[:10])
        context.log(
            f"No font on this machine has: {shown}. They show as boxes; install a Noto font.", level="warning"
        )


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].rstrip("-") or "title-card"
