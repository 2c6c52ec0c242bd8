"""Every page of the table of contents is looked at by the browser tests and has its picture, or says why not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask import Flask

from app.dashboard import PAGES
from tests.browser import test_asking, test_every_page, test_quality
from tests.pictures.shots import PAGES as PICTURED

# Answers that are no pages: files, JSON, and ways to somewhere else.
NO_PAGES = {
    "jobs_complete": "JSON for the filter bar",
    "search_words": "JSON for the palette",
    "job_log_text": "a file",
    "job_document": "a file",
    "job_result": "a file",
    "job_story_text": "a file",
    "artifact": "a file",
    "session_document": "a file",
    "session_file": "a file",
    "notification": "leads to what it is about",
    "oidc_start": "leads to the provider",
    "oidc_return": "leads in, or to the sign-in page",
}
# Pages without a picture of their own.
NO_PICTURE = {
    "sign_in": "a form of two fields",
    "forgot": "a form of one field",
    "choose_password": "a form of two fields",
    "approval_link": "as approval, without the menu",
    "draft": "as drafts",
    "agent_version": "as agent",
    "agent_limits": "a form of two fields",
    "provider_new": "as provider",
    "budget": "as budget-new",
    "policy": "as policy-new",
    "schedule_edit": "as schedule-new",
    "delivery": "a line of deliveries, opened",
    "workflow_template_version": "as template",
    "gate_version": "as gate",
    "bulk_action": "there is none in the scene yet",
    "worker": "as workers, with what it did",
    "user_new": "a form of three fields",
    "session_edit": "as session-new",
    "hook_rule_new": "as hook-rule",
}


def _named(app: Flask, paths: Iterable[str]) -> set[str]:
    """The pages behind these addresses, by name."""
    finder = app.url_map.bind("localhost")
    plain = {re.sub(r"\{\w+\}", "1", path).partition("?")[0] for path in paths}
    known = [path for path in plain if path not in ("/nowhere", "/docs", "/a/nothing")]
    return {str(finder.match(path, method="GET")[0]).partition(".")[2] for path in known}


def _shown() -> set[str]:
    return {name for method, _, name, _ in PAGES if method == "GET"} - set(NO_PAGES)


def test_the_browser_visits_every_page(app: Flask) -> None:
    visited = (*test_every_page.PAGES, *test_every_page.SIGNED_OUT, *test_quality.PAGES, *test_asking.PAGES)
    known = [path for path in visited if path != "{link}"]
    assert _shown() - _named(app, known) == {"approval_link"}  # test_asking's {link}


def test_every_page_has_its_picture(app: Flask) -> None:
    assert _shown() - _named(app, PICTURED.values()) == set(NO_PICTURE)
