"""One visit to a page that looks at everything that must hold on every page.

One, because it is the loading that takes the time: the first polls come while axe looks.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import SIZE

WIDTHS = (1280, 768, 360)
# The page looks for what is new, unless it has by itself; pages on which nothing changes never do.
FIRST_LOOK = """async () => {
    if (!window.poller || !document.querySelector("[hx-poll]:not([hx-poll=stop])")) return;
    if (!poller.diary.length) await poller.refresh();
    while (!poller.diary.length) await new Promise(again => setTimeout(again, 20));
}"""
WHOLE = {"resultTypes": ["violations"]}
# What a second theme can break: it swaps colours, by light-dark(), and nothing else.
COLOURS = WHOLE | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def accessible(page: Page, rules: dict[str, Any] = WHOLE) -> list[tuple[str, str]]:
    """What axe says against a page: (rule, the first element that breaks it)."""
    found = Axe().run(page, options=rules).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found]


def demand_sound(page: Page, said: list[str], path: str, *, missing: bool = False) -> None:
    """Accessible in both themes, never wider than the window, nothing against the policy, and no script fails.

    `said` is what the console says (the fixture); with `missing` the page itself may answer 404 or 410.
    """
    page.goto(path)
    page.evaluate("document.querySelectorAll('main details:not(.menu)').forEach(d => { d.open = true; })")
    found = {}
    for theme, rules in (("light", WHOLE), ("dark", COLOURS)):
        page.emulate_media(color_scheme=theme)
        found[theme] = accessible(page, rules)
    page.evaluate(FIRST_LOOK)
    widths = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        widths[width] = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(SIZE)

    assert found == {"light": [], "dark": []}
    assert all(widths[width] <= width for width in WIDTHS), widths
    assert page.evaluate("window.violations || []") == []
    assert [line for line in said if not (missing and ("404" in line or "410" in line))] == []
