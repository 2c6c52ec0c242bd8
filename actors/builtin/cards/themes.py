"""Colours of title cards."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """A ground from `top` to `bottom`, glows upon it, and the inks of the words."""

    top: Colour
    bottom: Colour
    glows: tuple[Colour, ...]
    ink: Colour
    soft: Colour
    """Subtitle."""
    accent: Colour


THEMES = {
    "midnight": Theme((13, 17, 45), (32, 20, 74), ((88, 80, 236), (14, 116, 188), (150, 60, 200)),
                      (255, 255, 255), (199, 205, 240), (129, 140, 248)),
    "ocean": Theme((4, 44, 74), (5, 92, 110), ((20, 184, 200), (14, 90, 180), (64, 200, 160)),
                   (255, 255, 255), (200, 232, 240), (94, 234, 212)),
    "forest": Theme((8, 44, 36), (20, 74, 50), ((60, 150, 90), (16, 110, 100), (150, 170, 60)),
                    (255, 255, 255), (208, 234, 214), (190, 242, 100)),
    "sunrise": Theme((104, 22, 78), (206, 70, 60), ((250, 150, 70), (190, 40, 120), (255, 196, 100)),
                     (255, 255, 255), (255, 228, 214), (253, 224, 120)),
    "graphite": Theme((17, 20, 26), (40, 46, 58), ((70, 84, 110), (48, 56, 72), (96, 110, 130)),
                      (250, 250, 252), (186, 194, 208), (251, 146, 60)),
    "paper": Theme((252, 248, 240), (244, 234, 220), ((255, 214, 170), (226, 226, 250), (250, 226, 226)),
                   (30, 27, 38), (96, 88, 100), (219, 84, 60)),
}  # fmt: skip
