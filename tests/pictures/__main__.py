"""Takes the pictures: `python -m tests.pictures [name …]`; without names of every page."""

from __future__ import annotations

import argparse
import io
import sys

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from app.settings import ROOT
from tests.browser.chromium import CHROMIUM
from tests.journeys.product import EMAIL, PASSWORD
from tests.pictures.scene import Places, scene
from tests.pictures.shots import PAGES

FOLDER = ROOT / "docs" / "screenshots"
# How each picture looks: theme, and the size of the window.
LOOKS = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("light", 390, 844)}
QUALITY = 30
TALLEST = 1250
A_POLL_MS = 1200
INDEX = """# What the pages look like

Light and dark at 1280 pixels, and light at 390. Taken by `make screenshots` from a Callboard in the middle of an
invented working day: agents without a key are the real ones, the others are doubles, and the past in the charts is made up.
"""


def take(browser: Browser, url: str, places: Places, names: list[str]) -> None:
    """All pictures of the pages `names`, as docs/screenshots/<look>/<name>.webp."""
    for look, (theme, width, height) in LOOKS.items():
        (FOLDER / look).mkdir(parents=True, exist_ok=True)
        size = {"width": width, "height": height}
        with browser.new_context(base_url=url, viewport=size, color_scheme=theme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            sign_in(page)
            for name in names:
                take_one(page, look, name, PAGES[name].format(**places), width)


def sign_in(page: Page) -> None:
    """By the form, as everybody."""
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def take_one(page: Page, look: str, name: str, path: str, width: int) -> None:
    """One page, whole, but not taller than TALLEST."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.ok, f"{path} answers {answer.status}"
    page.wait_for_timeout(A_POLL_MS)
    height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    seen = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    Image.open(io.BytesIO(seen)).save(FOLDER / look / f"{name}.webp", quality=QUALITY, method=6)
    print(f"{look:6} {name:20} {path}")


def write_index() -> None:
    """docs/screenshots/README.md: all pictures there are, by page."""
    lines = [INDEX]
    for name, path in PAGES.items():
        found = [look for look in LOOKS if (FOLDER / look / f"{name}.webp").exists()]
        if found:
            shown = " ".join(
                f'<img src="{look}/{name}.webp" alt="{name}, {look}" width="270">' for look in found
            )
            lines.append(f"## {name}\n\n`{path}`\n\n{shown}\n")
    (FOLDER / "README.md").write_text("\n".join(lines))


def main() -> int:
    """Build the scene, take the pictures, and answer the exit code."""
    asked = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    asked.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(PAGES)}")
    names = asked.parse_args().names or list(PAGES)
    if unknown := [name for name in names if name not in PAGES]:
        asked.error(f"there is no page {unknown[0]!r}")
    with scene() as (product, places), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        take(browser, product.url, places, names)
        browser.close()
    write_index()
    return 0


if __name__ == "__main__":
    sys.exit(main())
