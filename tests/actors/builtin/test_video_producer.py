from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actors.builtin import video_producer
from app.errors import Cancelled, PermanentError, RateLimitError
from tests.actors.builtin.desk import Desk, definition

AGENT = "video-producer"
CLIP = b"\x00\x00\x00\x18ftypmp42" + b"frames" * 50


class VideoService(ThreadingHTTPServer):
    """Speaks the video API: an order, its state, its content."""

    def __init__(self) -> None:
        self.orders: list[bytes] = []
        self.states: list[dict[str, object]] = [
            {"status": "in_progress", "progress": 40},
            {"status": "completed"},
        ]
        self.refusal: tuple[int, dict[str, object]] | None = None
        self.keys: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Video)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Video(BaseHTTPRequestHandler):
    server: VideoService

    def do_POST(self) -> None:
        self.server.keys.add(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refusal:
            return self.answer(*self.server.refusal)
        self.server.orders.append(body)
        return self.answer(200, {"id": f"video_{len(self.server.orders)}", "status": "queued"})

    def do_GET(self) -> None:
        if self.path.endswith("/content"):
            return self.answer(200, CLIP)
        states = self.server.states
        return self.answer(200, states.pop(0) if len(states) > 1 else states[0])

    def answer(self, status: int, content: dict[str, object] | bytes) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "video/mp4" if content is CLIP else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoService]:
    made = VideoService()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", made.url)
    monkeypatch.setattr(video_producer, "POLL_SECONDS", 0.01)
    yield made
    made.shutdown()
    made.server_close()


def test_a_clip_is_ordered_waited_for_kept_and_paid_once(desk: Desk, service: VideoService) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["file_path"] == "video.mp4"
    assert desk.context.artifacts["video.mp4"] == CLIP
    assert service.keys == {"Bearer sk-test"}
    assert b'name="seconds"\r\n\r\n4\r\n' in service.orders[0]
    assert b"1280x720" in service.orders[0]
    assert [usage.cost_usd for usage in desk.context.metered.values()] == [Decimal("0.40")]
    assert any(percent == pytest.approx(41) for percent, _ in desk.context.steps)


def test_an_attempt_after_a_crash_waits_for_the_same_clip(desk: Desk, service: VideoService) -> None:
    desk.context.kept = {"video_id": "video_9"}

    result = desk.run(AGENT, prompt="a lamp lights up")

    assert result["video_id"] == "video_9"
    assert service.orders == []
    assert desk.context.metered == {}


def test_a_refusal_for_its_content_is_final_and_quoted(desk: Desk, service: VideoService) -> None:
    service.states = [{"status": "failed", "error": {"code": "moderation_blocked", "message": "not this"}}]

    with pytest.raises(PermanentError, match="moderation_blocked: not this"):
        desk.run(AGENT, prompt="something forbidden")


def test_too_many_orders_come_back_later(desk: Desk, service: VideoService) -> None:
    service.refusal = (429, {"error": {"message": "slow down"}})

    with pytest.raises(RateLimitError):
        desk.run(AGENT, prompt="a lamp lights up")
    assert desk.context.metered == {}


def test_waiting_ends_when_somebody_cancels(desk: Desk, service: VideoService) -> None:
    service.states = [{"status": "in_progress", "progress": 10}]
    desk.context.cancel_at_progress = 5

    with pytest.raises(Cancelled):
        desk.run(AGENT, prompt="a lamp lights up")
    assert desk.context.kept == {"video_id": "video_1"}


def test_without_a_key_it_says_what_to_set(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    health = video_producer.health()

    assert (health.status, "OPENAI_API_KEY" in (health.reason or "")) == ("unavailable", True)
    with pytest.raises(PermanentError, match="OPENAI_API_KEY"):
        desk.run(AGENT, prompt="a lamp lights up")
