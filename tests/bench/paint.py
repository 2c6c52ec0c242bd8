"""How soon a page is seen on a slow machine: the first contentful paint, with the processor slowed down four times.

    make bench-paint          or    python -m tests.bench.paint [--visits 12] [--slower 4]

Starts a whole Callboard and Chromium. Each visit is the first one: nothing is in the browser's
cache. The figure is Chromium's own, from the start of the navigation, so the server's time is in it. Server and
browser share this machine, and only the browser is slowed down. Target: 500 ms; `best` is what the machine can do
when nobody else uses it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import CHROMIUM
from tests.browser.conftest import ARGUMENTS, SIZE, sign_in
from tests.browser.stack import Stack, stack

MOST_MS = 500.0
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PAGES = ("/", "/jobs", "/jobs/{job}", "/approvals", "/queues", "/agents")


def main() -> int:
    """Print the figures as JSON."""
    asked = argparse.ArgumentParser(
        prog="python -m tests.bench.paint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked.add_argument("--visits", type=int, default=12, help="of each page")
    asked.add_argument("--slower", type=float, default=4, help="how many times")
    options = asked.parse_args()
    with stack() as running, sync_playwright() as player:
        job = running.submit("test-echo", {"text": "seen"}, task_name="Seen soon")
        assert running.settled(job) == "completed"
        browser = player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        cookies = _signed_in(browser, running)
        ms = {
            path: _told(_visits(browser, running, cookies, path.format(job=job), options)) for path in PAGES
        }
        browser.close()
    print(
        json.dumps(
            {
                "machine": {"processors": os.cpu_count(), "load": os.getloadavg()},
                "slower": options.slower,
                "visits": options.visits,
                "ms": ms,
                "slow": {path: each for path, each in ms.items() if each["median"] > MOST_MS},
            },
            indent=1,
        )
    )
    return 0


def _signed_in(browser: Browser, running: Stack) -> Any:
    with browser.new_context(base_url=running.url, viewport=SIZE) as context:  # type: ignore[arg-type]
        sign_in(context.new_page(), running)
        return context.storage_state()


def _visits(
    browser: Browser, running: Stack, cookies: Any, path: str, options: argparse.Namespace
) -> list[float]:
    took = []
    for _ in range(options.visits):
        with browser.new_context(base_url=running.url, storage_state=cookies, viewport=SIZE) as context:  # type: ignore[arg-type]
            page = context.new_page()
            context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": options.slower})
            page.goto(path)
            took.append(float(page.wait_for_function(PAINTED).json_value()))
    return took


def _told(took: list[float]) -> dict[str, float]:
    return {"best": round(min(took)), "median": round(statistics.median(took)), "worst": round(max(took))}


if __name__ == "__main__":
    raise SystemExit(main())
