"""Everything by plain links and forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SIZE
from tests.browser.stack import EMAIL, PASSWORD, Stack


@pytest.fixture
def plain(running: Stack, browser: Browser) -> Iterator[Page]:
    """A page of a browser without JavaScript; nobody is signed in."""
    with browser.new_context(base_url=running.url, java_script_enabled=False, viewport=SIZE) as context:  # type: ignore[arg-type]
        yield context.new_page()


def test_submitting_cancelling_and_filtering_work_by_forms_alone(plain: Page, running: Stack) -> None:
    plain.goto("/submit/test-sleeper?example=1")
    plain.get_by_label("E-mail").fill(EMAIL)
    plain.get_by_label("Password").fill(PASSWORD)
    plain.get_by_role("button", name="Sign in").click()
    expect(plain).to_have_url(re.compile(r"/submit/test-sleeper\?example=1$"))

    plain.get_by_label("Seconds").fill("300")
    plain.get_by_label("Tags").fill("plain")
    plain.get_by_role("button", name="Send in").click()
    expect(plain).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    job_id = plain.url.rsplit("/", 1)[1]
    plain.get_by_role("button", name="Cancel", exact=True).click()
    assert running.settled(job_id) == "cancelled"

    plain.goto("/jobs")
    plain.locator("#q").fill("tag:plain")
    plain.get_by_role("button", name="Filter").click()
    expect(plain.locator("tr[data-row]")).to_have_count(1)
    plain.locator("input[name=id]").check()
    plain.get_by_role("button", name="Retry").click()
    expect(plain.get_by_text("1 job sent in again.")).to_be_visible()
    expect(plain.locator("tr[data-row]")).to_have_count(2)
    for row in running.call("GET", "/api/v1/jobs?tag=plain")["jobs"]:
        if row["status"] != "cancelled":
            running.call("POST", f"/api/v1/jobs/{row['job_id']}/cancel")


def test_a_running_job_is_reloaded_by_the_page_itself(
    plain: Page, running: Stack, signed_in: dict[str, Any]
) -> None:
    plain.context.add_cookies(signed_in["cookies"])
    job_id = running.submit("test-sleeper", {"seconds": 5})

    plain.goto(f"/jobs/{job_id}")

    assert plain.locator("meta[http-equiv=refresh]").count() == 1
    running.settled(job_id)
    plain.goto(f"/jobs/{job_id}")
    assert plain.locator("meta[http-equiv=refresh]").count() == 0


def test_the_theme_button_is_a_form(plain: Page, signed_in: dict[str, Any]) -> None:
    plain.context.add_cookies(signed_in["cookies"])
    plain.goto("/agents")

    plain.get_by_role("button", name="Light or dark").click()

    expect(plain).to_have_url(re.compile("/agents$"))
    assert plain.get_attribute("html", "data-theme") == "dark"
