"""HTTP agents: what each answer of an endpoint means for the job."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from actors.runners.base import JSON
from actors.runners.http import HttpRunner, fetch_public
from actors.runners.outbound import BlockedAddress, TooLarge
from app import clock
from app.errors import (
    AttemptTimeout,
    Cancelled,
    JobError,
    PermanentError,
    RateLimitError,
    Released,
    TemporaryError,
)
from tests.actors.runners.boxes import LeaseLost, work_for
from tests.actors.runners.server import Site
from tests.doubles import RecordingContext


def call(context: RecordingContext, url: str, parameters: JSON | None = None, **config: Any) -> JSON:
    more = {key: config.pop(key) for key in ("timeout_seconds",) if key in config}
    work = work_for({"url": url, "http_allow_private": True} | config, parameters, **more)
    return HttpRunner().run(work, context)


def test_the_parameters_are_posted_with_the_jobs_identity(context: RecordingContext, site: Site) -> None:
    work = work_for({"url": site.url + "/echo", "http_allow_private": True}, {"topic": "Ünïcode"}, attempt=3)

    result = HttpRunner().run(work, context)

    assert result == {"got": {"topic": "Ünïcode"}, "query": {}}
    (asked,) = site.asked
    assert asked["method"] == "POST"
    assert asked["headers"]["Idempotency-Key"] == work.idempotency_key
    assert asked["headers"]["X-Callboard-Job-Id"] == work.job_id
    assert asked["headers"]["X-Callboard-Attempt"] == "3"
    assert asked["headers"]["Host"] == f"127.0.0.1:{site.port}"


def test_headers_carry_the_secrets_the_agent_lists(context: RecordingContext, site: Site) -> None:
    headers = {"Authorization": "Bearer {{secret.TOKEN}}", "Idempotency-Key": "mine"}

    call(context, site.url + "/echo", headers=headers, secrets={"TOKEN": "t1"})

    assert site.asked[0]["headers"]["Authorization"] == "Bearer t1"
    assert site.asked[0]["headers"]["Idempotency-Key"] != "mine"
    with pytest.raises(PermanentError, match="TOKEN"):
        call(context, site.url + "/echo", headers=headers)


def test_a_get_sends_the_parameters_as_query(context: RecordingContext, site: Site) -> None:
    assert call(context, site.url + "/echo", {"q": "a b"}, method="GET")["query"] == {"q": "a b"}


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/text?say=hello", {"result": "hello"}),
        ("/text?say=[1]&type=application/json", {"result": [1]}),
        ("/status/204", {}),
        ("/zipped", {"zipped": True}),
    ],
)
def test_every_success_becomes_an_object(
    context: RecordingContext, site: Site, path: str, result: JSON
) -> None:
    assert call(context, site.url + path) == result


@pytest.mark.parametrize(
    ("path", "kind", "retry_after"),
    [
        ("/status/429", RateLimitError, None),
        ("/status/429?after=12", RateLimitError, 12),
        ("/status/429?after=soon", RateLimitError, None),
        ("/status/429?after=99999999999999", RateLimitError, 86_400),
        ("/status/500", TemporaryError, None),
        ("/status/503?after=3", TemporaryError, 3),
        ("/status/504", TemporaryError, None),
        ("/status/408", TemporaryError, None),
        ("/status/400", PermanentError, None),
        ("/status/401", PermanentError, None),
        ("/status/404", PermanentError, None),
        ("/status/418", PermanentError, None),
        ("/hangup", TemporaryError, None),
        ("/text?say={&type=application/json", TemporaryError, None),
        ("/large", TooLarge, None),
        ("/bomb", TooLarge, None),
    ],
)
def test_every_failure_has_its_class(
    context: RecordingContext, site: Site, path: str, kind: type[JobError], retry_after: float | None
) -> None:
    with pytest.raises(JobError) as caught:
        call(context, site.url + path)

    assert type(caught.value) is kind
    assert caught.value.retry_after == retry_after


def test_a_date_to_retry_after_is_understood(context: RecordingContext, site: Site) -> None:
    moment = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)

    with pytest.raises(RateLimitError) as caught:
        call(context, site.url + "/status/429?after=" + moment.replace(" ", "%20").replace("+", "%2B"))

    assert 80 < (caught.value.retry_after or 0) <= 90


def test_a_failure_shows_what_the_endpoint_said(context: RecordingContext, site: Site) -> None:
    with pytest.raises(PermanentError, match="422") as caught:
        call(context, site.url + "/status/422")

    assert caught.value.user_error
    assert caught.value.details == {"status": 422, "body": '{"why": "because"}'}


def test_nobody_there_is_temporary(context: RecordingContext) -> None:
    with pytest.raises(TemporaryError, match="could not be reached"):
        call(context, "http://127.0.0.1:1/")


def test_a_redirect_is_not_followed(context: RecordingContext, site: Site) -> None:
    with pytest.raises(PermanentError, match="not followed"):
        call(context, f"{site.url}/redirect?to={site.url}/echo")

    assert len(site.asked) == 1


@pytest.mark.parametrize("path", ["/silence", "/trickle"])
def test_the_time_limit_holds_against_silence_and_trickle(
    context: RecordingContext, site: Site, path: str
) -> None:
    start = time.monotonic()

    with pytest.raises(TemporaryError, match="within 0.5 s"):
        call(context, site.url + path, timeout=0.5)
    with pytest.raises(AttemptTimeout):
        call(context, site.url + path, timeout_seconds=0.5)

    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("wish", "error"), [("cancelled", Cancelled), ("releasing", Released)])
@pytest.mark.parametrize("path", ["/silence", "/trickle"])
def test_a_stop_ends_the_call_within_two_seconds(
    context: RecordingContext, site: Site, wish: str, error: type[Exception], path: str
) -> None:
    class Wishing(RecordingContext):
        """Wants the stop as soon as the server was asked."""

    setattr(Wishing, wish, property(lambda self: bool(site.asked), lambda self, value: None))
    start = time.monotonic()

    with pytest.raises(error):
        call(Wishing(workspace=context.workspace), site.url + path)

    assert time.monotonic() - start < 5


def test_a_lost_lease_ends_the_call(context: RecordingContext, site: Site) -> None:
    losing = type("Losing", (LeaseLost,), {"lost": property(lambda self: bool(site.asked))})

    with pytest.raises(Cancelled):
        call(losing(workspace=context.workspace), site.url + "/silence")


@pytest.mark.parametrize("private", ["http://127.0.0.1:{port}/echo", "http://localhost:{port}/echo"])
def test_private_addresses_are_not_called(context: RecordingContext, site: Site, private: str) -> None:
    with pytest.raises(PermanentError, match="public"):
        call(context, private.format(port=site.port), http_allow_private=False)

    assert site.asked == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://user:pass@example.com/"},
        {"url": "http://10.0.0.1/"},
        {"url": "http://[::ffff:10.0.0.1]/"},
        {"url": "https://example.com/", "method": "DELETE"},
        {"url": "https://example.com/", "secrets": ["SECRET_KEY"]},
    ],
)
def test_a_definition_that_cannot_work_is_unavailable_and_permanent(
    context: RecordingContext, config: JSON
) -> None:
    health = HttpRunner().health(config)

    assert (health.status, bool(health.reason)) == ("unavailable", True)
    with pytest.raises(PermanentError):
        HttpRunner().run(work_for(config), context)


def test_a_sound_definition_is_ready_without_being_called(site: Site) -> None:
    assert HttpRunner().health({"url": "https://example.com/agent"}).status == "ready"
    assert HttpRunner().health({"url": site.url, "http_allow_private": True}).status == "ready"
    assert site.asked == []


def test_a_page_is_fetched_through_redirects(site: Site) -> None:
    url, media_type, body = fetch_public(
        f"{site.url}/redirect?to=/text", max_bytes=100, timeout=5, allow_private=True
    )

    assert (url, media_type, body) == (f"{site.url}/text", "text/plain", b"hello")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://example.com/", "http://u:p@example.com/"])
def test_a_redirect_to_something_else_is_refused(site: Site, to: str) -> None:
    with pytest.raises(PermanentError):
        fetch_public(f"{site.url}/redirect?to={to}", max_bytes=100, timeout=5, allow_private=True)


def test_a_redirect_into_the_private_network_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first hop is public by a stub; the second is checked like the first."""
    import socket

    from actors.runners import outbound

    real = outbound.connect

    def resolve(host: str, port: int) -> list[outbound.Address]:
        return [(socket.AF_INET, ("93.184.216.34" if host == "public.test" else host, port))]

    def connect(address: outbound.Address, *more: Any) -> socket.socket:
        return real((socket.AF_INET, ("127.0.0.1", site.port)), *more)

    monkeypatch.setattr(outbound, "resolve", resolve)
    monkeypatch.setattr(outbound, "connect", connect)

    with pytest.raises(BlockedAddress):
        fetch_public(
            f"http://public.test/redirect?to=http://127.0.0.1:{site.port}/text", max_bytes=100, timeout=5
        )

    assert [asked["path"].partition("?")[0] for asked in site.asked] == ["/redirect"]


def test_a_loop_of_redirects_ends(site: Site) -> None:
    with pytest.raises(PermanentError, match="redirects"):
        fetch_public(f"{site.url}/loop", max_bytes=9, timeout=5, allow_private=True)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/status/404", PermanentError),
        ("/status/503", TemporaryError),
        ("/bomb", TooLarge),
        ("/trickle", TemporaryError),
    ],
)
def test_a_page_that_is_not_there_too_large_or_too_slow(site: Site, path: str, kind: type[JobError]) -> None:
    with pytest.raises(kind):
        fetch_public(site.url + path, max_bytes=10_000, timeout=1, allow_private=True)
